"""Makes a method look like the function it is made from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

_F = TypeVar("_F", bound=Callable[..., object])


def named_after(build: Callable[..., object], method: _F, *, returns: str) -> _F:
    """Give `method` the name, description and arguments of `build`, behind a `self`, for `help()` and editors."""
    method.__name__ = build.__name__.rstrip("_")
    method.__doc__ = build.__doc__
    method.__module__ = build.__module__
    signature = inspect.signature(build)
    myself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    # The function returns a description of the call; the method what the call gives.
    result = str(signature.return_annotation)
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[myself, *signature.parameters.values()],
        return_annotation=returns.format(result[result.index("[") + 1 : -1]),
    )
    return method
