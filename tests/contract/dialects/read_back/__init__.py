"""What a body in a provider's format says, read back without the code that wrote it."""
