"""Which provider and model serve a call."""
