"""Plugin packages as pip leaves them: a module and the metadata with its entry points."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

_HEAD = """
from libs.core.provider_types import Capabilities, ProviderType
from libs.plugins.provider_plugin import ProviderPlugin
"""


def install(directory: Path, package: str, code: str, *, name: str = "plugin", version: str = "1.0") -> str:
    """Install `package`, whose module of that name holds `code` and whose `PLUGIN` is the entry point; its source."""
    (directory / f"{package}.py").write_text(_HEAD + dedent(code))
    metadata = directory / f"{package}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[gatehouse.providers]\n{name} = {package}:PLUGIN\n")
    return f"{package} {version} ({name})"


def described(type_id: str = "acme_ai", dialect: str = "lambda: None", **changes: str) -> str:
    """Code of a plugin of this type; `changes` are fields of the type as code."""
    fields = {
        "id": repr(type_id),
        "display_name": "'Acme AI'",
        "description": "'For tests.'",
        "default_base_url": "'https://api.acme.example'",
        "requires_key": "True",
        "capabilities": "Capabilities(streaming=True)",
        "options": "{'region': {'type': 'string', 'description': 'Where.', 'enum': ['eu']}}",
    } | changes
    given = ", ".join(f"{field}={code}" for field, code in fields.items())
    return f"PLUGIN = ProviderPlugin(type=ProviderType({given}), dialect={dialect})\n"
