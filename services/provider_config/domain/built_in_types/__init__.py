"""The kinds of providers that need no plugin: one file for each, which says what its dialect in the router reads."""
