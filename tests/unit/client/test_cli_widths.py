"""Tables on terminals of every width: words stay whole, and nothing is lost."""

from __future__ import annotations

import io
from typing import Any

import pytest
from gatehouse.cli.output import Column, show_table
from gatehouse.cli.widths import GAP, widths_for
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

TEXT = st.text(alphabet="ab cd\N{CJK UNIFIED IDEOGRAPH-6C34}", max_size=30)


@given(columns=st.lists(st.lists(TEXT, min_size=2, max_size=4), min_size=1, max_size=6), available=st.integers(1, 120))
def test_columns_fit_and_break_no_word(columns: list[list[str]], available: int) -> None:
    widths = widths_for(columns, available)
    longest = [max(cell_len(word) for text in texts for word in [*text.split(), ""]) for texts in columns]
    room = available - GAP * (len(columns) - 1)
    if widths is None:
        assert sum(longest) > room
    else:
        assert sum(widths) <= room
        assert all(width >= least for width, least in zip(widths, longest, strict=True))


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_a_table_is_whole_on_every_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr("gatehouse.cli.output.console", lambda: out)
    rows = [("openai", "streaming, tools, json_schema"), ("sandbox", "no: it is not among the providers")]
    columns: list[Column[Any]] = [Column("PROVIDER", lambda row: row[0]), Column("CAN", lambda row: row[1])]
    show_table(rows, columns, empty="")
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    assert all(cell_len(line) <= width for line in shown.splitlines())
    for word in " ".join(text for row in rows for text in row).split():
        assert word in shown
