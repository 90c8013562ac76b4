"""Which addresses a provider may have."""

from __future__ import annotations

import pytest

from services.provider_config.domain.endpoints import endpoint_problem


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://api.openai.com:8443/v1/",
        "https://API.OpenAI.com",
        "https://my_model.example.com/v1",
        "https://8.8.8.8/v1",
        "https://[2001:4860:4860::8888]/v1",
        "https://2fast.example.com",
    ],
)
@pytest.mark.parametrize("allow_loopback", [False, True])
def test_a_public_https_address_is_right(url: str, allow_loopback: bool) -> None:
    assert endpoint_problem(url, allow_loopback=allow_loopback) is None


LOOPBACK = [
    "http://localhost:7120/v1",
    "https://localhost/v1",
    "http://LOCALHOST./v1",
    "http://sandbox.localhost:7120/v1",
    "http://127.0.0.1:7120/v1",
    "https://127.8.9.10/v1",
    "http://[::1]:7120/v1",
]


@pytest.mark.parametrize("url", LOOPBACK)
def test_this_machine_may_be_named_only_where_that_is_allowed(url: str) -> None:
    assert endpoint_problem(url, allow_loopback=True) is None
    assert endpoint_problem(url, allow_loopback=False) == "must not point to the machine Gatehouse runs on"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "[::]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[fc00::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[::7f00:1]",
    ],
)
@pytest.mark.parametrize("allow_loopback", [False, True])
def test_an_inside_address_is_refused_even_where_loopback_is_allowed(
    scheme: str, host: str, allow_loopback: bool
) -> None:
    problem = endpoint_problem(f"{scheme}://{host}/v1", allow_loopback=allow_loopback)
    assert problem is not None
    assert problem.startswith("must ")


@pytest.mark.parametrize(
    "host",
    ["2130706433", "127.1", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.256", "1.2.3.4.5"],
)
@pytest.mark.parametrize("allow_loopback", [False, True])
def test_other_spellings_of_ipv4_are_refused(host: str, allow_loopback: bool) -> None:
    assert endpoint_problem(f"https://{host}/v1", allow_loopback=allow_loopback) == (
        "must have a host name, or an IPv4 address of four decimal numbers"
    )


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com",
        "ftp://api.openai.com",
        "https://",
        "https://user@api.openai.com",
        "https://user:password@api.openai.com",
        "https://api.openai.com?x=1",
        "https://api.openai.com#x",
        "https://api.openai.com:notaport",
        "https://api.openai.com:99999",
        "https://api .openai.com",
        "https://api.openai.com/a b",
        "https://①②⑦.⓪.⓪.①",
        "https://ⓛocalhost",
        "https://%6c%6fcalhost",
        "https://..",
        "https://a..b",
        "https://[::1",
        "https://api.openai.com\\@127.0.0.1/",
        "\x00https://api.openai.com",
        "https://api.openai.com/\x00",
        "https://api.openai.com/\x7f",
    ],
)
@pytest.mark.parametrize("allow_loopback", [False, True])
def test_what_is_no_plain_url_is_refused(url: str, allow_loopback: bool) -> None:
    assert endpoint_problem(url, allow_loopback=allow_loopback) is not None


def test_http_is_refused_for_other_machines() -> None:
    assert endpoint_problem("http://api.openai.com/v1", allow_loopback=True) == "must use https"
