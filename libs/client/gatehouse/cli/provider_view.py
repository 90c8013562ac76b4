"""How providers are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gatehouse.cli.output import enum_word, local_time, milliseconds, show_message, words
from gatehouse.cli.session import Session
from gatehouse.cli.terminal import note

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from gatehouse.providerconfig.v1.provider_pb2 import Capabilities, Provider, ProviderTest

# What to do about what a test found, where the server's text may not say.
OUTCOMES = {
    "ok": "it answers and takes the key",
    "bad_key": "it refuses the key",
    "no_permission": "the key is genuine but may not do this",
    "wrong_endpoint": "something answers there, but not this API: check --base-url",
    "unknown_model": "it does not know the model",
    "unreachable": "nothing answers there",
    "rate_limited": "it limits the rate of this key just now; the key itself is taken",
    "provider_error": "it fails by itself, or its account has no credit left",
    "key_unusable": "the key cannot be opened: it is gone, disabled, or was entered for another place",
}


def show_provider(provider: Provider, session: Session) -> None:
    """A provider, or its JSON."""
    lines = [
        ("name", provider.name),
        ("type", provider.type),
        ("base url", provider.base_url),
        ("key", provider.key),
        ("default model", provider.default_model),
        ("state", state(provider)),
        ("default for tasks", ", ".join(provider.default_for_tasks)),
        ("priority", str(provider.priority)),
        ("weight", str(provider.weight) if provider.HasField("weight") else ""),
        ("limits", _fields(provider.limits)),
        ("timeouts", _fields(provider.timeouts)),
        ("retries", f"at most {provider.max_retries}" if provider.HasField("max_retries") else ""),
        (
            "temperature",
            f"{provider.default_temperature:g} unless said" if provider.HasField("default_temperature") else "",
        ),
        (
            "output tokens",
            f"{provider.default_max_output_tokens:,} unless said"
            if provider.HasField("default_max_output_tokens")
            else "",
        ),
        ("options", _options(provider)),
        ("last test", test_text(provider.last_test) if provider.HasField("last_test") else "never"),
        ("display name", provider.display_name),
        ("description", provider.description),
        ("labels", words(provider.labels.items())),
        ("created", " by ".join(filter(None, (local_time(provider.create_time), provider.created_by)))),
        ("changed", local_time(provider.update_time)),
    ]
    show_message(provider, lines, as_json=session.as_json)


def state(provider: Provider) -> str:
    """`active, default`."""
    return ("active" if provider.active else "inactive") + (", default" if provider.is_default else "")


def outcome(test: ProviderTest) -> str:
    """`ok`, `bad_key`, …; `not tested` for none."""
    from gatehouse.providerconfig.v1.provider_pb2 import ProviderTestOutcome

    word = enum_word(ProviderTestOutcome, test.outcome)
    return "not tested" if word == "unspecified" else word


def test_text(test: ProviderTest) -> str:
    """What a test found, in one line."""
    word = outcome(test)
    when = local_time(test.time)
    return f"{word.replace('_', ' ')}: {test.message or OUTCOMES.get(word, word)}" + (f" ({when})" if when else "")


def show_test(test: ProviderTest, session: Session, *, name: str) -> None:
    """What a test found."""
    word = outcome(test)
    lines = [
        ("provider", name),
        ("outcome", word.replace("_", " ")),
        ("found", test.message or OUTCOMES.get(word, "")),
        ("took", milliseconds(test.duration.ToNanoseconds()) if test.HasField("duration") else ""),
        ("models in its list", f"{test.model_count:,}" if test.model_count else ""),
        ("tested", local_time(test.time)),
    ]
    show_message(test, lines, as_json=session.as_json)


def capabilities(can: Capabilities) -> str:
    """`streaming, tools`."""
    return ", ".join(descriptor.name for descriptor, value in can.ListFields() if value)


def note_still_named(names: Any) -> None:
    """Say what still names something that is gone."""
    for name in names:
        note(f"{name} still names it: calls pass that place over", "yellow")


def _fields(message: Message) -> str:
    from gatehouse.durations import written

    return ", ".join(
        f"{descriptor.name} {written(value.ToNanoseconds()) if hasattr(value, 'ToNanoseconds') else f'{value:,}'}"
        for descriptor, value in message.ListFields()
    )


def _options(provider: Provider) -> str:
    from google.protobuf.json_format import MessageToDict

    options = MessageToDict(provider.options)
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(options.items()))
