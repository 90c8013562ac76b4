"""Databases for tests: SQLite files, and a PostgreSQL server that the test session starts and stops itself."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0

# Its standard input ends when the test session does, also by kill -9; then what is left of the server goes too.
_WATCH = """
cat
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"
rm -rf "$0"
"""


class PostgresMissing(Exception):
    """This machine has no PostgreSQL server; the text says where one was looked for."""


class PostgresServer:
    """A throw-away server on a Unix socket in a directory of its own.

    What it committed survives the death of its processes, not a power cut.
    """

    def __init__(self) -> None:
        self._programs = _find_programs()
        self._account = _account()
        # Not below pytest's own temporary directory: that one is closed to the account the server runs as.
        self.directory = Path(tempfile.mkdtemp(prefix="gatehouse-postgres-", dir="/tmp"))
        self._data = self.directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        if self._account is not None:
            os.chown(self.directory, self._account.pw_uid, self._account.pw_gid)
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        self._run(
            "initdb", "--pgdata", str(self._data), "--username", "gatehouse", "--auth", "trust",
            "--encoding", "UTF8", "--locale", "C", "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "16MB",
            "max_connections": "60",
            "autovacuum": "off",
        }
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        with (self.directory / "server.log").open("ab") as log:
            self._process = self._spawn("postgres", "-D", str(self._data), *arguments, output=log.fileno())
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError((self.directory / "server.log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, *, immediately: bool = False) -> None:
        """Stop the server: cut all connections and shut down in order, or die at once as in a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def remove(self) -> None:
        """Stop the server and delete its files."""
        self.stop(immediately=True)
        shutil.rmtree(self.directory, ignore_errors=True)
        self._watcher.communicate()

    def url(self, database: str) -> str:
        """The URL of `database`."""
        return f"postgresql://gatehouse@/{database}?host={self.directory}"

    def create_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            # Ten times faster than the default while fsync is off; before 15 it was the only strategy.
            strategy = " STRATEGY FILE_COPY" if connection.info.server_version >= 150_000 else ""
            create = sql.SQL("CREATE DATABASE {} TEMPLATE template0" + strategy)
            connection.execute(create.format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop the database that `create_database` made, whoever is connected."""
        name = url.partition("?")[0].rpartition("/")[2]
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, program: str, *arguments: str) -> None:
        with (self.directory / f"{program}.log").open("wb") as log:
            code = self._spawn(program, *arguments, output=log.fileno()).wait()
        if code != 0:
            raise RuntimeError((self.directory / f"{program}.log").read_text())

    def _spawn(self, program: str, *arguments: str, output: int) -> subprocess.Popen[bytes]:
        account = self._account
        return subprocess.Popen(
            [str(self._programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=self.directory,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            # Out of the terminal's process group, so that Ctrl-C reaches the tests first.
            start_new_session=True,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )


def _find_programs() -> Path:
    pattern = "/usr/lib/postgresql/*/bin"
    found = [path for path in Path("/").glob(pattern.removeprefix("/")) if (path / "initdb").exists()]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    on_path = shutil.which("initdb")
    if on_path is None:
        raise PostgresMissing(f"no PostgreSQL server: neither {pattern}/initdb nor initdb on PATH exists")
    return Path(on_path).resolve().parent


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissing("no account to run PostgreSQL as: neither postgres nor nobody exists, and it refuses root")
