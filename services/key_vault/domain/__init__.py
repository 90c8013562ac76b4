"""What a provider key is and what may be done with it: no gRPC, no SQL, no Vault."""
