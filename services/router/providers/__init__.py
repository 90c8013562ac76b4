"""The providers: one dialect per file, and the HTTP session that carries them."""
