"""Provider API keys: sealed by Vault, opened only for the router."""
