"""A launcher of two small processes, run as a program of its own so that it can be killed."""

import asyncio
import sys
from pathlib import Path

from deploy.local.process import ProcessSpec
from deploy.local.supervisor import Supervisor


async def main(directory: Path) -> None:
    """Keep the two processes running until killed; `directory/ready` says that both are up."""

    async def always() -> bool:
        return True

    specs = [
        ProcessSpec(
            name=name,
            command=(sys.executable, "-c", "import time; time.sleep(300)"),
            environment={},
            working_directory=directory,
            log_file=directory / f"{name}.log",
            probe=always,
        )
        for name in ("one", "two")
    ]
    supervisor = Supervisor(specs, processes_file=directory / "processes.json", listener=lambda *_: None)
    async with supervisor:
        await supervisor.wait_ready(20)
        (directory / "ready").touch()
        await supervisor.serve()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
