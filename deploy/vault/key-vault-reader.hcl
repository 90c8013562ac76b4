# key_vault's reading identity: it opens provider keys for the router and can never seal one.
path "transit/decrypt/provider-keys" {
  capabilities = ["update"]
}

# Keys that stay in Vault's own KV v2 engine: read below this path, never listed, never written. Which tenant may use
# which of them is in key_vault's own file of allowed secrets. For another mount or path, change it here.
path "secret/data/gatehouse/*" {
  capabilities = ["read"]
}

# Its own token only; the role leaves the default policy out.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
