"""`client.json`: where a Gatehouse is and how to trust it. The launcher writes one for its machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Service = Literal["router", "key_vault", "provider_config", "usage_accounting"]
SERVICES: tuple[Service, ...] = get_args(Service)

PROFILE_VARIABLE = "GATEHOUSE_PROFILE"
DEFAULT_PROFILE = Path(".gatehouse") / "client.json"


class ProfileError(ValueError):
    """The profile, an endpoint or a file it names cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """The issuer of development tokens on this machine: the file with its private key, and what tokens name."""

    key_file: Path
    kid: str
    issuer: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Endpoints as `host:port` by service, the CA that signed their certificates (None: the system's), and the issuer
    of development tokens where there is one.
    """

    endpoints: Mapping[str, str]
    ca: Path | None = None
    issuer: Issuer | None = None


def load_profile(path: str | Path | None = None) -> Profile:
    """Read `path`, else `$GATEHOUSE_PROFILE`, else `./.gatehouse/client.json`.

    Relative paths inside are relative to the file. Raises ProfileError when it is missing or malformed.
    """
    file = Path(path or os.environ.get(PROFILE_VARIABLE) or DEFAULT_PROFILE).expanduser()
    try:
        content = json.loads(file.read_bytes())
        return _parse(content, file.parent.absolute())
    except FileNotFoundError:
        raise ProfileError(
            f"There is no profile at {file}. Start Gatehouse with `make run` and call from the same folder, or name a "
            f"client.json with --profile or {PROFILE_VARIABLE}."
        ) from None
    except OSError as error:
        raise ProfileError(f"The profile {file} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProfileError(
            f"The profile {file} is not a client.json: it needs `ca` and `endpoints`, and `issuer`, if there, "
            "`key`, `kid`, `issuer` and `audience`."
        ) from error


def _parse(content: object, folder: Path) -> Profile:
    document = _mapping(content)
    endpoints = {name: _text(value) for name, value in _mapping(document["endpoints"]).items()}
    ca, issuer = document.get("ca"), document.get("issuer")
    return Profile(
        endpoints=endpoints,
        ca=None if ca is None else folder / _text(ca),
        issuer=None if issuer is None else _issuer(_mapping(issuer), folder),
    )


def _issuer(document: Mapping[str, object], folder: Path) -> Issuer:
    return Issuer(
        key_file=folder / _text(document["key"]),
        kid=_text(document["kid"]),
        issuer=_text(document["issuer"]),
        audience=_text(document["audience"]),
    )


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a text")
    return value
