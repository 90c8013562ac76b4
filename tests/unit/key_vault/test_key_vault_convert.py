"""From messages to commands and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb

from libs.core.errors import GatehouseError, InvalidArgument
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from libs.identity.caller import Caller
from libs.rpc.status import from_item_status
from services.key_vault.api import convert
from services.key_vault.domain.access_keys import KeyAccess
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.errors import origin_mismatch
from services.key_vault.domain.key import Key, KeyState, OpenedKey
from services.key_vault.domain.ports import Request

CALLER = Caller(tenant="acme", user="bob")
DIGESTS = Digests(Secret(b"k" * 32))
REQUEST_ID = "6F9619FF-8B86-D011-B42D-00CF4FC964FF"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def create_request(**changes: object) -> pb.CreateKeyRequest:
    values: dict[str, object] = {
        "parent": "tenants/acme",
        "key_id": "openai",
        "key": key_pb2.Key(provider_type="openai", origin="https://api.openai.com", labels={"env": "prod"}),
        "api_key": b"sk-canary-0123456789",
    }
    return pb.CreateKeyRequest(**(values | changes))  # type: ignore[arg-type]


def remembered(request: Request | None) -> Request:
    assert request is not None
    return request


def wrong_fields(error: InvalidArgument) -> list[str]:
    return [violation.field for violation in error.field_violations]


def test_a_create_request_becomes_a_command() -> None:
    command = convert.create_key(create_request(), CALLER, DIGESTS)
    assert command.name == KeyName.parse("tenants/acme/keys/openai")
    assert command.origin == "https://api.openai.com:443"
    assert command.labels == {"env": "prod"}
    assert command.material == Secret(b"sk-canary-0123456789")
    assert command.request is None


def test_every_wrong_field_is_named_at_once_and_no_material_shown() -> None:
    request = pb.CreateKeyRequest(
        parent="tenants/acme/keys/x",
        key_id="No Id",
        key=key_pb2.Key(
            provider_type="", origin="https://api.openai.com/v1", display_name="n" * 201, labels={"Bad": "x"}
        ),
        api_key=b"sk-canary-0123456789\n",
        request_id="not a uuid",
    )
    with pytest.raises(InvalidArgument) as caught:
        convert.create_key(request, CALLER, DIGESTS)
    assert wrong_fields(caught.value) == [
        "parent",
        "key_id",
        "key.provider_type",
        "key.origin",
        "key.display_name",
        "key.labels['Bad']",
        "api_key",
        "request_id",
    ]
    assert "canary" not in repr(caught.value) + repr(caught.value.field_violations)


def test_an_empty_request_is_told_what_it_lacks() -> None:
    with pytest.raises(InvalidArgument) as caught:
        convert.create_key(pb.CreateKeyRequest(), CALLER, DIGESTS)
    assert wrong_fields(caught.value) == ["parent", "key_id", "key.provider_type", "key.origin", "api_key"]


def test_a_request_is_recognised_by_caller_id_and_content() -> None:
    first = remembered(convert.create_key(create_request(request_id=REQUEST_ID), CALLER, DIGESTS).request)
    again = remembered(convert.create_key(create_request(request_id=REQUEST_ID.lower()), CALLER, DIGESTS).request)
    assert first == again
    assert (first.caller, first.method, first.request_id) == ("acme/bob", "CreateKey", REQUEST_ID.lower())


def test_requests_that_differ_in_the_material_alone_have_different_digests() -> None:
    one, other = (
        remembered(convert.create_key(create_request(request_id=REQUEST_ID, api_key=key), CALLER, DIGESTS).request)
        for key in (b"sk-0123456789", b"sk-0123456780")
    )
    assert one.digest != other.digest


def test_the_digest_cannot_be_made_without_the_deployments_key() -> None:
    request = create_request(request_id=REQUEST_ID)
    ours = remembered(convert.create_key(request, CALLER, DIGESTS).request)
    theirs = remembered(convert.create_key(request, CALLER, Digests(Secret(b"o" * 32))).request)
    assert ours.digest != theirs.digest


def test_a_rotate_request_becomes_a_command() -> None:
    request = pb.RotateKeyRequest(name="platform/keys/x", api_key=b"sk-0123456789", etag="abc", request_id=REQUEST_ID)
    command = convert.rotate_key(request, CALLER, DIGESTS)
    assert (str(command.name), command.etag) == ("platform/keys/x", "abc")
    assert remembered(command.request).method == "RotateKey"


def test_a_rotate_request_names_its_wrong_fields() -> None:
    request = pb.RotateKeyRequest(name="platform/keys/x", etag="e" * 65, request_id="x")
    with pytest.raises(InvalidArgument) as caught:
        convert.rotate_key(request, CALLER, DIGESTS)
    assert wrong_fields(caught.value) == ["api_key", "etag", "request_id"]


@pytest.mark.parametrize("count", [0, 257])
def test_a_batch_of_no_or_too_many_items_is_refused_as_a_whole(count: int) -> None:
    request = access_pb.AccessKeysRequest(items=[access_pb.KeyAccess()] * count)
    with pytest.raises(InvalidArgument, match="items"):
        convert.key_accesses(request)


def test_a_malformed_item_is_an_error_of_its_own() -> None:
    good = access_pb.KeyAccess(
        name="platform/keys/x",
        origin="https://API.openai.com/v1",
        caller_token=b"token",
        purpose=access_pb.KEY_PURPOSE_GENERATE,
    )
    bad_name, bad_origin, bad_purpose = access_pb.KeyAccess(), access_pb.KeyAccess(), access_pb.KeyAccess()
    for bad in (bad_name, bad_origin, bad_purpose):
        bad.CopyFrom(good)
    bad_name.name = "tenants/../keys/x"
    bad_origin.origin = "nowhere"
    bad_purpose.ClearField("purpose")
    items = convert.key_accesses(access_pb.AccessKeysRequest(items=[bad_name, good, bad_origin, bad_purpose]))
    assert items[1] == KeyAccess(
        name=KeyName.parse("platform/keys/x"), origin="https://api.openai.com:443", caller_token=b"token"
    )
    errors = [item for item in items if isinstance(item, GatehouseError)]
    assert [error.metadata["field"] for error in errors] == ["items[0].name", "items[2].origin", "items[3].purpose"]


def test_results_carry_material_or_the_reason() -> None:
    name = KeyName.parse("platform/keys/x")
    response = convert.access_response(
        [OpenedKey(material=Secret(b"sk-1"), version=3), origin_mismatch(name, "https://e.example:443")], domain="d"
    )
    opened, failed = response.results
    assert (opened.material.api_key, opened.material.version) == (b"sk-1", 3)
    error = from_item_status(failed.error)
    assert (error.reason, error.domain) == ("ORIGIN_MISMATCH", "d")
    assert error.metadata == {"name": "platform/keys/x", "origin": "https://e.example:443"}


def test_a_key_message_holds_the_metadata() -> None:
    key = Key(
        name=KeyName.parse("platform/keys/x"),
        uid="u",
        revision=1,
        provider_type="openai",
        origin="https://api.openai.com:443",
        display_name="X",
        labels={"a": "b"},
        mask="…6789",
        fingerprint="f",
        state=KeyState.ACTIVE,
        version=1,
        create_time=NOW,
        update_time=NOW,
    )
    message = convert.key_message(key)
    assert message.create_time.ToDatetime(UTC) == NOW
    assert not message.HasField("rotate_time")
    assert (message.state, message.etag, dict(message.labels)) == (key_pb2.KEY_STATE_ACTIVE, key.etag, {"a": "b"})
