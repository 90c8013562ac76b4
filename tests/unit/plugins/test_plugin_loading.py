"""Plugins are taken one by one: what is wrong with one is told, and is nobody else's trouble."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from libs.plugins.loading import InstalledPlugins, installed_plugins
from tests.unit.plugins.packages import described, install

# Modules stay imported: each package of this file has a name of its own.
_NUMBERS = itertools.count()
_BUILT_IN = ("openai",)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _package() -> str:
    return f"loading_plugin_{next(_NUMBERS)}"


def _types(found: InstalledPlugins) -> list[str]:
    return [each.plugin.type.id for each in found.loaded]


def test_without_plugins_nothing_is_found(site: Path) -> None:
    assert installed_plugins(_BUILT_IN) == InstalledPlugins()


def test_a_good_plugin_is_taken_and_its_dialect_not_made(site: Path) -> None:
    source = install(site, _package(), described(dialect="lambda: 1 / 0"), name="acme", version="2.1")
    (loaded,) = installed_plugins(_BUILT_IN).loaded
    assert loaded.source == source
    assert (loaded.plugin.type.id, loaded.plugin.type.capabilities.streaming) == ("acme_ai", True)


_ODD = "class Odd(ProviderType):\n    options_schema = property(lambda self: exit())\n\n"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("raise SystemExit('no')", "SystemExit: no"),
        ("raise RuntimeError('first\\nsecond')", "(RuntimeError: first)"),
        ("def f(:", "SyntaxError"),
        ("", "cannot be imported (AttributeError"),
        ("PLUGIN = {'type': 'acme'}", "is a dict and no ProviderPlugin"),
        ("PLUGIN = ProviderPlugin(type='acme', dialect=print)", "its type is a str and no ProviderType"),
        ("PLUGIN = ProviderPlugin(type='acme', dialect=None)", "its type is a str and no ProviderType"),
        (described(dialect="None"), "its dialect is nothing that can be called"),
        (described("Acme AI"), "has no id of 1 to 63 characters"),
        (described(id="7"), "has no id of 1 to 63 characters"),
        (described(display_name="''"), "has no display_name"),
        (described(display_name="None"), "the display_name of its type is no text"),
        (described(description="5"), "the description of its type is no text"),
        (described(default_base_url="'acme.example'"), "is no URL of http or https"),
        (described(requires_key="'yes'"), "does not say whether it requires_key"),
        (described(capabilities="{'streaming': True}"), "are a dict and no Capabilities"),
        (described(capabilities="Capabilities(tools=1)"), "are not all true or false"),
        (described(capabilities="Capabilities(fixed_sampling=True)"), "which only models have"),
        (described(options="[]"), "its description cannot be read (AttributeError"),
        (described(options="{'Region': {'type': 'string', 'description': 'x'}}"), "an option of its type has no name"),
        (described(options="{'region': 'string'}"), "the schema of its option 'region' is no JSON Schema"),
        (described(options="{'region': {'type': 'string'}}"), "its option 'region' has no description"),
        (described(options="{'region': {'type': 'text', 'description': 'x'}}"), "is no JSON Schema (SchemaError"),
        (
            described(options="{'region': {'description': 'x', '$ref': 'https://acme.example/s.json'}}"),
            "the schema of its option 'region' has a $ref",
        ),
        (
            described(options="{'region': {'description': 'x', '$dynamicRef': 'https://acme.example/s.json'}}"),
            "the schema of its option 'region' has a $ref",
        ),
        (described(options="{'region': {'description': 'x', 'default': {1, 2}}}"), "is no JSON (TypeError"),
        (described(options="{'region': {'description': '\\ud800'}}"), "is no JSON (TypeError"),
        (described(display_name="'\\ud800'"), "the display_name of its type cannot be written in UTF-8"),
        ("class E(Exception):\n    def __str__(self): raise self\nraise E", "cannot be imported (E)"),
        (
            described().replace("ProviderType(", "Odd(").replace("PLUGIN", f"{_ODD}PLUGIN", 1),
            "its description cannot be read (SystemExit",
        ),
        (described("openai"), "its type 'openai' is built into Gatehouse"),
    ],
)
def test_a_bad_plugin_is_told_of_and_the_good_one_serves(site: Path, code: str, problem: str) -> None:
    bad = install(site, _package(), code)
    install(site, _package(), described("good_ai"))
    found = installed_plugins(_BUILT_IN)
    assert _types(found) == ["good_ai"]
    (refused,) = found.refused
    assert refused.source == bad
    assert problem in refused.problem
    # And what to do.
    assert any(word in refused.problem for word in ("uninstall", "ProviderPlugin", "give it an id"))


def test_of_two_plugins_for_one_type_neither_is_taken(site: Path) -> None:
    first = install(site, _package(), described("twice"))
    second = install(site, _package(), described("twice"))
    install(site, _package(), described("once"))
    found = installed_plugins(_BUILT_IN)
    assert _types(found) == ["once"]
    assert [
        (each.source, other in each.problem) for each, other in zip(found.refused, (second, first), strict=True)
    ] == [
        (first, True),
        (second, True),
    ]


def test_a_secret_in_the_lines_of_an_error_goes_no_further_than_the_first(site: Path) -> None:
    install(site, _package(), "raise RuntimeError('x' * 5000 + '\\nsk-secret')")
    (refused,) = installed_plugins(_BUILT_IN).refused
    assert len(refused.problem) < 500
    assert "sk-secret" not in refused.problem


def test_a_package_whose_entry_points_cannot_be_read_is_told_of_and_the_rest_serves(site: Path) -> None:
    install(site, _package(), described("good_ai"))
    broken = _package()
    install(site, broken, described("other_ai"))
    (site / f"{broken}-1.0.dist-info" / "entry_points.txt").write_text("[console_scripts]\nnot an assignment\n")
    found = installed_plugins(_BUILT_IN)
    assert _types(found) == ["good_ai"]
    (refused,) = found.refused
    assert refused.source == f"{broken} 1.0"
    assert "its entry points cannot be read (TypeError" in refused.problem
