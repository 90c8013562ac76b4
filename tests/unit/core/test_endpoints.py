"""Which addresses a provider may have."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.endpoints import AllowedEndpoint, EndpointRules, host_and_port, is_literal, is_public
from tests.unit.core.inside_addresses import INSIDE, NEVER, PUBLIC

STRICT = EndpointRules()
LOCAL = EndpointRules(allow_loopback=True)


def allowing(*entries: str) -> EndpointRules:
    return EndpointRules(allowed=tuple(map(AllowedEndpoint.parse, entries)))


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("rules", [STRICT, LOCAL], ids=["strict", "local"])
@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://api.openai.com:8443/v1/",
        "https://API.OpenAI.com",
        "https://api.openai.com./v1",
        "https://my_model.example.com/v1",
        "https://xn--bcher-kva.example/v1",
        "https://8.8.8.8/v1",
        "https://[2001:4860:4860::8888]/v1",
        "https://2fast.example.com",
    ],
)
def test_a_public_https_address_is_right(url: str, rules: EndpointRules) -> None:
    assert rules.url_problem(url) is None


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
    assert LOCAL.url_problem(url) is None
    assert STRICT.url_problem(url) == "must not point to the machine Gatehouse runs on"


@pytest.mark.parametrize("rules", [STRICT, LOCAL], ids=["strict", "local"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("address", [each for each in INSIDE if each not in {"127.0.0.1", "127.255.255.254", "::1"}])
def test_an_inside_address_is_refused_even_where_loopback_is_allowed(
    scheme: str, address: str, rules: EndpointRules
) -> None:
    problem = rules.url_problem(f"{scheme}://{bracketed(address)}/v1")
    assert problem is not None
    assert problem.startswith("must ")


@pytest.mark.parametrize("address", INSIDE)
def test_no_name_may_lead_inside(address: str) -> None:
    for rules in (STRICT, LOCAL):
        problem = rules.address_problem("models.example.com", 443, ipaddress.ip_address(address))
        assert problem is not None
        assert "models.example.com" in problem
        assert address not in problem, "which address it is would map the network"


@pytest.mark.parametrize("address", PUBLIC)
def test_a_name_may_lead_to_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert STRICT.address_problem("models.example.com", 443, ipaddress.ip_address(address)) is None


@pytest.mark.parametrize("host", ["localhost", "localhost.", "a.localhost", "127.0.0.1"])
def test_where_loopback_is_allowed_the_names_of_this_machine_lead_to_it(host: str) -> None:
    assert LOCAL.address_problem(host, 80, ipaddress.ip_address("127.0.0.1")) is None
    assert LOCAL.address_problem(host, 80, ipaddress.ip_address("10.0.0.1")) is not None
    assert STRICT.address_problem(host, 80, ipaddress.ip_address("127.0.0.1")) is not None


@pytest.mark.parametrize("rules", [STRICT, LOCAL], ids=["strict", "local"])
@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "127.1", "127.0.1", "0x7f000001", "0x7f.0.0.1", "0x7F.1", "0177.0.0.1", "017700000001"),
        *("127.0.0.256", "1.2.3.4.5", "010.0.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
        *("0", "00000000", "0x0", "1.2.3.0x4", "example.127", "127.0.0.1.0x1", "169.254.169.254.."),
    ],
)
def test_other_spellings_of_ipv4_are_refused(host: str, rules: EndpointRules) -> None:
    for url in (f"https://{host}/v1", f"http://{host}/v1", f"https://{host}./v1"):
        assert rules.url_problem(url) is not None, url


@pytest.mark.parametrize("rules", [STRICT, LOCAL, allowing("0.0.0.0/0", "::/0")], ids=["strict", "local", "all"])
@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com",
        "//api.openai.com",
        "ftp://api.openai.com",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "https://",
        "https:///v1",
        "https://user@api.openai.com",
        "https://user:password@api.openai.com",
        "https://api.openai.com@127.0.0.1/",
        "https://127.0.0.1:80@api.openai.com/",
        "https://api.openai.com?x=1",
        "https://api.openai.com#x",
        "https://api.openai.com#@127.0.0.1/",
        "https://api.openai.com:notaport",
        "https://api.openai.com:99999",
        "https://api.openai.com:0",
        "https://api.openai.com:-1",
        "https://api .openai.com",
        "https://api.openai.com/a b",
        "https://①②⑦.⓪.⓪.①",
        "https://ⓛocalhost",
        "https://\uff11\uff12\uff17.0.0.1",
        "https://127。0。0。1",
        "https://loc\u00adalhost",
        "https://%6c%6fcalhost",
        "https://127.0.0.1%00.example.com",
        "https://..",
        "https://a..b",
        "https://[::1",
        "https://[fe80::1%25eth0]/v1",
        "https://[fe80::1%eth0]/v1",
        "https://[v1.fe80]/v1",
        "https://api.openai.com\\@127.0.0.1/",
        "https:\\\\127.0.0.1/",
        "\x00https://api.openai.com",
        "https://api.openai.com/\x00",
        "https://api.openai.com/\x7f",
        "https://api.openai.com\r\nHost: 127.0.0.1",
        "https://api.openai.com\t/v1",
    ],
)
def test_what_is_no_plain_url_is_refused(url: str, rules: EndpointRules) -> None:
    assert rules.url_problem(url) is not None


def test_http_is_refused_for_other_machines() -> None:
    assert LOCAL.url_problem("http://api.openai.com/v1") == "must use https"


class TestOperatorsList:
    def test_a_listed_host_may_lead_inside_and_by_http(self) -> None:
        rules = allowing("ollama.models.svc.cluster.local:11434")
        assert rules.url_problem("http://ollama.models.svc.cluster.local:11434/v1") is None
        assert rules.url_problem("http://OLLAMA.models.svc.cluster.local.:11434/v1") is None
        for inside in ("10.96.3.4", "fd00:10::4", "127.0.0.1", "100.64.0.7"):
            address = ipaddress.ip_address(inside)
            assert rules.address_problem("ollama.models.svc.cluster.local", 11434, address) is None
            assert rules.address_problem("ollama.models.svc.cluster.local.", 11434, address) is None

    def test_a_listed_host_is_that_host_and_port_alone(self) -> None:
        rules = allowing("ollama.models:11434")
        inside = ipaddress.ip_address("10.96.3.4")
        for host, port in (("ollama.models", 80), ("x.ollama.models", 11434), ("ollama.models.evil.com", 11434)):
            assert rules.url_problem(f"http://{host}:{port}/v1") == "must use https"
            assert rules.address_problem(host, port, inside) is not None

    def test_without_a_port_every_port_is_meant(self) -> None:
        rules = allowing("ollama.models")
        assert rules.url_problem("http://ollama.models:1/v1") is None
        assert rules.url_problem("http://ollama.models/v1") is None

    def test_a_star_stands_for_every_name_below_but_not_for_the_domain(self) -> None:
        rules = allowing("*.models.svc:80")
        assert rules.url_problem("http://a.models.svc/v1") is None
        assert rules.url_problem("http://b.a.models.svc/v1") is None
        for other in ("models.svc", "evilmodels.svc", "a.models.svc.example.com"):
            assert rules.url_problem(f"http://{other}/v1") == "must use https"

    def test_a_listed_network_may_be_called_by_address_and_by_name(self) -> None:
        rules = allowing("10.20.0.0/16", "[fd00:20::/64]:11434", "192.168.7.9:8000")
        for url in ("http://10.20.3.4/v1", "http://[fd00:20::5]:11434/v1", "http://192.168.7.9:8000/v1"):
            assert rules.url_problem(url) is None, url
        for url in (
            "http://10.21.3.4/v1",
            "http://[fd00:20::5]/v1",
            "https://192.168.7.9/v1",
            "http://192.168.7.8:8000",
        ):
            assert rules.url_problem(url) is not None, url
        assert rules.address_problem("models.example.com", 443, ipaddress.ip_address("10.20.3.4")) is None
        assert rules.address_problem("models.example.com", 443, ipaddress.ip_address("10.21.3.4")) is not None
        assert rules.url_problem("http://models.example.com/v1") == "must use https", "its address is not known yet"

    @pytest.mark.parametrize("address", NEVER)
    def test_no_list_lets_anybody_at_metadata_or_at_what_is_no_host(self, address: str) -> None:
        rules = allowing("0.0.0.0/0", "::/0", "models.example.com")
        assert rules.address_problem("models.example.com", 80, ipaddress.ip_address(address)) is not None
        if "%" not in address:
            assert rules.url_problem(f"http://{bracketed(address)}/v1") is not None

    @pytest.mark.parametrize(
        "entry",
        [
            *(
                "",
                ":80",
                "a b",
                "https://host",
                "host/path",
                "*",
                "*.",
                "a.*.b",
                "host:",
                "host:x",
                "host:0",
                "host:65536",
            ),
            *(
                "host:80:90",
                "127.1",
                "2130706433",
                "10.0.0.1/8",
                "10.0.0.0/33",
                "[fd00::1",
                "[fd00::1]80",
                "[host]:80x",
            ),
            *("user@host", "ⓗost", "fd00::/129", "host:\uff18\uff10"),
        ],
    )
    def test_an_entry_that_is_none_is_refused(self, entry: str) -> None:
        with pytest.raises(ValueError, match=r"is no|has no"):
            AllowedEndpoint.parse(entry)


@given(st.ip_addresses(v=4))
def test_what_python_calls_inside_is_never_public(address: ipaddress.IPv4Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_ipv4_in_ipv6_is_judged_as_what_it_leads_to_or_refused(address: ipaddress.IPv4Address) -> None:
    number, public = int(address), is_public(address)
    assert is_public(ipaddress.IPv6Address(0x64FF9B << 96 | number)) == public
    assert is_public(ipaddress.IPv6Address(0xFFFF << 32 | number)) == public
    for refused in (
        number,  # IPv4-compatible
        0xFFFF << 48 | number,  # IPv4-translated
        0x64FF9B0001 << 80 | number,  # NAT64 for local use
        0x2002 << 112 | number << 80,  # 6to4
        0x20010000 << 96 | (number ^ 0xFFFFFFFF),  # Teredo
        0x20014860 << 96 | 0x5EFE << 32 | number,  # ISATAP
        0x20014860 << 96 | 0x2005EFE << 32 | number,  # ISATAP of a public address
    ):
        assert not is_public(ipaddress.IPv6Address(refused))


@given(st.ip_addresses(v=6))
def test_only_global_unicast_and_embedded_ipv4_are_public(address: ipaddress.IPv6Address) -> None:
    if is_public(address):
        first = int(address) >> 125
        assert first == 0b001 or address.ipv4_mapped is not None or int(address) >> 32 == 0x64FF9B << 64


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://API.example.com./v1", ("api.example.com", 443)),
        ("http://[2001:DB8::1]/v1", ("2001:db8::1", 80)),
        ("https://a:8443", ("a", 8443)),
    ],
)
def test_where_a_url_is_served(url: str, expected: tuple[str, int]) -> None:
    assert host_and_port(url) == expected


def test_an_address_is_told_from_a_name() -> None:
    assert is_literal("10.0.0.1.")
    assert is_literal("::1")
    assert not is_literal("10.example.com")
