"""Media by URL, fetched for providers that do not fetch them, from a server that does everything wrong."""

from __future__ import annotations

import asyncio
import gzip
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest

from libs.core.endpoints import AllowedEndpoint, EndpointRules
from libs.rpc.name_lookup import NameLookup
from libs.sandbox import Sandbox
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Audio,
    Document,
    Generation,
    Image,
    Message,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from services.router.providers.http.media import MediaFetcher, MediaLimits, Room
from services.router.providers.http.media_types import Item
from services.router.providers.http.vetted_http import VettedHttp
from tests.integration.router_providers.wire import (
    END,
    HELLO,
    Answer,
    Exchange,
    answering,
    dispatch,
    failure,
    head,
    open_session,
    piece,
    serving,
    streamed,
    whole,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPEG = b"\xff\xd8\xff\xe0 a picture"
BOMB = gzip.compress(PNG + bytes(500_000), compresslevel=1)[:900]
SECRET = "canary-in-the-url"
NOTHING: frozenset[type] = frozenset()
LOOPBACK = EndpointRules(allow_loopback=True)
SMALL = MediaLimits(item_bytes=1000, total_bytes=2500, total_s=0.5, connect_s=0.5)


def showing(*parts: Item) -> Generation:
    return Generation(messages=(Message(Role.USER, (Text("What is this?"), *parts)),))


@asynccontextmanager
async def fetcher(
    rules: EndpointRules = LOOPBACK,
    limits: MediaLimits = MediaLimits(),  # noqa: B008 - it is frozen
) -> AsyncIterator[MediaFetcher]:
    lookup = NameLookup()
    http = VettedHttp(rules, lookup)
    connector = http.session.connector
    assert connector is not None
    try:
        yield MediaFetcher(http, limits)
        assert not connector._acquired, "every connection comes back or is closed"
    finally:
        await http.aclose()
        await lookup.close()


async def fetched(
    running: MediaFetcher, *parts: Item, within_s: float = 10.0, tenant: str = "acme"
) -> tuple[object, ...]:
    with running.room(tenant) as room:
        return await fetched_into(running, room, *parts, within_s=within_s)


async def fetched_into(running: MediaFetcher, room: Room, *parts: Item, within_s: float = 10.0) -> tuple[object, ...]:
    deadline = asyncio.get_running_loop().time() + within_s
    request = await running.fetch(showing(*parts), NOTHING, room, deadline=deadline)
    return request.messages[0].parts[1:]


async def problem(running: MediaFetcher, *parts: Item, within_s: float = 10.0, tenant: str = "acme") -> str:
    """What the caller is told, which never holds more of a URL than its host."""
    with pytest.raises(ProviderError) as caught:
        await fetched(running, *parts, within_s=within_s, tenant=tenant)
    error = caught.value
    assert (error.reason, error.sent, error.status) == (Reason.MEDIA_NOT_FETCHED, False, 0)
    assert SECRET not in "".join(traceback.format_exception(error))
    return error.message


def answer_with(data: bytes, content_type: str = "image/png", **headers: str) -> Answer:
    return answering(head(200, content_type, content_length=str(len(data)), **headers) + data)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_fetches_nothing_gets_the_bytes(stream: bool) -> None:
    async with Sandbox() as sandbox, serving(answer_with(PNG)) as host, open_session() as session:
        request = showing(Image(url=f"{host.url}/cat?size=1"), Image(data=JPEG, media_type="image/jpeg"))
        call = dispatch(f"{sandbox.url}/ollama", request, dialect="ollama")
        if stream:
            await streamed(session, call)
        else:
            assert "2 images were received" in (await session.generate(call)).text
        assert [each.path for each in host.exchanges] == ["/cat?size=1"]
    (billed,) = (record for record in sandbox.bill.records() if record.event == "finished")
    assert billed.outcome == "completed"


async def test_a_provider_that_fetches_itself_gets_the_url() -> None:
    async with Sandbox(keep_requests=True) as sandbox, serving(answer_with(PNG)) as host, open_session() as session:
        url = f"{host.url}/cat.png"
        await session.generate(dispatch(f"{sandbox.url}/v1", showing(Image(url=url))))
        assert host.exchanges == []
        content = orjson.loads(sandbox.requests[0].body)["messages"][0]["content"]
    assert content[1]["image_url"]["url"] == url


async def test_a_request_without_urls_is_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(*_: object, **__: object) -> Generation:
        raise AssertionError

    monkeypatch.setattr(MediaFetcher, "fetch", fetch)
    async with Sandbox() as sandbox, open_session() as session:
        for request in (HELLO, showing(Image(data=PNG, media_type="image/png"))):
            call = dispatch(f"{sandbox.url}/ollama", request, dialect="ollama")
            assert not call.media_by_url
            await session.generate(call)


async def test_media_that_never_come_fail_the_call_and_not_the_provider() -> None:
    async def silence(exchange: Exchange) -> None:
        await exchange.client_gone()

    async with (
        Sandbox(keep_requests=True) as sandbox,
        serving(silence) as host,
        open_session(first_event_s=0.3) as session,
    ):
        for stream in (False, True):
            call = dispatch(f"{sandbox.url}/ollama", showing(Image(url=f"{host.url}/{SECRET}")), dialect="ollama")
            error = await failure(session, call, stream=stream)
            assert (error.reason, error.timer, error.sent) == (Reason.MEDIA_NOT_FETCHED, "", False)
            assert error.message == "The image by URL at 127.0.0.1 did not come in time."
        assert not sandbox.requests


async def test_each_url_is_fetched_once_and_stands_wherever_it_stood() -> None:
    image = Image(url="{}/cat.png")
    async with serving(answer_with(PNG)) as host, fetcher() as running:
        image = Image(url=f"{host.url}/cat.png")
        call = ToolCall(id="1", name="look", arguments_json="{}")
        result = ToolResult(tool_call_id="1", name="look", parts=(Text("seen"), image))
        request = Generation(
            messages=(
                Message(Role.USER, (image, Text("Hi"), image), breakpoints=(1,)),
                Message(Role.ASSISTANT, (call,)),
                Message(Role.TOOL, (result,)),
            )
        )
        deadline = asyncio.get_running_loop().time() + 5
        changed = await running.fetch(request, NOTHING, running.room("acme"), deadline=deadline)
        assert len(host.exchanges) == 1
        assert await running.fetch(request, frozenset({Image}), running.room("acme"), deadline=deadline) is request
    seen = Image(data=PNG, media_type="image/png")
    assert changed.messages == (
        Message(Role.USER, (seen, Text("Hi"), seen), breakpoints=(1,)),
        request.messages[1],
        Message(Role.TOOL, (replace(result, parts=(Text("seen"), seen)),)),
    )


async def test_nothing_of_the_provider_goes_to_the_media_s_host() -> None:
    async with Sandbox() as sandbox, serving(answer_with(PNG, set_cookie="a=b")) as host, open_session() as session:
        for _ in range(2):
            call = dispatch(f"{sandbox.url}/ollama", showing(Image(url=f"{host.url}/cat.png")), dialect="ollama")
            await session.generate(call)
    for exchange in host.exchanges:
        assert set(exchange.headers) == {"host", "accept", "accept-encoding", "user-agent"}
        assert exchange.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "path",
    ["/a%2Fb?x=%2f+%20&sig=a%3D", "?q", "/", "", "/\N{LATIN SMALL LETTER E WITH ACUTE} b", "/a#fragment"],
)
async def test_a_url_is_asked_for_as_it_stands(path: str) -> None:
    async with serving(answer_with(PNG)) as host, fetcher() as running:
        await fetched(running, Image(url=host.url + path))
    (exchange,) = host.exchanges
    expected = {"": "/", "?q": "/?q", "/é b": "/%C3%A9%20b", "/a#fragment": "/a"}
    assert exchange.path == expected.get(path, path)


@pytest.mark.parametrize(
    ("part", "data", "content_type", "outcome"),
    [
        (Image(), PNG, "image/png", "image/png"),
        (Image(media_type="image/png"), JPEG, "application/octet-stream", "image/jpeg"),
        (Image(), b"RIFF\0\0\0\0WEBPVP8 ", "text/plain", "image/webp"),
        (Image(), b"GIF89a;", "", "image/gif"),
        (Audio(media_type="audio/wav"), b"RIFF", "audio/x-wav", "audio/wav"),
        (Audio(media_type="audio/mp4"), b"sound", "video/mp4", "audio/mp4"),
        (Audio(media_type="audio/ogg"), b"sound", "application/ogg", "audio/ogg"),
        (Document(media_type="application/pdf", name="a"), b"%PDF-1.7", "application/octet-stream", "application/pdf"),
        (Document(media_type="text/plain"), "Straße".encode(), "text/markdown; charset=utf-8", "text/plain"),
    ],
)
async def test_what_came_is_told_by_bytes_and_content_type(
    part: Item, data: bytes, content_type: str, outcome: str
) -> None:
    async with serving(answer_with(data, content_type)) as host, fetcher() as running:
        (got,) = await fetched(running, replace(part, url=f"{host.url}/x"))
    assert got == replace(part, data=data, media_type=outcome)


async def test_text_comes_in_utf_8_whatever_it_was_sent_in() -> None:
    for charset in ("iso-8859-1", '"ISO-8859-1"', "utf-16"):
        data = "Straße".encode(charset.strip('"'))
        async with serving(answer_with(data, f"text/plain; charset={charset}")) as host, fetcher() as running:
            (got,) = await fetched(running, Document(url=f"{host.url}/x", media_type="text/plain"))
        assert isinstance(got, Document)
        assert got.data == "Straße".encode()


@pytest.mark.parametrize(
    ("part", "data", "content_type", "expected"),
    [
        (Image(), b"<html>", "text/html; charset=utf-8", "is no PNG, JPEG, GIF or WebP but text/html"),
        (Image(), b"<svg/>", "\x01" * 9, "is no PNG, JPEG, GIF or WebP"),
        (Audio(media_type="audio/wav"), b"RIFF", "text/html", "is no sound but text/html"),
        (Document(media_type="application/pdf"), b"<html>", "text/html", "is no PDF but text/html"),
        (Document(media_type="text/plain"), b"<html>", "text/html", "is no plain text but text/html"),
        (Document(media_type="text/plain"), b"\xff", "text/plain", "is no text in the charset it says, or in UTF-8"),
        (Document(media_type="text/plain"), b"a", "text/plain;charset=no", "is no text in the charset it says"),
        (Document(media_type="text/plain"), b"a", "text/plain;charset=hex", "is no text in the charset it says"),
        (Document(media_type="text/plain"), b"a-b", "text/plain;charset=punycode", "is no text in the charset it says"),
        (Document(media_type="text/plain"), b"a", "text/plain;charset=a\x00b", ""),
    ],
)
async def test_what_is_something_else_is_refused(part: Item, data: bytes, content_type: str, expected: str) -> None:
    async with serving(answer_with(data, content_type)) as host, fetcher() as running:
        assert expected in await problem(running, replace(part, url=f"{host.url}/{SECRET}?key={SECRET}"))


async def _endless(exchange: Exchange) -> None:
    await exchange.send(head(200, "image/png", transfer_encoding="chunked"))
    while True:
        await exchange.send(piece(b"x" * 100))


async def _silent(exchange: Exchange) -> None:
    await exchange.client_gone()


async def _drop_by_drop(exchange: Exchange) -> None:
    await exchange.send(head(200, "image/png", content_length="900"))
    for _ in range(900):
        await exchange.send(b"x")
        await asyncio.sleep(0.01)


async def _cut(exchange: Exchange) -> None:
    await exchange.send(head(200, "image/png", content_length="900"), b"x")
    exchange.cut()


async def _reset(exchange: Exchange) -> None:
    exchange.reset()


async def _bomb(exchange: Exchange) -> None:
    await exchange.send(head(200, "image/png", content_encoding="gzip", content_length=str(len(BOMB))), BOMB)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (_endless, "has more than 1000 bytes"),
        (answering(head(200, "image/png", content_length="1001")), "has more than 1000 bytes"),
        (_silent, "did not come in time"),
        (_drop_by_drop, "did not come in time"),
        (_cut, "broke off"),
        (_reset, "was not answered in HTTP, or the connection broke off"),
        (_bomb, "came compressed, which was not asked for"),
        (answering(b"SSH-2.0-OpenSSH_9\r\n"), "was not answered in HTTP, or the connection broke off"),
        (answering(head(200, "image/png", transfer_encoding="chunked") + END), "is empty"),
        (answering(whole(b"", 404)), "was answered with HTTP status 404"),
        (answering(whole(b"", 204)), "was answered with HTTP status 204"),
        (answering(whole(b"", 302)), "is redirected to nowhere"),
        (answering(whole(b"", 302, location=f"/{SECRET}")), "is redirected too often"),
        (answering(whole(b"", 302, location="ftp://127.0.0.1/")), "has no URL that could be called"),
        (
            answering(whole(b"", 302, location=f"https://{SECRET}-PLACE/").replace(b"-PLACE", "℀".encode())),
            "is redirected to no URL that could be called",
        ),
        (
            answering(whole(b"", 302, location="http://169.254.169.254/latest")),
            "leads to a place that may not be called",
        ),
        (answering(whole(b"", 307, location="http://8.8.8.8/")), "leads to a place that may not be called"),
    ],
)
async def test_what_can_go_wrong_is_the_caller_s_mistake_and_told_without_the_url(
    answer: Callable[[Exchange], Awaitable[None]], expected: str
) -> None:
    async with serving(answer) as host, fetcher(limits=SMALL) as running:
        message = await problem(running, Image(url=f"{host.url}/{SECRET}.png?key={SECRET}"))
    assert message.startswith(f"The image by URL at 127.0.0.1 {expected}")


async def test_nobody_there_is_told_as_well() -> None:
    async with serving(_silent) as host:
        url = host.url
    async with fetcher(limits=SMALL) as running:
        assert "cannot be reached" in await problem(running, Audio(url=url, media_type="audio/wav"))


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "nonsense",
        f"https://user:{SECRET}@example.com/",
        f"https://a\\{SECRET}/",
        "https://[::1",
        "https://a b/",
    ],
)
async def test_what_is_no_url_is_not_fetched(url: str) -> None:
    async with fetcher() as running:
        assert await problem(running, Image(url=url)) == "The image by URL has no URL that could be called."


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://127.0.0.1/",
            "https://localhost/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/",
        ),
        *("http://example.com/", "https://2130706433/", "https://[::ffff:7f00:1]/", "https://0x7f.1/"),
    ],
)
async def test_what_leads_inside_or_is_not_https_is_not_fetched(url: str) -> None:
    async with fetcher(EndpointRules()) as running:
        assert "may not be called" in await problem(running, Image(url=url))


async def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    async def inside(_host: str, _port: int) -> list[object]:
        import ipaddress

        return [ipaddress.ip_address("10.0.0.1")]

    http = VettedHttp(EndpointRules(), inside)  # type: ignore[arg-type]  # any address will do
    try:
        message = await problem(MediaFetcher(http), Image(url=f"https://cdn.example.com/{SECRET}"))
    finally:
        await http.aclose()
    assert message.startswith("The image by URL at cdn.example.com leads to a private")


async def test_redirects_are_followed_and_each_is_judged() -> None:
    async def redirecting(exchange: Exchange) -> None:
        await exchange.send(whole(b"", 302, location=location) if exchange.path == "/a" else whole(PNG))

    async with serving(redirecting) as other, serving(redirecting) as host:
        rules = EndpointRules(allowed=(AllowedEndpoint.parse(host.url.removeprefix("http://")),))
        async with fetcher(rules) as running:
            location = "/b?c"
            assert await fetched(running, Image(url=f"{host.url}/a")) == (Image(data=PNG, media_type="image/png"),)
            location = f"{other.url}/b"
            assert "may not be called" in await problem(running, Image(url=f"{host.url}/a"))
        assert [each.path for each in host.exchanges] == ["/a", "/b?c", "/a"]
        assert other.connections == 0


async def test_all_media_of_a_call_together_are_bounded() -> None:
    async with serving(answer_with(PNG + bytes(600))) as host, fetcher(limits=SMALL) as running:
        images = [Image(url=f"{host.url}/{number}") for number in range(3)]
        assert len(await fetched(running, *images[:2])) == 2
        assert "is too large together with the others" in await problem(running, *images)


async def test_what_all_calls_hold_is_bounded_and_a_tenant_s_share_of_it() -> None:
    few = MediaLimits(held_bytes=3000, tenant_bytes=2000)
    async with serving(answer_with(PNG + bytes(635))) as host, fetcher(limits=few) as running:
        image = Image(url=f"{host.url}/a")
        with running.room("acme") as first, running.room("acme") as second:
            for room in (first, second):
                await fetched_into(running, room, image)
            assert "too many others are on their way; try again later" in await problem(running, image)
            with running.room("other") as third:
                await fetched_into(running, third, image)
                # All that there is room for is held.
                assert "too many others are on their way" in await problem(running, image, tenant="third")
        assert len(await fetched(running, image)) == 1
        assert not running._held


@pytest.mark.parametrize("stream", [False, True])
async def test_room_is_held_until_the_provider_answers_and_given_back_however_that_ends(stream: bool) -> None:
    held: list[int] = []

    async def answer(exchange: Exchange) -> None:
        held.append(running._held["acme"])
        await exchange.send(whole(b"", 500))

    async with serving(answer_with(PNG)) as host, fetcher() as running, open_session() as session:
        session._media = running
        async with serving(answer) as provider:
            call = dispatch(provider.url, showing(Image(url=f"{host.url}/a")), dialect="ollama")
            await failure(session, replace(call, tenant="acme"), stream=stream)
    assert held == [len(PNG)]
    assert not running._held


async def test_few_are_fetched_at_a_time_and_the_first_failure_ends_the_others() -> None:
    running_now = most = 0

    async def slow(exchange: Exchange) -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await asyncio.sleep(0.02)
        running_now -= 1
        await exchange.send(whole(PNG))

    async with serving(slow) as host, fetcher() as running:
        assert len(await fetched(running, *(Image(url=f"{host.url}/{number}") for number in range(10)))) == 10
    assert most == 4

    async def one_fails(exchange: Exchange) -> None:
        await (exchange.send(whole(b"", 404)) if exchange.path == "/0" else exchange.client_gone())

    async with serving(one_fails) as host, fetcher() as running:
        images = [Image(url=f"{host.url}/{number}") for number in range(4)]
        async with asyncio.timeout(5):
            assert "status 404" in await problem(running, *images)


async def test_a_cancelled_call_stops_fetching() -> None:
    asked = asyncio.Event()

    async def silent(exchange: Exchange) -> None:
        asked.set()
        await exchange.client_gone()

    async with serving(silent) as host, fetcher() as running:
        task = asyncio.create_task(fetched(running, Image(url=f"{host.url}/a")))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
