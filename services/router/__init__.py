"""The router: plans a call, opens its key, sends it, fails over, streams, accounts."""
