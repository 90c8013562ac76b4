"""What every call carries beside what it asks for: where to, what for, for whom."""

from __future__ import annotations

import uuid

from gatehouse.router.v1 import generation_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb

from libs.core.resource_names import ID_RULE, MAX_NAME_LENGTH, is_id
from libs.core.validation import FieldChecks

MAX_CALL_LABELS = 16
MAX_END_USER = 64

_FALLBACKS = frozenset(generation_pb2.FallbackPolicy.values())
_COMPATIBILITIES = frozenset(generation_pb2.Compatibility.values())


def check_call_fields(check: FieldChecks, name: str, message: generation_pb2.Generation | pb.Embedding) -> None:
    """Check the fields that all calls have; `name` is the field of the request that holds `message`."""
    if message.provider:
        check.text(f"{name}.provider", message.provider, most=MAX_NAME_LENGTH)
    if message.model:
        check.text(f"{name}.model", message.model, most=MAX_NAME_LENGTH)
    check.that(
        message.fallback in _FALLBACKS, f"{name}.fallback", "must be FALLBACK_POLICY_NONE or FALLBACK_POLICY_ANY"
    )
    check.that(not message.task or is_id(message.task), f"{name}.task", f"must be {ID_RULE}")
    if message.labels:
        check.labels(f"{name}.labels", message.labels)
        check.count(f"{name}.labels", message.labels, most=MAX_CALL_LABELS)
    check.that(not message.request_id or is_uuid(message.request_id), f"{name}.request_id", "must be a UUID")
    check.that(
        message.compatibility in _COMPATIBILITIES,
        f"{name}.compatibility",
        "must be COMPATIBILITY_STRICT or COMPATIBILITY_DROP",
    )
    if message.end_user:
        valid = len(message.end_user) <= MAX_END_USER and message.end_user.isprintable()
        check.that(valid, f"{name}.end_user", f"must be at most {MAX_END_USER} printable characters")


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID as it is usually written."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
