# key_vault's writing identity: it seals provider keys and can never open one.
# "update" without "create": an encrypt call for a key that does not exist must fail, not make that key.
path "transit/encrypt/provider-keys" {
  capabilities = ["update"]
}
path "transit/rewrap/provider-keys" {
  capabilities = ["update"]
}

# Its own token only; the role leaves the default policy out.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
