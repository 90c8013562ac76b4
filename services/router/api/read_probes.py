"""Requests and results of ProbeService."""

from __future__ import annotations

from collections.abc import Collection

from gatehouse.router.v1 import probe_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict

from libs.core.errors import InvalidArgument
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from libs.core.validation import FieldChecks, origin_of
from services.router.domain.probe import LONGEST_MODEL_ID, Endpoint, Probe, ProbeOutcome, ProbeResult, SavedKey

_MOST_URL = 2048
_MOST_KEY_BYTES = 8192
_LONGEST_S = 60.0
_USUAL_S = 15.0


def probe(request: pb.ProbeProviderRequest, types: Collection[str]) -> Probe:
    """The provider to try; `types` are those there are. Raises InvalidArgument."""
    with FieldChecks() as check:
        check.that(request.type in types, "type", f"must be one of {', '.join(sorted(types))}")
        check.text("base_url", request.base_url, least=1, most=_MOST_URL)
        origin = origin_of(request.base_url) if request.base_url else ""
        check.that(origin is not None, "base_url", "must be an http or https URL with a host")
        key = _key(check, request)
        check.text("model", request.model, most=LONGEST_MODEL_ID)
        timeout_s = _timeout_s(check, request)
    endpoint = Endpoint(
        type=request.type,
        base_url=request.base_url,
        origin=origin or "",
        options=MessageToDict(request.options),
    )
    return Probe(endpoint=endpoint, key=key, model=request.model, timeout_s=timeout_s)


def result_to_pb(result: ProbeResult) -> pb.ProbeProviderResponse:
    """What came of it."""
    duration = Duration()
    duration.FromMicroseconds(round(result.duration_s * 1e6))
    return pb.ProbeProviderResponse(
        outcome=_OUTCOMES[result.outcome],
        message=result.message,
        duration=duration,
        model_ids=result.model_ids,
    )


_OUTCOMES = {outcome: pb.ProbeOutcome.Value(f"PROBE_OUTCOME_{outcome.name}") for outcome in ProbeOutcome}


def _key(check: FieldChecks, request: pb.ProbeProviderRequest) -> SavedKey | Secret | None:
    if request.api_key:
        check.that(not request.key, "key", "must be empty with api_key")
        check.that(len(request.api_key) <= _MOST_KEY_BYTES, "api_key", f"must have at most {_MOST_KEY_BYTES} bytes")
        return Secret(request.api_key)
    if not request.key:
        return None
    check.that(bool(request.caller_token), "caller_token", "is required with key")
    try:
        name = KeyName.parse(request.key, field="key")
    except InvalidArgument as error:
        check.fail("key", error.field_violations[0].description)
        return None
    return SavedKey(name=str(name), caller_token=Secret(request.caller_token))


def _timeout_s(check: FieldChecks, request: pb.ProbeProviderRequest) -> float:
    if not request.HasField("timeout"):
        return _USUAL_S
    timeout_s = request.timeout.ToNanoseconds() / 1e9
    check.that(0 < timeout_s <= _LONGEST_S, "timeout", f"must be more than 0 and at most {_LONGEST_S:.0f} seconds")
    return timeout_s
