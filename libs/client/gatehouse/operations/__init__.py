"""Every call a client can make, as data: what to send where and what to take from the answer.

The functions of these modules only build; `Client` and `AsyncClient` send, each in its own way, so that nothing is
written twice. `bind` in either makes methods of them.
"""
