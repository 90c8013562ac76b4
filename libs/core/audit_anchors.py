"""Anchors: signed statements of where a chain stood, kept where the database's owner cannot write.

A file of anchors holds one JSON object a line, in canonical form. A line that is damaged is reported and does not keep
the others from being read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from libs.core.audit import AuditHead, check_scope
from libs.core.audit_encoding import canonical_json, from_unix_microseconds, unix_microseconds

MAX_SIGNER_LENGTH = 256
MAX_SIGNATURE_LENGTH = 1024  # Vault's prefix and a signature by RSA of 4096 bits take 700
MAX_LINE_BYTES = 2048

_FORMAT = "gatehouse-audit-anchor-1"
_HASH = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[!-~]+")
_MAX_SEQUENCE = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """That the chain of `scope` ended at `sequence` with `hash` at `time`, signed by `signer`.

    `signer`: names the key, such as `transit/keys/audit-anchors`; 1 to 256 characters. `signature`: as the signer gives
    it, such as `vault:v1:…`; 1 to 1024 characters. Both are printable ASCII without spaces. Whether the signature is
    genuine is for its reader to check, over `signed_bytes`. Raises ValueError.
    """

    time: datetime
    scope: str
    sequence: int
    hash: str
    signer: str
    signature: str

    def __post_init__(self) -> None:
        unix_microseconds(self.time)
        check_scope(self.scope)
        # `type(...) is int` also refuses bool, which JSON writes differently.
        if type(self.sequence) is not int or not 1 <= self.sequence <= _MAX_SEQUENCE:
            raise ValueError("sequence must be an integer from 1")
        if not _HASH.fullmatch(self.hash):
            raise ValueError("hash must be 64 lower-case hexadecimal digits")
        for field, value, most in (
            ("signer", self.signer, MAX_SIGNER_LENGTH),
            ("signature", self.signature, MAX_SIGNATURE_LENGTH),
        ):
            if len(value) > most or not _WORD.fullmatch(value):
                raise ValueError(f"{field} must be 1 to {most} characters of printable ASCII without spaces")

    @property
    def head(self) -> AuditHead:
        """The head it vouches for."""
        return AuditHead(scope=self.scope, sequence=self.sequence, hash=self.hash)

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return bytes_to_sign(self.head, time=self.time, signer=self.signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedLine:
    """A line that holds no anchor. `number` counts from 1; `problem` says what is wrong and never what it holds."""

    number: int
    problem: str


def bytes_to_sign(head: AuditHead, *, time: datetime, signer: str) -> bytes:
    """What `signer` signs to anchor `head` at `time`: the anchor's canonical JSON without its signature.

    `{"format":"gatehouse-audit-anchor-1","hash":"<64 digits>","scope":"tenants/acme","sequence":7,
    "signer":"transit/keys/audit-anchors","time_us":1767323045678901}`, in one line.
    """
    return canonical_json(_fields(head, time, signer))


def encode_anchor(anchor: Anchor) -> bytes:
    """One line, with its line feed: the signed object and `signature`, in canonical JSON. Is ASCII."""
    return canonical_json(_fields(anchor.head, anchor.time, anchor.signer) | {"signature": anchor.signature}) + b"\n"


def decode_anchor(line: bytes) -> Anchor:
    """The anchor in a line, with or without its line feed.

    Takes exactly what `encode_anchor` gives: a line with other spaces, other or repeated fields is none. Raises
    ValueError, which says what is wrong without repeating it.
    """
    line = line.removesuffix(b"\n")
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"is longer than {MAX_LINE_BYTES} bytes")
    try:
        fields = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    match fields:
        case {
            "time_us": int(time_us),
            "scope": str(scope),
            "sequence": int(sequence),
            "hash": str(hash_),
            "signer": str(signer),
            "signature": str(signature),
        }:
            anchor = Anchor(
                time=from_unix_microseconds(time_us),
                scope=scope,
                sequence=sequence,
                hash=hash_,
                signer=signer,
                signature=signature,
            )
        case _:
            raise ValueError("lacks a field of an anchor, or has one of another type")
    if encode_anchor(anchor) != line + b"\n":
        raise ValueError("is not in the canonical form of an anchor")
    return anchor


def read_anchors(lines: Iterable[bytes]) -> Iterator[Anchor | DamagedLine]:
    """The anchor in each line, or what is wrong with the line; the signatures are still to be checked."""
    for number, line in enumerate(lines, start=1):
        try:
            yield decode_anchor(line)
        except ValueError as error:
            yield DamagedLine(number=number, problem=str(error))


def _fields(head: AuditHead, time: datetime, signer: str) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "hash": head.hash,
        "scope": head.scope,
        "sequence": head.sequence,
        "signer": signer,
        "time_us": unix_microseconds(time),
    }
