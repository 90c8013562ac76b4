"""Where the ledger, the reservations, the quotas and the rollups are kept."""
