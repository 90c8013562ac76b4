"""What a servicer is told about where a call comes from."""

from __future__ import annotations

import pytest

from libs.rpc.context import RequestContext


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:1234", "127.0.0.1"),
        ("ipv6:%5B::1%5D:5678", "::1"),
        ("ipv6:[2001:db8::7]:443", "2001:db8::7"),
        ("ipv6:%5Bfe80::1%25eth0%5D:5678", "fe80::1%eth0"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:5678", "::ffff:192.0.2.7"),
        ("unix:", "unix"),
        ("unix:/run/gatehouse.sock", "unix"),
        ("unix-abstract:gatehouse", "unix"),
        ("vsock:2:1234", ""),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_the_address_is_the_host_without_its_port(peer: str, address: str) -> None:
    context = RequestContext(method="/x.Y/Z", request_id="r", peer=peer, metadata={}, arrived=0.0, deadline=1.0)
    assert context.address == address
