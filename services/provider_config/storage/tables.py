"""The tables of this service."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text, false, text

from libs.storage.audit_tables import audit_tables
from libs.storage.idempotency import request_table
from libs.storage.types import Int64, JsonText, Money, UtcDateTime

metadata = MetaData()


def _ordered(length: int) -> String:
    """Text that sorts by code point on both databases, whatever the locale: pages go by it."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


# One row. Whoever changes anything locks it first, so changes are committed in the order of their revisions.
revisions = Table(
    "revisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Int64, nullable=False),
    # What anybody holds from before this revision is of no use: the database was put back to an older state since.
    Column("floor", Int64, nullable=False, server_default="0"),
    # What the service put into snapshots when it last started: see SqlRevisions.compose.
    Column("content", String(64), nullable=False, server_default=""),
)

# The last change of each scope: `platform` or `tenants/{tenant}`.
scopes = Table(
    "scopes",
    metadata,
    Column("scope", String(128), primary_key=True),
    Column("revision", Int64, nullable=False, unique=True),
    # `changes` knows all names that changed after `floor`, if `noted` is the last revision: a version of this service
    # that does not note changes leaves it behind.
    Column("floor", Int64, nullable=False, server_default="0"),
    Column("noted", Int64, nullable=False, server_default="0"),
)

# The names that changed last in each scope, those of what is gone included, each with its last revision.
changes = Table(
    "changes",
    metadata,
    Column("scope", String(128), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("revision", Int64, nullable=False),
    Index("ix_changes_revision", "scope", "revision"),
)

providers = Table(
    "providers",
    metadata,
    Column("uid", String(36), primary_key=True),
    Column("version", Int64, nullable=False),
    Column("scope", String(128), nullable=False, index=True),
    Column("owner", String(256), nullable=False),
    Column("id", _ordered(63), nullable=False),
    Column("type", String(64), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("key", String(63)),  # the id of a key of the same owner
    Column("default_model", String(63), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("weight", Integer),
    Column("default_for_tasks", JsonText, nullable=False, server_default="[]"),
    Column("limits", JsonText, nullable=False, server_default="{}"),
    Column("timeouts", JsonText, nullable=False, server_default="{}"),
    Column("max_retries", Integer),
    Column("default_temperature", Double),
    Column("default_max_output_tokens", Integer),
    Column("options", JsonText, nullable=False, server_default="{}"),
    Column("labels", JsonText, nullable=False),
    Column("last_test", JsonText),
    Column("created_by", String(256), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("snapshot_bytes", Int64, nullable=False),
    Index("ix_providers_name", "owner", "id", unique=True),
    # Promised by the API; the use cases see to it, and this stands behind them.
    Index(
        "ix_providers_default",
        "owner",
        unique=True,
        sqlite_where=text("is_default"),
        postgresql_where=text("is_default"),
    ),
)

# Which provider of an owner each task goes to: what `default_for_tasks` of the providers says, the other way round, so
# that the database itself keeps a task from going to two.
task_defaults = Table(
    "task_defaults",
    metadata,
    Column("owner", String(256), primary_key=True),
    Column("task", String(63), primary_key=True),
    Column("provider_uid", String(36), ForeignKey("providers.uid"), nullable=False, index=True),
)

models = Table(
    "models",
    metadata,
    Column("uid", String(36), primary_key=True),
    Column("version", Int64, nullable=False),
    Column("provider_uid", String(36), ForeignKey("providers.uid"), nullable=False),
    Column("id", _ordered(63), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("provider_model_id", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("context_tokens", Int64, nullable=False),
    Column("max_output_tokens", Int64, nullable=False),
    Column("streaming", Boolean, nullable=False),
    Column("tools", Boolean, nullable=False),
    Column("json_schema", Boolean, nullable=False),
    Column("images", Boolean, nullable=False),
    Column("audio", Boolean, nullable=False, server_default=false()),
    Column("documents", Boolean, nullable=False, server_default=false()),
    Column("reasoning", Boolean, nullable=False, server_default=false()),
    Column("embeddings", Boolean, nullable=False, server_default=false()),
    Column("fixed_sampling", Boolean, nullable=False, server_default=false()),
    # Per token, which is the same number as micro-USD per million tokens. No price at all: input and output are NULL.
    Column("input_pico_usd", Money),
    Column("output_pico_usd", Money),
    Column("cache_read_pico_usd", Money),
    Column("cache_write_pico_usd", Money),
    Column("reasoning_pico_usd", Money),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("snapshot_bytes", Int64, nullable=False),
    Index("ix_models_name", "provider_uid", "id", unique=True),
)

# What resources were: the last versions of each, with the settings as JSON. `kind` says what `uid` is of.
versions = Table(
    "versions",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("uid", String(36), primary_key=True),
    Column("version", Int64, primary_key=True, autoincrement=False),
    Column("changed_by", String(512), nullable=False),
    Column("change_time", UtcDateTime, nullable=False),
    Column("settings", JsonText, nullable=False),
)

routes = Table(
    "routes",
    metadata,
    Column("uid", String(36), primary_key=True),
    Column("version", Int64, nullable=False),
    Column("scope", String(128), nullable=False),
    Column("id", _ordered(63), nullable=False),  # the task
    Column("fallback", String(63)),  # the task of the route it falls back to
    Column("settings", JsonText, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("snapshot_bytes", Int64, nullable=False),
    Index("ix_routes_name", "scope", "id", unique=True),
)

routing_policies = Table(
    "routing_policies",
    metadata,
    Column("scope", String(128), primary_key=True),
    Column("uid", String(36), nullable=False),
    Column("version", Int64, nullable=False),
    Column("platform_fallback", String(16), nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
)

preferences = Table(
    "preferences",
    metadata,
    Column("owner", String(256), primary_key=True),
    Column("scope", String(128), nullable=False, index=True),
    Column("uid", String(36), nullable=False),
    Column("version", Int64, nullable=False),
    Column("settings", JsonText, nullable=False),
    Column("active_profile", String(63)),  # the id of a profile of the same owner
    Column("update_time", UtcDateTime, nullable=False),
    Column("snapshot_bytes", Int64, nullable=False),
)

profiles = Table(
    "profiles",
    metadata,
    Column("uid", String(36), primary_key=True),
    Column("version", Int64, nullable=False),
    Column("scope", String(128), nullable=False, index=True),
    Column("owner", String(256), nullable=False),
    Column("id", _ordered(63), nullable=False),
    Column("settings", JsonText, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("snapshot_bytes", Int64, nullable=False),
    Index("ix_profiles_name", "owner", "id", unique=True),
)

# What routes, preferences and profiles name, for those who want to delete it. An empty model: the provider alone.
provider_references = Table(
    "provider_references",
    metadata,
    Column("resource", String(256), primary_key=True),
    Column("provider", String(256), primary_key=True),
    Column("model", String(63), primary_key=True),
    Index("ix_provider_references_provider", "provider", "model"),
)

# Names need not be those of stored providers. Without a uid nobody tries it any more, but it must not be tried yet.
provider_tests = Table(
    "provider_tests",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("uid", String(36)),
    Column("until", UtcDateTime, nullable=False, index=True),
)

requests = request_table(metadata)
audit_log = audit_tables(metadata)
