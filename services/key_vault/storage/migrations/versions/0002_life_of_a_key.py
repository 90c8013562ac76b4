"""Several versions of a key, its status, its use, re-wrapping, and the audit log."""

from __future__ import annotations

import re
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from libs.storage.audit_protection import protect
from libs.storage.types import Int64, JsonText, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")
_NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
_SCOPE = sa.String(71).with_variant(sa.String(71, collation="C"), "postgresql")
_SEALED = re.compile(r"vault:v(\d+):")

_KEYS = sa.table(
    "keys",
    *map(sa.column, ("uid", "version", "last_version", "fallback_version", "mask", "fingerprint")),
    *map(sa.column, ("create_time", "rotate_time")),
)
_VERSIONS = sa.table(
    "key_versions",
    *map(sa.column, ("key_uid", "ciphertext", "sealing_key_version", "vault_secret", "vault_secret_version")),
    *map(sa.column, ("mask", "fingerprint", "create_time", "overlaps")),
)
_REQUESTS = sa.table("remembered_requests", *map(sa.column, ("scope", "method", "request_id", "response")))


def upgrade() -> None:
    _widen_versions()
    _widen_keys()
    _rewrite_answers()
    _create_status()
    _create_use()
    _create_rewrap_run()
    _create_audit_log()


def _widen_versions() -> None:
    """So far a key had one version: the one in use, sealed, of which `keys` says the rest."""
    with op.batch_alter_table("key_versions") as batch:
        batch.add_column(sa.Column("sealing_key_version", sa.Integer, nullable=True))
        batch.add_column(sa.Column("vault_secret", sa.String(63), nullable=True))
        batch.add_column(sa.Column("vault_secret_version", sa.Integer, nullable=True))
        batch.add_column(sa.Column("mask", sa.String(16), nullable=True))
        batch.add_column(sa.Column("fingerprint", sa.String(16), nullable=True))
        batch.add_column(sa.Column("create_time", UtcDateTime, nullable=True))
        batch.add_column(sa.Column("usable_until", UtcDateTime, nullable=True))
        batch.add_column(sa.Column("overlaps", sa.Boolean, nullable=True))
        batch.add_column(sa.Column("destroy_time", UtcDateTime, nullable=True))

    def of_key(value: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
        return sa.select(value).where(_KEYS.c.uid == _VERSIONS.c.key_uid).scalar_subquery()

    op.execute(
        sa.update(_VERSIONS).values(
            sealing_key_version=0,
            vault_secret="",
            vault_secret_version=0,
            overlaps=sa.false(),
            mask=of_key(_KEYS.c.mask),
            fingerprint=of_key(_KEYS.c.fingerprint),
            create_time=of_key(sa.func.coalesce(_KEYS.c.rotate_time, _KEYS.c.create_time)),
        )
    )
    found = map(_SEALED.match, op.get_bind().scalars(sa.select(_VERSIONS.c.ciphertext)))
    for number in {match[1] for match in found if match is not None}:
        sealed = _VERSIONS.c.ciphertext.startswith(f"vault:v{number}:")
        op.execute(sa.update(_VERSIONS).where(sealed).values(sealing_key_version=int(number)))
    with op.batch_alter_table("key_versions") as batch:
        for name in ("sealing_key_version", "vault_secret_version"):
            batch.alter_column(name, existing_type=sa.Integer, nullable=False)
        batch.alter_column("vault_secret", existing_type=sa.String(63), nullable=False)
        for name in ("mask", "fingerprint"):
            batch.alter_column(name, existing_type=sa.String(16), nullable=False)
        batch.alter_column("create_time", existing_type=UtcDateTime, nullable=False)
        batch.alter_column("overlaps", existing_type=sa.Boolean, nullable=False)
    op.create_index("ix_key_versions_sealing_key_version", "key_versions", ["sealing_key_version"])
    op.create_index("ix_key_versions_usable_until", "key_versions", ["destroy_time", "usable_until"])


def _widen_keys() -> None:
    with op.batch_alter_table("keys") as batch:
        batch.add_column(sa.Column("last_version", sa.Integer, nullable=True))
        batch.add_column(sa.Column("fallback_version", sa.Integer, nullable=True))
        batch.add_column(sa.Column("fallback_until", UtcDateTime, nullable=True))
    op.execute(sa.update(_KEYS).values(last_version=_KEYS.c.version, fallback_version=0))
    with op.batch_alter_table("keys") as batch:
        for name in ("last_version", "fallback_version"):
            batch.alter_column(name, existing_type=sa.Integer, nullable=False)
        batch.drop_column("mask")
    op.create_index("ix_keys_fingerprint", "keys", ["tenant", "fingerprint"])


def _rewrite_answers() -> None:
    """A request that is repeated across the upgrade is answered as it was before."""
    connection = op.get_bind()
    for scope, method, request_id, response in connection.execute(sa.select(_REQUESTS)).all():
        key = orjson.loads(bytes(response))
        version = {
            "number": key["version"],
            "mask": key.pop("mask"),
            "fingerprint": key.pop("fingerprint"),
            "create_time": key["rotate_time"] or key["create_time"],
            "vault_secret": None,
            "usable_until": None,
            "overlaps": False,
            "destroy_time": None,
        }
        times = ("condition_time", "last_use_time", "last_success_time", "last_rejection_time", "last_exhaustion_time")
        status = {"condition": "unknown", **dict.fromkeys(times)}
        key |= {"last_version": key["version"], "versions": [version], "status": status}
        answer = orjson.dumps({"key": key, "duplicates": [], "hidden_duplicates": 0})
        same = (_REQUESTS.c.scope == scope, _REQUESTS.c.method == method, _REQUESTS.c.request_id == request_id)
        connection.execute(sa.update(_REQUESTS).where(*same).values(response=sa.literal(answer, sa.LargeBinary)))


def _create_status() -> None:
    op.create_table(
        "key_status",
        sa.Column("key_uid", sa.String(36), sa.ForeignKey("keys.uid", ondelete="CASCADE"), primary_key=True),
        sa.Column("condition", sa.String(16), nullable=False),
        sa.Column("condition_time", UtcDateTime, nullable=True),
        sa.Column("last_use_time", UtcDateTime, nullable=True),
        sa.Column("last_success_time", UtcDateTime, nullable=True),
        sa.Column("last_rejection_time", UtcDateTime, nullable=True),
        sa.Column("last_exhaustion_time", UtcDateTime, nullable=True),
    )
    op.create_table(
        "key_notifications",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("tenant", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("key_id", _ID, nullable=False),
        sa.Column("key_uid", sa.String(36), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
    )
    op.create_index("ix_key_notifications_tenant", "key_notifications", ["tenant", "create_time", "uid"])
    op.create_index("ix_key_notifications_user", "key_notifications", ["tenant", "user_id", "create_time", "uid"])
    op.create_index("ix_key_notifications_key", "key_notifications", ["key_uid", "create_time"])
    op.create_index("ix_key_notifications_time", "key_notifications", ["create_time"])


def _create_use() -> None:
    op.create_table(
        "key_use",
        sa.Column("hour", UtcDateTime, primary_key=True, autoincrement=False),
        sa.Column("key_uid", sa.String(36), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("service", sa.String(63), primary_key=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("tenant", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("count", Int64, nullable=False),
        sa.Column("last_vault_request_id", sa.String(64), nullable=False),
    )
    op.create_index("ix_key_use_tenant", "key_use", ["tenant", "hour"])
    op.create_index("ix_key_use_user", "key_use", ["tenant", "user_id", "hour"])
    op.create_index("ix_key_use_name", "key_use", ["name", "hour"])


def _create_rewrap_run() -> None:
    op.create_table(
        "rewrap_run",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("sealing_key_version", sa.Integer, nullable=False),
        sa.Column("total", Int64, nullable=False),
        sa.Column("remaining", Int64, nullable=False),
        sa.Column("failed", Int64, nullable=False),
        sa.Column("start_time", UtcDateTime, nullable=False),
        sa.Column("end_time", UtcDateTime, nullable=True),
        sa.Column("after_uid", sa.String(36), nullable=False),
        sa.Column("after_version", sa.Integer, nullable=False),
    )


def _create_audit_log() -> None:
    op.create_table(
        "audit_events",
        sa.Column("scope", _SCOPE, primary_key=True),
        sa.Column("sequence", Int64, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("time", UtcDateTime, nullable=False),
        sa.Column("actor", sa.String(512), nullable=False),
        sa.Column("roles", JsonText, nullable=False),
        sa.Column("address", sa.String(128), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(512), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(128), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("details", JsonText, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_events_time", "audit_events", ["scope", "time"])
    op.create_index("ix_audit_events_actor", "audit_events", ["scope", "actor", "sequence"])
    op.create_index("ix_audit_events_target", "audit_events", ["scope", "target", "sequence"])
    op.create_table(
        "audit_heads",
        sa.Column("scope", _SCOPE, primary_key=True),
        sa.Column("sequence", Int64, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
    )
    protect(op.get_bind(), "audit_events")
