"""Dialects of plugins are looked at before they are taken, and guarded from then on."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from services.router.domain import features
from services.router.providers.guarded.dialect import GuardedDialect
from services.router.providers.plugins import with_plugins
from services.router.providers.registry import DIALECTS
from tests.unit.plugins.packages import described, install

_NUMBERS = itertools.count()
# All that a dialect has; a test takes something away or changes it.
_DIALECT = """
class Dialect:
    id = "acme_ai"
    requires_key = True
    embedder = None

    def features(self, options, provider_model_id):
        return 1

    def _never(self, *_, **__):
        raise AssertionError("nobody calls it yet")

    takes_urls = key_headers = token_request = option_headers = encode = models_path = _never
    decode_models = classify = _never
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _install(site: Path, change: str = "", *, dialect: str = "Dialect") -> str:
    return install(site, f"dialect_plugin_{next(_NUMBERS)}", f"{_DIALECT}\n{change}\n{described(dialect=dialect)}")


def test_without_plugins_there_are_the_built_in_dialects_unguarded() -> None:
    dialects, found = with_plugins(DIALECTS, print)
    assert (dict(dialects), found.loaded, found.refused) == (dict(DIALECTS), (), ())


def test_a_good_dialect_joins_the_built_in_ones_behind_a_guard(site: Path) -> None:
    source = _install(site)
    dialects, found = with_plugins(DIALECTS, print)
    assert set(dialects) == {*DIALECTS, "acme_ai"}
    assert isinstance(dialects["acme_ai"], GuardedDialect)
    assert all(dialects[name] is dialect for name, dialect in DIALECTS.items())
    assert dialects["acme_ai"].features({}, "m") == features.STREAMING
    assert [each.source for each in found.loaded] == [source]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("del Dialect.classify", "its dialect is a Dialect without classify"),
        ("Dialect.encode = 'no method'", "its dialect is a Dialect without encode"),
        ("del Dialect.embedder", "its dialect is a Dialect without embedder"),
        ("Dialect.id = 'other'", "the id or requires_key of its dialect are not those of its type"),
        ("Dialect.requires_key = False", "the id or requires_key of its dialect are not those of its type"),
        ("Dialect.features = lambda *_: 'all'", "the features of its dialect are a str and no int"),
        ("Dialect.features = lambda *_: 3", "that are no capabilities of its type: tools"),
        ("Dialect.features = lambda *_: 1 / 0", "cannot be made (ZeroDivisionError"),
        ("Dialect.__init__ = lambda _: exit('no')", "cannot be made (SystemExit: no)"),
        ("Dialect = lambda: None", "its dialect is a NoneType without"),
    ],
)
def test_a_dialect_that_is_none_is_told_of_and_the_rest_serves(site: Path, change: str, problem: str) -> None:
    source = _install(site, change)
    dialects, found = with_plugins(DIALECTS, print)
    assert dict(dialects) == dict(DIALECTS)
    (refused,) = found.refused
    assert refused.source == source
    assert problem in refused.problem
    assert "uninstall it" in refused.problem
