"""The choices of users as JSON and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from libs.core.resource_names import ProviderName
from services.provider_config.domain.preference import Choice, TaskChoice


def choices_body(preferred: Choice | None, tasks: Iterable[TaskChoice]) -> dict[str, Any]:
    """The choices as what JSON can hold."""
    return {
        "preferred": _body(preferred) if preferred else None,
        "tasks": [{"task": each.task, **_body(each.choice)} for each in tasks],
    }


def preferred_in(body: Mapping[str, Any]) -> Choice | None:
    """The choice for tasks that are not named."""
    return _choice(body["preferred"]) if body["preferred"] else None


def tasks_in(body: Mapping[str, Any]) -> tuple[TaskChoice, ...]:
    """The choices for single tasks."""
    return tuple(TaskChoice(task=each["task"], choice=_choice(each)) for each in body["tasks"])


def _body(choice: Choice) -> dict[str, Any]:
    return {"provider": str(choice.provider), "model": choice.model}


def _choice(body: Mapping[str, Any]) -> Choice:
    return Choice(provider=ProviderName.parse(body["provider"]), model=body["model"])
