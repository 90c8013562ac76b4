"""Prices the world publishes."""
