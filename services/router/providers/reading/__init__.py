"""What every format reads the same way: JSON, errors, hints when to come back, the events of streams."""
