"""What the model can do: a table at the end of a run."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.live.asking import STREAMED, WHOLE
from tests.live.target import LiveTarget

FEATURE, WAY = "live-feature", "live-way"
YES, OTHERWISE, NO, FAILED = "yes", "not as told", "no", "FAILED"
_WIDTH, _NOTE = 120, 50


@dataclass(slots=True)
class Verdicts:
    """Collects reports. A feature's verdict without a way of asking stands in both columns."""

    found: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, report: pytest.TestReport) -> None:
        """Take note of one report; of a test that passed only the call counts."""
        properties = dict(report.user_properties)
        feature, way = properties.get(FEATURE), str(properties.get(WAY, ""))
        if not isinstance(feature, str) or (report.when != "call" and report.passed):
            return
        verdict, note = _verdict(report)
        ways = self.found.setdefault(feature, {})
        if ways.get(way) != FAILED:
            ways[way] = verdict
        if note and (feature not in self.notes or verdict == FAILED):
            self.notes[feature] = note

    def lines(self) -> list[str]:
        """The table."""
        rows = [f"{'feature':<22}{WHOLE:<14}{STREAMED:<14}what was seen"]
        for feature, ways in self.found.items():
            cells = [_cell(ways, way) for way in (WHOLE, STREAMED)]
            note = textwrap.wrap(self.notes.get(feature, ""), _WIDTH - _NOTE) or [""]
            rows.append(f"{feature:<22}{cells[0]:<14}{cells[1]:<14}{note[0]}".rstrip())
            rows += [" " * _NOTE + more for more in note[1:]]
        return rows


def heading(target: LiveTarget) -> str:
    """What the table is about."""
    return f"{target.model} by {target.type} at {target.base_url}"


def _cell(ways: Mapping[str, str], way: str) -> str:
    return ways.get(way) or ways.get("", "-")


def _verdict(report: pytest.TestReport) -> tuple[str, str]:
    if report.failed:
        crash = getattr(getattr(report.longrepr, "reprcrash", None), "message", "") or str(report.longrepr)
        return FAILED, crash.strip().splitlines()[0].removeprefix("AssertionError: ").removeprefix(
            "Failed: "
        ) if crash.strip() else ""
    if report.skipped:
        told = getattr(report, "wasxfail", None)
        if told is not None:
            return OTHERWISE, str(told).removeprefix("reason: ").removeprefix("not as told").lstrip(": ")
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        return NO, reason.removeprefix("Skipped: ")
    return YES, ""
