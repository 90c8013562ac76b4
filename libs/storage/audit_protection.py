"""Makes a table append-only, in the alembic revision that creates it.

    op.create_table("audit_events", …, sqlite_with_rowid=False)
    protect(op.get_bind(), "audit_events")

Triggers refuse every change and removal, whoever asks. They stop mistakes, a service that was taken over, and a
superuser's casual statement. The table's owner can drop them; what is changed then shows in the hashes of the chain,
its seal and its anchors.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, inspect


def protect(connection: Connection, table_name: str) -> None:
    """Refuse UPDATE, DELETE, TRUNCATE and, on SQLite, INSERT OR REPLACE; on PostgreSQL take those rights away too.

    The rights are taken from the owner, who has them by default and would grant them anew, and from everybody. May be
    run again, and must be where a later revision replaces the table, as alembic's batches do on SQLite: the triggers go
    with the old one. On SQLite the table has no rowid and no unique constraint but its primary key, or REPLACE finds a
    way around.
    """
    quote = connection.dialect.identifier_preparer.quote_identifier
    if connection.dialect.name == "postgresql":
        statements = _postgres(quote(table_name))
    else:
        keys = [quote(name) for name in inspect(connection).get_pk_constraint(table_name)["constrained_columns"]]
        triggers = {verb: quote(f"{table_name}_refuse_{verb}") for verb in ("update", "delete", "replace")}
        statements = _sqlite(quote(table_name), keys, triggers)
    for statement in statements:
        connection.exec_driver_sql(statement)


def _postgres(table: str) -> Iterator[str]:
    # Class 23, as for a constraint: SQLite reports a refusal by a trigger as one, too.
    yield """
        CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only', ERRCODE = 'restrict_violation';
        END
        $$
    """
    yield f"""
        CREATE OR REPLACE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """
    yield f"""
        CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """
    yield f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM CURRENT_USER, PUBLIC"


def _sqlite(table: str, keys: list[str], triggers: dict[str, str]) -> Iterator[str]:
    refuse = "BEGIN SELECT RAISE(ABORT, 'the table is append-only'); END"
    yield f"CREATE TRIGGER IF NOT EXISTS {triggers['update']} BEFORE UPDATE ON {table} {refuse}"
    yield f"CREATE TRIGGER IF NOT EXISTS {triggers['delete']} BEFORE DELETE ON {table} {refuse}"
    # REPLACE removes the row it meets without firing the trigger for DELETE.
    same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
    exists = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - the names are quoted
    yield f"CREATE TRIGGER IF NOT EXISTS {triggers['replace']} BEFORE INSERT ON {table} WHEN {exists} {refuse}"
