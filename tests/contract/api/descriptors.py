"""Everything the protos define, read from the generated descriptors."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import gatehouse
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor


def generated(suffix: str) -> list[ModuleType]:
    """The generated modules whose names end so."""
    (root,) = (Path(folder) for folder in gatehouse.__path__)
    names = [".".join(path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob(f"*{suffix}.py")]
    return [importlib.import_module(name) for name in sorted(names)]


def files() -> list[FileDescriptor]:
    return [module.DESCRIPTOR for module in generated("_pb2")]


def services() -> list[ServiceDescriptor]:
    return [service for file in files() for service in file.services_by_name.values()]


def methods() -> dict[str, MethodDescriptor]:
    return {f"/{service.full_name}/{method.name}": method for service in services() for method in service.methods}


def messages() -> Iterator[Descriptor]:
    def nested(message: Descriptor) -> Iterator[Descriptor]:
        yield message
        for inner in message.nested_types:
            yield from nested(inner)

    for file in files():
        for message in file.message_types_by_name.values():
            yield from nested(message)


def enums() -> Iterator[EnumDescriptor]:
    for file in files():
        yield from file.enum_types_by_name.values()
    for message in messages():
        yield from message.enum_types


def reasons(area: str) -> dict[str, int]:
    """The area's ErrorReason: names without their prefix, and their numbers."""
    enum = importlib.import_module(f"gatehouse.{area}.v1.error_reason_pb2").DESCRIPTOR.enum_types_by_name["ErrorReason"]
    return {value.name.removeprefix("ERROR_REASON_"): value.number for value in enum.values}
