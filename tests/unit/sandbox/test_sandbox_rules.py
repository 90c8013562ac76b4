import pytest

from libs.sandbox.dialect import Refusal
from libs.sandbox.rules import Rule, RuleBook, read_rules

KEY = "sk-sandbox-canary-7f3a"


def test_a_rule_acts_as_often_as_it_says() -> None:
    book = RuleBook()
    book.replace([Rule(model="a", times=2, action={"status": 500}), Rule(model="a", action={"silent": True})])
    taken = [book.take("a", KEY) for _ in range(4)]
    assert taken == [{"status": 500}, {"status": 500}, {"silent": True}, {"silent": True}]


def test_a_rule_fits_by_model_and_by_the_end_of_the_key() -> None:
    book = RuleBook()
    book.replace([Rule(model="a", key_suffix="7f3a", action={"reset": True})])
    assert book.take("a", KEY) == {"reset": True}
    assert book.take("b", KEY) is None
    assert book.take("a", "sk-sandbox-other") is None


def test_a_rule_is_for_calls_or_for_the_list_of_models() -> None:
    book = RuleBook()
    book.replace(read_rules(b'{"rules":[{"listing":true,"action":{"status":403}},{"action":{"status":500}}]}'))
    assert book.take(None, KEY) == {"status": 403}
    assert book.take("a", KEY) == {"status": 500}
    assert b'"listing":true' in book.as_json()


def test_a_rule_for_access_tokens_is_for_nothing_else() -> None:
    book = RuleBook()
    book.replace(read_rules(b'{"rules":[{"token":true,"action":{"status":403}},{"action":{"status":500}}]}'))
    assert book.take(None, None) == {"status": 403}
    assert book.take("a", KEY) == {"status": 500}
    assert book.take(None, KEY) is None
    assert b'"token":true' in book.as_json()


def test_wrong_rules_leave_the_old_ones_in_force() -> None:
    book = RuleBook()
    book.replace([Rule(action={"status": 500})])
    with pytest.raises(Refusal):
        book.replace([Rule(action={"status": 7})])
    assert book.take("a", KEY) == {"status": 500}


def test_the_listing_shows_no_part_of_a_key() -> None:
    book = RuleBook()
    book.replace([Rule(key_suffix=KEY, action={"status": 500})])
    assert KEY.encode() not in book.as_json()


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be"),
        (b'{"rules":[1]}', r"rules\[0\] must be an object"),
        (b'{"rules":[{"action":{},"modle":"a"}]}', "no field 'modle'"),
        (b'{"rules":[{"action":"status=500"}]}', "action must be an object"),
        (b'{"rules":[{"action":{},"times":0}]}', "at least 1"),
        (b'{"rules":[{"action":{},"model":3}]}', "model must be text"),
        (b'{"rules":[{"action":{},"listing":1}]}', "listing must be true or false"),
    ],
)
def test_a_wrong_rule_is_named(body: bytes, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        read_rules(body)
