"""The files around the embedded Vault: what is kept, what is thrown away, what is never written down."""

import stat
from pathlib import Path

import pytest

from deploy.local.errors import LauncherError
from deploy.local.layout import StateLayout
from deploy.local.openbao import READER, WRITER, OpenBao


@pytest.fixture
def vault(tmp_path: Path) -> OpenBao:
    layout = StateLayout.at(tmp_path / "with space")
    layout.make()
    return OpenBao(layout=layout, port=7110, cluster_port=7111)


def storage(vault: OpenBao) -> Path:
    return vault.layout.vault / "raft" / "vault.db"


def set_up(vault: OpenBao) -> None:
    vault.before_start()
    storage(vault).write_bytes(b"sealed keys")
    vault.on_ready()


def test_the_configuration_holds_no_secret(vault: OpenBao) -> None:
    vault.before_start()
    config = vault.config_file.read_text()
    secret_files = [vault.layout.vault / "seal.key", *(vault.layout.vault / "pending").iterdir()]
    assert len(secret_files) == 7
    for file in secret_files:
        assert file.read_text() not in config
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_unfinished_set_up_is_started_over_with_other_credentials(vault: OpenBao) -> None:
    vault.before_start()
    storage(vault).write_bytes(b"half initialised")
    secret_id = (vault.layout.vault / "pending" / f"{READER}.secret_id").read_text()
    vault.before_start()
    assert not storage(vault).exists()
    assert (vault.layout.vault / "pending" / f"{READER}.secret_id").read_text() != secret_id


def test_credentials_appear_only_once_the_set_up_is_complete(vault: OpenBao) -> None:
    vault.before_start()
    files = [vault.role_id_file(WRITER), vault.secret_id_file(WRITER), vault.role_id_file(READER)]
    assert not any(file.exists() for file in files)
    assert not vault.is_set_up
    vault.on_ready()
    assert all(file.exists() for file in files)


def test_a_finished_set_up_is_never_thrown_away(vault: OpenBao) -> None:
    set_up(vault)
    credentials = vault.secret_id_file(READER).read_text()
    vault.before_start()
    assert storage(vault).read_bytes() == b"sealed keys"
    assert vault.secret_id_file(READER).read_text() == credentials


def test_a_kill_between_the_marker_and_the_credentials_is_made_good(
    vault: OpenBao, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.before_start()
    storage(vault).write_bytes(b"sealed keys")
    with monkeypatch.context() as killed:
        killed.setattr(OpenBao, "_put_credentials_in_place", lambda _: None)
        vault.on_ready()
    assert not vault.is_set_up
    vault.before_start()
    assert vault.secret_id_file(READER).exists()
    assert storage(vault).read_bytes() == b"sealed keys"


def test_a_set_up_of_this_version_lacks_nothing(vault: OpenBao) -> None:
    assert vault.shortcoming is None, "nothing was set up yet"
    set_up(vault)
    assert vault.shortcoming is None


def test_a_set_up_of_an_earlier_version_is_kept_and_what_it_lacks_is_said(vault: OpenBao) -> None:
    set_up(vault)
    (vault.layout.vault / "set-up-complete").write_text("self-initialisation complete\n")
    vault.before_start()
    assert vault.is_set_up
    assert storage(vault).read_bytes() == b"sealed keys"
    assert vault.shortcoming is not None
    for said in ("earlier version", "rotate its sealing key", "sign audit anchors", "make clean-state", "are lost"):
        assert said in vault.shortcoming


def test_a_set_up_of_a_later_version_is_not_said_to_lack_anything(vault: OpenBao) -> None:
    set_up(vault)
    (vault.layout.vault / "set-up-complete").write_text("self-initialisation complete\nversion 12\n")
    assert vault.shortcoming is None


def test_a_lost_seal_key_is_reported_and_not_replaced(vault: OpenBao) -> None:
    set_up(vault)
    (vault.layout.vault / "seal.key").unlink()
    with pytest.raises(LauncherError, match="has lost its seal key"):
        vault.before_start()
    assert not (vault.layout.vault / "seal.key").exists()


def test_lost_storage_is_reported_and_not_replaced(vault: OpenBao) -> None:
    set_up(vault)
    storage(vault).unlink()
    storage(vault).parent.rmdir()
    with pytest.raises(LauncherError, match="or its storage"):
        vault.before_start()


def test_the_audit_log_is_put_aside_when_it_is_large(vault: OpenBao, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.openbao._MOST_AUDIT_BYTES", 10)
    set_up(vault)
    (vault.layout.vault / "audit.log").write_bytes(b"x" * 11)
    vault.before_start()
    assert (vault.layout.vault / "audit.log.1").read_bytes() == b"x" * 11
    assert not (vault.layout.vault / "audit.log").exists()
