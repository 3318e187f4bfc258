"""`wherry check`, `wherry blueprint`, `wherry openapi`: the description of an app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from wherry.cli.backend import Backend, active_blueprint, connected
from wherry.cli.groups import examples
from wherry.cli.options import data_option, json_option, target_argument
from wherry.cli.output import note, paint, show, show_json
from wherry.cli.target import load_blueprint, load_target
from wherry.engine.datafolder import DataFolder
from wherry.errors import AppInvalid, WherryError
from wherry.observe.paint import Paint, in_line
from wherry.ports import NotReady, QueryItems
from wherry.world import SystemClock

if TYPE_CHECKING:
    from wherry.blueprint import Blueprint, Finding


@click.command(
    short_help="Find what is wrong with an app.",
    epilog=examples(
        "wherry check",
        "wherry check shop:app --stage prod",
    ),
)
@target_argument
@click.option(
    "--stage",
    type=click.Choice(["dev", "prod"]),
    default="dev",
    show_default=True,
    help="prod: also what speaks against production.",
)
@data_option
@json_option
def check(target: str, folder: str, stage: str, data: str, as_json: bool) -> None:
    """Find everything that is wrong with TARGET, each with its place and what to do.

    With a folder schemas/ also what a changed type breaks (`wherry schemas`); with a data folder
    what its tables need: indexes that must be filled. Exits with 1 where there is an error;
    warnings alone exit with 0.
    """
    from wherry.blueprint.stage import check_stage
    from wherry.cli.commands.schemas import of_the_schemas
    from wherry.paths import Graph, check_paths

    app = load_target(target, folder)
    blueprint = None
    try:
        blueprint = app.freeze()
        found = [
            *app.warnings,
            *check_paths(Graph(blueprint)),
            *check_stage(blueprint, stage),
            *_over(blueprint, SystemClock().now_ms()),
            *of_the_schemas(app, folder, stage),
            *_of_the_data(blueprint, data),
        ]
    except AppInvalid as error:
        found = [*error.findings, *app.warnings]
    errors = sum(one.severity == "error" for one in found)
    if as_json:
        show_json(found)
    else:
        colours = paint()
        for one in found:
            show(shown(one, colours))
        show(_summary(app.name, blueprint, errors, len(found) - errors, colours))
    raise click.exceptions.Exit(1 if errors else 0)


@click.command(
    short_help="Print the app's description as canonical JSON.",
    epilog=examples("wherry blueprint shop:app --digest"),
)
@target_argument
@click.option("--digest", is_flag=True, help="Its digest instead.")
def blueprint(target: str, folder: str, digest: bool) -> None:
    """Print TARGET's blueprint: one JSON form for one app; the digest changes when the app does."""
    from wherry.blueprint import canonical
    from wherry.blueprint import digest as digest_of

    found = load_blueprint(target, folder)
    click.echo(digest_of(found) if digest else canonical(found).decode())


@click.command(
    short_help="Print the app's OpenAPI document.",
    epilog=examples("wherry openapi shop:app > openapi.json"),
)
@target_argument
def openapi(target: str, folder: str) -> None:
    """Print TARGET's OpenAPI 3.1 document, as it is served at /openapi.json."""
    import msgspec

    from wherry.openapi import pages

    _, document = pages(load_blueprint(target, folder))["/openapi.json"]
    click.echo(msgspec.json.format(document, indent=2).decode())


# -- what the data needs ---------------------------------------------------------------------------


def _over(blueprint: Blueprint, now_ms: int) -> Iterator[Finding]:
    """Find schedules all of whose moments lie behind us."""
    from wherry.blueprint import Finding, ScheduleSource
    from wherry.schedules import next_after

    for source in blueprint.sources:
        if not isinstance(source, ScheduleSource):
            continue
        if next_after(source.expression, source.timezone, now_ms, now_ms) is None:
            yield Finding(
                code="schedule_over",
                message=f"The schedule {source.name!r} never fires again: all moments of "
                f"{source.expression} in {source.timezone} are over.",
                fix="Give it a later one, or take it away.",
                place=source.place,
                severity="warning",
            )


def _of_the_data(blueprint: Blueprint, data: str) -> list[Finding]:
    """Compare with what ran on the data folder, if there is one."""
    if not DataFolder.at(data, missing_ok=True).used:
        return []
    try:
        with connected(data) as backend:
            ran = active_blueprint(backend)
            return [*_unready(backend, ran), *_new_indexes(blueprint, ran)]
    except WherryError as error:
        note(f"{data} is not looked at: {error}")
        return []


def _unready(backend: Backend, ran: Blueprint) -> Iterator[Finding]:
    from wherry.blueprint import Finding

    for table, index in unready_indexes(backend, ran):
        yield Finding(
            code="index_not_ready",
            message=f"Index {index!r} of table {table!r} is not filled: queries on it are refused.",
            fix=f"Run: wherry tables reindex {table}",
            severity="warning",
        )


def unready_indexes(backend: Backend, ran: Blueprint) -> Iterator[tuple[str, str]]:
    """Yield the indexes of the version that ran which are not filled yet."""
    for table in ran.tables:
        for index in table.indexes:
            asked = QueryItems(table.name, index.name, b"", None, None, 1, False, None)
            if isinstance(backend.ask(asked), NotReady):
                yield table.name, index.name


def _new_indexes(blueprint: Blueprint, ran: Blueprint) -> Iterator[Finding]:
    from wherry.blueprint import Finding

    before = {table.name: {(i.name, i.key, i.sort) for i in table.indexes} for table in ran.tables}
    for table in blueprint.tables:
        known = before.get(table.name)
        for index in table.indexes if known is not None else ():
            if (index.name, index.key, index.sort) not in (known or ()):
                yield Finding(
                    code="index_added",
                    message=f"Index {index.name!r} is new to table {table.name!r}; where that "
                    "holds items, queries on it are refused until it is filled.",
                    fix=f"After the release run: wherry tables reindex {table.name}",
                    severity="warning",
                    place=table.place,
                )


# -- telling ---------------------------------------------------------------------------------------


def shown(finding: Finding, colours: Paint) -> str:
    """Return a finding as a person reads it: where, what, what to do."""
    where = f"{finding.place}: " if finding.place else ""
    style = colours("bad" if finding.severity == "error" else "warn", finding.severity)
    code = colours("dim", f"[{finding.code}]")
    return f"{where}{style}: {in_line(finding.message)} {code}\n    {in_line(finding.fix)}"


def _summary(
    name: str, blueprint: Blueprint | None, errors: int, warnings: int, colours: Paint
) -> str:
    counted = [_many(count, noun) for count, noun in ((errors, "error"), (warnings, "warning"))]
    told = " and ".join(one for one in counted if one)
    if errors or blueprint is None:
        return f"\n{name}: {colours('bad', told)}"
    from wherry.blueprint.records import TaskTrigger

    own = [  # theirs are nobody's to see as queues
        one for function in blueprint.functions for one in function.triggers
        if isinstance(one, TaskTrigger)
    ]  # fmt: skip
    parts = (
        (len(blueprint.functions), "function"),
        (len(blueprint.workflows), "workflow"),
        (len(blueprint.tables), "table"),
        (len(blueprint.queues) - len(blueprint.workflows) - len(own), "queue"),
        (len(blueprint.buckets), "bucket"),
    )
    whole = ", ".join(_many(count, noun) for count, noun in parts if count) or "nothing declared"
    fine = colours("good", "no errors") + (f", {told}" if told else "")
    return f"{name}: {fine} ({whole})"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}" if count else ""
