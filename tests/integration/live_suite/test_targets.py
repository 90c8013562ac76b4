"""What the environment says of the endpoint to test, and what is said when it says it wrongly."""

from __future__ import annotations

import pytest

from tests.live.target import BadTarget, read_target

NAMES = ("text", "tools", "image")
KEY = "sk-canary-0123456789abcdef"
LOCAL = {
    "GATEHOUSE_LIVE_TYPE": "openai_compatible",
    "GATEHOUSE_LIVE_URL": "http://localhost:8080/v1",
    "GATEHOUSE_LIVE_MODEL": "qwen3",
}


def test_what_is_not_said_is_as_the_type_has_it() -> None:
    said = {"GATEHOUSE_LIVE_TYPE": "anthropic", "GATEHOUSE_LIVE_MODEL": "claude", "GATEHOUSE_LIVE_KEY": KEY}
    target = read_target(said, NAMES)
    assert target.base_url == "https://api.anthropic.com"
    assert target.key is not None
    assert target.key.reveal() == KEY.encode()
    assert KEY not in repr(target)


def test_everything_can_be_said() -> None:
    said = LOCAL | {
        "GATEHOUSE_LIVE_OPTIONS": '{"server":"llama_cpp"}',
        "GATEHOUSE_LIVE_SKIP": "image, tools",
        "GATEHOUSE_LIVE_WORDS": '{"*":"/no_think"}',
        "GATEHOUSE_LIVE_EMBEDDING_MODEL": "bge",
    }
    target = read_target(said, NAMES)
    assert (target.origin, target.key, target.embedding_model) == ("http://localhost:8080", None, "bge")
    assert target.options == {"server": "llama_cpp"}
    assert target.skipped == {"image", "tools"}
    assert target.words == {"*": "/no_think"}
    assert set(target.addresses()) == {("localhost", 8080)}


@pytest.mark.parametrize(
    "url", ["http://10.1.2.3:8000/v1", "http://gpu.lan:8000/v1", "http://[::1]:8000/v1", "https://llm.example/v1"]
)
def test_a_server_may_be_anywhere(url: str) -> None:
    assert read_target(LOCAL | {"GATEHOUSE_LIVE_URL": url}, NAMES).base_url == url


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"GATEHOUSE_LIVE_TYPE": ""}, "set GATEHOUSE_LIVE_TYPE to a provider type: openai, anthropic"),
        ({"GATEHOUSE_LIVE_TYPE": "openia"}, "GATEHOUSE_LIVE_TYPE=openia is no provider type; there are openai,"),
        ({"GATEHOUSE_LIVE_MODEL": ""}, "set GATEHOUSE_LIVE_MODEL"),
        ({"GATEHOUSE_LIVE_URL": ""}, "set GATEHOUSE_LIVE_URL"),
        ({"GATEHOUSE_LIVE_URL": "localhost:8080"}, "GATEHOUSE_LIVE_URL must be an http or https URL"),
        ({"GATEHOUSE_LIVE_URL": "http://169.254.169.254/v1"}, "GATEHOUSE_LIVE_URL must not point to"),
        ({"GATEHOUSE_LIVE_TYPE": "openai"}, "set GATEHOUSE_LIVE_KEY: OpenAI answers nobody without a key"),
        ({"GATEHOUSE_LIVE_OPTIONS": "{server}"}, "GATEHOUSE_LIVE_OPTIONS is no JSON"),
        ({"GATEHOUSE_LIVE_OPTIONS": "[]"}, "GATEHOUSE_LIVE_OPTIONS is no JSON object"),
        ({"GATEHOUSE_LIVE_OPTIONS": '{"serve":1}'}, "the options of openai_compatible are server,"),
        ({"GATEHOUSE_LIVE_SKIP": "imagge"}, "did you mean image? There are image, text, tools"),
        ({"GATEHOUSE_LIVE_WORDS": '{"tols":"x"}'}, "did you mean tools?"),
        ({"GATEHOUSE_LIVE_WORDS": '{"tools":1}'}, "GATEHOUSE_LIVE_WORDS must hold a text for tools"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, str], words: str) -> None:
    with pytest.raises(BadTarget) as caught:
        read_target(LOCAL | change, NAMES)
    assert words in str(caught.value)


def test_a_host_without_an_address_is_named() -> None:
    target = read_target(LOCAL | {"GATEHOUSE_LIVE_URL": "http://no-such-host.invalid/v1"}, NAMES)
    with pytest.raises(BadTarget, match=r"no-such-host\.invalid of GATEHOUSE_LIVE_URL has no address"):
        target.addresses()
