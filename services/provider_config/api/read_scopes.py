"""What a router asks for as domain values; every wrong field is collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb

from libs.core.resource_names import Owner
from libs.core.validation import FieldChecks
from services.provider_config.api.read_names import name_in

MAX_SCOPES_IN_MESSAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopesAsked:
    """Scopes to forget, those to go on with from a revision, and those to watch from the start."""

    forget: Sequence[Owner]
    resume: Mapping[Owner, int]
    watch: Sequence[Owner]


def scopes_in(request: pb.WatchSnapshotsRequest) -> ScopesAsked:
    """What a router asks for. Raises InvalidArgument."""
    with FieldChecks() as check:
        held = request.resume[:MAX_SCOPES_IN_MESSAGE]
        check.count("resume", request.resume, most=MAX_SCOPES_IN_MESSAGE)
        for index, each in enumerate(held):
            check.that(each.revision >= 0, f"resume[{index}].revision", "must not be negative")
        names = [(f"resume[{index}].scope", each.scope) for index, each in enumerate(held)]
        scopes = _scopes(check, names)
        return ScopesAsked(
            forget=_scopes(check, _listed(check, "forget", request.forget)),
            resume=dict(zip(scopes, [each.revision for each in held], strict=False)),
            watch=_scopes(check, _listed(check, "watch", request.watch)),
        )


def _listed(check: FieldChecks, field: str, names: Sequence[str]) -> Iterable[tuple[str, str]]:
    check.count(field, names, most=MAX_SCOPES_IN_MESSAGE)
    return [(f"{field}[{index}]", name) for index, name in enumerate(names[:MAX_SCOPES_IN_MESSAGE])]


def _scopes(check: FieldChecks, names: Iterable[tuple[str, str]]) -> Sequence[Owner]:
    scopes = []
    for field, name in names:
        scope = name_in(check, Owner.parse, name, field=field)
        if scope is not None:
            check.that(scope.user is None, field, "must be platform or tenants/{tenant}")
            scopes.append(scope)
    return scopes
