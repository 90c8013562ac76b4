"""The tables. What is in them is of no use without Vault."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, String, Table, Text

from libs.storage.idempotency import request_table
from libs.storage.types import Int64, JsonText, UtcDateTime

metadata = MetaData()

# Ids sort by their bytes on both, so that pages come in the same order everywhere.
_ID = String(63).with_variant(String(63, collation="C"), "postgresql")

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
    Column("mask", String(16), nullable=False),
    Column("fingerprint", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("rotate_time", UtcDateTime, nullable=True),
    Index("ix_keys_owner", "tenant", "user_id", "key_id"),
)

key_versions = Table(
    "key_versions",
    metadata,
    Column("key_uid", String(36), ForeignKey("keys.uid", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("ciphertext", Text, nullable=False),
)

requests = request_table(metadata)
