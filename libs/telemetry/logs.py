"""Structured logs: one JSON object per line on standard error, everything scrubbed, other libraries' lines included."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, BinaryIO, cast

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import FilteringBoundLogger, Processor

from libs.telemetry import names
from libs.telemetry.exceptions import describe
from libs.telemetry.scrubbing import scrub_fields, scrub_foreign_text, scrub_text

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_OUR_LOGGERS = ("libs", "services", "deploy")
_EventDict = MutableMapping[str, Any]


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger for one module (`get_logger(__name__)`): an event from `names`, then fields.

    Calls below the configured level cost next to nothing. Bind nothing secret, log no message or request object.
    """
    return cast(FilteringBoundLogger, structlog.get_logger(name))


def configure_logs(
    service: str, *, log_level: str, stream: BinaryIO, pretty: bool, with_traces: bool, final: bool = True
) -> Callable[[], None]:
    """Route structlog, the `logging` module, warnings and uncaught exceptions to `stream`; returns the undoing.

    Our own loggers speak from `log_level` up. Other libraries' speak from WARNING up whatever the level, because
    their debug lines hold payloads and headers. `final` lets loggers keep this configuration for good, which makes
    them faster. Raises ValueError for an unknown level.
    """
    if log_level.lower() not in LEVELS:
        raise ValueError(f"log level must be one of {', '.join(LEVELS)}")
    level = LEVELS[log_level.lower()]
    write = _Sink(stream).write
    processors = _processors(service, pretty=pretty, with_traces=with_traces)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *args: _Line(write, args[0] if args else None),
        cache_logger_on_first_use=final,
    )
    undo = contextlib.ExitStack()
    undo.callback(structlog.reset_defaults)
    _route_logging(_Foreign(processors, write), level, undo)
    _hook_uncaught(undo)
    return undo.close


def _processors(service: str, *, pretty: bool, with_traces: bool) -> list[Processor]:
    def add_service(logger: Any, _method: str, event: _EventDict) -> _EventDict:
        event[names.FIELD_SERVICE] = service
        if logger is not None and logger.name is not None:
            event.setdefault(names.FIELD_LOGGER, logger.name)
        return event

    # What is added after the scrubber is made here and holds nothing of a call.
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _flatten_exception,
        _scrub,
        structlog.processors.add_log_level,
        add_service,
    ]
    if with_traces:
        chain.append(_add_trace)
    chain.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    # What reaches a renderer is scrubbed and holds no exception object, so neither can print a traceback.
    chain.append(_to_console(structlog.dev.ConsoleRenderer(colors=True)) if pretty else _to_json)
    return chain


def _add_trace(_logger: Any, _method: str, event: _EventDict) -> _EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event[names.FIELD_TRACE_ID] = trace.format_trace_id(context.trace_id)
        event[names.FIELD_SPAN_ID] = trace.format_span_id(context.span_id)
    return event


def _flatten_exception(_logger: Any, _method: str, event: _EventDict) -> _EventDict:
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if error is None and given:
        error = sys.exc_info()[1]
    if error is not None:
        event[names.FIELD_ERROR] = _Described(describe(error))
    return event


class _Described(dict[str, object]):
    """An exception's description: scrubbed already, and its `text` and nested parts are to stay as they are."""


def _scrub(_logger: Any, _method: str, event: _EventDict) -> _EventDict:
    described = event.get(names.FIELD_ERROR)
    if isinstance(described, _Described):
        del event[names.FIELD_ERROR]
        return scrub_fields(cast("Mapping[object, object]", event)) | {names.FIELD_ERROR: described}
    return scrub_fields(cast("Mapping[object, object]", event))


def _to_json(_logger: Any, _method: str, event: _EventDict) -> bytes:
    return orjson.dumps(event, default=lambda value: f"<{type(value).__name__}>", option=orjson.OPT_NON_STR_KEYS)


def _to_console(render: Callable[[Any, str, _EventDict], str]) -> Processor:
    def to_console(logger: Any, method: str, event: _EventDict) -> bytes:
        return render(logger, method, event).encode("utf-8", "replace")

    return to_console


class _Sink:
    """Writes whole lines; a standard error that went away must not fail the call that logs."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, line: bytes) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(line + b"\n")
            self._stream.flush()


class _Line:
    """What structlog calls to output a rendered line."""

    def __init__(self, write: Callable[[bytes], None], name: str | None) -> None:
        self._write = write
        self.name = name

    def msg(self, line: bytes) -> None:
        self._write(line)

    debug = info = warning = error = critical = exception = log = msg


class _Foreign(logging.Handler):
    """Sends records of the `logging` module through the same processors."""

    def __init__(self, processors: list[Processor], write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._processors = processors
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        own = record.name.partition(".")[0] in _OUR_LOGGERS
        if not own and record.levelno < logging.WARNING:
            return
        try:
            text = record.getMessage()
            event: Any = {
                "event": names.EVENT_LIBRARY,
                names.FIELD_LOGGER: record.name,
                # Past the first line of a library's message comes the data it is about.
                names.FIELD_MESSAGE: scrub_text(text) if own else scrub_foreign_text(text.partition("\n")[0]),
                "exc_info": record.exc_info,
            }
            for processor in self._processors:
                event = processor(None, _method_of(record.levelno), event)
            self._write(event)
        except Exception as broken:  # noqa: BLE001 - logging must not raise; and its own report would show the record
            self._write(orjson.dumps({"event": "log_record_lost", "error": type(broken).__name__}))


def _method_of(level: int) -> str:
    if level >= logging.CRITICAL:
        return "critical"
    return next((name for name in ("error", "warning", "info") if level >= LEVELS[name]), "debug")


def _route_logging(handler: logging.Handler, level: int, undo: contextlib.ExitStack) -> None:
    root = logging.getLogger()
    undo.callback(root.setLevel, root.level)
    undo.callback(setattr, root, "handlers", list(root.handlers))
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))
    for name in _OUR_LOGGERS:
        ours = logging.getLogger(name)
        undo.callback(ours.setLevel, ours.level)
        ours.setLevel(level)
    for name, quiet in logging.root.manager.loggerDict.items():
        # Libraries that brought handlers of their own would write past the scrubber.
        if isinstance(quiet, logging.Logger) and name.partition(".")[0] not in _OUR_LOGGERS:
            undo.callback(setattr, quiet, "handlers", list(quiet.handlers))
            undo.callback(setattr, quiet, "propagate", quiet.propagate)
            undo.callback(quiet.setLevel, quiet.level)
            quiet.handlers = []
            quiet.propagate = True
            if logging.NOTSET < quiet.level < logging.WARNING:
                quiet.setLevel(logging.NOTSET)
    logging.captureWarnings(capture=True)
    undo.callback(logging.captureWarnings, capture=False)


def _hook_uncaught(undo: contextlib.ExitStack) -> None:
    log = get_logger("uncaught")

    def in_main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical(names.EVENT_UNCAUGHT, exc_info=error)

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            log.critical(names.EVENT_UNCAUGHT, exc_info=args.exc_value, thread=args.thread and args.thread.name)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        log.error(names.EVENT_UNCAUGHT, exc_info=args.exc_value)

    for owner, name, hook in (
        (sys, "excepthook", in_main),
        (threading, "excepthook", in_thread),
        (sys, "unraisablehook", unraisable),
    ):
        undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, hook)
