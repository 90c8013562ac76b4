"""What the first call prints: streamed text, tables, failures, next steps."""

import io
from pathlib import Path

import pytest
from gatehouse import FailedPrecondition, InvalidArgument
from gatehouse.errors import FieldViolation
from gatehouse.router.v1.generation_pb2 import Attempt, Latency, Outcome, Target, TokenUsage
from gatehouse.usage.v1.quota_pb2 import QUOTA_METRIC_COST, QUOTA_METRIC_TOKENS, Quota, QuotaState
from gatehouse.usage.v1.usage_record_pb2 import (
    ATTEMPT_OUTCOME_SUCCEEDED,
    TOKEN_SOURCE_ESTIMATED,
    TOKEN_SOURCE_REPORTED,
    USAGE_EVENT_KIND_SETTLED,
    TokenCounts,
    UsageRecord,
)
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from rich.console import Console, RenderableType

from deploy.local.call_report import call_table, failure_text, ledger_table
from deploy.local.layout import StateLayout
from deploy.local.next_steps import next_steps
from deploy.local.settings import LauncherSettings
from deploy.local.streamed_text import StreamedText


def shown(renderable: RenderableType) -> str:
    output = io.StringIO()
    Console(file=output, width=160).print(renderable)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())


def streamed(*pieces: str, width: int = 40) -> str:
    output = io.StringIO()
    text = StreamedText(Console(file=output, width=width))
    for piece in pieces:
        text.write(piece)
    text.end()
    return output.getvalue()


def target(provider: str = "platform/providers/sandbox") -> Target:
    return Target(
        provider=provider,
        provider_type="openai_compatible",
        model="sandbox-small",
        key="platform/keys/sandbox",
        rule="platform",
        reason="a platform provider",
    )


def outcome(*attempts: Attempt) -> Outcome:
    return Outcome(
        operation_id="0198",
        usage=TokenUsage(input_tokens=20, cache_read_tokens=3, output_tokens=68, reasoning_tokens=12),
        cost=Money(currency_code="USD", nanos=44_250),
        served_by=target(),
        attempts=attempts or [Attempt(number=1, target=target())],
        latency=Latency(
            total=Duration(seconds=1, nanos=180_000_000),
            gateway=Duration(nanos=9_400_000),
            provider=Duration(seconds=1, nanos=170_600_000),
            first_content=Duration(nanos=25_000_000),
        ),
    )


def test_streamed_text_is_wrapped_between_words_and_indented_wherever_it_was_split() -> None:
    text = "The sky is blue because air scatters short waves of light more than long ones."
    expected = streamed(text)
    assert expected == ("  The sky is blue because air scatters\n  short waves of light more than long\n  ones.\n")
    assert streamed(*text) == expected
    assert streamed(*(text[start : start + 7] for start in range(0, len(text), 7))) == expected


def test_streamed_text_keeps_lines_and_paragraphs() -> None:
    assert streamed("One.\n\nTwo", " words") == "  One.\n\n  Two words\n"


def test_streamed_text_shows_a_word_that_is_longer_than_the_line() -> None:
    assert streamed("a " + "b" * 60 + " c") == f"  a\n  {'b' * 60}\n  c\n"


def test_streamed_text_does_not_steer_the_terminal() -> None:
    assert streamed("red \x1b[31m", "alert\x07") == "  red [31malert\n"


def test_no_text_leaves_no_line() -> None:
    assert streamed() == ""


def test_the_call_is_told_with_who_served_it_and_what_it_took() -> None:
    assert shown(call_table(outcome(), pretend_price=True)).splitlines() == [
        "  served by     platform/providers/sandbox · sandbox-small (openai_compatible)",
        "  because       a platform provider (rule platform)",
        "  with key      platform/keys/sandbox, opened by the vault for this call",
        "  attempts      1",
        "  tokens        23 in (3 cached), 68 out, 12 reasoning",
        "  cost          $0.00004425 (a pretend price)",
        "  time          1.18 s = 9.4 ms in the gateway + 1.17 s at the provider; first content after 25 ms",
    ]


def test_every_attempt_of_a_call_that_failed_over_is_told() -> None:
    failed = Attempt(
        number=1,
        target=target("tenants/acme/providers/main"),
        error_reason="PROVIDER_OVERLOADED",
        duration=Duration(nanos=12_000_000),
    )
    served = Attempt(number=2, target=target(), duration=Duration(nanos=30_000_000))
    assert (
        "2: tenants/acme/providers/main PROVIDER_OVERLOADED after 12 ms, then platform/providers/sandbox served "
        "after 30 ms"
    ) in shown(call_table(outcome(failed, served), pretend_price=False))


def test_what_is_not_known_of_a_call_is_not_made_up() -> None:
    unknown = outcome()
    unknown.ClearField("usage")
    unknown.ClearField("cost")
    unknown.served_by.key = ""
    text = shown(call_table(unknown, pretend_price=False))
    assert "tokens        not reported by the provider" in text
    assert "cost          unknown" in text
    assert "with key      none: it needs no key" in text


@pytest.mark.parametrize(
    ("source", "word"), [(TOKEN_SOURCE_REPORTED, "as reported"), (TOKEN_SOURCE_ESTIMATED, "estimated")]
)
def test_a_ledger_record_is_told_with_its_place_and_the_quotas_with_what_is_left(source: int, word: str) -> None:
    record = UsageRecord(
        sequence=7,
        kind=USAGE_EVENT_KIND_SETTLED,
        operation_id="0198",
        attempt=1,
        outcome=ATTEMPT_OUTCOME_SUCCEEDED,
        tokens=TokenCounts(input_tokens=23, output_tokens=68),
        token_source=source,  # type: ignore[arg-type]  # one of the enum's values
        cost_nano_usd=44_250,
    )
    reset = Timestamp(seconds=1_800_000_000)
    text = shown(
        ledger_table(
            [record],
            [
                (
                    Quota(name="tenants/acme/quotas/daily-tokens", metric=QUOTA_METRIC_TOKENS),
                    QuotaState(limit=1_000_000, used=91, reset_time=reset),
                ),
                (
                    Quota(name="tenants/acme/quotas/monthly-cost", metric=QUOTA_METRIC_COST),
                    QuotaState(limit=20_000_000_000, used=44_250, held=1_000, reset_time=reset),
                ),
            ],
        )
    )
    assert f"record 7      settled, succeeded · 23 in (0 cached), 68 out, 0 reasoning ({word}) · $0.00004425" in text
    assert "daily-tokens  91 of 1,000,000 tokens used; resets 20" in text
    assert "monthly-cost  $0.00004425 of $20.00 used, $0.000001 held; resets 20" in text


def test_a_failure_is_told_with_each_violation_what_to_do_and_where_to_look() -> None:
    error = InvalidArgument(
        "two fields are wrong",
        reason="INVALID_FIELD",
        field_violations=(FieldViolation(field="api_key", description="is \x1b[2Jmasked"),),
        request_id="4711",
    )
    assert shown(failure_text(error, advice="Do this.")) == (
        "two fields are wrong (INVALID_FIELD)\n  • api_key: is [2Jmasked\nDo this.\nrequest id 4711"
    )


def test_without_advice_of_the_launcher_the_errors_own_is_shown() -> None:
    error = FailedPrecondition("refused", reason="PROVIDER_KEY_REJECTED")
    assert error.advice in shown(failure_text(error, advice=""))


def test_next_steps_name_the_profile_only_when_it_is_not_where_clients_look(tmp_path: Path) -> None:
    settings = LauncherSettings.model_construct(router_port=7100)
    usual = next_steps(settings, StateLayout.at(tmp_path / ".gatehouse"), folder=tmp_path)
    assert [step.command for step in usual if "GATEHOUSE_PROFILE" in step.command] == []
    elsewhere = next_steps(settings, StateLayout.at(tmp_path / "my state"), folder=tmp_path)
    assert all("GATEHOUSE_PROFILE='my state/client.json' " in step.command for step in elsewhere)
    assert "-cacert 'my state/tls/ca.pem'" in elsewhere[2].command
