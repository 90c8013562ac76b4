from __future__ import annotations

import copy

import pytest
from gatehouse.configuration.difference import Action, Change, Plan, difference, field_changes
from gatehouse.configuration.document import Configuration, read_document
from gatehouse.configuration.problems import FileError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.client.configuration.configurations import TENANT, tenants, users


def document(text: str) -> Configuration:
    return read_document(text.encode(), TENANT)


def told(plan: Plan) -> list[str]:
    return [f"{change.action.value} {change.path}" for change in plan.changes]


def after(current: Configuration, plan: Plan) -> Configuration:
    """What `current` becomes when every change of `plan` is made in its order."""
    result = copy.deepcopy(current)
    for change in plan.changes:
        _make(result, change)
    return result


def _make(result: Configuration, change: Change) -> None:
    gone = change.action is Action.DELETE
    match change.place:
        case ("providers", provider):
            assert result.providers is not None
            if gone:
                del result.providers[provider]
                result.models.pop(provider, None)
            else:
                result.providers[provider] = change.message  # type: ignore[assignment]  # a provider's place
                result.models.setdefault(provider, {})
        case ("providers", provider, "models", model):
            assert provider in (result.providers or {}), "a model before its provider"
            if gone:
                del result.models[provider][model]
            else:
                result.models[provider][model] = change.message  # type: ignore[assignment]  # a model's place
        case ("policy" | "preferences" as section,):
            setattr(result, section, change.message)
        case (section, name):
            content = getattr(result, section)
            if gone:
                del content[name]
            else:
                content[name] = change.message


@settings(max_examples=25, deadline=None)
@given(tenants(), tenants())
def test_making_the_changes_leaves_no_difference(current: Configuration, wanted: Configuration) -> None:
    _same_types(current, wanted)
    plan = difference(current, wanted, prune=True)
    reached = after(current, plan)
    assert difference(reached, wanted, prune=True).changes == ()
    assert {place for place, _, _ in reached.parts()} == {place for place, _, _ in wanted.parts()}


@settings(max_examples=20, deadline=None)
@given(users(), users())
def test_the_same_holds_for_users(current: Configuration, wanted: Configuration) -> None:
    _same_types(current, wanted)
    assert difference(after(current, difference(current, wanted, prune=True)), wanted, prune=True).changes == ()


@settings(max_examples=20, deadline=None)
@given(tenants(), tenants())
def test_without_prune_nothing_is_deleted_and_all_of_it_is_told(current: Configuration, wanted: Configuration) -> None:
    _same_types(current, wanted)
    plan = difference(current, wanted)
    assert plan.count(Action.DELETE) == 0
    # Compared before they are joined: an id may hold dots, so that two places can read alike.
    gone = {tuple(place) for place, _, _ in current.parts()} - {tuple(place) for place, _, _ in wanted.parts()}
    assert {".".join(place) for place in gone} == set(plan.unnamed)


@settings(max_examples=20, deadline=None)
@given(tenants(), tenants(), st.data())
def test_after_a_failure_anywhere_a_new_plan_reaches_the_goal(
    current: Configuration, wanted: Configuration, data: st.DataObject
) -> None:
    _same_types(current, wanted)
    plan = difference(current, wanted, prune=True)
    made = data.draw(st.integers(0, len(plan.changes)))
    stopped = after(current, Plan(changes=plan.changes[:made], unnamed=()))
    again = difference(stopped, wanted, prune=True)
    assert difference(after(stopped, again), wanted, prune=True).changes == ()


def _same_types(current: Configuration, wanted: Configuration) -> None:
    for name, provider in (wanted.providers or {}).items():
        if name in (current.providers or {}):
            provider.type = (current.providers or {})[name].type


def test_the_fields_that_differ_are_told_one_by_one() -> None:
    current = document("routes: {x: {strategy: priority, active: false, targets: [{provider: a}, {provider: b}]}}")
    wanted = document(
        "routes: {x: {strategy: weighted, active: false, display_name: X, targets: [{provider: a, weight: 3}], "
        "experiment: {id: e, arms: [{id: c, share_percent: 50, target: {provider: a}}]}}}"
    )
    plan = difference(current, wanted)
    (change,) = plan.changes
    assert (change.action, change.path, change.name, change.parent) == (
        *(Action.UPDATE, "routes.x", "tenants/acme/routes/x", TENANT),
    )
    assert change.mask == ("display_name", "experiment", "strategy", "targets")
    assert [(field.path, field.before, field.after) for field in change.fields] == [
        ("display_name", None, "X"),
        ("strategy", "priority", "weighted"),
        ("targets[0].weight", None, 3),
        ("targets[1]", {"provider": "b"}, None),
        ("experiment.id", None, "e"),
        ("experiment.arms[0].id", None, "c"),
        ("experiment.arms[0].share_percent", None, 50),
        ("experiment.arms[0].target.provider", None, "a"),
    ]


def test_what_the_server_works_out_stays_when_the_document_is_silent() -> None:
    current = document(
        "providers: {a: {type: openai, base_url: https://x/v1, key: k, priority: 3, models: [{id: m, "
        "context_tokens: 8000, capabilities: [tools], price: {input: 1, output: 2}, display_name: M}]}}"
    )
    plan = difference(current, document("providers: {a: {type: openai, models: [{id: m}]}}"))
    assert [(change.path, change.mask) for change in plan.changes] == [
        ("providers.a", ("priority",)),
        ("providers.a.models.m", ("display_name", "price")),
    ]


def test_sections_that_a_document_lacks_stay_even_with_prune() -> None:
    current = document(
        "providers: {a: {type: openai, models: [{id: m}]}, b: {type: openai, models: [{id: m}]}}\n"
        "routes: {x: {strategy: priority, active: false}}\npolicy: {platform_fallback: last}"
    )
    assert told(difference(current, document("providers: {a: {type: openai}}"), prune=True)) == ["delete providers.b"]
    assert told(difference(current, document("providers: {a: {type: openai, models: []}}"), prune=True)) == [
        "delete providers.a.models.m",
        "delete providers.b",
    ]
    assert told(difference(current, document("routes: {}"), prune=True)) == ["delete routes.x"]
    assert difference(current, document("policy:\n  platform_fallback: last\n"), prune=True).changes == ()


def test_changes_come_in_an_order_that_works() -> None:
    current = document(
        "providers: {z: {type: openai, is_default: true}, old: {type: openai}}\n"
        "routes: {old: {strategy: priority, active: false, fallback_route: older}, "
        "older: {strategy: priority, active: false}}"
    )
    wanted = document(
        "providers: {a: {type: openai, is_default: true, models: [{id: m}]}, z: {type: openai}}\n"
        "routes: {a: {strategy: priority, targets: [{provider: a, model: m}], fallback_route: b}, "
        "b: {strategy: priority, targets: [{provider: a}], fallback_route: c}, "
        "c: {strategy: priority, targets: [{provider: z}]}}\npolicy: {platform_fallback: last}"
    )
    current.policy = document("policy: {platform_fallback: never}").policy
    assert told(difference(current, wanted, prune=True)) == [
        "update providers.z",
        "create providers.a",
        "create providers.a.models.m",
        # It says whether routes may name the platform's providers.
        "update policy",
        "create routes.c",
        "create routes.b",
        "create routes.a",
        "delete routes.old",
        "delete routes.older",
        "delete providers.old",
    ]


def test_what_cannot_be_done_is_told_before_anything_is() -> None:
    current = document("providers: {a: {type: openai, models: [{id: m}]}}\nroutes: {}")
    with pytest.raises(FileError) as raised:
        difference(
            current,
            document(
                """providers:
  a: {type: openai_compatible}
routes:
  x: {strategy: priority, targets: [{provider: gone}, {provider: a, model: m2}], fallbacks: [{provider: a, model: m}]}
  y: {strategy: priority, targets: [{provider: platform/gone}], fallback_route: nowhere}
  s: {strategy: priority, targets: [{provider: a}], fallback_route: t}
  t: {strategy: priority, targets: [{provider: a}], fallback_route: s}
  off: {strategy: priority, active: false, targets: [{provider: gone}], fallback_route: nowhere}
"""
            ),
        )
    assert [str(problem) for problem in raised.value.problems] == [
        (
            "line 2: providers.a.type: providers.a is of type openai, which cannot be changed: choose another id, "
            "or delete that one"
        ),
        "line 4: routes.x.targets[0].provider: there is no provider gone: neither in the file nor in Gatehouse",
        "line 4: routes.x.targets[1].model: provider a has no model m2: neither in the file nor in Gatehouse",
        "line 5: routes.y.fallback_route: there is no route nowhere",
        "line 6: routes.s.fallback_route: leads back to itself: s -> t -> s",
        "line 7: routes.t.fallback_route: leads back to itself: t -> s -> t",
    ]


def test_what_is_pruned_cannot_be_named() -> None:
    current = document("providers: {a: {type: openai, models: [{id: m}, {id: n}]}, b: {type: openai}}\nroutes: {}")
    wanted = document(
        "providers: {a: {type: openai, models: [{id: m}]}}\n"
        "routes: {x: {strategy: priority, targets: [{provider: b}, {provider: a, model: n}]}}"
    )
    assert told(difference(current, wanted)) == ["create routes.x"]
    with pytest.raises(FileError, match="there is no provider b"):
        difference(current, wanted, prune=True)


def test_ids_with_dots_are_not_taken_for_paths() -> None:
    current = document("providers: {a: {type: openai, models: [{id: b}]}, a.models.b: {type: openai, models: []}}")
    wanted = document("providers: {a: {type: openai, models: []}, a.models.b: {type: openai, models: []}}")
    (change,) = difference(current, wanted, prune=True).changes
    assert change.place == ("providers", "a", "models", "b")


@pytest.mark.parametrize(
    ("before", "later", "changes"),
    [
        (["a"], ["a", "b"], [("x", ["a"], ["a", "b"])]),
        ({"a": 1}, None, [("x", {"a": 1}, None)]),
        (None, {"a": {"b": 1}}, [("x.a.b", None, 1)]),
        ([{"a": 1}], [{"a": 2}, {"a": [3]}], [("x[0].a", 1, 2), ("x[1]", None, {"a": [3]})]),
        (None, [{"a": {"b": 1}}], [("x[0].a.b", None, 1)]),
        (1, 1, []),
    ],
)
def test_values_are_compared_as_deep_as_they_can_be(before: object, later: object, changes: list[object]) -> None:
    assert [(each.path, each.before, each.after) for each in field_changes("x", before, later)] == changes
