"""How wide the columns of a table are on a terminal: words are not broken."""

from __future__ import annotations

from collections.abc import Sequence

GAP = 3
"""What stands between two columns."""


def widths_for(columns: Sequence[Sequence[str]], available: int) -> list[int] | None:
    """The width of each column, given its header and cells; None when not even their longest words fit side by side."""
    from rich.cells import cell_len

    least = [max(cell_len(word) for text in texts for word in text.split() or [""]) for texts in columns]
    widths = [max(map(cell_len, texts)) for texts in columns]
    room = available - GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        # The widest of those that can still give gives one column: long texts wrap, short ones stay whole.
        widest = max((index for index in range(len(widths)) if widths[index] > least[index]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths
