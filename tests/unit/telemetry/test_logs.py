"""What reaches standard error, and what must not."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from jsonschema import ValidationError
from pydantic import BaseModel

from libs.core.errors import FailedPrecondition
from libs.core.secret import Secret
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from libs.telemetry.telemetry import configure

CANARY = "sk-canary-0123456789abcdef"


class Lines(io.BytesIO):
    @property
    def text(self) -> str:
        return self.getvalue().decode()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@contextmanager
def logging_to(level: str = "info") -> Iterator[Lines]:
    # Not a fixture: logging has to be given back within the same phase of the test that pytest captures.
    lines = Lines()
    telemetry = configure("router", log_level=level, stream=lines)
    try:
        yield lines
    finally:
        telemetry.shutdown()
        telemetry.restore_logs()
        structlog.contextvars.clear_contextvars()


def test_a_line_is_one_json_object_with_its_context() -> None:
    with logging_to() as lines:
        structlog.contextvars.bind_contextvars(request_id="r1")
        get_logger("libs.rpc.chain").info(names.EVENT_RPC_FINISHED, method="/x/Y", duration_ms=1.5, code="OK")
    (record,) = lines.records
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "rpc_finished",
        "level": "info",
        "service": "router",
        "logger": "libs.rpc.chain",
        "request_id": "r1",
        "method": "/x/Y",
        "duration_ms": 1.5,
        "code": "OK",
    }


def test_lines_below_the_level_are_not_written() -> None:
    with logging_to("warning") as lines:
        get_logger("x").info("quiet")
        logging.getLogger("libs.x").info("quiet")
        get_logger("x").warning("loud")
    assert [record["event"] for record in lines.records] == ["loud"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="log level must be one of"):
        configure("router", log_level="chatty", stream=Lines())


def test_a_key_is_masked_in_event_and_fields() -> None:
    with logging_to() as lines:
        get_logger("x").info(
            f"calling with {CANARY}",
            note=f"Bearer {CANARY}",
            nested={"headers": {"authorization": CANARY}, "list": [CANARY]},
            api_key="canary-plain",
            secret=Secret(CANARY.encode()),
            request=object(),
            prompt="the canary prompt",
        )
    assert "canary" not in lines.text
    assert len(lines.records) == 1


def raise_with(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize("text", [CANARY, "plain-canary-7f3e9a1b2c4d", f"x\n{CANARY} the prompt", "api_key=canary"])
def test_a_key_in_an_exceptions_text_is_not_logged(text: str) -> None:
    with logging_to() as lines:
        try:
            try:
                raise_with(text)
            except ValueError as inner:
                raise RuntimeError(text) from inner
        except RuntimeError as error:
            get_logger("x").error(names.EVENT_RPC_CRASHED, exc_info=error)
            get_logger("x").exception(names.EVENT_RPC_CRASHED)
            get_logger("x").error(names.EVENT_RPC_CRASHED, error=error)
            logging.getLogger("grpc._cython").exception("handler failed: %s", error)  # noqa: TRY401 - as grpc does
    assert "canary" not in lines.text
    assert "the prompt" not in lines.text
    assert [record["error"]["type"] for record in (lines.records[0], lines.records[3])] == ["RuntimeError"] * 2
    assert lines.records[0]["error"]["causes"][0]["type"] == "ValueError"


def test_an_exception_shows_our_frames_and_our_wording() -> None:
    with logging_to() as lines:
        try:
            Secret(b"x").__reduce_ex__(2)
        except TypeError:
            get_logger("x").exception("failed")
        get_logger("x").error("failed", exc_info=FailedPrecondition("NO_USABLE_PROVIDER", "no usable provider"))
    first, second = (record["error"] for record in lines.records)
    assert first["type"] == "TypeError"
    assert first["text"] == "a Secret cannot be pickled or copied"
    (frame,) = first["frames"]
    assert frame.startswith("libs/core/secret.py:")
    assert frame.endswith(" __reduce_ex__")
    assert second == {"type": "FailedPrecondition", "text": "no usable provider", "reason": "NO_USABLE_PROVIDER"}


def test_errors_that_quote_the_data_show_no_text() -> None:
    class Model(BaseModel):
        count: int

    with logging_to() as lines:
        try:
            Model.model_validate({"count": "my prompt"})
        except ValueError as error:
            get_logger("x").error("failed", exc_info=error)
        get_logger("x").error("failed", exc_info=ValidationError("'my prompt' is not of type 'object'"))
        get_logger("x").error("failed", exc_info=ExceptionGroup("several", [ValueError(CANARY)]))
    assert "my prompt" not in lines.text
    assert "canary" not in lines.text
    assert [record["error"]["type"] for record in lines.records] == [
        "ValidationError",
        "ValidationError",
        "ExceptionGroup",
    ]


def test_other_libraries_speak_through_the_scrubber() -> None:
    noisy = logging.getLogger("hvac.adapters")
    noisy.setLevel(logging.DEBUG)
    side_door = logging.StreamHandler(io.StringIO())
    noisy.addHandler(side_door)
    with logging_to("debug") as lines:
        noisy.warning("refused X-Vault-Token: %s", CANARY)
        noisy.warning("refused %s", "canary-opaque-0123456789", extra={"token": CANARY})
        noisy.debug("payload of a request")
        late = logging.getLogger("a.library.imported.later")
        late.setLevel(logging.DEBUG)
        late.debug("payload of a request")
        logging.getLogger("services.router").debug("ours is heard")
        noisy.warning("broken %s %s", CANARY)
    assert "canary" not in lines.text
    assert "payload" not in lines.text
    assert "canary" not in side_door.stream.getvalue()
    assert [record.get("message") for record in lines.records] == [
        "refused X-Vault-Token: [masked]",
        "refused [masked]",
        "ours is heard",
        None,
    ]
    assert lines.records[0]["logger"] == "hvac.adapters"
    assert noisy.handlers == [side_door], "handlers are given back"
    noisy.removeHandler(side_door)
    noisy.setLevel(logging.NOTSET)


def test_warnings_are_logged() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with logging_to() as lines:
            warnings.warn(f"do not use {CANARY}", stacklevel=1)
    assert "do not use" in lines.text
    assert "canary" not in lines.text


async def test_a_lost_task_exception_is_logged_scrubbed() -> None:
    async def fail() -> None:
        raise ValueError(CANARY)

    with logging_to() as lines:
        task = asyncio.ensure_future(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        gc.collect()
    assert "never retrieved" in lines.text
    assert "canary" not in lines.text


def test_uncaught_exceptions_are_logged_scrubbed() -> None:
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    with logging_to() as lines:
        sys.excepthook(ValueError, ValueError(CANARY), None)
        thread = threading.Thread(target=raise_with, args=(CANARY,), name="worker")
        thread.start()
        thread.join()
    assert hooks == (sys.excepthook, threading.excepthook, sys.unraisablehook)
    assert "canary" not in lines.text
    assert [(record["event"], record["level"]) for record in lines.records] == [("uncaught_exception", "critical")] * 2


def test_a_process_that_dies_leaves_no_key_behind() -> None:
    script = f"""
from libs.telemetry.telemetry import configure
telemetry = configure("router")
telemetry.shutdown()
def start():
    key = {CANARY!r}
    raise RuntimeError("cannot start with " + key)
start()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "canary" not in done.stdout + done.stderr
    assert json.loads(done.stderr)["error"]["type"] == "RuntimeError"


def test_a_terminal_gets_readable_lines() -> None:
    class Terminal(Lines):
        def isatty(self) -> bool:
            return True

    lines = Terminal()
    telemetry = configure("router", stream=lines)
    try:
        get_logger("x").info("service_started", port=7100)
        try:
            raise_with(CANARY)
        except ValueError:
            get_logger("x").exception("failed", key=CANARY)
    finally:
        telemetry.restore_logs()
    assert "service_started" in lines.text
    assert "7100" in lines.text
    assert not lines.text.startswith("{")
    assert "canary" not in lines.text


def test_a_standard_error_that_went_away_does_not_fail_the_call() -> None:
    class Gone(Lines):
        def write(self, data: object) -> int:
            raise BrokenPipeError

    telemetry = configure("router", stream=Gone())
    try:
        get_logger("x").error("lost")
        logging.getLogger("x").error("lost")
    finally:
        telemetry.restore_logs()
