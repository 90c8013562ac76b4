"""Client for Gatehouse."""
