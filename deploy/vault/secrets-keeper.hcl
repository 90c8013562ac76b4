# The operator's identity: puts provider keys where key_vault's reader finds them, and takes them away. No service of
# Gatehouse uses it. It cannot read a key back, nor open one that key_vault sealed.
path "secret/data/gatehouse/*" {
  capabilities = ["create", "update", "delete"]
}
path "secret/metadata/gatehouse/*" {
  capabilities = ["list", "delete"]
}
path "secret/delete/gatehouse/*" {
  capabilities = ["update"]
}
path "secret/destroy/gatehouse/*" {
  capabilities = ["update"]
}

# The public key that verifies the anchors of the audit log.
path "transit/keys/audit-anchors" {
  capabilities = ["read"]
}

# Its own token only; the role leaves the default policy out.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
