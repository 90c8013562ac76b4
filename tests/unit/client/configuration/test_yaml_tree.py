from __future__ import annotations

import pytest
from gatehouse.configuration import yaml_tree
from gatehouse.configuration.problems import Problems
from gatehouse.configuration.yaml_tree import Entries, Items, Node, Scalar, joined, parse_yaml
from hypothesis import given
from hypothesis import strategies as st


def tree(content: bytes) -> Node:
    problems = Problems()
    node = parse_yaml(content, problems)
    problems.check()
    assert node is not None
    return node


def told(content: bytes) -> list[str]:
    problems = Problems()
    parse_yaml(content, problems)
    return [str(problem) for problem in problems.found]


def test_values_stay_as_they_are_written() -> None:
    node = tree(b"a: no\nb: 'null'\nc:\nd: !!str 1\ne: 0o17\n")
    assert isinstance(node, Entries)
    scalars = [each for each in node.entries.values() if isinstance(each, Scalar)]
    assert [(each.text, each.plain, each.is_null, each.line) for each in scalars] == [
        ("no", True, False, 1),
        ("null", False, False, 2),
        ("", True, True, 3),
        ("1", False, False, 4),
        ("0o17", True, False, 5),
    ]


def test_aliases_and_merge_keys_work() -> None:
    node = tree(b"base: &b {x: 1, y: 2}\nlist: [*b, *b]\nmore:\n  <<: [*b, {z: 3}]\n  y: 5\n")
    assert isinstance(node, Entries)
    more, items = node.entries["more"], node.entries["list"]
    assert isinstance(more, Entries)
    assert {key: value.text for key, value in more.entries.items() if isinstance(value, Scalar)} == {
        "x": "1",
        "y": "5",
        "z": "3",
    }
    assert isinstance(items, Items)
    assert items.size == 7


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 30)]
    assert told(b"\n".join(lines)) == ["line 6: more than 200,000 values, aliases counted as often as they are used"]


def test_aliases_do_not_nest_deeper_than_lists_may() -> None:
    lines = [b"a0: &a0 [x]"] + [b"a%d: &a%d [*a%d]" % (n, n, n - 1) for n in range(1, 60)]
    assert "nested deeper than 40 levels, aliases counted in" in told(b"\n".join(lines))[0]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a: b: c", "line 1: not YAML: mapping values are not allowed in this context"),
        (
            b"a:\n\tb: 1",
            (
                "line 2: not YAML: found character that cannot start any token; "
                "lines are indented with spaces, never with tabs"
            ),
        ),
        (b"\xff\xfe\xfa", "the file is not UTF-8 text"),
        (b"a: \x07", "not YAML: it holds characters that a text file does not have"),
        (b"a: *b", "line 1: a: *b is not defined before"),
        (b"a: &a [*a]", "line 1: a[0]: *a is not defined before"),
        (b"a: !include b", "line 1: a: tags such as !include are not understood"),
        (b"a: !!python/object:os.system x", "line 1: a: tags such as !include are not understood"),
        (b"a: 1\n---\nb: 1", "line 2: a second document begins here; a file holds one"),
        (b"? [a]\n: 1", "line 1: a list or mapping cannot be a key"),
        (b"a: {<<: 1}", "line 1: a: << takes a mapping or a list of mappings"),
        (b"x:\n- a: 1\n  a: 2\n", "line 3: x[0].a: stands here twice, first on line 2"),
        (b"[" * 41 + b"]" * 41, "line 1: nested deeper than 40 levels"),
    ],
)
def test_what_is_wrong_is_told(content: bytes, text: str) -> None:
    assert told(content) == [text]


def test_deep_nesting_of_any_size_is_refused() -> None:
    assert len(told(b"[" * 1_000_000)) == 1
    assert len(told(b"{a: " * 200_000)) == 1


def test_a_file_of_any_size_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_tree, "MAX_BYTES", 1024 * 1024)
    assert told(b"#" * (1024 * 1024 + 1)) == ["the file is larger than 1 MiB"]


@given(st.binary(max_size=200) | st.text("abc:-[]{}&*!|>'\"\n #<", max_size=60).map(str.encode))
def test_no_bytes_do_harm(content: bytes) -> None:
    problems = Problems()
    node = parse_yaml(content, problems)
    assert node is not None or problems.found


def test_keys_that_could_be_secrets_are_not_told() -> None:
    assert joined("a", "b") == "a.b"
    assert joined("a", "b c") == "a.'b c'"
    assert joined("", "sk-abcdefghijklmnop1234") == "…"
