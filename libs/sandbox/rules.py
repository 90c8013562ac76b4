"""Standing orders: directives for all calls of a model or a key, for a number of calls or until taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from libs.sandbox.directives import read_directives

_FIELDS = frozenset({"model", "key_suffix", "times", "action", "listing", "token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`action` (the words of `directives.py`) for calls that fit; None fits everything.

    `times` is how many calls it acts on, at least 1; None means all. A directive in the message wins over the
    same word of a rule. `listing`: it is for requests of the list of models, which name no model, and for nothing else;
    `token`: for requests of access tokens, which show no key either.
    """

    action: Mapping[str, object] = field(default_factory=dict)
    model: str | None = None
    key_suffix: str | None = None
    times: int | None = None
    listing: bool = False
    token: bool = False

    def fits(self, model: str | None, key: str | None) -> bool:
        """Whether a call for `model` with `key` falls under this rule.

        No model is a request of the list of models, no key one of an access token.
        """
        if self.token or key is None:
            return self.token and key is None
        return (
            self.listing == (model is None)
            and (self.model is None or self.model == model)
            and (self.key_suffix is None or key.endswith(self.key_suffix))
        )


class RuleBook:
    """The rules in force. The first one that fits and has calls left acts, alone."""

    def __init__(self) -> None:
        self._rules: list[tuple[Rule, int | None]] = []

    def replace(self, rules: Iterable[Rule]) -> None:
        """Put `rules` in the place of all before. Raises Refusal for an action that cannot be."""
        fresh = [(rule, rule.times) for rule in rules]
        for rule, _ in fresh:
            read_directives(rule.action)
        self._rules = fresh

    def take(self, model: str | None, key: str | None) -> Mapping[str, object] | None:
        """The action for this call, counted as used; None when no rule fits. `model` as in `Rule.fits`."""
        if not self._rules:
            return None
        for index, (rule, left) in enumerate(self._rules):
            if left != 0 and rule.fits(model, key):
                self._rules[index] = (rule, None if left is None else left - 1)
                return rule.action
        return None

    def as_json(self) -> bytes:
        """The rules with the calls each has left (`null`: without end). Key suffixes are shown by length only."""
        return orjson.dumps(
            {
                "rules": [
                    {
                        "model": rule.model,
                        "listing": rule.listing,
                        "token": rule.token,
                        "key_suffix_length": len(rule.key_suffix) if rule.key_suffix is not None else None,
                        "action": dict(rule.action),
                        "times_left": left,
                    }
                    for rule, left in self._rules
                ]
            }
        )


def read_rules(body: bytes) -> list[Rule]:
    """The rules in `{"rules": [{"model", "listing", "token", "key_suffix", "times", "action"}]}`.

    Raises ValueError, which says what is wrong.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
        raise ValueError('the body must be {"rules": [...]}')  # noqa: TRY004 - the text is wrong, not a type of ours
    return [_read_rule(entry, f"rules[{index}]") for index, entry in enumerate(document["rules"])]


def _read_rule(entry: object, where: str) -> Rule:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be an object")  # noqa: TRY004 - as above
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise ValueError(f"{where} has no field {unknown[0]!r}; the fields are {', '.join(sorted(_FIELDS))}")
    action, times = entry.get("action"), entry.get("times")
    if not isinstance(action, dict):
        raise ValueError(f'{where}.action must be an object such as {{"status": 500}}')  # noqa: TRY004 - as above
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ValueError(f"{where}.times must be a whole number of at least 1")
    for name in ("model", "key_suffix"):
        if entry.get(name) is not None and not isinstance(entry[name], str):
            raise ValueError(f"{where}.{name} must be text")
    for name in ("listing", "token"):
        if not isinstance(entry.get(name, False), bool):
            raise ValueError(f"{where}.{name} must be true or false")  # noqa: TRY004 - as above
    return Rule(
        action=action,
        model=entry.get("model"),
        key_suffix=entry.get("key_suffix"),
        times=times,
        listing=entry.get("listing", False),
        token=entry.get("token", False),
    )
