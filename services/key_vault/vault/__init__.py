"""The outside world that seals and opens key material: HashiCorp Vault or OpenBao."""
