"""Vocabulary every part of Gatehouse shares: no I/O, no gRPC, no third-party code."""
