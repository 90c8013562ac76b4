"""`python -m libs.sandbox`: the sandbox provider as a process."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import sys
import textwrap
from pathlib import Path

import uvloop

from libs.sandbox.directives import EXPLANATIONS, MAX_DELAY_MS
from libs.sandbox.model_list import WORDS as LIST_WORDS
from libs.sandbox.server import DEFAULT_MODELS, KEY_PREFIX, Sandbox

DEFAULT_PORT = 7120
_EXIT_USAGE = 2

_INTRODUCTION = """\
A local provider that speaks the dialects of OpenAI, Anthropic, Gemini, Ollama and Azure OpenAI. It answers without a
model: the same question always gets the same answer, bit for bit. It keeps its own bill of what it was asked and
what it would charge.
"""


def _explain() -> str:
    width = max(len(name) for name in EXPLANATIONS)
    words = "\n".join(
        textwrap.fill(text, 78, initial_indent=f"  {name:<{width}}  ", subsequent_indent=" " * (width + 4))
        for name, text in EXPLANATIONS.items()
    )
    return f"""\
endpoints:
  OpenAI        /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/models
  Anthropic     /anthropic/v1/messages, /anthropic/v1/models
  Gemini        /gemini/v1beta/models/MODEL:generateContent and what else there is; with projects/... in the path
                as Vertex AI; access tokens of service accounts at /google/token
  Ollama        /ollama/api/chat, /ollama/api/embed, /ollama/api/tags; no key needed
  Azure OpenAI  /azure/openai/deployments/MODEL/..., /azure/openai/v1/...; access tokens of Microsoft Entra at
                /entra/TENANT/oauth2/v2.0/token
  GET  /healthz
  GET, POST, DELETE /_sandbox/rules    standing rules (below)
  GET  /_sandbox/bill         the bill as JSON lines

models: {", ".join(DEFAULT_MODELS)};
  any model named sandbox-... is answered too

try it (the key is anything that begins with {KEY_PREFIX}, in every dialect in its own header):
  curl -s http://127.0.0.1:{DEFAULT_PORT}/v1/chat/completions -H 'authorization: Bearer {KEY_PREFIX}demo' \\
    -d '{{"model":"sandbox-small","messages":[{{"role":"user","content":"Hello?"}}]}}'

directives: put them into the last user message, or a text to embed, as in
  [[sandbox status=429 retry_after=2]]   or   [[sandbox pace_ms=50 cut_after=3]]
{words}

rules: the same words for all calls of a model or key, replacing the rules before:
  curl http://127.0.0.1:{DEFAULT_PORT}/_sandbox/rules -d '{{"rules":[
    {{"model":"sandbox-small","key_suffix":"demo","times":2,"action":{{"status":503}}}}]}}'
  model, key_suffix and times may be left out. The first rule that fits acts; a directive in the message wins.
  With "listing": true a rule is for lists of models instead, with "token": true for access tokens; there
  these words work: {", ".join(sorted(LIST_WORDS))}.

tokens: up to eight letters or digits in a row are one, every other visible character is one. A prompt has three
more, three for each message, 85 for each image, 64 for each recording and 128 for each document.

The control endpoints ask for no key: do not listen on an address that others can reach.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m libs.sandbox",
        description=_INTRODUCTION,
        epilog=_explain(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="port; 0 takes a free one and prints it (default: %(default)s)"
    )
    parser.add_argument("--bill", type=Path, metavar="FILE", help="append the bill to FILE (default: keep in memory)")
    parser.add_argument(
        "--pace-ms", type=_pace, default=0.0, metavar="N", help="pause before each chunk, in milliseconds (default: 0)"
    )
    parser.add_argument(
        "--key-prefix", default=KEY_PREFIX, metavar="TEXT", help="accept keys that begin so (default: %(default)s)"
    )
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:  # noqa: PLR2004 - TCP's
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _pace(text: str) -> float:
    try:
        pace = float(text)
    except ValueError:
        pace = -1.0
    if not 0 <= pace <= MAX_DELAY_MS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds from 0 to {MAX_DELAY_MS}")
    return pace


async def _serve(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    sandbox = Sandbox(
        host=arguments.host,
        port=arguments.port,
        bill_path=arguments.bill,
        pace_ms=arguments.pace_ms,
        key_prefix=arguments.key_prefix,
    )
    try:
        async with sandbox:
            sys.stdout.write(f"sandbox provider serving on {sandbox.url}\n")
            sys.stdout.flush()
            await stop.wait()
    except OSError as error:
        sys.stderr.write(f"sandbox: {_explain_failure(error, arguments)}\n")
        return _EXIT_USAGE
    return 0


def _explain_failure(error: OSError, arguments: argparse.Namespace) -> str:
    place = f"{arguments.host}:{arguments.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is already in use; stop what listens there, or choose another with --port (0 takes a free one)"
    if error.filename is not None:
        return f"the bill cannot be opened: {error.filename}: {error.strerror}"
    return f"cannot listen on {place}: {error.strerror or error}"


def main() -> int:
    """Run until SIGINT or SIGTERM; 0 then, 2 when the port or the bill cannot be had."""
    return uvloop.run(_serve(_parser().parse_args()))


if __name__ == "__main__":
    sys.exit(main())
