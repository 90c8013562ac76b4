"""Plugins: installed packages that teach Gatehouse a type of provider.

Two services load them, provider_config for the descriptions and the router for the dialects, and must agree on which
are taken: so what makes a good plugin is decided here, once.
"""
