"""Providers, their models, and the push of both to routers."""
