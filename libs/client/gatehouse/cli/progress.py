"""How far something is, on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gatehouse.cli.terminal import console, note

_LINES = 10
_LINE_EVERY = 10_000


@contextmanager
def progress(what: str, *, total: int | None = None, live: bool = True) -> Iterator[Callable[[int], None]]:
    """Gives a function to be told how many are done. `live=False` writes plain lines on a terminal as well.

    Plain lines come at each tenth of `total`, or at each 10,000 when it is not known.
    """
    if live and console(stderr=True).is_terminal:
        with _bar(what, total) as tell:
            yield tell
    else:
        yield _lines(what, total)


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    name, took = TextColumn("{task.description}"), TimeElapsedColumn()
    columns = (
        (name, TextColumn("{task.completed:,}"), took)
        if total is None
        else (name, BarColumn(), MofNCompleteColumn(), took)
    )
    with Progress(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def _lines(what: str, total: int | None) -> Callable[[int], None]:
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        step = done * _LINES // total if total else done // _LINE_EVERY
        if step > told:
            told = step
            note(f"{what}: {done:,} of {total:,}" if total else f"{what}: {done:,}")

    return tell
