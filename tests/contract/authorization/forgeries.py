"""Requests by descriptor: the field that authorizes set to one name, everything else to whatever a forger likes."""

from __future__ import annotations

from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_DEEPEST = 4
# What a proxy or a careless service might believe.
FORGED_METADATA = (
    ("x-tenant", "rival"),
    ("x-gatehouse-tenant", "rival"),
    ("x-user", "root"),
    ("x-roles", "super_admin"),
    ("x-gatehouse-service", "router"),
    ("x-forwarded-client-cert", "URI=spiffe://gatehouse/router"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-original-method", "/grpc.health.v1.Health/Check"),
)


def request(message: Descriptor, field: str | None, resource: str | None, *, others: str | None) -> bytes:
    """A request whose `field` (dotted) names `resource`.

    With `others`, every other text in it, at any depth, names something of the tenant `others`.
    """
    made: Message = GetMessageClass(message)()
    if others is not None:
        _fill(made, others, _DEEPEST)
    if field is not None and resource is not None:
        *path, last = field.split(".")
        inner = made
        for part in path:
            inner = getattr(inner, part)
        setattr(inner, last, resource)
    return made.SerializeToString()


def _fill(message: Message, tenant: str, depth: int) -> None:
    # The stubs know two classes of descriptors.
    for field in cast(Descriptor, message.DESCRIPTOR).fields:
        _fill_field(message, field, tenant, depth)


def _fill_field(message: Message, field: FieldDescriptor, tenant: str, depth: int) -> None:
    if field.type == FieldDescriptor.TYPE_STRING:
        value = _text(field.name, tenant)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    elif field.type == FieldDescriptor.TYPE_BYTES and not field.is_repeated:
        setattr(message, field.name, _text(field.name, tenant).encode())
    elif field.message_type is not None and depth and field.message_type.full_name.startswith("gatehouse."):
        inner = getattr(message, field.name)
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
                inner["tenant"] = tenant
        elif field.is_repeated:
            _fill(inner.add(), tenant, depth - 1)
        else:
            inner.SetInParent()
            _fill(inner, tenant, depth - 1)


def _text(field: str, tenant: str) -> str:
    match field:
        case "tenant":
            return tenant
        case "user":
            return "ann"
        case "parent" | "owner":
            return f"tenants/{tenant}"
        case "actor":
            return f"tenants/{tenant}/users/ann"
        case _:
            return f"tenants/{tenant}/keys/x"


# What is no resource name, and what is one of somebody else's that looks like one's own.
TRICKS = (
    *("", " ", "/", "*", "-", "tenants", "tenants/", "tenants//", "tenants/-/keys/x", "tenants/*/keys/x"),
    *("tenants/acme/", "/tenants/acme", "tenants/acme//keys/x", "tenants//acme/keys/x", "tenants/acme/keys/x/"),
    *("tenants/acme/../rival/keys/x", "tenants/rival/../acme/keys/x", "tenants/acme/keys/../../rival/keys/x"),
    *("tenants/acme/keys/x/../../../rival/keys/x", "tenants/./acme", "./tenants/acme", "../tenants/acme"),
    *("tenants/acme/%2e%2e/rival/keys/x", "tenants/acme/..%2frival/keys/x", "tenants/acme/%252e%252e/rival"),
    *("tenants/%61cme/keys/x", "tenants/acme%2fkeys%2fx", "tenants/acme%00"),
    *("tenants/acme\\..\\rival", "tenants\\acme", "tenants/acme\\keys\\x"),
    # Cyrillic a and e, full width, invisible, right to left, combining, long s, dotless i.
    *("tenants/\u0430cme/keys/x", "tenants/acm\u0435", "tenants\uff0facme", "\uff54enants/acme", "tenants/acme\u200b"),
    *("tenants/acme\u202e/keys/x", "tenants/acme\u0301", "tenant\u017f/acme", "tenants/r\u0131val"),
    *("tenants/acme\u00a0", "\ufefftenants/acme"),
    *("TENANTS/acme", "Tenants/acme", "tenants/ACME/keys/x", "tenants/acme/Keys/x", "tenants/acme/keys/X", "Platform"),
    *("tenants/acme\0/keys/x", "tenants/acme/keys/x\0", "tenants/rival/keys/x\0tenants/acme", "\0tenants/acme"),
    *("tenants/acme\n", "tenants/acme/keys/x\n", "\ntenants/acme", "tenants/acme\r\n", "tenants/acme\ttenants/rival"),
    *(" tenants/acme", "tenants/acme ", "tenants/acme;tenants/rival", "tenants/acme,tenants/rival", "tenants/acme?a=b"),
    *("tenants/acme#x", "tenants/acme:x", "tenants/acme@rival", "projects/acme/keys/x", "users/ann", "acme", "rival"),
    *("tenants/acme/users", "tenants/acme/users/", "tenants/acme/users/ann/../bob", "tenants/acme/keys", "platforms"),
    *("platform/", "platform/../tenants/acme", "platform/keys", "https://host/tenants/acme", "//host/tenants/acme"),
    *("' OR '1'='1", "tenants/acme' --", "spiffe://gatehouse/router", "tenants/acme/keys/..", "tenants/.acme"),
    *("x" * 5_000, "tenants/" + "a" * 64, "tenants/acme/keys/" + "x" * 64, "tenants/acme" + "/keys/x" * 100),
    # These are names, of others or of something odd.
    *("tenants/acme2", "tenants/acm", "tenants/acme.", "tenants/acme-", "tenants/acme_/keys/x", "tenants/a/keys/acme"),
    *("tenants/acme/users/ann2", "tenants/acme/users/an", "tenants/rival/users/ann", "tenants/ann"),
    *("tenants/ann/users/acme", "tenants/rival/keys/acme", "tenants/tenants"),
    *("tenants/platform", "tenants/platform/keys/x", "platform/users/ann", "platform/tenants/acme"),
    *("platform/tenants/rival", "platform/keys/tenants..acme"),
    *("tenants/rival/tenants/acme", "tenants/rival/users/ann/tenants/acme"),
    *("tenants/acme/tenants/rival", "tenants/acme/keys/x/users/bob", "tenants/acme/users/ann/users/bob"),
    *("tenants/acme/users/bob/users/ann", "tenants/acme/keys/tenants..rival", "tenants/acme..rival"),
    *("tenants/acme/users/bob/keys/ann", "tenants/acme/users/ann/keys/bob"),
)  # fmt: skip
