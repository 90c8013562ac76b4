"""A service as small as can be, run as a process of its own: says what happens to it in a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gatehouse.keyvault.v1 import key_service_pb2 as pb
from gatehouse.keyvault.v1.key_service_pb2_grpc import KeyServiceServicer, add_KeyServiceServicer_to_server
from pydantic_settings import SettingsConfigDict

from libs.core.errors import Unavailable
from libs.rpc.service import Service, run
from libs.rpc.settings import ServerSettings, WrongSetting, load_settings


class Settings(ServerSettings):
    """Where to note what happens; the dependency is up while its file exists."""

    model_config = SettingsConfigDict(env_prefix="TINY_", frozen=True, extra="ignore")

    notes_file: Path
    dependency_file: Path
    needed_to_start_file: Path | None = None
    refuses_to_start: bool = False


class Servicer(KeyServiceServicer):
    """`GetKey` takes as many hundredths of a second as the key's id says: `sleep-50`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def GetKey(self, request: pb.GetKeyRequest, context: Any) -> pb.GetKeyResponse:  # noqa: N802 - the name in the proto
        note(self._settings, "call began")
        try:
            await asyncio.sleep(int(request.name.rpartition("-")[2]) / 100)
            note(self._settings, "call finished")
        finally:
            # Cleanup that has to wait for something, as a real one does.
            await asyncio.sleep(0.05)
            note(self._settings, "call cleaned up")
        return pb.GetKeyResponse()


def note(settings: Settings, line: str) -> None:
    with settings.notes_file.open("a") as file:
        file.write(f"{line}\n")


async def compose(settings: Settings, service: Service) -> None:
    async def ready() -> None:
        if not settings.dependency_file.exists():
            raise ConnectionError("no dependency")

    async def close(name: str) -> None:
        note(settings, f"closed {name}")

    service.on_close("first", lambda: close("first"))
    service.on_close("second", lambda: close("second"), ready=ready)
    if settings.needed_to_start_file is not None and not settings.needed_to_start_file.exists():
        note(settings, "not yet")
        raise Unavailable("DATABASE_UNAVAILABLE", "not yet")
    if settings.refuses_to_start:
        raise WrongSetting("TINY_SECRETS_FILE: is not what it should be")
    servicer = Servicer(settings)  # type: ignore[abstract]  # methods no test calls
    service.add(add_KeyServiceServicer_to_server, servicer)


def main() -> None:
    settings = load_settings(Settings)
    run("tiny", settings, lambda service: compose(settings, service), domain="tiny.gatehouse")


if __name__ == "__main__":
    main()
