"""Libraries the services share; each folder says what it is for in its own docstring."""
