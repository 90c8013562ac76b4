"""Mutations that leave an answer readable: a value in its JSON changed, gone, or moved. Bytes alone break it mostly."""

from __future__ import annotations

import random
import re
from typing import Any

import atheris
import orjson

_HEAD = 2
"""What stands before the body says how it is read."""
_JSON = re.compile(rb"\{.*\}|\[.*\]")
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 7, 2**62, "", "x", "\ud83d", "stop", "error",
    [], {}, [None], [{}], {"a": 1}, {"error": "x"},
)  # fmt: skip


def mutated(data: bytes, max_size: int, seed: int) -> bytes:
    """A mutation of `data`, of at most `max_size` bytes: half of them of its bytes, half of a value in its JSON."""
    chance = random.Random(seed)
    if len(data) <= _HEAD or chance.random() < 0.5:
        changed: bytes = atheris.Mutate(data, max_size)
        return changed
    head, body = bytearray(data[:_HEAD]), data[_HEAD:]
    if chance.random() < 0.2:
        head[chance.randrange(_HEAD)] = chance.randrange(256)
    found = list(_JSON.finditer(body))
    if found:
        match = chance.choice(found)
        try:
            value = orjson.loads(match[0])
        except orjson.JSONDecodeError:
            value = {}
        _change(value, chance)
        body = body[: match.start()] + _written(value) + body[match.end() :]
    return (bytes(head) + body)[:max_size]


def _written(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, TypeError):
        return b"{}"


def _change(value: Any, chance: random.Random) -> None:
    """Change one value somewhere inside."""
    while True:
        if not isinstance(value, dict | list) or not value:
            return
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = chance.choice(keys)
        inside = value[key]
        if isinstance(inside, dict | list) and inside and chance.random() < 0.7:
            value = inside
            continue
        match chance.randrange(4):
            case 0:
                del value[key]
            case 1 if isinstance(value, list):
                value.append(inside)
            case 2:
                value[key] = value[chance.choice(keys)]
            case _:
                value[key] = chance.choice(_VALUES)
        return
