"""How to go on after the first call: commands that work as they are printed, copied from the project's folder."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from gatehouse.profile import DEFAULT_PROFILE

from deploy.local.layout import StateLayout
from deploy.local.settings import LauncherSettings

_BODY = '{"generation": {"messages": [{"role": "ROLE_USER", "parts": [{"text": "Why is the sky blue?"}]}]}}'
_METHOD = "gatehouse.router.v1.GenerationService/StreamGenerate"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """A command for a shell, and what it is."""

    title: str
    command: str


def next_steps(settings: LauncherSettings, layout: StateLayout, *, folder: Path) -> tuple[NextStep, ...]:
    """Ways to make a call from a shell in `folder`: the command line, Python, any gRPC client."""
    scripts = Path(sys.executable).parent
    cli = shlex.quote(_shown(scripts / "gatehouse", folder))
    python = shlex.quote(_shown(Path(sys.executable), folder))
    ca = shlex.quote(_shown(layout.ca_certificate, folder))
    # Without it clients look into ./.gatehouse.
    elsewhere = layout.client_file != (folder / DEFAULT_PROFILE).absolute()
    profile = f"GATEHOUSE_PROFILE={shlex.quote(_shown(layout.client_file, folder))} " if elsewhere else ""
    return (
        NextStep(title="On the command line", command=f'{profile}{cli} chat "Why is the sky blue?"'),
        NextStep(
            title="In Python",
            command="\n".join(
                [
                    f"{profile}{python} - <<'END'",
                    "from gatehouse import Client",
                    "with Client.from_profile() as client:",
                    '    for event in client.stream("Why is the sky blue?"):',
                    '        print(event.text, end="", flush=True)',
                    "END",
                ]
            ),
        ),
        NextStep(
            title="From any language by gRPC; here grpcurl, which finds the methods by reflection",
            command=" \\\n  ".join(
                [
                    f"grpcurl -cacert {ca}",
                    f'-H "authorization: Bearer $({profile}{cli} token)"',
                    f"-d '{_BODY}'",
                    f"localhost:{settings.router_port} {_METHOD}",
                ]
            ),
        ),
    )


def _shown(path: Path, folder: Path) -> str:
    """`path` relative to `folder` where it lies below."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the environment's symbolic links
    return str(absolute.relative_to(folder)) if absolute.is_relative_to(folder) else str(absolute)
