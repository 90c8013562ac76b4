"""Reservations, the ledger of every attempt, quotas, prices and statistics."""
