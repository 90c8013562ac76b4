"""Keys of service accounts that somebody made up to cost the router its time."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from libs.sandbox.dialects.google_tokens import google_service_account
from services.router.domain.errors import ProviderError, Reason
from services.router.providers.formats.gemini_content import service_account

_NUMBERS = random.Random(5)
_USUAL_EXPONENT = 65_537


def _candidates(bits: int, exponent: int) -> Iterator[int]:
    """Odd numbers that may stand where primes should."""
    while True:
        number = _NUMBERS.getrandbits(bits) | 3 << (bits - 2) | 1
        if math.gcd(number - 1, exponent) == 1:
            yield number


def made_up(bits: int, *, exponent: int = _USUAL_EXPONENT, **changes: int) -> str:
    """An RSA key whose numbers belong together but for `changes`, and whose factors are no primes."""
    found = _candidates(bits // 2, exponent)
    p = next(found)
    q = next(other for other in found if math.gcd(other, p) == 1)
    d = pow(exponent, -1, (p - 1) * (q - 1))
    numbers = {"p": p, "q": q, "d": d, "dmp1": d % (p - 1), "dmq1": d % (q - 1), "iqmp": pow(q, -1, p), **changes}
    public = RSAPublicNumbers(exponent, numbers["p"] * numbers["q"])
    key = RSAPrivateNumbers(public_numbers=public, **numbers).private_key(unsafe_skip_rsa_key_validation=True)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def form_of(pem: str) -> dict[str, str]:
    """What is sent for an account with this private key."""
    account = {**orjson.loads(google_service_account()), "private_key": pem}
    form = service_account.token_request(orjson.dumps(account).decode(), now=1.8e9).form
    assert callable(form)
    return dict(form())


def test_nobody_looks_for_primes() -> None:
    # Looking takes as long as the key is long, and what signs with such a key signs nothing that anybody takes.
    assert form_of(made_up(2048))["assertion"].count(".") == 2


@pytest.mark.parametrize(
    "pem",
    [
        made_up(4098),
        made_up(8192),
        made_up(1022),
        made_up(2048, exponent=2**64 + 13),
        made_up(2048, dmp1=3),
        made_up(2048, iqmp=3),
        made_up(2048, d=3),
    ],
    ids=["over 4096 bits", "8192 bits", "short", "long exponent", "dmp1", "iqmp", "d"],
)
def test_long_keys_and_numbers_that_do_not_belong_together_are_refused(pem: str) -> None:
    with pytest.raises(ProviderError) as refused:
        form_of(pem)
    assert refused.value.reason is Reason.PROVIDER_KEY_REJECTED


def test_a_key_of_another_kind_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ProviderError) as refused:
        form_of(pem)
    assert refused.value.reason is Reason.PROVIDER_KEY_REJECTED
    assert refused.value.__cause__ is refused.value.__context__ is None
