"""Between messages and the domain. Pure; every wrong field of a request is named at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_pb2, key_service_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.errors import GatehouseError, InvalidArgument
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from libs.core.validation import FieldChecks
from libs.identity.caller import Caller
from libs.rpc.status import to_item_status
from services.key_vault.domain.access_keys import KeyAccess
from services.key_vault.domain.commands import CreateKey, DeleteKey, RotateKey
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.errors import invalid_field
from services.key_vault.domain.key import Key, KeyState
from services.key_vault.domain.material import problem_with
from services.key_vault.domain.open_keys import Opened
from services.key_vault.domain.origins import MOST_CHARACTERS, normalised_origin, origin_alone
from services.key_vault.domain.ports import Request

T = TypeVar("T")

MOST_ITEMS = 256

_MOST_DISPLAY_NAME = 200
_MOST_ETAG = 64
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_STATES = {KeyState.ACTIVE: key_pb2.KEY_STATE_ACTIVE}


def create_key(request: key_service_pb2.CreateKeyRequest, caller: Caller, digests: Digests) -> CreateKey:
    """The command. Raises InvalidArgument."""
    material = Secret(request.api_key)
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
        check.text("key.display_name", request.key.display_name, most=_MOST_DISPLAY_NAME)
        check.labels("key.labels", request.key.labels)
        _check_material(check, material)
        _check_request_id(check, request.request_id)
    remembered = None
    if request.request_id:
        stripped = key_service_pb2.CreateKeyRequest()
        stripped.CopyFrom(request)
        stripped.ClearField("request_id")
        digest = digests.of_request(Secret(stripped.SerializeToString(deterministic=True)))
        remembered = _request(caller, "CreateKey", request.request_id, digest)
    return CreateKey(
        name=KeyName(owner or Owner(), request.key_id),
        provider_type=request.key.provider_type,
        origin=origin or "",
        display_name=request.key.display_name,
        labels=dict(request.key.labels),
        material=material,
        request=remembered,
        validate_only=request.validate_only,
    )


def rotate_key(request: key_service_pb2.RotateKeyRequest, caller: Caller, digests: Digests) -> RotateKey:
    """The command. Raises InvalidArgument."""
    material = Secret(request.api_key)
    name = KeyName.parse(request.name)
    with FieldChecks() as check:
        _check_material(check, material)
        check.text("etag", request.etag, most=_MOST_ETAG)
        _check_request_id(check, request.request_id)
    remembered = None
    if request.request_id:
        stripped = key_service_pb2.RotateKeyRequest()
        stripped.CopyFrom(request)
        stripped.ClearField("request_id")
        digest = digests.of_request(Secret(stripped.SerializeToString(deterministic=True)))
        remembered = _request(caller, "RotateKey", request.request_id, digest)
    return RotateKey(name=name, material=material, etag=request.etag, request=remembered)


def delete_key(request: key_service_pb2.DeleteKeyRequest) -> DeleteKey:
    """The command. Raises InvalidArgument."""
    name = KeyName.parse(request.name)
    with FieldChecks() as check:
        check.text("etag", request.etag, most=_MOST_ETAG)
    return DeleteKey(name=name, etag=request.etag)


def key_accesses(request: access_pb.AccessKeysRequest) -> list[KeyAccess | GatehouseError]:
    """The items, a malformed one as its error. Raises InvalidArgument when there are none or too many."""
    with FieldChecks() as check:
        check.count("items", request.items, least=1, most=MOST_ITEMS)
    return [_key_access(f"items[{number}]", item) for number, item in enumerate(request.items)]


def key_message(key: Key) -> key_pb2.Key:
    """The key as callers see it."""
    return key_pb2.Key(
        name=str(key.name),
        uid=key.uid,
        etag=key.etag,
        provider_type=key.provider_type,
        origin=key.origin,
        display_name=key.display_name,
        labels=key.labels,
        mask=key.mask,
        fingerprint=key.fingerprint,
        state=_STATES[key.state],
        version=key.version,
        create_time=_timestamp(key.create_time),
        update_time=_timestamp(key.update_time),
        rotate_time=None if key.rotate_time is None else _timestamp(key.rotate_time),
    )


def access_response(results: Iterable[Opened], *, domain: str) -> access_pb.AccessKeysResponse:
    """The opened batch. This is where material leaves its Secret."""
    return access_pb.AccessKeysResponse(results=[_access_result(result, domain) for result in results])


def _key_access(field: str, item: access_pb.KeyAccess) -> KeyAccess | GatehouseError:
    if item.purpose != access_pb.KEY_PURPOSE_GENERATE:
        return invalid_field(f"{field}.purpose", "must be KEY_PURPOSE_GENERATE")
    try:
        name = KeyName.parse(item.name, field=f"{field}.name")
    except InvalidArgument as error:
        return error.with_traceback(None)
    origin = normalised_origin(item.origin)
    if origin is None:
        return invalid_field(f"{field}.origin", "must be an origin such as https://api.openai.com")
    return KeyAccess(name=name, origin=origin, caller_token=item.caller_token)


def _access_result(result: Opened, domain: str) -> access_pb.KeyAccessResult:
    if isinstance(result, GatehouseError):
        return access_pb.KeyAccessResult(error=to_item_status(result, domain=domain))
    material = access_pb.KeyMaterial(api_key=result.material.reveal(), version=result.version)
    return access_pb.KeyAccessResult(material=material)


def _parsed(check: FieldChecks, parse: Callable[[], T]) -> T | None:
    try:
        return parse()
    except InvalidArgument as error:
        for violation in error.field_violations:
            check.fail(violation.field, violation.description)
        return None


def _check_material(check: FieldChecks, material: Secret) -> None:
    problem = problem_with(material)
    if problem is not None:
        check.fail("api_key", problem)


def _check_request_id(check: FieldChecks, request_id: str) -> None:
    check.that(not request_id or _UUID.fullmatch(request_id) is not None, "request_id", "must be a UUID")


def _request(caller: Caller, method: str, request_id: str, digest: bytes) -> Request:
    return Request(
        caller=f"{caller.tenant or ''}/{caller.user}", method=method, request_id=request_id.lower(), digest=digest
    )


def _timestamp(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
