"""The endpoint itself: its key, its models, and what becomes of a call that is given up."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from libs.core.secret import Secret
from services.router.domain.errors import Reason
from services.router.domain.generation import Generation
from services.router.domain.probe import Endpoint
from services.router.providers.http.model_lists import HttpModelLists
from services.router.providers.http.vetted_http import VettedHttp
from tests.live.asking import Asker, not_as_told
from tests.live.target import LiveTarget

_WRONG = b"sk-this-is-not-a-key-0123456789abcdef0123456789"
_NO_MODEL = "no-such-model-7f3a"
_SHOWN = 5


def _wrong(key: Secret) -> Secret:
    """A key that is none, of the same kind."""
    try:
        fields = orjson.loads(key.reveal())
    except orjson.JSONDecodeError:
        return Secret(_WRONG)
    other = {"client_secret": "wrong", "client_email": "nobody@nowhere.iam.gserviceaccount.com"}
    return Secret(orjson.dumps({**fields, **{name: other[name] for name in other if name in fields}}))


@pytest.mark.live("wrong-key")
async def test_a_wrong_key_is_told_as_such(asker: Asker, target: LiveTarget) -> None:
    if target.key is None:
        pytest.skip("no key is needed here")
    request = Generation(messages=(asker.said("Say hello."),), max_output_tokens=16)
    call = asker.dispatch(request, stream=asker.way == "streamed", key=_wrong(target.key))
    error = await asker.failure(call)
    if error is None:
        pytest.xfail("not as told: any key is taken")
    assert error.reason is Reason.PROVIDER_KEY_REJECTED, f"{error.reason}, status {error.status}"


@pytest.mark.live("unknown-model")
async def test_an_unknown_model_is_told_as_such(asker: Asker) -> None:
    request = Generation(messages=(asker.said("Say hello."),), max_output_tokens=16)
    error = await asker.failure(asker.dispatch(request, stream=asker.way == "streamed", model=_NO_MODEL))
    if error is None:
        pytest.xfail("not as told: whatever model is asked for, one answers")
    told = {Reason.PROVIDER_MODEL_NOT_FOUND, Reason.PROVIDER_PERMISSION_DENIED}
    assert error.reason in told, f"{error.reason}, status {error.status}: {error.message}"


@pytest.mark.live("model-list")
async def test_the_list_of_models_holds_the_model(target: LiveTarget, model_lists: HttpModelLists) -> None:
    endpoint = Endpoint(type=target.type, base_url=target.base_url, origin=target.origin, options=target.options)
    models = await model_lists.read(endpoint, target.key, timeout_s=60)
    assert models
    if target.model not in models:
        pytest.xfail(f"not as told: it lists {', '.join(sorted(models)[:_SHOWN])} …, not {target.model}")


@pytest.mark.live("cancel")
async def test_a_stream_that_is_given_up_closes_its_connection(lone_asker: Asker, http: VettedHttp) -> None:
    request = Generation(messages=(lone_asker.said("Count from 1 to 500 in English words."),))
    stream = await lone_asker.session.stream(lone_asker.dispatch(request, stream=True))
    await stream.read()
    connection = stream._response.connection
    if connection is None:
        stream.close()
        pytest.xfail("not as told: the answer was over before it could be given up")
    transport = connection.transport
    stream.close()
    await asyncio.sleep(0)
    assert transport is not None
    assert transport.is_closing()
    connector = http.session.connector
    assert connector is not None
    assert not connector._acquired
    # It serves on.
    again = await lone_asker.ask(Generation(messages=(lone_asker.said("Say hello."),), max_output_tokens=256))
    if not again.parts:
        not_as_told(again)
