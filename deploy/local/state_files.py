"""Files of the state directory: written whole or not at all, secrets readable by their owner only."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644


def private_directory(path: Path) -> Path:
    """Make `path` (and its parents) if need be, readable by the owner only, and return it."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Replace `path` with `content` in one step.

    A kill at any moment leaves the old file or the new one, never half of one; after the return the new one
    survives a power cut.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    # O_EXCL with the final mode: the content is at no moment readable by others.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and removals inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rotate_file(path: Path, *, most_bytes: int, keep: int) -> bool:
    """When `path` has grown past `most_bytes`, rename it to `path.1`, `path.1` to `path.2`, up to `path.{keep}`.

    Returns whether it did.
    """
    if not path.exists() or path.stat().st_size <= most_bytes:
        return False
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))
    return True
