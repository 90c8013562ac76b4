"""`gatehouse embed`: turns texts into vectors."""

from __future__ import annotations

import json
import math
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.call_inputs import RevisionOption, TaskOption
from gatehouse.cli.command import command
from gatehouse.cli.conversation import show_outcome
from gatehouse.cli.files import MOST_BYTES, read_file
from gatehouse.cli.inputs import LabelOption, labels_of, provider_of
from gatehouse.cli.model_options import Compatibility, EndUserOption
from gatehouse.cli.output import Column, show_table
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import note, stdin_is_terminal

if TYPE_CHECKING:
    from gatehouse.operations.embedding import EmbeddingOptions

_MOST_AT_ONCE = 2048
_SHOWN = 40
_NUMBERS_SHOWN = 4
_LOOKS = (
    "The vectors as a table for people: their length, norm, first numbers, and how near each is to the first (1 is the "
    "same direction, 0 none in common). This is what a terminal gets; a pipe gets JSON lines."
)

Row = tuple[int, str, Sequence[float], float]


class Purpose(StrEnum):
    """What vectors are for."""

    DOCUMENT = "document"
    QUERY = "query"
    SIMILARITY = "similarity"
    CLASSIFICATION = "classification"
    CLUSTERING = "clustering"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(
        app,
        "embed",
        "gatehouse embed 'bread' 'butter' 'a lake in the mountains'",
        "gatehouse embed --model text-embedding-3-small --dimensions 256 --file sentences.txt > vectors.jsonl",
        "gatehouse embed --purpose query 'How do I bake bread?'",
        "cut -f2 products.tsv | gatehouse embed --json | jq -c .vector",
    )(embed)


def embed(
    session: Session,
    *,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help="The texts. Left out: the lines of --file or of standard input."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A text in each line; empty lines are left out. - is standard input.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="The model's id. Left out: the provider's default, or its first for vectors."),
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", help="The provider's id or resource name. Left out: Gatehouse chooses.")
    ] = None,
    fallback: Annotated[
        bool,
        typer.Option(
            "--fallback",
            help="Another model may serve when that one cannot. Vectors of different models cannot be compared.",
        ),
    ] = False,
    dimensions: Annotated[
        int | None, typer.Option("--dimensions", min=1, help="How many numbers a vector has, where the model can.")
    ] = None,
    purpose: Annotated[
        Purpose | None, typer.Option("--purpose", help="What they are for, where the model makes a difference.")
    ] = None,
    compatibility: Annotated[
        Compatibility | None,
        typer.Option(
            "--compatibility",
            help="What happens where --dimensions, --purpose or --end-user cannot be had: strict refuses and says "
            "why, drop leaves it out and warns. Left out: strict.",
        ),
    ] = None,
    table: Annotated[bool | None, typer.Option("--table/--lines", help=_LOOKS)] = None,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=_MOST_AT_ONCE, help="How many texts go into one call.")
    ] = 256,
    task: TaskOption = None,
    end_user: EndUserOption = None,
    label: LabelOption = None,
    revision: RevisionOption = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds each call may take.")] = 120,
) -> None:
    """Turn texts into vectors that are near each other where the texts mean the like.

    With --json or in a pipe, each line is an object with `index`, `text` and `vector`. Who served and what it cost goes
    to standard error, once for each call.
    """
    options: EmbeddingOptions = {"labels": labels_of(label), "fallback": fallback, "timeout": timeout}
    if model is not None:
        options["model"] = model
    if provider is not None:
        options["provider"] = provider_of(provider, session.parent(Owner.TENANT), "--provider")
    if dimensions is not None:
        options["dimensions"] = dimensions
    if purpose is not None:
        options["purpose"] = purpose.value
    if compatibility is not None:
        options["compatibility"] = compatibility.value
    if task is not None:
        options["task"] = task
    if end_user is not None:
        options["end_user"] = end_user
    if revision is not None:
        options["revision"] = revision
    wanted = _texts(texts, file)
    as_table = table if table is not None else sys.stdout.isatty() and not session.as_json
    show: Callable[[Iterator[tuple[int, str, Sequence[float]]]], None] = _show_table if as_table else _print_lines
    show(_embedded(session, wanted, options, batch))


def _embedded(
    session: Session, texts: Sequence[str], options: EmbeddingOptions, batch: int
) -> Iterator[tuple[int, str, Sequence[float]]]:
    for start in range(0, len(texts), batch):
        part = texts[start : start + batch]
        answer = session.client.embed(part, **options)
        for place, (text, vector) in enumerate(zip(part, answer.vectors, strict=True), start):
            yield place, text, vector
        if not session.as_json:
            show_outcome(answer.outcome)
        if not options.get("fallback"):
            # Whoever begins makes them all, or they could not be compared.
            served = answer.outcome.served_by
            options = {**options, "provider": served.provider, "model": served.model}


def _texts(given: list[str] | None, file: Path | None) -> Sequence[str]:
    """What is to be turned into vectors. Raises BadParameter."""
    if given and file is not None:
        raise typer.BadParameter("give the texts, or --file, but not both", param_hint="--file")
    if given:
        texts = given
    elif file is None and stdin_is_terminal():
        raise typer.BadParameter("say what to turn into vectors: gatehouse embed 'bread' 'butter'", param_hint="TEXT")
    else:
        source = file if file is not None else Path("-")
        content = read_file(source, "--file")
        if len(content) > MOST_BYTES:
            raise typer.BadParameter(f"{source} has more than 8 MiB: give it in pieces", param_hint="--file")
        try:
            lines = content.decode().splitlines()
        except UnicodeDecodeError:
            raise typer.BadParameter(f"{source} is not text in UTF-8", param_hint="--file") from None
        texts = [line for line in map(str.strip, lines) if line]
    if not texts or not all(texts):
        raise typer.BadParameter("there is no text, or an empty one", param_hint="TEXT")
    return texts


def _print_lines(vectors: Iterator[tuple[int, str, Sequence[float]]]) -> None:
    for place, text, vector in vectors:
        typer.echo(json.dumps({"index": place, "text": text, "vector": list(map(_short, vector))}))


def _short(number: float) -> float:
    """A float of 32 bits in as few digits as give it back: seven mostly do, nine always."""
    short = float(f"{number:.7g}")
    return short if array("f", (short,))[0] == number else float(f"{number:.9g}")


def _show_table(vectors: Iterator[tuple[int, str, Sequence[float]]]) -> None:
    rows: list[Row] = []
    first: Sequence[float] = ()
    for place, text, vector in vectors:
        first = first or vector
        rows.append((place, text, vector, _nearness(first, vector)))
    columns: list[Column[Row]] = [
        Column("#", lambda row: str(row[0]), right=True),
        Column("TEXT", lambda row: row[1] if len(row[1]) <= _SHOWN else f"{row[1][: _SHOWN - 1]}…"),
        Column("DIMENSIONS", lambda row: f"{len(row[2]):,}", right=True),
        Column("NORM", lambda row: f"{_norm(row[2]):.3f}", right=True),
        Column("LIKE THE FIRST", lambda row: f"{row[3]:+.3f}", right=True),
        Column("BEGINS", lambda row: " ".join(f"{value:+.3f}" for value in row[2][:_NUMBERS_SHOWN]) + " …"),
    ]
    show_table(rows, columns, empty="there is no text")
    note("JSON lines with all numbers: gatehouse embed --lines …")


def _norm(vector: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in vector))


def _nearness(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of the angle between them; 0 where one has no direction, or they have not the same length."""
    length = _norm(one) * _norm(other)
    if not length or len(one) != len(other):
        return 0.0
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / length
