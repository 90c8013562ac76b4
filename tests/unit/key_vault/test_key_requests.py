"""From the requests of KeyService to commands: every wrong field is named at once, and no material shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from libs.core.audit_authors import Author
from libs.core.errors import InvalidArgument
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from services.key_vault.api import read_keys
from services.key_vault.domain.commands import Command
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.key import Condition, KeyState, VaultSecretRef
from services.key_vault.domain.ports import KeyFilter, Request
from tests.unit.key_vault.world import ANN

DIGESTS = Digests(Secret(b"k" * 32))
REQUEST_ID = "6F9619FF-8B86-D011-B42D-00CF4FC964FF"
X = "platform/keys/x"
CANARY = b"sk-canary-0123456789"

Read = Callable[[Message, Author, Digests], Command]


def create_request(**changes: object) -> pb.CreateKeyRequest:
    values: dict[str, object] = {
        "parent": "tenants/acme",
        "key_id": "openai",
        "key": key_pb2.Key(provider_type="openai", origin="https://api.openai.com", labels={"env": "prod"}),
        "api_key": CANARY,
    }
    return pb.CreateKeyRequest(**(values | changes))  # type: ignore[arg-type]


def disable(request: pb.DisableKeyRequest, author: Author, digests: Digests) -> Command:
    return read_keys.set_key_state(request, KeyState.DISABLED, author, digests)


def enable(request: pb.EnableKeyRequest, author: Author, digests: Digests) -> Command:
    return read_keys.set_key_state(request, KeyState.ACTIVE, author, digests)


def update_request(**changes: object) -> pb.UpdateKeyRequest:
    key = key_pb2.Key(name=X, display_name="Ours", labels={"env": "prod"})
    return pb.UpdateKeyRequest(**({"key": key} | changes))  # type: ignore[arg-type]


def remembered(command: Command) -> Request:
    assert command.request is not None
    return command.request


def wrong_fields(read: Callable[..., object], request: Message, *arguments: object) -> list[str]:
    """The fields that `read` says are wrong; nothing it says may hold the material."""
    with pytest.raises(InvalidArgument) as caught:
        read(request, *(arguments or (ANN, DIGESTS)))
    assert caught.value.reason == "INVALID_FIELD"
    assert "canary" not in repr(caught.value) + repr(caught.value.field_violations)
    return [violation.field for violation in caught.value.field_violations]


def test_a_create_request_becomes_a_command() -> None:
    command = read_keys.create_key(create_request(), ANN, DIGESTS)
    assert (command.name, command.author) == (KeyName.parse("tenants/acme/keys/openai"), ANN)
    assert command.origin == "https://api.openai.com:443"
    assert command.labels == {"env": "prod"}
    assert command.material == Secret(CANARY)
    assert (command.request, command.validate_only, command.etag) == (None, False, "")


def test_every_wrong_field_is_named_at_once_and_no_material_shown() -> None:
    request = pb.CreateKeyRequest(
        parent="tenants/acme/keys/x",
        key_id="No Id",
        key=key_pb2.Key(
            provider_type="", origin="https://api.openai.com/v1", display_name="n" * 201, labels={"Bad": "x"}
        ),
        api_key=CANARY + b"\n",
        request_id="not a uuid",
    )
    assert wrong_fields(read_keys.create_key, request) == [
        "parent",
        "key_id",
        "key.provider_type",
        "key.origin",
        "key.display_name",
        "key.labels['Bad']",
        "api_key",
        "request_id",
    ]


def test_an_empty_request_is_told_what_it_lacks() -> None:
    assert wrong_fields(read_keys.create_key, pb.CreateKeyRequest()) == [
        "parent",
        "key_id",
        "key.provider_type",
        "key.origin",
        "api_key",
    ]


@pytest.mark.parametrize(
    ("read", "request_", "fields"),
    [
        (read_keys.rotate_key, pb.RotateKeyRequest(), ["name", "api_key"]),
        (
            read_keys.rotate_key,
            pb.RotateKeyRequest(name="x", etag="e" * 65, request_id="x", overlap=Duration(seconds=-1)),
            ["name", "api_key", "overlap", "etag", "request_id"],
        ),
        (
            read_keys.update_key,
            pb.UpdateKeyRequest(
                key=key_pb2.Key(name="x", display_name="\x00", labels={"Bad": "x"}, etag="e" * 65),
                update_mask=FieldMask(paths=["origin"]),
                api_key=CANARY,
                request_id="x",
            ),
            ["key.name", "key.display_name", "key.labels['Bad']", "api_key", "key.etag", "update_mask", "request_id"],
        ),
        (
            read_keys.rollback_key,
            pb.RollbackKeyRequest(name="x", etag="\x00", request_id="x"),
            ["name", "version", "etag", "request_id"],
        ),
        (
            read_keys.destroy_key_version,
            pb.DestroyKeyVersionRequest(name="x", version=-1, etag="\x00", request_id="x"),
            ["name", "version", "etag", "request_id"],
        ),
        (disable, pb.DisableKeyRequest(name="x", etag="\x00", request_id="x"), ["name", "etag", "request_id"]),
        (enable, pb.EnableKeyRequest(name="x", etag="\x00", request_id="x"), ["name", "etag", "request_id"]),
        (
            read_keys.delete_key,
            pb.DeleteKeyRequest(name="x", etag="\x00", request_id="x"),
            ["name", "etag", "request_id"],
        ),
    ],
)
def test_every_other_request_names_all_its_wrong_fields_too(read: Read, request_: Message, fields: list[str]) -> None:
    assert wrong_fields(read, request_) == fields


@pytest.mark.parametrize(
    "name", ["tenants/acme/providers/x", "platform/keys/", "tenants/../keys/x", "platform/keys/x\n"]
)
def test_a_name_of_anything_but_a_key_is_refused(name: str) -> None:
    assert wrong_fields(read_keys.delete_key, pb.DeleteKeyRequest(name=name)) == ["name"]


def test_a_request_is_recognised_by_caller_id_and_content() -> None:
    first = remembered(read_keys.create_key(create_request(request_id=REQUEST_ID), ANN, DIGESTS))
    again = remembered(read_keys.create_key(create_request(request_id=REQUEST_ID.lower()), ANN, DIGESTS))
    assert first == again
    assert (first.caller, first.method, first.request_id) == (ANN.actor, "CreateKey", REQUEST_ID.lower())


def test_requests_that_differ_in_the_material_alone_have_different_digests() -> None:
    one, other = (
        remembered(read_keys.create_key(create_request(request_id=REQUEST_ID, api_key=key), ANN, DIGESTS))
        for key in (b"sk-0123456789", b"sk-0123456780")
    )
    assert one.digest != other.digest


def test_the_digest_cannot_be_made_without_the_deployments_key() -> None:
    request = create_request(request_id=REQUEST_ID)
    ours = remembered(read_keys.create_key(request, ANN, DIGESTS))
    theirs = remembered(read_keys.create_key(request, ANN, Digests(Secret(b"o" * 32))))
    assert ours.digest != theirs.digest


def test_a_request_that_only_validates_is_not_remembered() -> None:
    create = read_keys.create_key(create_request(request_id=REQUEST_ID, validate_only=True), ANN, DIGESTS)
    assert (create.validate_only, create.request) == (True, None)
    rotate = read_keys.rotate_key(
        pb.RotateKeyRequest(name=X, api_key=CANARY, request_id=REQUEST_ID, validate_only=True), ANN, DIGESTS
    )
    assert (rotate.validate_only, rotate.request) == (True, None)


def test_a_rotate_request_becomes_a_command() -> None:
    request = pb.RotateKeyRequest(name=X, api_key=b"sk-0123456789", etag="abc", request_id=REQUEST_ID)
    command = read_keys.rotate_key(request, ANN, DIGESTS)
    assert (str(command.name), command.etag, command.author, command.overlap) == (X, "abc", ANN, timedelta(0))
    assert command.material == Secret(b"sk-0123456789")
    assert remembered(command).method == "RotateKey"


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (Duration(seconds=90, nanos=500_000_000), timedelta(seconds=90.5)),
        (Duration(seconds=30 * 86_400), timedelta(days=30)),
    ],
)
def test_an_overlap_is_taken(overlap: Duration, expected: timedelta) -> None:
    request = pb.RotateKeyRequest(name=X, api_key=CANARY, overlap=overlap)
    assert read_keys.rotate_key(request, ANN, DIGESTS).overlap == expected


@pytest.mark.parametrize(
    "overlap",
    [
        Duration(seconds=-1),
        Duration(nanos=-1),
        Duration(seconds=30 * 86_400, nanos=1_000),
        Duration(seconds=2**63 - 1),
        Duration(seconds=-(2**63)),
    ],
)
def test_an_overlap_out_of_bounds_is_refused(overlap: Duration) -> None:
    request = pb.RotateKeyRequest(name=X, api_key=CANARY, overlap=overlap)
    with pytest.raises(InvalidArgument, match=r"overlap must be 0 to 2592000 seconds \(30 days\)"):
        read_keys.rotate_key(request, ANN, DIGESTS)


def test_a_secret_of_the_operators_vault_takes_the_place_of_material() -> None:
    secret = key_pb2.VaultSecret(id="acme-openai", version=3)
    create = read_keys.create_key(create_request(api_key=b"", vault_secret=secret), ANN, DIGESTS)
    rotate = read_keys.rotate_key(pb.RotateKeyRequest(name=X, vault_secret=secret), ANN, DIGESTS)
    assert create.material == rotate.material == VaultSecretRef("acme-openai", 3)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"vault_secret": key_pb2.VaultSecret(id="s")}, ["api_key"]),
        ({"vault_secret": key_pb2.VaultSecret(), "api_key": b""}, ["vault_secret.id"]),
        (
            {"vault_secret": key_pb2.VaultSecret(id="../x", version=-1), "api_key": b""},
            ["vault_secret.id", "vault_secret.version"],
        ),
        ({"api_key": "sk-canary-…6789".encode()}, ["api_key"]),
        ({"api_key": b""}, ["api_key"]),
    ],
)
def test_material_and_a_secret_exclude_each_other_and_each_is_checked(
    changes: dict[str, object], fields: list[str]
) -> None:
    assert wrong_fields(read_keys.create_key, create_request(**changes)) == fields


@pytest.mark.parametrize(
    ("mask", "display_name", "labels"),
    [
        ([], "Ours", {"env": "prod"}),
        (["*"], "Ours", {"env": "prod"}),
        (["display_name"], "Ours", None),
        (["labels"], None, {"env": "prod"}),
        (["labels", "display_name"], "Ours", {"env": "prod"}),
    ],
)
def test_an_update_changes_what_its_mask_names(
    mask: list[str], display_name: str | None, labels: dict[str, str] | None
) -> None:
    command = read_keys.update_key(update_request(update_mask=FieldMask(paths=mask)), ANN, DIGESTS)
    assert (command.display_name, command.labels) == (display_name, labels)


def test_without_a_mask_only_what_is_set_is_changed_and_with_one_what_is_empty_too() -> None:
    bare = key_pb2.Key(name=X, etag="abc", origin="https://ignored.example")
    command = read_keys.update_key(update_request(key=bare), ANN, DIGESTS)
    assert (command.display_name, command.labels, command.etag) == (None, None, "abc")
    command = read_keys.update_key(update_request(key=bare, update_mask=FieldMask(paths=["*"])), ANN, DIGESTS)
    assert (command.display_name, command.labels) == ("", {})


@pytest.mark.parametrize("path", ["origin", "api_key", "mask", "state", "labels.env", "name", "", "*,labels"])
def test_a_mask_that_names_anything_else_is_refused(path: str) -> None:
    request = update_request(update_mask=FieldMask(paths=["labels", path]))
    assert wrong_fields(read_keys.update_key, request) == ["update_mask"]


def test_an_update_with_empty_material_keeps_it_and_with_any_other_is_refused() -> None:
    read_keys.update_key(update_request(api_key=b""), ANN, DIGESTS)
    assert wrong_fields(read_keys.update_key, update_request(api_key=CANARY)) == ["api_key"]


@pytest.mark.parametrize(
    ("read", "request_", "method"),
    [
        (read_keys.update_key, update_request(request_id=REQUEST_ID), "UpdateKey"),
        (read_keys.rollback_key, pb.RollbackKeyRequest(name=X, version=3, request_id=REQUEST_ID), "RollbackKey"),
        (
            read_keys.destroy_key_version,
            pb.DestroyKeyVersionRequest(name=X, version=3, request_id=REQUEST_ID),
            "DestroyKeyVersion",
        ),
        (disable, pb.DisableKeyRequest(name=X, request_id=REQUEST_ID), "DisableKey"),
        (enable, pb.EnableKeyRequest(name=X, request_id=REQUEST_ID), "EnableKey"),
        (read_keys.delete_key, pb.DeleteKeyRequest(name=X, request_id=REQUEST_ID), "DeleteKey"),
    ],
)
def test_a_change_is_remembered_and_recorded_under_its_method(read: Read, request_: Message, method: str) -> None:
    command = read(request_, ANN, DIGESTS)
    assert (str(command.name), command.author, command.action) == (X, ANN, method)
    assert remembered(command).method == method


def test_versions_and_states_arrive_in_the_commands() -> None:
    rollback = read_keys.rollback_key(pb.RollbackKeyRequest(name=X, version=3, etag="e"), ANN, DIGESTS)
    destroy = read_keys.destroy_key_version(pb.DestroyKeyVersionRequest(name=X, version=4, etag="e"), ANN, DIGESTS)
    assert (rollback.version, rollback.etag, destroy.version, destroy.etag) == (3, "e", 4, "e")


def test_a_list_is_filtered_by_what_is_given() -> None:
    assert read_keys.key_filter(pb.ListKeysRequest(), Owner()) == KeyFilter()
    request = pb.ListKeysRequest(
        provider_type="openai",
        state=key_pb2.KEY_STATE_DISABLED,
        condition=key_pb2.KEY_CONDITION_REJECTED,
        include_users=True,
    )
    assert read_keys.key_filter(request, Owner("acme")) == KeyFilter(
        provider_type="openai", state=KeyState.DISABLED, condition=Condition.REJECTED, include_users=True
    )


def test_a_list_names_all_its_wrong_fields() -> None:
    request = pb.ListKeysRequest(provider_type="No Type", state=9, condition=9, include_users=True)  # type: ignore[arg-type]
    fields = ["provider_type", "state", "condition", "include_users"]
    assert wrong_fields(read_keys.key_filter, request, Owner()) == fields
    assert wrong_fields(read_keys.key_filter, request, Owner("acme", "bob")) == fields


def test_a_page_token_is_bound_to_every_filter() -> None:
    base = pb.ListKeysRequest(parent="platform")
    others = [
        pb.ListKeysRequest(parent="tenants/acme"),
        pb.ListKeysRequest(parent="platform", provider_type="openai"),
        pb.ListKeysRequest(parent="platform", state=key_pb2.KEY_STATE_ACTIVE),
        pb.ListKeysRequest(parent="platform", condition=key_pb2.KEY_CONDITION_WORKING),
        pb.ListKeysRequest(parent="platform", include_users=True),
    ]
    assert read_keys.list_arguments(base) not in [read_keys.list_arguments(each) for each in others]
    assert read_keys.list_arguments(base) == read_keys.list_arguments(
        pb.ListKeysRequest(parent="platform", page_size=7, page_token="x")
    )
