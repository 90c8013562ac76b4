# key_vault's reading identity: it opens provider keys for the router and can never seal one.
path "transit/decrypt/provider-keys" {
  capabilities = ["update"]
}

# Its own token only; the role leaves the default policy out.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
