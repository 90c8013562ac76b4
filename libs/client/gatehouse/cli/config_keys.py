"""The keys that an imported file needs: which are there, which are to be stored, and from where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from gatehouse.cli.changes import change
from gatehouse.cli.terminal import note

if TYPE_CHECKING:
    from gatehouse.cli.session import Session
    from gatehouse.configuration.litellm.translation import WantedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlan:
    """`missing` are to be stored; `present` have been stored before and stay as they are."""

    missing: tuple[WantedKey, ...]
    present: tuple[WantedKey, ...]

    def show(self) -> None:
        """What would be stored, with where each comes from, never what it is."""
        from rich.text import Text

        from gatehouse.cli.terminal import console, printable

        out = console()
        for key in self.missing:
            text = f"+ keys.{_id(key)} ({key.provider_type}, only for {key.origin}) from {_source(key)}"
            out.print(Text(printable(text), style="bold green"), soft_wrap=True)
        for key in self.present:
            note(f"the key {_id(key)} is stored already and is used as it is")
        for variable in self._unset():
            note(f"the environment variable {variable} is not set", "yellow")

    def require_variables(self) -> None:
        """Raise BadParameter when variables are missing, naming them."""
        if unset := self._unset():
            raise typer.BadParameter(
                f"set {', '.join(unset)} in the environment of this command, then run it again; nothing was changed",
                param_hint="the environment",
            )

    def store(self, session: Session) -> None:
        """Store what is missing."""
        for key in self.missing:
            self._store_one(session, key)
            note(f"stored the key {_id(key)}")

    def document(self) -> list[dict[str, Any]]:
        """For JSON, without any material."""
        return [
            {"name": key.name, "provider_type": key.provider_type, "origin": key.origin, "stored_before": stored}
            | {"variable": key.source.variable}
            for keys, stored in ((self.missing, False), (self.present, True))
            for key in keys
        ]

    @staticmethod
    def _store_one(session: Session, key: WantedKey) -> None:
        material = key.source.material or os.environ.get(key.source.variable, "").strip()
        change(
            lambda request_id: session.client.keys.create(
                key.name,
                provider_type=key.provider_type,
                origin=key.origin,
                api_key=material,
                request_id=request_id,
            )
        )

    def _unset(self) -> list[str]:
        names = {key.source.variable for key in self.missing if key.source.variable}
        return sorted(name for name in names if not os.environ.get(name, "").strip())


def plan_keys(session: Session, parent: str, wanted: Sequence[WantedKey]) -> KeyPlan:
    """Which of the keys are there. Raises FileError for one of the same name that is for something else."""
    from gatehouse.configuration.problems import Problems

    stored = {key.name: key for key in session.client.keys.list(parent, page_size=1000)} if wanted else {}
    problems = Problems()
    for key in wanted:
        have = stored.get(key.name)
        if have is not None and (have.provider_type, _full(have.origin)) != (key.provider_type, _full(key.origin)):
            text = (
                f"the key {_id(key)} exists and is for {have.provider_type} at {have.origin}, not for "
                f"{key.provider_type} at {key.origin}: delete it, or name the variable otherwise"
            )
            problems.add(0, "", text)
    problems.check()
    return KeyPlan(
        missing=tuple(key for key in wanted if key.name not in stored),
        present=tuple(key for key in wanted if key.name in stored),
    )


def _full(origin: str) -> str:
    """An origin with its port, which the server always says."""
    parts = urlsplit(origin)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or {'http': 80, 'https': 443}.get(parts.scheme)}"


def _id(key: WantedKey) -> str:
    return key.name.rpartition("/")[2]


def _source(key: WantedKey) -> str:
    return f"${key.source.variable}" if key.source.variable else "the file"
