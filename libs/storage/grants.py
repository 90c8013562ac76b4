"""What the role a service works as may do, where another role owns the schema and migrates it (PostgreSQL)."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, Row, bindparam, func, inspect, select, text

from libs.core.errors import FailedPrecondition

_VERSION_TABLE = "alembic_version"

_ROLE = text("SELECT current_user = :role FROM pg_roles WHERE rolname = :role")
_NOT_OWNED = text("""
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'S') AND NOT pg_has_role(c.relowner, 'USAGE')
    ORDER BY c.relname LIMIT 1
""")
# Also what comes from another role, from PUBLIC, from owning the table or from being a superuser.
_STILL_CHANGEABLE = text("""
    SELECT c.relname AS table_name, pg_get_userbyid(c.relowner) AS owner
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname IN :tables
      AND (pg_has_role(:role, c.relowner, 'MEMBER') OR has_any_column_privilege(:role, c.oid, 'UPDATE')
           OR has_table_privilege(:role, c.oid, 'DELETE, TRUNCATE, TRIGGER'))
    ORDER BY c.relname
""").bindparams(bindparam("tables", expanding=True))


def grant_service_role(connection: Connection, role: str, *, append_only: Collection[str]) -> None:
    """Let `role` do what a service needs in the current schema, and nothing else; may be run again at every start.

    It may read and write rows of all tables, only read and add rows of the `append_only` ones, only read alembic's own,
    and use sequences. Does nothing for the role that asks, which is the owner and needs no grants.

    Raises FailedPrecondition `DATABASE_ROLE_MISSING` when there is no such role, `DATABASE_GRANT_REFUSED` when the
    role that asks may not grant all this, and `DATABASE_ROLE_TOO_POWERFUL` when `role` could change `append_only`
    tables nevertheless; ValueError for an `append_only` table that does not exist.
    """
    is_own = connection.execute(_ROLE, {"role": role}).scalar_one_or_none()
    if is_own is None:
        raise FailedPrecondition(
            "DATABASE_ROLE_MISSING",
            f"the database has no role {role}, as which the service is to work: create it (CREATE ROLE … LOGIN), "
            "or correct the user in the service's database URL",
            metadata={"role": role},
        )
    if is_own:
        return
    tables = inspect(connection).get_table_names()
    if missing := sorted(set(append_only).difference(tables)):
        raise ValueError(f"there is no table {missing[0]} to be append-only")
    if not_owned := connection.scalars(_NOT_OWNED).first():
        raise _not_granted(role, not_owned)
    quote = connection.dialect.identifier_preparer.quote_identifier
    grantee = quote(role)
    schema = connection.scalars(select(func.current_schema())).one()
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {quote(schema)} TO {grantee}")
    # Who may not grant this gets a warning from PostgreSQL, and no error.
    if not connection.scalars(select(func.has_schema_privilege(role, schema, "USAGE"))).one():
        raise _not_granted(role, schema)
    connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {quote(schema)} TO {grantee}")
    for table in tables:
        connection.exec_driver_sql(f"REVOKE ALL ON {quote(table)} FROM {grantee}")
        connection.exec_driver_sql(f"GRANT {_rights(table, append_only)} ON {quote(table)} TO {grantee}")
    if append_only:
        _refuse_power(connection, role, append_only)


def _rights(table: str, append_only: Collection[str]) -> str:
    if table == _VERSION_TABLE:
        return "SELECT"
    if table in append_only:
        return "SELECT, INSERT"
    return "SELECT, INSERT, UPDATE, DELETE"


def _not_granted(role: str, what: str) -> FailedPrecondition:
    return FailedPrecondition(
        "DATABASE_GRANT_REFUSED",
        f"the role that migrates may not grant {role} its rights on {what}, which is not its own: make it the owner "
        "of the schema and of all tables (ALTER SCHEMA … OWNER TO …, REASSIGN OWNED BY … TO …)",
        metadata={"role": role, "object": what},
    )


def _refuse_power(connection: Connection, role: str, append_only: Collection[str]) -> None:
    found: Row[tuple[str, str]] | None = connection.execute(
        _STILL_CHANGEABLE, {"role": role, "tables": list(append_only)}
    ).first()
    if found is None:
        return
    raise FailedPrecondition(
        "DATABASE_ROLE_TOO_POWERFUL",
        f"the role {role} could change or remove rows of {found.table_name}, which only grows: it must be no "
        f"superuser, neither be nor belong to the table's owner {found.owner}, and have no rights through other roles",
        metadata={"role": role, "table": found.table_name, "owner": found.owner},
    )
