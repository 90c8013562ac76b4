"""Who is calling and what they may do: tokens, certificates, roles and the one permission table."""
