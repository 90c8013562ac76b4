"""What accounting decides: who may spend, what was spent, what it cost. No gRPC, no SQL."""
