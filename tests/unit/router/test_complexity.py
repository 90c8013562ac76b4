"""The complexity score, point by point, as `route.proto` promises it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.generation import Generation, Image, JsonFormat, JsonSchemaFormat, Message, Role, Text, Tool
from services.router.domain.route import Tier
from services.router.domain.routing.complexity import Complexity, complexity_of, order
from services.router.domain.tokens import measure
from tests.unit.router.fakes import ask


def score(request: Generation) -> Complexity:
    return complexity_of(request, measure(request))


def tools(number: int) -> tuple[Tool, ...]:
    return tuple(Tool(name=f"t{each}", description="", parameters_json="") for each in range(number))


@pytest.mark.parametrize(
    ("tokens", "points"),
    [(1, 0), (999, 0), (1_000, 10), (3_999, 10), (4_000, 20), (16_000, 30), (63_999, 30), (64_000, 40), (900_000, 40)],
)
def test_each_fourfold_of_250_tokens_counts_ten(tokens: int, points: int) -> None:
    # A message by itself counts 4.
    assert score(ask("x" * 4 * (tokens - 4) if tokens > 4 else "x")).length == points


@pytest.mark.parametrize(("number", "points"), [(0, 0), (1, 6), (2, 7), (15, 20), (16, 20), (100, 20)])
def test_tools_count_five_and_one_each_up_to_twenty(number: int, points: int) -> None:
    assert score(ask(tools=tools(number))).tools == points


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("Look:\n```\nwhatever\n```", 15),
        ("def f(x):\n    return x;\n", 15),
        ("import os\nfrom sys import argv\n", 15),
        ("#include <stdio.h>\nint main() {\n  printf();\n}\n", 15),
        ("SELECT name FROM users\nSELECT id FROM users", 15),
        ("const a = 1\nlet b = 2", 15),
        ("I import tea from China, and return home; then class begins.", 0),
        ("def f(x): one line does not make it code", 0),
        ("Plain words.\nAnd more of them.", 0),
        ("x" * 70_000 + "```", 0),
    ],
)
def test_code_counts_fifteen(text: str, points: int) -> None:
    assert score(ask(text)).code == points


def test_images_and_a_schema_count_once() -> None:
    image = Image(url="https://x/y.png")
    message = Message(Role.USER, (Text("What is this?"), image, image))
    schema = JsonSchemaFormat(name="s", description="", schema_json="{}", strict=True)
    assert score(Generation(messages=(message,))).images == 15
    assert score(ask(response_format=schema)).json_schema == 10
    assert score(ask(response_format=JsonFormat())).json_schema == 0


def test_the_most_demanding_call_has_a_hundred_points() -> None:
    schema = JsonSchemaFormat(name="s", description="", schema_json="{}", strict=True)
    parts = (Text("```" + "x" * 300_000), Image(url="https://x/y.png"))
    request = Generation(messages=(Message(Role.USER, parts),), tools=tools(20), response_format=schema)
    assert score(request).score == 100


def test_a_score_goes_to_the_first_tier_that_takes_it_then_up_then_down() -> None:
    tiers = [Tier(id=name, most_score=most, targets=()) for name, most in (("a", 10), ("b", 50), ("c", 100))]
    assert [each.id for each in order(tiers, 10)] == ["a", "b", "c"]
    assert [each.id for each in order(tiers, 11)] == ["b", "c", "a"]
    assert [each.id for each in order(tiers, 100)] == ["c", "b", "a"]


@given(bounds=st.lists(st.integers(0, 99), min_size=1, max_size=7, unique=True), score=st.integers(0, 100))
def test_every_tier_is_tried_once_whatever_the_score(bounds: list[int], score: int) -> None:
    tiers = [Tier(id=str(most), most_score=most, targets=()) for most in (*sorted(bounds), 100)]
    ordered = order(tiers, score)
    assert sorted(ordered, key=lambda each: each.most_score) == tiers
    assert ordered[0].most_score >= score
