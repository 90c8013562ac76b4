"""The command line: `gatehouse --help`."""

from gatehouse.cli.main import app

__all__ = ["app"]
