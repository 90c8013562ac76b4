"""Where keys are kept, sealed: SQLite or PostgreSQL."""
