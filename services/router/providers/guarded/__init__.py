"""Dialects of plugins behind a guard: whatever their code does, one attempt fails and nothing else.

What is not guarded against is code that never returns, or that takes all memory: it runs in the router's own process.
"""
