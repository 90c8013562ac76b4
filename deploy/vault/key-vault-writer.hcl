# key_vault's writing identity: it seals provider keys and can never open one.
# "update" without "create": an encrypt call for a key that does not exist must fail, not make that key.
path "transit/encrypt/provider-keys" {
  capabilities = ["update"]
}

# Bringing stored ciphertexts to a new version of the sealing key: Vault opens and seals again inside, nothing in clear
# comes out. Reading the key tells which versions there are and since when; the key itself cannot be exported.
path "transit/rewrap/provider-keys" {
  capabilities = ["update"]
}
path "transit/keys/provider-keys" {
  capabilities = ["read"]
}
path "transit/keys/provider-keys/rotate" {
  capabilities = ["update"]
}

# The signatures that hold the audit log to what it said; only the sign and verify of this one key.
path "transit/sign/audit-anchors" {
  capabilities = ["update"]
}
path "transit/verify/audit-anchors" {
  capabilities = ["update"]
}

# Its own token only; the role leaves the default policy out.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
