"""Usage that the ledger has not acknowledged yet, kept on disk."""
