"""Changing a profile."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from libs.core.resource_names import ProfileName
from services.provider_config.domain.changes import Act, Changed, check_etag, check_scope_size, differing, record
from services.provider_config.domain.create_profile import check_bounded
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.preference_choices import Wanted, settle
from services.provider_config.domain.preference_keys import KeyFindings
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.routing_look_up import get_profile
from services.provider_config.domain.routing_size import profile_bytes

_TEXTS = frozenset({"display_name", "description"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateProfile:
    """A checked request: `fields` names what to take from the texts and from `wanted`."""

    name: ProfileName
    fields: AbstractSet[str]
    display_name: str = ""
    description: str = ""
    wanted: Wanted
    etag: str = ""
    act: Act


def update_profile(transaction: Transaction, keys: KeyFindings, *, command: UpdateProfile) -> Changed[Profile]:
    """Store the next version. When nothing differs, nothing is stored, and the revision is the present one.

    Raises NotFound `PROFILE_NOT_FOUND`, Aborted `ETAG_MISMATCH`, and else as `create_profile` does.
    """
    profile = get_profile(transaction, command.name)
    check_etag(profile, command.etag)
    settled = settle(transaction, command.wanted, keys)
    settings = replace(
        profile.settings,
        **{field: getattr(command if field in _TEXTS else settled, field) for field in command.fields},
    )
    check_bounded(settings)
    if settings == profile.settings:
        return Changed(profile, transaction.revision(), stored=False)
    changed = profile.changed(settings, now=command.act.now)
    check_scope_size(transaction, profile.name.owner, grows_by=profile_bytes(changed) - profile_bytes(profile))
    transaction.profiles.put(changed)
    details = {"fields": differing(profile.settings, settings), "version": str(changed.version)}
    record(transaction, command.act, profile.name, profile.name.owner, details)
    return Changed(changed, transaction.advance(profile.scope, profile.name))
