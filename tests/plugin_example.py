"""The plugin that the router's README shows, taken from that page and installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.local_stack import REPOSITORY

README = REPOSITORY / "services" / "router" / "providers" / "README.md"
_BLOCK = re.compile(r"```(?:toml|python)\n# (gatehouse-parley/\S+)\n(.*?)```", re.DOTALL)


def example_files() -> dict[str, str]:
    """The files on the page, by their paths."""
    return dict(_BLOCK.findall(README.read_text()))


def install_example(directory: Path) -> Path:
    """Write the project into `directory` and install it as a person would, but for the network; where it went."""
    for path, text in example_files().items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    target = directory / "site"
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", target, directory / "gatehouse-parley"],
        check=True,
        timeout=100,
    )
    return target
