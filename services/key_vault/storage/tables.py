"""The tables. What is in them is of no use without Vault."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text

from libs.storage.audit_tables import audit_tables
from libs.storage.idempotency import request_table
from libs.storage.types import Int64, JsonText, UtcDateTime

metadata = MetaData()

# Ids and names sort by their bytes on both, so that pages come in the same order everywhere.
_ID = String(63).with_variant(String(63, collation="C"), "postgresql")
_NAME = String(255).with_variant(String(255, collation="C"), "postgresql")

keys = Table(
    "keys",
    metadata,
    Column("uid", String(36), primary_key=True),
    # The whole resource name: what a batch of keys is looked up by.
    Column("name", String(255), nullable=False, unique=True),
    # Empty, not null, where the owner has none: null would never equal null.
    Column("tenant", _ID, nullable=False),
    Column("user_id", _ID, nullable=False),
    Column("key_id", _ID, nullable=False),
    Column("revision", Int64, nullable=False),
    Column("provider_type", String(63), nullable=False),
    Column("origin", String(300), nullable=False),
    Column("display_name", String(200), nullable=False),
    Column("labels", JsonText, nullable=False),
    # That of the version in use.
    Column("fingerprint", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("last_version", Integer, nullable=False),
    # `Key.fallback`, so that whoever opens a key learns of it from the same two rows; 0 and null when there is none.
    Column("fallback_version", Integer, nullable=False),
    Column("fallback_until", UtcDateTime, nullable=True),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("rotate_time", UtcDateTime, nullable=True),
    Index("ix_keys_owner", "tenant", "user_id", "key_id"),
    Index("ix_keys_fingerprint", "tenant", "fingerprint"),
)

key_versions = Table(
    "key_versions",
    metadata,
    Column("key_uid", String(36), ForeignKey("keys.uid", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    # Empty once the version is destroyed, and for one in the operator's Vault.
    Column("ciphertext", Text, nullable=False),
    # The version of Vault's key it is sealed with, as the ciphertext itself says; 0 when nothing is sealed.
    Column("sealing_key_version", Integer, nullable=False),
    # The operator's id of the secret it is read from; empty for a sealed version.
    Column("vault_secret", String(63), nullable=False),
    Column("vault_secret_version", Integer, nullable=False),
    Column("mask", String(16), nullable=False),
    Column("fingerprint", String(16), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("usable_until", UtcDateTime, nullable=True),
    Column("overlaps", Boolean, nullable=False),
    Column("destroy_time", UtcDateTime, nullable=True),
    Index("ix_key_versions_sealing_key_version", "sealing_key_version"),
    # What retired and still has material: those that are not destroyed come first, by when they retired.
    Index("ix_key_versions_usable_until", "destroy_time", "usable_until"),
)

key_status = Table(
    "key_status",
    metadata,
    Column("key_uid", String(36), ForeignKey("keys.uid", ondelete="CASCADE"), primary_key=True),
    Column("condition", String(16), nullable=False),
    Column("condition_time", UtcDateTime, nullable=True),
    Column("last_use_time", UtcDateTime, nullable=True),
    Column("last_success_time", UtcDateTime, nullable=True),
    Column("last_rejection_time", UtcDateTime, nullable=True),
    Column("last_exhaustion_time", UtcDateTime, nullable=True),
)

# They outlive their key: its owner should still read why it was refused.
key_notifications = Table(
    "key_notifications",
    metadata,
    Column("uid", String(36), primary_key=True),
    Column("tenant", _ID, nullable=False),
    Column("user_id", _ID, nullable=False),
    Column("key_id", _ID, nullable=False),
    Column("key_uid", String(36), nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", String(16), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Index("ix_key_notifications_tenant", "tenant", "create_time", "uid"),
    Index("ix_key_notifications_user", "tenant", "user_id", "create_time", "uid"),
    Index("ix_key_notifications_key", "key_uid", "create_time"),
    Index("ix_key_notifications_time", "create_time"),
)

# It outlives its key: who used what remains to be told.
key_use = Table(
    "key_use",
    metadata,
    Column("hour", UtcDateTime, primary_key=True, autoincrement=False),
    Column("key_uid", String(36), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("service", String(63), primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("tenant", _ID, nullable=False),
    Column("user_id", _ID, nullable=False),
    Column("count", Int64, nullable=False),
    Column("last_vault_request_id", String(64), nullable=False),
    Index("ix_key_use_tenant", "tenant", "hour"),
    Index("ix_key_use_user", "tenant", "user_id", "hour"),
    Index("ix_key_use_name", "name", "hour"),
)

rewrap_run = Table(
    "rewrap_run",
    metadata,
    # 1: there is one row, the last run's.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("uid", String(36), nullable=False),
    Column("sealing_key_version", Integer, nullable=False),
    Column("total", Int64, nullable=False),
    Column("remaining", Int64, nullable=False),
    Column("failed", Int64, nullable=False),
    Column("start_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime, nullable=True),
    Column("after_uid", String(36), nullable=False),
    Column("after_version", Integer, nullable=False),
)

requests = request_table(metadata)
audit_log = audit_tables(metadata)
