from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.unit.client.configured import Configured
from tests.unit.client.fake_gatehouse import FakeGatehouse, failure

Run = Callable[..., Any]

DOCUMENT = """\
version: 1
owner: tenant
providers:
  groq:
    type: openai_compatible
    base_url: https://api.groq.com/openai/v1
    models: [{id: llama, display_name: Llama}]
  openai:
    type: openai
    key: prod
    is_default: true
    default_for_tasks: [extraction]
    limits: {requests_per_minute: 500}
    models:
    - {id: gpt-4o-mini, price: {input: 0.15, output: 0.6}}
routes:
  default:
    strategy: weighted
    targets: [{provider: openai, model: gpt-4o-mini, weight: 3}, {provider: groq, model: llama, weight: 1}]
  extraction:
    strategy: priority
    targets: [{provider: openai, model: gpt-4o-mini}]
    fallback_route: default
policy: {platform_fallback: last}
"""
DOLLARS = "must be dollars per million tokens, 0 to 1,000,000, with at most 6 decimals"


@pytest.fixture
def server(fake: FakeGatehouse) -> Configured:
    return Configured(fake)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gatehouse.yaml"
    file.write_text(DOCUMENT)
    return file


@pytest.fixture
def applied(server: Configured, run: Run, file: Path) -> Configured:
    assert run("config", "import", str(file), "--yes").exit_code == 0
    return server


def changes_sent(fake: FakeGatehouse) -> list[str]:
    reading = ("Get", "List")
    return [
        call.method
        for call in fake.received
        if not call.method.startswith(reading) and not getattr(call.request, "validate_only", False)
    ]


def test_an_import_creates_what_is_missing_in_an_order_that_works(
    fake: FakeGatehouse, server: Configured, run: Run, file: Path
) -> None:
    result = run("config", "import", str(file), "--yes")
    assert result.exit_code == 0
    assert changes_sent(fake) == [
        *("CreateProvider", "CreateProvider", "CreateModel", "CreateModel"),
        # Before the routes: what they may name depends on it.
        *("UpdateRoutingPolicy", "CreateRoute", "CreateRoute"),
    ]
    created = server.held["tenants/acme/providers/openai"]
    assert (created.key, created.limits.requests_per_minute) == ("tenants/acme/keys/prod", 500)
    assert server.held["tenants/acme/providers/openai/models/gpt-4o-mini"].price.input_micro_usd_per_million == 150_000
    assert server.held["tenants/acme/routes/extraction"].fallback_route == "tenants/acme/routes/default"
    assert server.held["tenants/acme/policy"].platform_fallback == 2
    assert fake.last("CreateRoute").request.request_id
    assert result.stderr.splitlines() == [
        "6 to create, 1 to update, 0 to delete",
        "[1/7] created providers.groq",
        "[2/7] created providers.openai",
        "[3/7] created providers.groq.models.llama",
        "[4/7] created providers.openai.models.gpt-4o-mini",
        "[5/7] updated policy",
        "[6/7] created routes.default",
        "[7/7] created routes.extraction",
        f"done, live at revision {server.revision}",
    ]


def test_the_difference_is_shown_value_by_value(applied: Configured, run: Run, file: Path) -> None:
    file.write_text(
        DOCUMENT.replace("strategy: priority", "strategy: lowest_cost")
        .replace("weight: 3", "weight: 4")
        .replace("    limits: {requests_per_minute: 500}\n", "")
        .replace("output: 0.6", "output: 0.7")
        .replace("platform_fallback: last", "platform_fallback: never")
    )
    result = run("config", "import", str(file), "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "~ providers.openai",
        "    limits: {requests_per_minute: 500} -> nothing",
        "~ providers.openai.models.gpt-4o-mini",
        "    price.output: 0.6 -> 0.7",
        "~ policy",
        "    platform_fallback: last -> never",
        "~ routes.default",
        "    targets[0].weight: 3 -> 4",
        "~ routes.extraction",
        "    strategy: priority -> lowest_cost",
    ]
    assert result.stderr == "0 to create, 5 to update, 0 to delete\n"


def test_what_is_exported_can_be_imported_and_makes_no_difference(
    fake: FakeGatehouse, applied: Configured, run: Run, tmp_path: Path
) -> None:
    exported = tmp_path / "exported.yaml"
    result = run("config", "export", "-o", str(exported))
    assert (result.exit_code, result.stdout) == (0, "")
    text = exported.read_text()
    assert text.startswith("# The configuration of tenants/acme in Gatehouse, as `gatehouse config export` wrote it.\n")
    assert "etag" not in text
    assert "uid" not in text
    assert run("config", "export").stdout == text
    fake.received.clear()
    again = run("config", "import", str(exported), "--prune", "--yes")
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "nothing differs\n")
    assert changes_sent(fake) == []
    assert run("config", "export", "-o", str(exported)).exit_code == 2
    assert run("config", "export", "-o", str(exported), "--force").exit_code == 0
    document = json.loads(run("config", "export", "--json").stdout)
    assert document["providers"]["openai"]["models"][0]["price"] == {"input": 0.15, "output": 0.6}


def test_a_dry_run_changes_nothing_and_can_tell_by_its_exit_code(
    fake: FakeGatehouse, server: Configured, run: Run, file: Path
) -> None:
    assert run("config", "import", str(file), "--dry-run").exit_code == 0
    assert run("config", "import", str(file), "--dry-run", "--exit-code").exit_code == 3
    assert changes_sent(fake) == []
    run("config", "import", str(file), "--yes")
    assert run("config", "import", str(file), "--dry-run", "--exit-code").exit_code == 0


def test_what_the_file_leaves_out_stays_unless_pruned(applied: Configured, run: Run, file: Path) -> None:
    file.write_text("routes:\n  default: {strategy: priority, targets: [{provider: openai}]}\n")
    kept = run("config", "import", str(file), "--yes")
    assert "1 not in the file stay (--prune deletes them): routes.extraction" in kept.stderr
    assert "tenants/acme/routes/extraction" in applied.held
    pruned = run("config", "import", str(file), "--prune", "--yes")
    assert pruned.stdout == "- routes.extraction\n"
    assert "tenants/acme/routes/extraction" not in applied.held
    assert "tenants/acme/providers/groq" in applied.held
    file.write_text("providers: {openai: {type: openai, is_default: true}}\n")
    assert run("config", "import", str(file), "--prune", "--yes").stdout.endswith(
        "- providers.groq (with its models)\n"
    )
    assert not [name for name in applied.held if "groq" in name]


def test_what_is_still_named_is_deleted_only_by_force(applied: Configured, run: Run, file: Path) -> None:
    file.write_text("providers: {openai: {type: openai, is_default: true, default_for_tasks: [extraction]}}\n")
    refused = run("config", "import", str(file), "--prune", "--yes")
    assert refused.exit_code == 1
    assert "PROVIDER_IN_USE" in refused.stderr
    assert run("config", "import", str(file), "--prune", "--force", "--yes").exit_code == 0


def test_after_a_failure_the_same_command_goes_on(
    fake: FakeGatehouse, server: Configured, run: Run, file: Path
) -> None:
    create = fake.answers["CreateRoute"]
    fake.fails("CreateRoute", failure(grpc.StatusCode.UNAVAILABLE, "the database is down", "DATABASE_UNAVAILABLE"))
    stopped = run("config", "import", str(file), "--yes")
    assert stopped.exit_code == 1
    assert "stopped at routes.default: 5 of 7 changes were made" in stopped.stderr
    assert "run the same command again to go on from there" in stopped.stderr
    assert "the database is down" in stopped.stderr
    fake.answers["CreateRoute"] = create
    fake.received.clear()
    assert run("config", "import", str(file), "--yes").exit_code == 0
    assert changes_sent(fake) == ["CreateRoute", "CreateRoute"]


def test_a_change_of_somebody_else_is_not_overwritten(
    fake: FakeGatehouse, applied: Configured, run: Run, file: Path
) -> None:
    file.write_text(DOCUMENT.replace("requests_per_minute: 500", "requests_per_minute: 600"))
    listed = fake.answers["ListProviders"]

    def overtaken(request: Any) -> Any:
        response = listed(request)
        answer = type(response)()
        answer.CopyFrom(response)
        applied.held["tenants/acme/providers/openai"].etag = "of somebody else"
        return answer

    fake.answers["ListProviders"] = overtaken
    result = run("config", "import", str(file), "--yes")
    assert result.exit_code == 1
    assert "ETAG_MISMATCH" in result.stderr
    assert applied.held["tenants/acme/providers/openai"].limits.requests_per_minute == 500


def test_the_default_moves_although_that_changes_both(applied: Configured, run: Run, file: Path) -> None:
    # Each gives the other what it had: whichever goes first, the other has a new etag by it.
    file.write_text(
        "providers:\n"
        "  groq: {type: openai_compatible, is_default: true, priority: 1}\n"
        "  openai: {type: openai, default_for_tasks: [extraction], priority: 2}\n"
    )
    result = run("config", "import", str(file), "--yes")
    assert result.exit_code == 0, result.stderr
    file.write_text(
        "providers:\n"
        "  groq: {type: openai_compatible, default_for_tasks: [extraction], priority: 3}\n"
        "  openai: {type: openai, is_default: true, priority: 4}\n"
    )
    swapped = run("config", "import", str(file), "--yes")
    assert swapped.exit_code == 0, swapped.stderr
    groq, openai = (applied.held[f"tenants/acme/providers/{name}"] for name in ("groq", "openai"))
    assert (groq.is_default, list(groq.default_for_tasks), groq.priority) == (False, ["extraction"], 3)
    assert (openai.is_default, list(openai.default_for_tasks), openai.priority) == (True, [], 4)


def test_a_bad_file_is_told_line_by_line_and_nothing_is_asked(
    fake: FakeGatehouse, server: Configured, run: Run, file: Path
) -> None:
    file.write_text(
        "providers:\n  openai:\n    type: openai\n    models: [{id: a}, {id: b}, {id: c, price: {input: x}}]\n"
    )
    result = run("config", "import", str(file), "--dry-run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"error: {file} has 2 mistakes; nothing was changed",
        f"{file}:4: providers.openai.models[2].price.input: {DOLLARS}",
        f"{file}:4: providers.openai.models[2].price.output: is missing",
    ]
    assert fake.received == []


def test_nobody_is_asked_where_nobody_is(fake: FakeGatehouse, server: Configured, run: Run, file: Path) -> None:
    result = run("config", "import", str(file))
    assert result.exit_code == 2
    assert fake.received == []
    assert run("config", "import", "-", input=DOCUMENT).exit_code == 2
    assert run("config", "import", "-", "--yes", input=DOCUMENT).exit_code == 0
    assert run("config", "import", str(file) + "x", "--dry-run").exit_code == 2


@pytest.mark.usefixtures("terminal")
def test_a_person_is_asked(fake: FakeGatehouse, server: Configured, run: Run, file: Path) -> None:
    assert run("config", "import", str(file), input="n\n").exit_code == 1
    assert changes_sent(fake) == []
    assert run("config", "import", str(file), input="y\n").exit_code == 0
    assert "tenants/acme/policy" in server.held


def test_a_users_own_is_exported_and_imported(fake: FakeGatehouse, server: Configured, run: Run, file: Path) -> None:
    file.write_text(
        "owner: user\n"
        "providers: {mine: {type: openai, key: mine, models: [{id: gpt-4o}]}}\n"
        "profiles: {work: {providers: [tenant/openai], preferred: {provider: tenant/openai}}}\n"
        "preferences: {tasks: {cover_letter: {provider: mine, model: gpt-4o}}}\n"
    )
    assert run("config", "import", str(file), "--yes").exit_code == 0
    assert server.held["tenants/acme/users/dev/profiles/work"].providers == ["tenants/acme/providers/openai"]
    chosen = server.held["tenants/acme/users/dev/preferences"].tasks[0]
    assert (chosen.task, chosen.choice.provider) == ("cover_letter", "tenants/acme/users/dev/providers/mine")
    exported = run("config", "export", "--owner", "user").stdout
    assert "tenant/openai" in exported
    assert "routes" not in exported
    assert run("config", "import", "-", "--dry-run", "--exit-code", input=exported).exit_code == 0
    wrong = run("config", "import", str(file), "--owner", "tenant", "--dry-run")
    assert wrong.exit_code == 1
    assert "owner: must be" in wrong.stderr


def test_json_tells_the_difference_and_whether_it_was_made(server: Configured, run: Run, file: Path) -> None:
    dry = json.loads(run("config", "import", str(file), "--dry-run", "--json").stdout)
    assert (dry["applied"], len(dry["changes"]), dry["keys"], dry["not_in_the_file"]) == (False, 7, [], [])
    assert dry["changes"][0] == {
        "action": "create",
        "path": "providers.groq",
        "name": "tenants/acme/providers/groq",
        "fields": [
            {"path": "type", "before": None, "after": "openai_compatible"},
            {"path": "base_url", "before": None, "after": "https://api.groq.com/openai/v1"},
        ],
    }
    assert json.loads(run("config", "import", str(file), "--yes", "--json").stdout)["applied"] is True
    assert json.loads(run("config", "import", str(file), "--yes", "--json").stdout)["changes"] == []


def test_keys_in_clear_belong_to_litellm_alone(fake: FakeGatehouse, server: Configured, run: Run, file: Path) -> None:
    result = run("config", "import", str(file), "--allow-inline-keys", "--dry-run")
    assert result.exit_code == 2
    assert "--from litellm" in re.sub(r"[│\s]+", " ", result.stderr)


def test_what_the_server_would_refuse_is_told_before_anything_is_done(
    fake: FakeGatehouse, server: Configured, run: Run, file: Path
) -> None:
    file.write_text(DOCUMENT.replace("https://api.groq.com/openai/v1", "http://inside:8000/v1"))
    result = run("config", "import", str(file), "--yes")
    assert result.exit_code == 1
    assert f"{file}:4: providers.groq.base_url: must use https; whoever runs Gatehouse can allow" in result.stderr
    assert changes_sent(fake) == []
    assert server.held == {}


def test_ctrl_c_ends_with_130(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("gatehouse.cli.config.read_file", interrupted)
    assert run("config", "import", str(file), "--dry-run").exit_code == 130


def test_a_file_that_is_not_there_is_told_before_anything_is_asked(run: Run, tmp_path: Path) -> None:
    missing = run("config", "import", str(tmp_path / "no.yaml"))
    assert missing.exit_code == 2
    assert "No such file" in missing.stderr
    nowhere = run("config", "export", "-o", str(tmp_path / "no" / "x.yaml"))
    assert nowhere.exit_code == 2
    assert ".part" not in nowhere.stderr
