"""Keys that stay in the operator's own Vault."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb

from tests.integration.key_vault.api.served_key_vault import (
    CANARY,
    NAME,
    OTHER_CANARY,
    ServedKeyVault,
    create_request,
    error_of,
    served_key_vault,
)
from tests.vault import ThrowAwayVault

MAPPING = """
[[secret]]
id = "acme-openai"
owner = "tenants/acme"
mount = "secret"
path = "gatehouse/{place}/openai"
field = "api_key"
origins = ["https://api.openai.com"]

[[secret]]
id = "rival-openai"
owner = "tenants/rival"
mount = "secret"
path = "gatehouse/{place}/openai"
field = "api_key"
origins = ["https://api.openai.com"]

[[secret]]
id = "outside"
owner = "tenants/acme"
mount = "secret"
path = "elsewhere/openai"
field = "api_key"
origins = ["https://api.openai.com"]

[[secret]]
id = "no-key"
owner = "tenants/acme"
mount = "secret"
path = "gatehouse/{place}/openai"
field = "note"
origins = ["https://api.openai.com"]
"""


class Operator:
    """Whoever runs Vault and the file of allowed secrets."""

    def __init__(self, openbao: ThrowAwayVault, directory: Path) -> None:
        self._openbao = openbao
        self._place = directory.name
        self.file = directory / "vault-secrets.toml"
        self.file.write_text(MAPPING.format(place=self._place))

    def put(self, key: str) -> None:
        """A new version of the secret."""
        self._openbao.put_secret(f"gatehouse/{self._place}/openai", {"api_key": key, "note": "not a key"})

    def allow_nothing(self) -> None:
        self.file.write_text("")
        os.utime(self.file, ns=(1, 1))


@pytest.fixture
def operator(openbao: ThrowAwayVault, tmp_path: Path) -> Operator:
    operator = Operator(openbao, tmp_path)
    operator.put(CANARY)
    return operator


@pytest.fixture
async def served(
    tmp_path: Path, openbao: ThrowAwayVault, database_url: str, operator: Operator
) -> AsyncIterator[ServedKeyVault]:
    async with served_key_vault(tmp_path, openbao, database_url, vault_secrets_file=operator.file) as running:
        yield running


def referring(secret_id: str = "acme-openai", version: int = 0, **changes: Any) -> pb.CreateKeyRequest:
    reference = key_pb2.VaultSecret(id=secret_id, version=version)
    return create_request(api_key=b"", vault_secret=reference, **changes)


async def test_a_secret_of_vault_is_read_for_each_call(served: ServedKeyVault, operator: Operator) -> None:
    created = (await served.keys.CreateKey(referring(), metadata=served.admin)).key
    assert (created.vault_secret.id, created.mask) == ("acme-openai", "…" + CANARY[-4:])
    assert await served.open(served.item(), served.item()) == [CANARY, CANARY]
    operator.put(OTHER_CANARY)
    assert await served.open(served.item()) == [OTHER_CANARY]
    pinned = pb.RotateKeyRequest(name=NAME, vault_secret=key_pb2.VaultSecret(id="acme-openai", version=1))
    await served.keys.RotateKey(pinned, metadata=served.admin)
    assert await served.open(served.item()) == [CANARY]
    sealed = pb.RotateKeyRequest(name=NAME, api_key=OTHER_CANARY.encode())
    await served.keys.RotateKey(sealed, metadata=served.admin)
    assert await served.open(served.item()) == [OTHER_CANARY]
    for secret in (CANARY, OTHER_CANARY):
        assert secret.encode() not in served.log.getvalue()


async def test_one_owners_secret_serves_no_other_and_goes_nowhere_else(served: ServedKeyVault) -> None:
    rival = served.identities.bearer("tenant_admin", tenant="rival")
    everywhere = create_request(
        api_key=b"",
        vault_secret=key_pb2.VaultSecret(id="acme-openai"),
        key=key_pb2.Key(provider_type="openai", origin="https://evil.example"),
    )
    for request, bearer in (
        (referring("rival-openai"), served.admin),
        (referring("acme-openai", parent="tenants/rival"), rival),
        (referring("nobodys"), served.admin),
        (everywhere, served.admin),
    ):
        assert (await error_of(served.keys.CreateKey(request, metadata=bearer))).reason == "VAULT_SECRET_NOT_ALLOWED"
    user = referring(parent="tenants/acme/users/bob")
    await served.keys.CreateKey(user, metadata=served.identities.bearer("member", user="bob"))
    assert await served.open(served.item("tenants/acme/users/bob/keys/openai")) == [CANARY]


async def test_a_secret_that_is_not_there_or_not_readable_is_told_apart(served: ServedKeyVault) -> None:
    for request, reason in (
        (referring("acme-openai", 99), "VAULT_SECRET_MISSING"),
        (referring("no-key"), "VAULT_SECRET_MISSING"),
        (referring("outside"), "VAULT_SECRET_DENIED"),
    ):
        assert (await error_of(served.keys.CreateKey(request, metadata=served.admin))).reason == reason
    # Other keys are none the worse for it.
    await served.create("sealed")
    assert await served.open(served.item("tenants/acme/keys/sealed")) == [CANARY]


async def test_a_permission_taken_back_acts_on_the_next_call(served: ServedKeyVault, operator: Operator) -> None:
    await served.keys.CreateKey(referring(), metadata=served.admin)
    await served.create("sealed", api_key=OTHER_CANARY.encode())
    assert await served.open(served.item()) == [CANARY]
    operator.allow_nothing()
    assert await served.open(served.item(), served.item("tenants/acme/keys/sealed")) == [
        "VAULT_SECRET_NOT_ALLOWED",
        OTHER_CANARY,
    ]


@pytest.mark.parametrize(
    "secret_id", ["../acme-openai", "acme-openai/../../x", "acme%2fopenai", "ACME", "", "a" * 64, "acme-openai\n"]
)
async def test_no_text_of_a_caller_becomes_a_path(served: ServedKeyVault, secret_id: str) -> None:
    error = await error_of(served.keys.CreateKey(referring(secret_id), metadata=served.admin))
    assert [violation.field for violation in error.field_violations] == ["vault_secret.id"]


async def test_material_and_a_secret_at_once_are_refused(served: ServedKeyVault) -> None:
    both = create_request(vault_secret=key_pb2.VaultSecret(id="acme-openai"))
    error = await error_of(served.keys.CreateKey(both, metadata=served.admin))
    assert [violation.field for violation in error.field_violations] == ["api_key"]
