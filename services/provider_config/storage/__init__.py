"""Where providers and models are kept: SQLite or PostgreSQL."""
