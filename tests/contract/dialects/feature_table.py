"""What every dialect carries, found out by asking for it: `python -m tests.contract.dialects.feature_table --write`.

The table in `services/router/providers/README.md` holds what is found here, and a test compares each of its cells.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import orjson

from libs.sandbox import Sandbox
from services.router.domain.embedding import Embedding, EmbeddingPurpose
from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    FinishReason,
    Generation,
    Image,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    NamedTool,
    Part,
    Reasoning,
    ReasoningRequest,
    Role,
    ServiceTier,
    Text,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.asking import asked, said, saying
from tests.contract.dialects.calls import CITY_SCHEMA_JSON, PIXEL, WEATHER
from tests.contract.dialects.read_back.transcript import Transcript
from tests.contract.dialects.variants import VARIANTS, Variant
from tests.integration.router_providers.wire import open_session

README = Path(__file__).parents[3] / "services/router/providers/README.md"
BEGIN, END = "<!-- features:begin -->", "<!-- features:end -->"
YES, NO = "yes", "no"


class Trial:
    """One feature being tried with one variant: its calls go to a sandbox of their own."""

    def __init__(self, variant: Variant, session: HttpProviderSession, sandbox: Sandbox) -> None:
        self.variant = variant
        self._session = session
        self._sandbox = sandbox

    async def ask(self, request: Generation) -> tuple[Transcript, tuple[Part, ...], FinishReason]:
        """What the body said, and the answer, which is the same both ways."""
        answer = await asked(self._session, self._sandbox.url + self.variant.path, self.variant, request)
        seen = self.variant.reader(orjson.loads(self._sandbox.requests[-1].body))
        return seen, answer.parts, answer.finish_reason

    def older(self) -> Trial:
        """The same with a model of an older generation."""
        return Trial(replace(self.variant, options=self.variant.older_options), self._session, self._sandbox)

    @property
    def last_body(self) -> bytes:
        """The body that was sent last."""
        return self._sandbox.requests[-1].body

    async def settings(self, request: Generation) -> Mapping[str, object]:
        """The settings in the body."""
        return (await self.ask(request))[0].settings

    async def usage(self, words: str) -> Mapping[str, int]:
        """What is told of the usage of a call with these directives."""
        answer = await asked(
            self._session, self._sandbox.url + self.variant.path, self.variant, saying(f"Hi [[sandbox {words}]]")
        )
        assert answer.usage is not None
        return {
            "cache_read": answer.usage.cache_read_tokens,
            "cache_write": answer.usage.cache_write_tokens,
            "reasoning": answer.usage.reasoning_tokens,
        }


Scenario = Callable[[Trial], Awaitable[str]]
_Media = Image | Audio | Document


def _needing(*names: str) -> Callable[[Scenario], Scenario]:
    """What needs these features is not tried where the variant says that it lacks them: it is refused or left out."""

    def wrapped(scenario: Scenario) -> Scenario:
        async def tried(trial: Trial) -> str:
            return await scenario(trial) if trial.variant.can(*names) else NO

        return tried

    return wrapped


async def _instructions(trial: Trial) -> str:
    request = Generation(messages=(Message(Role.SYSTEM, (Text("Be brief."),)), said("Hello")))
    seen, _, _ = await trial.ask(request)
    assert seen.system == "Be brief."
    return YES


def _media(kind: str, by_bytes: _Media, by_url: _Media) -> tuple[Scenario, Scenario]:
    noun = {"images": "image", "audio": "audio", "documents": "document"}[kind]

    @_needing(kind)
    async def in_bytes(trial: Trial) -> str:
        seen, _, _ = await trial.ask(_showing(by_bytes))
        assert any(item[1] == noun and item[3] == by_bytes.data for item in seen.items), seen.items
        return YES

    @_needing(kind)
    async def as_url(trial: Trial) -> str:
        variant, request = trial.variant, _showing(by_url)
        if type(by_url) not in variant.dialect.takes_urls(request, variant.options, variant.model):
            # Tried with a server of media in the tests of providers.http.
            return "fetched"
        seen, _, _ = await trial.ask(request)
        assert any(item[1] == noun and item[3] == by_url.url for item in seen.items), seen.items
        return YES

    return in_bytes, as_url


def _showing(media: Part) -> Generation:
    return Generation(messages=(Message(Role.USER, (Text("What is this?"), media)),))


@_needing("documents")
async def _text_documents(trial: Trial) -> str:
    document = Document(data=b"Once upon a time.", media_type="text/plain", name="tale.txt")
    seen, _, _ = await trial.ask(_showing(document))
    if any(item[1] == "text document" for item in seen.items):
        return YES
    if any(item[1] == "document" and item[3] == document.data for item in seen.items):
        return YES
    assert any("Once upon a time." in str(item[2]) for item in seen.items)
    return "as text"


@_needing("tools")
async def _parallel_calls(trial: Trial) -> str:
    request = Generation(messages=(said("Weather? [[sandbox tools=3]]"),), tools=(WEATHER,))
    _, parts, finish = await trial.ask(request)
    assert sum(isinstance(part, ToolCall) for part in parts) == 3
    assert finish is FinishReason.TOOL_CALLS
    return YES


def _answered(result: ToolResult) -> Generation:
    call = ToolCall(id="call_1", name="get_weather", arguments_json='{"city":"Oslo","days":1}')
    turns = (said("Weather?"), Message(Role.ASSISTANT, (call,)), Message(Role.TOOL, (result,)))
    return Generation(messages=turns, tools=(WEATHER,))


@_needing("tools")
async def _failed_results(trial: Trial) -> str:
    result = ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text("no network"),), is_error=True)
    seen, _, _ = await trial.ask(_answered(result))
    (item,) = (each for each in seen.items if each[0] == "tool")
    assert item[2:4] == ("no network", True)
    return "in words" if b"Error: no network" in trial.last_body else YES


@_needing("tools", "images")
async def _media_in_results(trial: Trial) -> str:
    image = Image(data=PIXEL, media_type="image/png")
    result = ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text("a map"), image))
    seen, _, _ = await trial.ask(_answered(result))
    (item,) = (each for each in seen.items if each[0] == "tool")
    if item[4]:
        return YES
    assert any(each[0] == "user" and each[1] == "image" and each[3] == PIXEL for each in seen.items)
    return "after it"


def _setting(request: Generation, name: str, *wanted: object, needs: tuple[str, ...] = ()) -> Scenario:
    """A setting that is there, and where values are given, has one of them."""

    @_needing(*needs)
    async def tried(trial: Trial) -> str:
        found = await trial.settings(request)
        assert name in found, found
        assert not wanted or found[name] in wanted, found
        return YES

    return tried


def _hint(request: Generation, name: str) -> Scenario:
    """A hint: where a provider has no place for it, nothing is sent and nothing is told."""

    async def tried(trial: Trial) -> str:
        return YES if (await trial.settings(request)).get(name) else "not needed"

    return tried


_TOOLS_ASKED = Generation(messages=(said("Weather?"),), tools=(WEATHER,))
_SCHEMA = JsonSchemaFormat(name="trip", description="A trip", schema_json=CITY_SCHEMA_JSON, strict=True)


@_needing("tools", "tool_choice")
async def _tool_choice(trial: Trial) -> str:
    for choice, wanted in (
        (ToolChoiceMode.REQUIRED, "required"),
        (ToolChoiceMode.NONE, "none"),
        (NamedTool("get_weather"), ("named", "get_weather")),
    ):
        assert (await trial.settings(replace(_TOOLS_ASKED, tool_choice=choice)))["tool_choice"] == wanted
    return YES


@_needing("json_schema")
async def _json_schema(trial: Trial) -> str:
    seen, parts, finish = await trial.ask(replace(saying("A trip"), response_format=_SCHEMA))
    (text,) = parts
    assert isinstance(text, Text)
    assert set(orjson.loads(text.text)) == {"city", "days"}
    assert finish is FinishReason.STOP
    return YES if "format" in seen.settings else "by a tool"


async def _output_limit(trial: Trial) -> str:
    seen, _, finish = await trial.ask(replace(saying("Hello"), max_output_tokens=3))
    assert (seen.settings["max_output_tokens"], finish) == (3, FinishReason.LENGTH)
    return YES


def _thinking(**how: object) -> ReasoningRequest:
    return ReasoningRequest(**how)  # type: ignore[arg-type]  # the fields are checked where they are named


_THOUGHTFUL = replace(
    saying("Why? [[sandbox reasoning=6 show_reasoning]]"),
    reasoning=_thinking(effort=Effort.HIGH),
    max_output_tokens=8192,
)


@_needing("reasoning")
async def _effort(trial: Trial) -> str:
    found = await trial.settings(_THOUGHTFUL)
    return YES if found.get("effort") not in {None, "none"} else "as budget" if found["budget_tokens"] else NO


@_needing("reasoning")
async def _budget(trial: Trial) -> str:
    request = replace(_THOUGHTFUL, reasoning=_thinking(budget_tokens=2048))
    found = await trial.settings(request)
    if found.get("budget_tokens") == 2048:
        return YES
    assert found.get("effort") not in {None, "none"}, found
    if not trial.variant.older_options:
        return "as effort"
    assert (await trial.older().settings(request)).get("budget_tokens") == 2048
    return "as effort; yes by older models"


@_needing("reasoning")
async def _thoughts(trial: Trial) -> str:
    _, parts, _ = await trial.ask(_THOUGHTFUL)
    return YES if any(isinstance(part, Reasoning) and part.text for part in parts) else NO


@_needing("reasoning", "tools")
async def _signatures(trial: Trial) -> str:
    question = said("Weather? [[sandbox reasoning=6 show_reasoning tools=1]]")
    asked_first = replace(_THOUGHTFUL, messages=(question,), tools=(WEATHER,))
    _, parts, _ = await trial.ask(asked_first)
    signed = [part for part in parts if isinstance(part, Reasoning | ToolCall) and part.signature is not None]
    if not signed:
        return NO
    results = tuple(
        ToolResult(tool_call_id=part.id, name=part.name, parts=(Text("sunny"),))
        for part in parts
        if isinstance(part, ToolCall)
    )
    turns = (question, Message(Role.ASSISTANT, parts), Message(Role.TOOL, results))
    # The sandbox refuses signatures that are not its own, and thoughts without one.
    seen, _, _ = await trial.ask(replace(asked_first, messages=turns))
    assert any(item[1] == "reasoning" for item in seen.items) or any(isinstance(part, ToolCall) for part in signed)
    return YES


def _usage(name: str, words: str) -> Scenario:
    async def tried(trial: Trial) -> str:
        return YES if (await trial.usage(words))[name] else NO

    return tried


@_needing("embeddings")
async def _vectors(trial: Trial) -> str:
    assert trial.variant.dialect.embedder is not None
    return YES


def _embedding(request: Embedding, *needs: str) -> Scenario:
    @_needing("embeddings", *needs)
    async def tried(trial: Trial) -> str:
        embedder = trial.variant.dialect.embedder
        assert embedder is not None
        plain = embedder.encode(
            Embedding(inputs=("a",)), provider_model_id="sandbox-embed", options=trial.variant.options
        )
        asked_for = embedder.encode(request, provider_model_id="sandbox-embed", options=trial.variant.options)
        assert asked_for.body != plain.body
        return YES

    return tried


_IMAGES = _media(
    "images",
    Image(data=PIXEL, media_type="image/png"),
    Image(url="https://example.com/cat.png", media_type="image/png"),
)
_AUDIO = _media(
    "audio",
    Audio(data=b"RIFFsound", media_type="audio/wav"),
    Audio(url="https://example.com/hello.wav", media_type="audio/wav"),
)
_DOCUMENTS = _media(
    "documents",
    Document(data=b"%PDF-1.7 hello", media_type="application/pdf", name="a.pdf"),
    Document(url="https://example.com/a.pdf", media_type="application/pdf", name="a.pdf"),
)

FEATURES: Mapping[str, Scenario] = {
    "Instructions": _instructions,
    "Images by bytes": _IMAGES[0],
    "Images by URL": _IMAGES[1],
    "Audio by bytes": _AUDIO[0],
    "Audio by URL": _AUDIO[1],
    "Documents by bytes": _DOCUMENTS[0],
    "Documents by URL": _DOCUMENTS[1],
    "Text documents": _text_documents,
    "Tools, parallel calls": _parallel_calls,
    "Failed tool results": _failed_results,
    "Images in tool results": _media_in_results,
    "Tool choice": _tool_choice,
    "Parallel calls off": _setting(
        replace(_TOOLS_ASKED, parallel_tool_calls=False),
        "parallel_tool_calls",
        False,
        needs=("tools", "parallel_tool_calls"),
    ),
    "JSON": _setting(replace(saying("JSON, please"), response_format=JsonFormat()), "format", needs=("json",)),
    "JSON Schema": _json_schema,
    "Output limit": _output_limit,
    "Stop texts": _setting(replace(saying("Hello"), stop=("END",)), "stop", ["END"], needs=("stop",)),
    "Temperature": _setting(replace(saying("Hello"), temperature=0.5), "temperature", 0.5, needs=("sampling",)),
    "Top p": _setting(replace(saying("Hello"), top_p=0.5), "top_p", 0.5, needs=("sampling",)),
    "Top k": _setting(replace(saying("Hello"), top_k=5), "top_k", 5, needs=("sampling", "top_k")),
    "Seed": _setting(replace(saying("Hello"), seed=7), "seed", 7, needs=("seed",)),
    "Penalties": _setting(
        replace(saying("Hello"), frequency_penalty=0.5, presence_penalty=0.25),
        "presence_penalty",
        0.25,
        needs=("penalties",),
    ),
    "Reasoning by effort": _effort,
    "Reasoning by budget": _budget,
    "Thoughts shown": _thoughts,
    "Signatures carried round": _signatures,
    "Service tier": _setting(
        replace(saying("Hello"), service_tier=ServiceTier.STANDARD), "service_tier", needs=("service_tier",)
    ),
    "End user": _setting(replace(saying("Hello"), end_user="u-1"), "end_user", "u-1", needs=("end_user",)),
    "Cache breakpoints": _hint(
        Generation(messages=(Message(Role.USER, (Text("Long."), Text("Short.")), breakpoints=(0,)),)), "breakpoints"
    ),
    "Cache key": _hint(replace(saying("Hello"), prompt_cache_key="chat-1"), "prompt_cache_key"),
    "Usage: cache reads": _usage("cache_read", "cached=5 tokens=10"),
    "Usage: reasoning": _usage("reasoning", "reasoning=4 tokens=10"),
    "Embeddings": _vectors,
    "Embedding dimensions": _embedding(Embedding(inputs=("a",), dimensions=8), "dimensions"),
    "Embedding purpose": _embedding(Embedding(inputs=("a",), purpose=EmbeddingPurpose.QUERY), "purpose"),
}


async def cell(feature: str, variant: Variant) -> str:
    """What is found of a feature with a variant. Raises AssertionError when it is not what was promised."""
    scenario = FEATURES[feature]

    async with open_session() as session, Sandbox(keep_requests=True) as sandbox:
        return await scenario(Trial(variant, session, sandbox))


def written() -> dict[tuple[str, str], str]:
    """The cells of the table in the README, by feature and variant."""
    text = README.read_text(encoding="utf-8")
    lines = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip().splitlines()
    if not lines:
        return {}
    head, _, *rows = ([each.strip() for each in line.strip("|").split("|")] for line in lines)
    return {(row[0], name.strip("`")): value for row in rows for name, value in zip(head[1:], row[1:], strict=True)}


async def found() -> dict[tuple[str, str], str]:
    """All cells."""
    return {(feature, name): await cell(feature, VARIANTS[name]) for feature in FEATURES for name in VARIANTS}


def table(cells: Mapping[tuple[str, str], str]) -> str:
    """The table in Markdown."""
    names = list(VARIANTS)
    lines = ["| | " + " | ".join(f"`{name}`" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {each} | " + " | ".join(cells[each, name] for name in names) + " |" for each in FEATURES]
    return "\n".join(lines)


def main() -> None:
    """Print the table, or write it into the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write it into the README instead of printing it")
    arguments = parser.parse_args()
    made = table(asyncio.run(found()))
    if not arguments.write:
        print(made)  # noqa: T201 - that is what it is for
        return
    text = README.read_text(encoding="utf-8")
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    README.write_text(f"{text[:start]}\n{made}\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
