"""`gatehouse config`: the whole configuration of an owner as a file, for GitOps, and as LiteLLM has it."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.command import command, group
from gatehouse.cli.config_view import plain, plan_document, show_plan, summary
from gatehouse.cli.files import new_file, read_file, told_by_line
from gatehouse.cli.inputs import OwnerOption, YesOption
from gatehouse.cli.output import print_json
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note, require_consent

if TYPE_CHECKING:
    from gatehouse.cli.config_keys import KeyPlan
    from gatehouse.configuration.difference import Plan
    from gatehouse.configuration.document import Configuration
    from gatehouse.configuration.litellm.translation import Translation

app = group(
    "config",
    "The whole configuration as a YAML file without secrets: keep it in version control, look at the difference, apply "
    "it. Users of LiteLLM bring their config.yaml along.",
    "gatehouse config export -o gatehouse.yaml",
    "gatehouse config import gatehouse.yaml --dry-run",
    "gatehouse config import gatehouse.yaml --prune --yes",
    "gatehouse config import --from litellm config.yaml --dry-run",
)

_DIFFERS = 3


class Source(enum.StrEnum):
    """Whose files can be imported."""

    GATEHOUSE = "gatehouse"
    LITELLM = "litellm"


@command(
    app,
    "export",
    "gatehouse config export -o gatehouse.yaml",
    "gatehouse config export --owner user > mine.yaml",
    "gatehouse config export --owner platform --json",
)
def export(
    session: Session,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file. \\[default: standard output]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Write providers, models, routes and policy (with --owner user: providers, profiles and preferences) as YAML.

    No secrets are in it: providers name their keys. Whatever has its default is left out; the order is always the same.
    """
    from gatehouse.configuration.document import as_plain
    from gatehouse.configuration.live import read_configuration
    from gatehouse.configuration.yaml_text import yaml_text

    parent = session.parent(owner)
    document = as_plain(read_configuration(session.client, parent))
    if session.as_json:
        print_json(plain(document))
        return
    text = yaml_text(document, _head(parent, owner))
    if output is None:
        typer.echo(text, nl=False)
        return
    with new_file(output, replace=force) as file:
        file.write_text(text, encoding="utf-8")
    note(f"wrote {output}; apply it with: gatehouse config import {output}")


@command(
    app,
    "import",
    "gatehouse config import gatehouse.yaml --dry-run",
    "gatehouse config import gatehouse.yaml --dry-run --exit-code  (3 when something differs)",
    "gatehouse config import gatehouse.yaml --prune --yes",
    "gatehouse config export | sed s/gpt-4o-mini/gpt-5-mini/ | gatehouse config import - --yes",
    "gatehouse config import --from litellm config.yaml --dry-run",
    "OPENAI_API_KEY=… gatehouse config import --from litellm config.yaml",
)
def import_config(
    session: Session,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file; - is standard input.")],
    source: Annotated[
        Source, typer.Option("--from", help="Whose file it is: Gatehouse's own, or the config.yaml of LiteLLM's proxy.")
    ] = Source.GATEHOUSE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference and change nothing.")] = False,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="With --dry-run: exit with 3 when something differs, 0 when nothing does."),
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete what the file leaves out, in the sections that it has.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Take prices of more than 100 times the catalogue's; delete what is still named elsewhere."
        ),
    ] = False,
    allow_inline_keys: Annotated[
        bool,
        typer.Option("--allow-inline-keys", help="With --from litellm: take keys that stand in the file in clear."),
    ] = False,
    yes: YesOption = False,
    owner: Annotated[
        Owner | None,
        typer.Option("--owner", help="Whose it becomes. \\[default: what the file says with `owner:`, else tenant]"),
    ] = None,
) -> None:
    """Make the configuration what a file says: show what differs, ask, then create and update, and delete with --prune.

    A section that the file does not have stays as it is; in one it has, a field that is left out has its default. After
    a failure the same command goes on where it stopped; run again, it finds nothing to do.

    From LiteLLM: deployments become providers and models, groups with several deployments or fallbacks routes (ask for
    them with --task), and `os.environ/NAME` keys of the owner, read from the environment of this command. What has no
    counterpart is listed.
    """
    if allow_inline_keys and source is not Source.LITELLM:
        raise typer.BadParameter(
            "goes with --from litellm: no other file may hold keys", param_hint="--allow-inline-keys"
        )
    if str(file) == "-" and not (yes or dry_run):
        raise typer.BadParameter("standard input is the file, so nobody can be asked: add --yes", param_hint="--yes")
    content = read_file(file, "FILE")
    if not dry_run:
        require_consent(yes=yes)
    keys: KeyPlan | None = None
    translation: Translation | None = None
    with told_by_line(file):
        if source is Source.LITELLM:
            parent = session.parent(owner or Owner.TENANT)
            translation, keys = _from_litellm(session, content, parent, allow_inline_keys=allow_inline_keys)
            wanted = translation.configuration
        else:
            wanted = _read(session, content, owner)
        plan = _plan(session, wanted, keys, prune=prune, force=force)
    differs = bool(plan.changes or (keys and keys.missing))
    if not session.as_json:
        _show(plan, keys, translation)
    elif dry_run or not differs:
        _print(plan, keys, translation, applied=False)
    if dry_run or not differs:
        raise typer.Exit(_DIFFERS if exit_code and differs else 0)
    if keys is not None:
        keys.require_variables()
    confirm("Make these changes?", yes=yes)
    _apply(session, plan, keys, force=force)
    if session.as_json:
        _print(plan, keys, translation, applied=True)


def _read(session: Session, content: bytes, owner: Owner | None) -> Configuration:
    from gatehouse.configuration.document import owner_in, read_document

    said = owner_in(content)
    return read_document(content, session.parent(owner or (Owner(said) if said else Owner.TENANT)))


def _from_litellm(
    session: Session, content: bytes, parent: str, *, allow_inline_keys: bool
) -> tuple[Translation, KeyPlan]:
    from gatehouse.cli.config_keys import plan_keys
    from gatehouse.configuration.litellm.translation import translate

    translation = translate(
        content,
        parent,
        types={each.id: each for each in session.client.providers.types()},
        environment=os.environ,
        allow_inline_keys=allow_inline_keys,
    )
    return translation, plan_keys(session, parent, translation.keys)


def _plan(session: Session, wanted: Configuration, keys: KeyPlan | None, *, prune: bool, force: bool) -> Plan:
    from gatehouse.cli.config_check import check_plan
    from gatehouse.configuration.difference import difference
    from gatehouse.configuration.live import read_configuration

    plan = difference(read_configuration(session.client, wanted.parent), wanted, prune=prune)
    new_keys = {key.name for key in keys.missing} if keys else set()
    check_plan(session.client, plan, lines=wanted.lines, new_keys=new_keys, force=force)
    return plan


def _show(plan: Plan, keys: KeyPlan | None, translation: Translation | None) -> None:
    if translation is not None and translation.remarks:
        note("not taken over as it is:", "yellow")
        for remark in translation.remarks:
            note(f"  {remark}", "yellow")
        note("")
    if keys is not None:
        keys.show()
    show_plan(plan)
    differs = plan.changes or (keys and keys.missing)
    count = len(keys.missing) if keys else 0
    more = f", {count} key{'' if count == 1 else 's'} to store" if count else ""
    note(summary(plan) + more if differs else "nothing differs")
    if plan.unnamed:
        few = ", ".join(plan.unnamed[:10]) + (", …" if len(plan.unnamed) > 10 else "")  # noqa: PLR2004 - a line's worth
        note(f"{len(plan.unnamed)} not in the file stay (--prune deletes them): {few}")


def _print(plan: Plan, keys: KeyPlan | None, translation: Translation | None, *, applied: bool) -> None:
    print_json(
        {
            "applied": applied,
            "changes": plan_document(plan),
            "not_in_the_file": list(plan.unnamed),
            "keys": keys.document() if keys else [],
            "remarks": [
                {"line": remark.line, "path": remark.path, "text": remark.text}
                for remark in (translation.remarks if translation else ())
            ],
        }
    )


def _apply(session: Session, plan: Plan, keys: KeyPlan | None, *, force: bool) -> None:
    from gatehouse.cli.config_apply import apply

    if keys is not None:
        keys.store(session)
    revision = apply(session.client, plan, force=force)
    note(f"done, live at revision {revision}" if revision else "done")


def _head(parent: str, owner: Owner) -> list[str]:
    to = "" if owner is Owner.TENANT else f" --owner {owner.value}"
    return [
        f"The configuration of {parent} in Gatehouse, as `gatehouse config export{to}` wrote it.",
        "It holds no secrets: `key` names a key that is stored with `gatehouse keys create`.",
        "What is left out has its default. Prices are US dollars per million tokens.",
        "See the difference:  gatehouse config import FILE --dry-run",
        "Apply it:            gatehouse config import FILE",
        "",
    ]
