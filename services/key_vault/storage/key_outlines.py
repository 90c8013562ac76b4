"""Finding what is to be known of keys without opening them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, func, or_, select

from libs.core.resource_names import KeyName
from services.key_vault.domain.key import Condition, KeyOutline, KeyState
from services.key_vault.storage.tables import key_status, key_versions, keys

_HAS_MATERIAL = key_versions.c.destroy_time.is_(None) & or_(
    key_versions.c.ciphertext != "", key_versions.c.vault_secret != ""
)
_OUTLINES = (
    select(
        keys.c.name,
        keys.c.state,
        keys.c.origin,
        func.coalesce(_HAS_MATERIAL, False).label("has_material"),
        func.coalesce(key_status.c.condition, Condition.UNKNOWN.value).label("condition"),
    )
    .outerjoin(key_versions, (key_versions.c.key_uid == keys.c.uid) & (key_versions.c.version == keys.c.version))
    .outerjoin(key_status, key_status.c.key_uid == keys.c.uid)
)


def key_outlines(connection: Connection, names: Collection[KeyName]) -> Mapping[KeyName, KeyOutline]:
    """Those of `names` that exist, in one query."""
    by_text = {str(name): name for name in names}
    return {
        by_text[row.name]: KeyOutline(
            state=KeyState(row.state),
            origin=row.origin,
            has_material=bool(row.has_material),
            condition=Condition(row.condition),
        )
        for row in connection.execute(_OUTLINES.where(keys.c.name.in_(by_text)))
    }
