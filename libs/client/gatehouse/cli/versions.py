"""What routes and providers were: their versions, what changed from one to the next, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from gatehouse.cli.output import Column, local_time, show_messages, show_table
from gatehouse.cli.session import Session
from gatehouse.cli.terminal import confirm, note

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from gatehouse.configuration.shapes import Shape

R = TypeVar("R")
_CHANGES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The versions of one resource, newest first. `resource` takes it out of a version."""

    name: str
    shape: Shape
    versions: Iterable[Any]
    resource: Callable[[Any], Message]

    @property
    def parent(self) -> str:
        """Whose it is."""
        return self.name.rpartition("/")[0].rpartition("/")[0]

    def changes(self, before: Message | None, after: Message) -> list[str]:
        """What differs, one value each: `strategy: priority -> weighted`."""
        from gatehouse.cli.config_view import field_text
        from gatehouse.configuration.difference import compare

        change = compare((), self.shape, before, after, parent=self.parent)
        return [field_text(field) for field in change.fields] if change else []


def show_versions(history: History, session: Session, *, limit: int) -> None:
    """The newest `limit` versions as a table that says what each changed, or as JSON."""
    if session.as_json:
        show_messages(islice(history.versions, limit), [], empty="", as_json=True)
        return
    columns: list[Column[tuple[Any, str]]] = [
        Column("VERSION", lambda row: str(row[0].version), right=True),
        Column("TIME", lambda row: local_time(row[0].change_time)),
        Column("BY", lambda row: row[0].changed_by),
        Column("WHAT CHANGED", lambda row: row[1]),
    ]
    show_table(islice(_with_changes(history), limit), columns, empty=f"{history.name} has no versions")


def agree_to_rollback(history: History, version: int, *, yes: bool) -> None:
    """Show what going back to `version` changes, and ask. A version that does not exist is the server's to refuse."""
    found = list(history.versions)
    wanted = next((each for each in found if each.version == version), None)
    if wanted is not None and found:
        lines = history.changes(history.resource(found[0]), history.resource(wanted))
        note(
            f"version {version} differs from the present one in:" if lines else f"version {version} is the present one"
        )
        for line in lines:
            note(f"  {line}")
    confirm(f"Bring version {version} of {history.name} back?", yes=yes)


def _with_changes(history: History) -> Iterator[tuple[Any, str]]:
    """Each version with what it changed from the one before it, which is the next in the list."""
    version = None
    for older in history.versions:
        if version is not None:
            yield version, _told(history.changes(history.resource(older), history.resource(version)))
        version = older
    if version is not None:
        yield version, "created" if version.version == 1 else ""


def _told(changes: list[str]) -> str:
    more = f", and {len(changes) - _CHANGES} more" if len(changes) > _CHANGES else ""
    return (", ".join(changes[:_CHANGES]) + more) or "nothing that is shown"
