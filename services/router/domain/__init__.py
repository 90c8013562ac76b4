"""What the router does, without any I/O."""
