"""What a provider is and what may be done with it: no gRPC, no SQL."""
