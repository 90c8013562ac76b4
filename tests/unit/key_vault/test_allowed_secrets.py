"""The operator's mapping of Vault secrets: allowed is exactly what it says, from the moment it says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from libs.core.errors import FailedPrecondition
from libs.core.resource_names import Owner
from services.key_vault.domain.key import VaultSecretRef
from services.key_vault.domain.ports import SecretReference
from services.key_vault.vault.allowed_secrets import AllowedSecretsFile

ORIGIN = "https://api.openai.com:443"
ACME, BOB, EVE = Owner("acme"), Owner("acme", "bob"), Owner("acme", "eve")
SECRET = VaultSecretRef("acme-openai")


def entry(**changes: str) -> str:
    values = {
        "id": '"acme-openai"',
        "owner": '"tenants/acme"',
        "mount": '"kv"',
        "path": '"acme/openai"',
        "field": '"api_key"',
        "origins": '["https://api.openai.com"]',
    }
    lines = [f"{name} = {value}" for name, value in (values | changes).items()]
    return "\n".join(["[[secret]]", *lines, ""])


class Mapping:
    """The file, and the one who reads it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.write(text)
        self.file = AllowedSecretsFile(path)

    def write(self, text: str) -> None:
        # As an editor or a configuration tool does: another file takes its place.
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text, "utf-8")
        fresh.rename(self.path)

    def allows(self, owner: Owner = ACME, origin: str = ORIGIN, reference: VaultSecretRef = SECRET) -> bool:
        try:
            self.file.find(reference, owner, origin)
        except FailedPrecondition as refusal:
            return refusal.reason != "VAULT_SECRET_NOT_ALLOWED"
        return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.toml"


def mapping(file: Path, **changes: str) -> Mapping:
    return Mapping(file, entry(**changes))


def test_the_operators_id_leads_to_the_place_in_vault(path: Path) -> None:
    file = mapping(path).file
    assert file.find(SECRET, ACME, ORIGIN) == SecretReference(
        secret_id="acme-openai", mount="kv", path="acme/openai", field="api_key", version=None
    )
    assert file.find(VaultSecretRef("acme-openai", 7), ACME, ORIGIN).version == 7


@pytest.mark.parametrize(
    ("allowed", "owners"),
    [
        ('"tenants/acme"', [ACME, BOB, EVE]),
        ('"tenants/acme/users/bob"', [BOB]),
        ('"platform"', [Owner()]),
    ],
)
def test_a_secret_is_for_its_owner_and_a_tenants_for_its_users(path: Path, allowed: str, owners: list[Owner]) -> None:
    everybody = [Owner(), ACME, BOB, EVE, Owner("globex"), Owner("globex", "bob"), Owner("acme-2")]
    found = mapping(path, owner=allowed)
    assert [owner for owner in everybody if found.allows(owner)] == owners


def test_a_secret_goes_to_the_origins_named_for_it_and_nowhere_else(path: Path) -> None:
    found = mapping(path, origins='["https://API.openai.com/", "http://127.0.0.1:8080"]')
    assert found.allows(origin=ORIGIN)
    assert found.allows(origin="http://127.0.0.1:8080")
    assert not found.allows(origin="https://evil.example:443")
    assert not found.allows(origin="http://api.openai.com:80")


def test_who_may_not_use_a_secret_learns_nothing_of_it(path: Path) -> None:
    file = mapping(path).file
    texts = []
    for reference, owner in ((SECRET, Owner("globex")), (VaultSecretRef("acme-openai"), Owner()), (SECRET, ACME)):
        origin = "https://evil.example:443" if owner == ACME else ORIGIN
        with pytest.raises(FailedPrecondition) as caught:
            file.find(reference, owner, origin)
        texts.append((caught.value.reason, caught.value.message, dict(caught.value.metadata)))
    assert len(set(map(repr, texts))) == 1
    with pytest.raises(FailedPrecondition) as caught:
        file.find(VaultSecretRef("unknown"), ACME, ORIGIN)
    assert caught.value.message.replace("unknown", "acme-openai") == texts[0][1]
    assert "kv" not in caught.value.message


def test_without_a_file_nothing_is_allowed() -> None:
    with pytest.raises(FailedPrecondition):
        AllowedSecretsFile(None).find(SECRET, ACME, ORIGIN)


@pytest.mark.parametrize(
    "changes",
    [
        {"path": '"../globex/openai"'},
        {"path": '"acme/../../sys/raw"'},
        {"path": '"acme/./openai"'},
        {"path": '"/acme"'},
        {"path": '"acme//openai"'},
        {"path": '"acme/%2e%2e/openai"'},
        {"path": '"acme/openai?version=1"'},
        {"path": '"acme/openai#x"'},
        {"path": '""'},
        {"mount": '".."'},
        {"mount": '"kv/../sys"'},
        {"mount": '""'},
        {"field": '"a/b"'},
        {"field": '".."'},
        {"id": '"../x"'},
        {"id": '"ACME"'},
        {"id": '""'},
        {"owner": '"tenants/acme/keys/x"'},
        {"owner": '"tenants/*"'},
        {"owner": '""'},
        {"origins": "[]"},
        {"origins": '["https://api.openai.com/v1"]'},
        {"origins": '["*"]'},
        {"origins": '"https://api.openai.com"'},
        {"origins": "[1]"},
        {"id": "7"},
        {"version": "1"},
    ],
)
def test_a_mapping_that_could_be_read_in_two_ways_is_refused_at_the_start(path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        mapping(path, **changes)


@pytest.mark.parametrize(
    "text", ["[[secret]]\nid = ", "secret = 1", "[[secrets]]", "\x00", "x = " + "[" * 50_000, entry() + entry()]
)
def test_a_file_that_makes_no_sense_is_refused_at_the_start(path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"secrets\.toml"):
        Mapping(path, text)


def test_what_is_wrong_is_told_with_the_file_and_the_place(path: Path) -> None:
    with pytest.raises(ValueError, match=r"secrets\.toml: secret\.0\.owner: Value error, owner must be platform"):
        mapping(path, owner='"nobody"')
    with pytest.raises(ValueError, match="the secret acme-openai is there twice"):
        Mapping(path, entry() + entry())


def test_a_file_that_is_not_there_is_refused_at_the_start(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AllowedSecretsFile(path)


def test_what_is_allowed_or_taken_back_while_running_counts_at_once(path: Path) -> None:
    found = Mapping(path, "")
    assert not found.allows()
    found.write(entry())
    assert found.allows()
    found.write(entry(owner='"tenants/globex"'))
    assert not found.allows()
    assert found.allows(Owner("globex"))


def test_a_change_within_the_clocks_grain_is_seen(path: Path) -> None:
    found = mapping(path)
    before = path.stat()
    path.write_text("", "utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_ino == before.st_ino
    assert not found.allows()


@pytest.mark.parametrize(
    "broken", ["[[secret]]\nid = ", "\udcff", entry(path='"../x"'), entry() + entry(), "x = " + "[" * 50_000]
)
def test_a_file_that_is_broken_while_running_allows_nothing_until_it_is_mended(path: Path, broken: str) -> None:
    found = mapping(path)
    fresh = path.with_suffix(".broken")
    fresh.write_bytes(broken.encode("utf-8", "surrogateescape"))
    fresh.rename(path)
    with capture_logs() as lines:
        assert not found.allows()
        assert not found.allows()
    assert [line["event"] for line in lines] == ["secrets_file_unreadable"]
    found.write(entry())
    assert found.allows()


def test_a_file_that_is_broken_is_told_once_for_each_thing_that_is_wrong(path: Path) -> None:
    found = mapping(path)
    with capture_logs() as lines:
        for text in (entry(path='"../x"'), "[[secret]]\nid = ", "[[secret]]\nid = "):
            found.write(text)
            for _ in range(3):
                assert not found.allows()
    assert [(line["event"], line["log_level"]) for line in lines] == [("secrets_file_unreadable", "error")] * 2
    assert "letters, digits" in lines[0]["problem"]


def test_a_file_that_is_broken_again_after_it_was_mended_is_told_again(path: Path) -> None:
    found = mapping(path)
    with capture_logs() as lines:
        for text in ("secret = 1", entry(), "secret = 1"):
            found.write(text)
            found.allows()
    assert len(lines) == 2


def test_whatever_goes_wrong_with_reading_what_was_allowed_before_is_not_any_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = mapping(path)
    found.write(entry() + "# another\n")

    def broken(*_: object) -> str:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", broken)
        with pytest.raises(MemoryError):
            found.allows()
    assert not found.allows()


def test_a_file_that_goes_and_comes_back_as_it_was_allows_again(path: Path) -> None:
    found = mapping(path)
    away = path.with_suffix(".away")
    path.rename(away)
    with capture_logs() as lines:
        assert not found.allows()
        assert not found.allows()
    assert len(lines) == 1
    away.rename(path)
    assert found.allows()


def test_a_file_that_can_be_seen_and_not_read_allows_nothing_until_it_can(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = mapping(path)
    found.write(entry() + "# another\n")

    def denied(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch, capture_logs() as lines:
        patch.setattr(Path, "read_text", denied)
        assert not found.allows()
        assert not found.allows()
    assert len(lines) == 1
    assert found.allows()


def test_an_unchanged_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = mapping(path)

    def never(*_: object) -> str:
        raise AssertionError("read again")

    monkeypatch.setattr(Path, "read_text", never)
    assert found.allows()
