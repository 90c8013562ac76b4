"""How keys and their versions are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatehouse.cli.output import Column, enum_word, local_time, show_message, show_table, words
from gatehouse.cli.session import Session
from gatehouse.cli.terminal import note
from gatehouse.cli.times import moment, since

if TYPE_CHECKING:
    from gatehouse.keyvault.v1.key_pb2 import Key, KeyVersion, VaultSecret
    from gatehouse.keyvault.v1.key_service_pb2 import CreateKeyResponse, RotateKeyResponse


def show_key(key: Key, session: Session) -> None:
    """A key with its versions, or its JSON."""
    lines = [
        ("name", key.name),
        ("type", key.provider_type),
        ("origin", key.origin),
        ("key", material(key)),
        ("fingerprint", key.fingerprint),
        ("version", str(key.version)),
        ("state", state(key)),
        ("condition", _condition_in_full(key)),
        ("last used", moment(key.status.last_use_time)),
        ("last success", moment(key.status.last_success_time)),
        ("last rejected", moment(key.status.last_rejection_time)),
        ("last exhausted", moment(key.status.last_exhaustion_time)),
        ("display name", key.display_name),
        ("labels", words(key.labels.items())),
        ("created", local_time(key.create_time)),
        ("changed", local_time(key.update_time)),
        ("rotated", local_time(key.rotate_time)),
    ]
    show_message(key, lines, as_json=session.as_json)
    if not session.as_json and key.versions:
        show_table(key.versions, _VERSION_COLUMNS, empty="", title="\nversions")


def version_of(key: Key, number: int) -> KeyVersion | None:
    """One of the versions the server tells of; older ones it does not."""
    return next((version for version in key.versions if version.version == number), None)


def usable(key: Key) -> dict[int, KeyVersion]:
    """The versions that can be used, by their numbers."""
    return {
        version.version: version for version in key.versions if version_state(version) in ("current", "overlapping")
    }


def material(one: Key | KeyVersion) -> str:
    """What may be seen of the material: `…a1b2`, and the Vault secret it is read from, `vault:acme-openai@4`."""
    return " ".join(filter(None, (one.mask, _secret(one.vault_secret) if one.HasField("vault_secret") else "")))


def state(key: Key) -> str:
    """`active`, `disabled`."""
    from gatehouse.keyvault.v1.key_pb2 import KeyState

    return enum_word(KeyState, key.state)


def condition(key: Key) -> str:
    """`working`, `rejected`, `exhausted`, `not used yet`."""
    from gatehouse.keyvault.v1.key_pb2 import KeyCondition

    word = enum_word(KeyCondition, key.status.condition)
    return "not used yet" if word == "unspecified" else word


def version_state(version: KeyVersion) -> str:
    """`current`, `overlapping`, `retired`, `destroyed`."""
    from gatehouse.keyvault.v1.key_pb2 import KeyVersionState

    return enum_word(KeyVersionState, version.state)


def in_use_for(key: Key) -> str:
    """How long the version in use has been that: `34 d`."""
    return since(key.rotate_time if key.HasField("rotate_time") else key.create_time)


def note_duplicates(response: CreateKeyResponse | RotateKeyResponse) -> None:
    """Say where else in the tenant the same key is stored, if it is."""
    places = list(response.duplicate_keys)
    if response.hidden_duplicate_count:
        count = response.hidden_duplicate_count
        places.append(f"{count} more {'place' if count == 1 else 'places'} that you may not see")
    if places:
        note(
            f"the same key is stored elsewhere as well: {', '.join(places)}. Kept in one place, it is rotated once.",
            "yellow",
        )


def _condition_in_full(key: Key) -> str:
    since = moment(key.status.condition_time)
    return f"{condition(key)} since {since}" if since else condition(key)


def _secret(secret: VaultSecret) -> str:
    return f"vault:{secret.id}{f'@{secret.version}' if secret.version else ''}"


def _usable(version: KeyVersion) -> str:
    match version_state(version):
        case "current":
            return "yes"
        case "overlapping":
            return f"as a fallback until {moment(version.retire_time)}"
        case "destroyed":
            return f"never again, destroyed {local_time(version.destroy_time)}"
        case _:
            return f"no, since {local_time(version.retire_time)}"


_VERSION_COLUMNS: list[Column[KeyVersion]] = [
    Column("VERSION", lambda version: str(version.version), right=True),
    Column("STATE", version_state),
    Column("KEY", material),
    Column("ENTERED", lambda version: local_time(version.create_time)),
    Column("USABLE", _usable),
]
