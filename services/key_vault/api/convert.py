"""Between messages and the domain, but for the requests of KeyService (`read_keys`). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_maintenance_service_pb2 as maintenance_pb
from gatehouse.keyvault.v1 import key_pb2

from libs.core.errors import GatehouseError, InvalidArgument
from libs.core.resource_names import KeyName
from libs.core.validation import FieldChecks
from libs.rpc.status import to_item_status
from libs.rpc.times import time_of, timestamp
from services.key_vault.api.read_keys import CONDITIONS, STATES, key_name
from services.key_vault.domain.access_keys import KeyAccess
from services.key_vault.domain.check_keys import KeyCheck, KeyCheckResult, KeyUsability
from services.key_vault.domain.errors import invalid_field
from services.key_vault.domain.key import Key, KeyStatus, KeyVersion, VaultSecretRef, VersionState
from services.key_vault.domain.key_outcome import KeyNotification, KeyOutcome, NotificationType
from services.key_vault.domain.open_keys import Opened
from services.key_vault.domain.origins import normalised_origin
from services.key_vault.domain.rewrap_run import RewrapRun

MOST_ITEMS = 256
MOST_OUTCOMES = 1000

_PURPOSES = frozenset({access_pb.KEY_PURPOSE_GENERATE, access_pb.KEY_PURPOSE_PROBE})
_VERSION_STATES = {
    VersionState.CURRENT: key_pb2.KEY_VERSION_STATE_CURRENT,
    VersionState.OVERLAPPING: key_pb2.KEY_VERSION_STATE_OVERLAPPING,
    VersionState.RETIRED: key_pb2.KEY_VERSION_STATE_RETIRED,
    VersionState.DESTROYED: key_pb2.KEY_VERSION_STATE_DESTROYED,
}
_USABILITIES = {
    KeyUsability.USABLE: access_pb.KEY_USABILITY_USABLE,
    KeyUsability.MISSING: access_pb.KEY_USABILITY_MISSING,
    KeyUsability.DISABLED: access_pb.KEY_USABILITY_DISABLED,
    KeyUsability.ORIGIN_MISMATCH: access_pb.KEY_USABILITY_ORIGIN_MISMATCH,
    KeyUsability.NO_VERSION: access_pb.KEY_USABILITY_NO_VERSION,
}
_NOTIFICATION_TYPES = {
    NotificationType.REJECTED: key_pb2.KEY_NOTIFICATION_TYPE_REJECTED,
    NotificationType.EXHAUSTED: key_pb2.KEY_NOTIFICATION_TYPE_EXHAUSTED,
    NotificationType.RECOVERED: key_pb2.KEY_NOTIFICATION_TYPE_RECOVERED,
}


def key_message(key: Key, now: datetime) -> key_pb2.Key:
    """The key as callers see it at `now`."""
    current = key.current
    return key_pb2.Key(
        name=str(key.name),
        uid=key.uid,
        etag=key.etag,
        provider_type=key.provider_type,
        origin=key.origin,
        display_name=key.display_name,
        labels=key.labels,
        mask=current.mask,
        fingerprint=current.fingerprint,
        state=STATES[key.state],
        version=key.version,
        create_time=timestamp(key.create_time),
        update_time=timestamp(key.update_time),
        rotate_time=timestamp(key.rotate_time),
        vault_secret=_vault_secret(current.vault_secret),
        status=_status(key.status),
        versions=[_version(key, each, now) for each in key.versions],
    )


def key_accesses(request: access_pb.AccessKeysRequest, service: str) -> list[KeyAccess | GatehouseError]:
    """The items, asked for by `service`, a malformed one as its error.

    Raises InvalidArgument when there are none or too many.
    """
    with FieldChecks() as check:
        check.count("items", request.items, least=1, most=MOST_ITEMS)
    return [_key_access(f"items[{number}]", item, service) for number, item in enumerate(request.items)]


def access_response(results: Iterable[Opened], *, domain: str) -> access_pb.AccessKeysResponse:
    """The opened batch. This is where material leaves its Secret."""
    return access_pb.AccessKeysResponse(results=[_access_result(result, domain) for result in results])


def key_outcomes(request: access_pb.ReportKeyOutcomesRequest) -> list[KeyOutcome]:
    """The reports. Raises InvalidArgument."""
    with FieldChecks() as check:
        check.count("outcomes", request.outcomes, least=1, most=MOST_OUTCOMES)
        check.done()
        return [_key_outcome(check, f"outcomes[{number}]", each) for number, each in enumerate(request.outcomes)]


def key_checks(request: access_pb.CheckKeysRequest) -> list[KeyCheck]:
    """The keys to look at. Raises InvalidArgument."""
    with FieldChecks() as check:
        check.count("items", request.items, least=1, most=MOST_ITEMS)
        check.done()
        return [_key_check(check, f"items[{number}]", item) for number, item in enumerate(request.items)]


def check_response(results: Iterable[KeyCheckResult]) -> access_pb.CheckKeysResponse:
    """What the batch found."""
    return access_pb.CheckKeysResponse(
        results=[
            access_pb.KeyCheckResult(
                usability=_USABILITIES[result.usability],
                origin=result.origin,
                refused_by_provider=result.refused_by_provider,
            )
            for result in results
        ]
    )


def notification_message(notification: KeyNotification) -> key_pb2.KeyNotification:
    """The notification as its owner sees it."""
    return key_pb2.KeyNotification(
        uid=notification.uid,
        key=str(notification.key),
        version=notification.version,
        type=_NOTIFICATION_TYPES[notification.type],
        create_time=timestamp(notification.create_time),
    )


def rewrap_progress(run: RewrapRun | None) -> maintenance_pb.RewrapProgress | None:
    """How far a run is; None when there is none."""
    if run is None:
        return None
    return maintenance_pb.RewrapProgress(
        sealing_key_version=run.sealing_key_version,
        total_count=run.total,
        remaining_count=run.remaining,
        failed_count=run.failed,
        start_time=timestamp(run.start_time),
        end_time=timestamp(run.end_time),
    )


def _vault_secret(reference: VaultSecretRef | None) -> key_pb2.VaultSecret | None:
    return None if reference is None else key_pb2.VaultSecret(id=reference.id, version=reference.version)


def _status(status: KeyStatus) -> key_pb2.KeyStatus:
    return key_pb2.KeyStatus(
        condition=CONDITIONS[status.condition],
        condition_time=timestamp(status.condition_time),
        last_use_time=timestamp(status.last_use_time),
        last_success_time=timestamp(status.last_success_time),
        last_rejection_time=timestamp(status.last_rejection_time),
        last_exhaustion_time=timestamp(status.last_exhaustion_time),
    )


def _version(key: Key, version: KeyVersion, now: datetime) -> key_pb2.KeyVersion:
    return key_pb2.KeyVersion(
        version=version.number,
        state=_VERSION_STATES[key.state_of(version, now)],
        mask=version.mask,
        fingerprint=version.fingerprint,
        vault_secret=_vault_secret(version.vault_secret),
        create_time=timestamp(version.create_time),
        retire_time=timestamp(version.usable_until),
        destroy_time=timestamp(version.destroy_time),
    )


def _key_access(field: str, item: access_pb.KeyAccess, service: str) -> KeyAccess | GatehouseError:
    if item.purpose not in _PURPOSES:
        return invalid_field(f"{field}.purpose", "must be KEY_PURPOSE_GENERATE or KEY_PURPOSE_PROBE")
    try:
        name = KeyName.parse(item.name, field=f"{field}.name")
    except InvalidArgument as error:
        return error.with_traceback(None)
    origin = normalised_origin(item.origin)
    if origin is None:
        return invalid_field(f"{field}.origin", "must be an origin such as https://api.openai.com")
    if item.version < 0:
        return invalid_field(f"{field}.version", "must not be negative")
    return KeyAccess(
        name=name,
        origin=origin,
        caller_token=item.caller_token,
        service=service,
        version=item.version,
        probe=item.purpose == access_pb.KEY_PURPOSE_PROBE,
    )


def _key_check(check: FieldChecks, field: str, item: access_pb.KeyCheck) -> KeyCheck:
    name = key_name(check, item.name, field=f"{field}.name")
    origin = normalised_origin(item.origin) if item.origin else None
    wrong = item.origin and origin is None
    check.that(not wrong, f"{field}.origin", "must be empty or an origin such as https://api.openai.com")
    return KeyCheck(name=name, origin=origin)


def _access_result(result: Opened, domain: str) -> access_pb.KeyAccessResult:
    if isinstance(result, GatehouseError):
        return access_pb.KeyAccessResult(error=to_item_status(result, domain=domain))
    material = access_pb.KeyMaterial(
        api_key=result.material.reveal(), version=result.version, fallback_version=result.fallback_version
    )
    return access_pb.KeyAccessResult(material=material)


def _key_outcome(check: FieldChecks, field: str, message: access_pb.KeyOutcome) -> KeyOutcome:
    name = key_name(check, message.name, field=f"{field}.name")
    check.that(message.version > 0, f"{field}.version", "is required: a number from 1")
    check.that(message.HasField("last_use_time"), f"{field}.last_use_time", "is required")

    def time(which: str) -> datetime | None:
        return time_of(check, f"{field}.{which}", getattr(message, which)) if message.HasField(which) else None  # type: ignore[arg-type]

    return KeyOutcome(
        name=name,
        version=message.version,
        last_use_time=time_of(check, f"{field}.last_use_time", message.last_use_time),
        last_success_time=time("last_success_time"),
        last_rejection_time=time("last_rejection_time"),
        last_exhaustion_time=time("last_exhaustion_time"),
    )
