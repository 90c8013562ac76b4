"""The API keeps its own conventions, and the permission table knows all of it and nothing else."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from libs.identity.permissions import PERMISSIONS, UNAUTHENTICATED_METHODS, Access
from tests.contract.api.descriptors import enums, methods, services


def field_at(message: Descriptor, path: str) -> FieldDescriptor | None:
    first, _, rest = path.partition(".")
    field = message.fields_by_name.get(first)
    if field is None or not rest:
        return field
    return field_at(field.message_type, rest) if field.message_type is not None else None


def test_there_is_an_api_to_check() -> None:
    assert {service.full_name.split(".")[1] for service in services()} == {
        "keyvault",
        "providerconfig",
        "router",
        "usage",
    }


def test_every_method_has_a_rule_and_every_rule_a_method() -> None:
    assert set(PERMISSIONS) == set(methods())


def test_no_method_of_the_api_is_open_to_the_unauthenticated() -> None:
    assert not UNAUTHENTICATED_METHODS & set(methods())


@pytest.mark.parametrize("name", sorted(PERMISSIONS))
def test_a_rules_resource_is_a_text_field_of_the_request(name: str) -> None:
    rule, method = PERMISSIONS[name], methods()[name]
    if rule.resource is None:
        return
    field = field_at(method.input_type, rule.resource)
    assert field is not None
    assert field.type == FieldDescriptor.TYPE_STRING
    assert not field.is_repeated
    # A resource that is still in a stream of requests cannot be read before the servicer runs.
    assert not method.client_streaming


@pytest.mark.parametrize("name", sorted(methods()))
def test_a_method_that_names_a_resource_is_authorised_by_it(name: str) -> None:
    request = methods()[name].input_type
    named = {"name", "parent"} & set(request.fields_by_name)
    if named:
        assert {PERMISSIONS[name].resource} == named
    elif name.rpartition("/")[2].startswith(("Update", "Test")):
        (resource,) = [
            field.name for field in request.fields if field.message_type and "name" in field.message_type.fields_by_name
        ]
        assert PERMISSIONS[name].resource == f"{resource}.name"
    else:
        assert PERMISSIONS[name].access in {Access.NONE, Access.ACT}


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_method_has_a_request_and_a_response_of_its_own(name: str) -> None:
    method = methods()[name]
    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"
    assert method.input_type.file.package == method.output_type.file.package == method.containing_service.file.package


def test_no_message_serves_two_methods() -> None:
    used = [message.full_name for method in methods().values() for message in (method.input_type, method.output_type)]
    assert len(used) == len(set(used))


def test_every_enum_begins_with_unspecified() -> None:
    wrong = [
        enum.full_name
        for enum in enums()
        if not enum.values_by_number.get(0) or not enum.values_by_number[0].name.endswith("_UNSPECIFIED")
    ]
    assert wrong == []


def test_every_enum_value_carries_its_enums_name() -> None:
    wrong = []
    for enum in enums():
        prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
        wrong += [value.name for value in enum.values if not value.name.startswith(prefix)]
    assert wrong == []
