"""`python -m deploy.local`: start Gatehouse on this machine, show the first call, keep serving until Ctrl-C."""

from __future__ import annotations

import sys

OLDEST_PYTHON = (3, 11)


def main() -> int:
    """Check what the rest relies on, then launch. Everything else is imported late: old Pythons cannot parse it."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return _fail(
            f"Gatehouse needs Python {wanted} or newer; this is {found} ({sys.executable}).\n"
            "Install one, then choose it with `make run PYTHON=python3.11`."
        )
    if sys.platform == "win32":
        return _fail("The launcher runs on Linux and macOS. On Windows, use it inside WSL 2.")
    try:
        from deploy.local.launch import run
    except ModuleNotFoundError as error:
        return _fail(
            f"The Python package {error.name!r} is missing from {sys.prefix}.\n"
            "Use `make run`: it makes the environment with everything in it."
        )
    return run(sys.argv[1:])


def _fail(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
