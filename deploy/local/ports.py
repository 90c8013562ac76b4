"""Ports: who of ours wants which, and whether they are free."""

from __future__ import annotations

import errno
import socket
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from deploy.local.errors import LauncherError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One port on 127.0.0.1: which process listens there, and the environment variable that moves it."""

    number: int
    process: str
    purpose: str
    variable: str


def check_ports_free(ports: Iterable[Port], *, patience_s: float = 2.0) -> None:
    """Raise LauncherError naming every port that is taken or wanted twice.

    Waits up to `patience_s` seconds first: processes of a launcher killed a moment ago need that long to be gone.
    """
    wanted = tuple(ports)
    _check_distinct(wanted)
    deadline = time.monotonic() + patience_s
    taken = [port for port in wanted if not _is_free(port)]
    while taken and time.monotonic() < deadline:
        time.sleep(0.1)
        taken = [port for port in taken if not _is_free(port)]
    if taken:
        raise LauncherError("\n".join(_describe(port) for port in taken))


def _check_distinct(ports: tuple[Port, ...]) -> None:
    by_number = defaultdict(list)
    for port in ports:
        by_number[port.number].append(port)
    for number, claims in by_number.items():
        if len(claims) > 1:
            who = " and ".join(f"{claim.variable} ({claim.process}, {claim.purpose})" for claim in claims)
            raise LauncherError(f"Port {number} is given twice: {who}. Give each its own.")


def _is_free(port: Port) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do, so that connections in TIME_WAIT do not count; without SO_REUSEPORT, so that a gRPC server
        # that would share the port does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port.number))
            probe.listen(1)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def _describe(port: Port) -> str:
    return (
        f"Port {port.number} is taken; {port.process} needs it ({port.purpose}).\n"
        f"  See who has it:      lsof -nP -iTCP:{port.number} -sTCP:LISTEN\n"
        f"  Or use another one:  {port.variable}={_suggestion(port.number)} make run"
    )


def _suggestion(number: int) -> int:
    shift = 10_000
    return number + shift if number + shift <= 65_535 else number - shift  # noqa: PLR2004 - the highest port
