"""From the requests of KeyService to commands. Pure; every wrong field of a request is named at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from libs.core.audit_authors import Author
from libs.core.errors import InvalidArgument
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from libs.core.validation import FieldChecks
from services.key_vault.domain.commands import (
    CreateKey,
    DeleteKey,
    DestroyKeyVersion,
    Material,
    RollbackKey,
    RotateKey,
    SetKeyState,
    UpdateKey,
)
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.key import LONGEST_OVERLAP, Condition, KeyState, VaultSecretRef
from services.key_vault.domain.material import problem_with
from services.key_vault.domain.origins import MOST_CHARACTERS, origin_alone
from services.key_vault.domain.ports import KeyFilter, Request

T = TypeVar("T")

STATES = {KeyState.ACTIVE: key_pb2.KEY_STATE_ACTIVE, KeyState.DISABLED: key_pb2.KEY_STATE_DISABLED}
CONDITIONS = {
    Condition.UNKNOWN: key_pb2.KEY_CONDITION_UNSPECIFIED,
    Condition.WORKING: key_pb2.KEY_CONDITION_WORKING,
    Condition.REJECTED: key_pb2.KEY_CONDITION_REJECTED,
    Condition.EXHAUSTED: key_pb2.KEY_CONDITION_EXHAUSTED,
}
_STATES = {message: state for state, message in STATES.items()}
_CONDITIONS = {message: condition for condition, message in CONDITIONS.items()}
_MOST_DISPLAY_NAME = 200
_MOST_ETAG = 64
_MUTABLE = ("display_name", "labels")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# In place of a name that is none, until the checks raise.
_NO_KEY = KeyName(Owner(), "none")


def create_key(request: pb.CreateKeyRequest, author: Author, digests: Digests) -> CreateKey:
    """The command. Raises InvalidArgument."""
    with FieldChecks() as check:
        owner = _parsed(check, lambda: Owner.parse(request.parent))
        check.identifier("key_id", request.key_id)
        check.identifier("key.provider_type", request.key.provider_type)
        origin = origin_alone(request.key.origin)
        check.that(
            origin is not None,
            "key.origin",
            "must be scheme, host and port alone, such as https://api.openai.com, "
            f"with at most {MOST_CHARACTERS} characters",
        )
        _check_description(check, request.key)
        material = _material(check, request)
        _check_request_id(check, request.request_id)
    return CreateKey(
        name=KeyName(owner or Owner(), request.key_id),
        author=author,
        request=_remembered(request, author, digests),
        provider_type=request.key.provider_type,
        origin=origin or "",
        display_name=request.key.display_name,
        labels=dict(request.key.labels),
        material=material,
        validate_only=request.validate_only,
    )


def update_key(request: pb.UpdateKeyRequest, author: Author, digests: Digests) -> UpdateKey:
    """The command. Raises InvalidArgument."""
    with FieldChecks() as check:
        name = key_name(check, request.key.name, field="key.name")
        _check_description(check, request.key)
        check.that(not request.api_key, "api_key", "must be empty, which keeps the material; replace it with RotateKey")
        check.text("key.etag", request.key.etag, most=_MOST_ETAG)
        changed = _changed_fields(check, request.update_mask, request.key)
        _check_request_id(check, request.request_id)
    return UpdateKey(
        name=name,
        author=author,
        etag=request.key.etag,
        request=_remembered(request, author, digests),
        display_name=request.key.display_name if "display_name" in changed else None,
        labels=dict(request.key.labels) if "labels" in changed else None,
    )


def rotate_key(request: pb.RotateKeyRequest, author: Author, digests: Digests) -> RotateKey:
    """The command. Raises InvalidArgument."""
    with FieldChecks() as check:
        name = key_name(check, request.name)
        material = _material(check, request)
        overlap = _overlap(check, request.overlap)
        _check_etag_and_request_id(check, request)
    return RotateKey(
        name=name,
        author=author,
        etag=request.etag,
        request=_remembered(request, author, digests),
        material=material,
        overlap=overlap,
        validate_only=request.validate_only,
    )


def rollback_key(request: pb.RollbackKeyRequest, author: Author, digests: Digests) -> RollbackKey:
    """The command. Raises InvalidArgument."""
    with FieldChecks() as check:
        name = key_name(check, request.name)
        check.that(request.version > 0, "version", "is required: a number from 1")
        _check_etag_and_request_id(check, request)
    remembered = _remembered(request, author, digests)
    return RollbackKey(name=name, author=author, etag=request.etag, request=remembered, version=request.version)


def destroy_key_version(request: pb.DestroyKeyVersionRequest, author: Author, digests: Digests) -> DestroyKeyVersion:
    """The command. Raises InvalidArgument."""
    with FieldChecks() as check:
        name = key_name(check, request.name)
        check.that(request.version > 0, "version", "is required: a number from 1")
        _check_etag_and_request_id(check, request)
    remembered = _remembered(request, author, digests)
    return DestroyKeyVersion(name=name, author=author, etag=request.etag, request=remembered, version=request.version)


def set_key_state(
    request: pb.DisableKeyRequest | pb.EnableKeyRequest, state: KeyState, author: Author, digests: Digests
) -> SetKeyState:
    """The command. Raises InvalidArgument."""
    with FieldChecks() as check:
        name = key_name(check, request.name)
        _check_etag_and_request_id(check, request)
    remembered = _remembered(request, author, digests)
    return SetKeyState(name=name, author=author, etag=request.etag, request=remembered, state=state)


def delete_key(request: pb.DeleteKeyRequest, author: Author, digests: Digests) -> DeleteKey:
    """The command. Raises InvalidArgument."""
    with FieldChecks() as check:
        name = key_name(check, request.name)
        _check_etag_and_request_id(check, request)
    return DeleteKey(name=name, author=author, etag=request.etag, request=_remembered(request, author, digests))


def key_filter(request: pb.ListKeysRequest, owner: Owner) -> KeyFilter:
    """Which keys to list. Raises InvalidArgument."""
    with FieldChecks() as check:
        if request.provider_type:
            check.identifier("provider_type", request.provider_type)
        check.that(not request.state or request.state in _STATES, "state", "is not a state of keys")
        check.that(not request.condition or request.condition in _CONDITIONS, "condition", "is not a condition of keys")
        check.that(
            not request.include_users or (owner.tenant is not None and owner.user is None),
            "include_users",
            "needs a tenant as the parent",
        )
    return KeyFilter(
        provider_type=request.provider_type or None,
        state=_STATES[request.state] if request.state else None,
        condition=_CONDITIONS[request.condition] if request.condition else None,
        include_users=request.include_users,
    )


def list_arguments(request: pb.ListKeysRequest) -> dict[str, object]:
    """What a page token of the list is bound to."""
    return {
        "parent": request.parent,
        "provider_type": request.provider_type,
        "state": request.state,
        "condition": request.condition,
        "include_users": request.include_users,
    }


def key_name(check: FieldChecks, name: str, *, field: str = "name") -> KeyName:
    """The key called `name`. `check` learns of a name that is none."""
    return _parsed(check, lambda: KeyName.parse(name, field=field)) or _NO_KEY


def _parsed(check: FieldChecks, parse: Callable[[], T]) -> T | None:
    try:
        return parse()
    except InvalidArgument as error:
        for violation in error.field_violations:
            check.fail(violation.field, violation.description)
        return None


def _material(check: FieldChecks, request: pb.CreateKeyRequest | pb.RotateKeyRequest) -> Material:
    if request.HasField("vault_secret"):
        check.that(not request.api_key, "api_key", "must be empty when vault_secret is set")
        check.identifier("vault_secret.id", request.vault_secret.id)
        check.that(request.vault_secret.version >= 0, "vault_secret.version", "must not be negative")
        return VaultSecretRef(request.vault_secret.id, request.vault_secret.version)
    material = Secret(request.api_key)
    problem = problem_with(material)
    if problem is not None:
        check.fail("api_key", problem)
    return material


def _overlap(check: FieldChecks, message: Duration) -> timedelta:
    longest_s = int(LONGEST_OVERLAP.total_seconds())
    seconds = message.seconds + message.nanos / 1_000_000_000
    if not 0 <= seconds <= longest_s:
        check.fail("overlap", f"must be 0 to {longest_s} seconds ({LONGEST_OVERLAP.days} days)")
        return timedelta(0)
    return timedelta(seconds=seconds)


def _changed_fields(check: FieldChecks, mask: FieldMask, key: key_pb2.Key) -> frozenset[str]:
    if not mask.paths:
        return frozenset(field.name for field, _ in key.ListFields()) & set(_MUTABLE)
    if list(mask.paths) == ["*"]:
        return frozenset(_MUTABLE)
    wrong = sorted(set(mask.paths) - set(_MUTABLE))
    if wrong:
        check.fail("update_mask", f"must name {' and '.join(_MUTABLE)} at most, or '*'; not {wrong[0][:64]!r}")
    return frozenset(mask.paths) & set(_MUTABLE)


def _check_description(check: FieldChecks, key: key_pb2.Key) -> None:
    check.text("key.display_name", key.display_name, most=_MOST_DISPLAY_NAME)
    check.labels("key.labels", key.labels)


_ChangeRequest = (
    pb.RotateKeyRequest
    | pb.RollbackKeyRequest
    | pb.DestroyKeyVersionRequest
    | pb.DisableKeyRequest
    | pb.EnableKeyRequest
    | pb.DeleteKeyRequest
)


def _check_etag_and_request_id(check: FieldChecks, request: _ChangeRequest) -> None:
    check.text("etag", request.etag, most=_MOST_ETAG)
    _check_request_id(check, request.request_id)


def _check_request_id(check: FieldChecks, request_id: str) -> None:
    check.that(not request_id or _UUID.fullmatch(request_id) is not None, "request_id", "must be a UUID")


def _remembered(request: Message, author: Author, digests: Digests) -> Request | None:
    """How the request is recognised when it comes again; None without an id, and when it has no effect."""
    request_id: str = getattr(request, "request_id")  # noqa: B009 - every request that changes keys has one
    if not request_id or getattr(request, "validate_only", False):
        return None
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("request_id")
    return Request(
        caller=author.actor,
        method=request.DESCRIPTOR.name.removesuffix("Request"),
        request_id=request_id.lower(),
        digest=digests.of_request(Secret(bare.SerializeToString(deterministic=True))),
    )
