"""One class for each kind of error, and each carries what it was given."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2

from libs.core import errors
from libs.core.errors import ERROR_CLASSES, ErrorKind, FieldViolation, GatehouseError, Internal, Unavailable


def test_every_kind_has_exactly_one_class() -> None:
    assert set(ERROR_CLASSES) == set(ErrorKind)
    assert {cls.kind for cls in GatehouseError.__subclasses__() if cls.__module__ == errors.__name__} == set(ErrorKind)
    assert all(cls.kind is kind for kind, cls in ERROR_CLASSES.items())


def test_kinds_are_canonical_codes() -> None:
    assert {kind.name for kind in ErrorKind} <= set(code_pb2.Code.keys())
    assert all(kind.name == kind.value for kind in ErrorKind)


@pytest.mark.parametrize("cls", ERROR_CLASSES.values())
def test_an_error_carries_what_it_was_given(cls: type[GatehouseError]) -> None:
    violations = (FieldViolation(field="f", description="d"),)
    error = cls(
        "REASON", "text", metadata={"a": "b"}, domain="x.gatehouse", retry_delay_s=2.0, field_violations=violations
    )
    assert (error.reason, error.message, str(error)) == ("REASON", "text", "text")
    assert (error.metadata, error.domain, error.retry_delay_s) == ({"a": "b"}, "x.gatehouse", 2.0)
    assert error.field_violations == violations
    assert repr(error) == f"{cls.__name__}('REASON', 'text')"


def test_metadata_nobody_gave_cannot_be_filled_for_everybody() -> None:
    with pytest.raises(TypeError):
        Unavailable("R", "m").metadata["a"] = "b"  # type: ignore[index]
    assert Internal("R", "m").metadata == {}
