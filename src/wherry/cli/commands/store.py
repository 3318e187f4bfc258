"""`wherry queues`, `wherry tables`, `wherry releases`: what the store holds."""

from __future__ import annotations

import click

from wherry import limits
from wherry.cli.backend import active_blueprint, connected
from wherry.cli.backend import releases as all_releases
from wherry.cli.commands.check import unready_indexes
from wherry.cli.groups import Verbs, examples
from wherry.cli.options import data_option, json_option
from wherry.cli.output import near, note, paint, show, show_json
from wherry.errors import Refused
from wherry.observe.columns import Cell, columns
from wherry.observe.durations import show_ago, show_moment
from wherry.ports import (
    Count,
    Depths,
    ListPaused,
    ListUndeclared,
    Paused,
    QueueDepths,
    Reindex,
    Undeclared,
)


@click.command(epilog=examples("wherry queues", "wherry queues --json"))
@data_option
@json_option
def queues(data: str, as_json: bool) -> None:
    """Show how much waits, runs and has failed in each queue, and what is held.

    Held is what nobody is handed, due or not: of a paused function, or behind a failure that
    blocks its group (on_failure="block"). `behind` are those of the waiting that come after others
    of their group, or of their key.
    """
    from wherry.observe.queues import queues_text
    from wherry.world import SystemClock

    with connected(data) as backend:
        depths: Depths = backend.ask(QueueDepths())
        paused: Paused = backend.ask(ListPaused())
    if as_json:
        show_json(depths.rows)
    else:
        show(queues_text(depths.rows, paused.rows, SystemClock().now_ms(), paint()))


@click.command(epilog=examples("wherry releases"))
@data_option
@json_option
def releases(data: str, as_json: bool) -> None:
    """List the versions that ran here, the newest first."""
    from wherry.blueprint import load
    from wherry.world import SystemClock

    with connected(data) as backend:
        found = all_releases(backend)
    if as_json:
        show_json([{"digest": row.digest, "activated_ms": row.activated_ms} for row in found])
        return
    if not found:
        show("No version of an app ever ran here.")
        return
    now_ms = SystemClock().now_ms()
    rows: list[list[Cell]] = []
    for row in found:
        when = f"{show_moment(row.activated_ms)}, {show_ago(now_ms, row.activated_ms)}"
        functions = str(len(load(row.blueprint).functions))
        rows.append([row.digest, when if row.activated_ms else "never", functions])
    show(columns(["release", "activated", "functions"], rows, paint()))


@click.group(
    cls=Verbs,
    epilog=examples(
        "wherry tables list",
        "wherry tables reindex orders",
    ),
)
def tables() -> None:
    """List tables, fill new indexes."""


@tables.command(
    "list",
    short_help="List tables with their keys and indexes.",
    epilog=examples("wherry tables list"),
)
@data_option
@json_option
def list_(data: str, as_json: bool) -> None:
    """List the tables of the version that ran last, with their keys and indexes.

    Below are those that it does not declare and that have items, which no function reaches.
    """
    with connected(data) as backend:
        ran = active_blueprint(backend)
        unready = set(unready_indexes(backend, ran))
        undeclared: Undeclared = backend.ask(ListUndeclared())
    left = [row for row in undeclared.rows if row.kind == "table"]
    if as_json:
        show_json(
            [
                {
                    "name": table.name,
                    "declared": True,
                    "item": table.item,
                    "key": table.key,
                    "sort": table.sort,
                    "indexes": [
                        {**_index(index), "ready": (table.name, index.name) not in unready}
                        for index in table.indexes
                    ],
                }
                for table in ran.tables
            ]
            + [{"name": row.name, "declared": False, "items": row.count} for row in left]
        )
        return
    rows: list[list[Cell]] = []
    for table in ran.tables:
        rows.append([table.name, "", table.key, table.sort or "", ""])
        for index in table.indexes:
            ready = (table.name, index.name) not in unready
            state: Cell = ("good", "ready") if ready else ("warn", "to be filled")
            rows.append(["", index.name, index.key, index.sort or "", state])
    for row in left:
        more = " or more" if row.count >= limits.UNDECLARED_COUNTED else ""
        told = f"not declared, {row.count:,}{more} item(s)"
        rows.append([row.name, "", "", "", ("warn", told)])
    show(
        columns(["table", "index", "key", "sort", "state"], rows, paint()) if rows else "No table."
    )


@tables.command(
    short_help="Fill indexes that are not ready.",
    epilog=examples(
        "wherry tables reindex orders",
        "wherry tables reindex orders by_status",
    ),
)
@click.argument("table")
@click.argument("index", required=False, default="")
@data_option
def reindex(table: str, index: str, data: str) -> None:
    """Fill INDEX of TABLE (all that are not ready), in small steps, while the app runs."""
    with connected(data) as backend:
        ran = active_blueprint(backend)
        spec = next((one for one in ran.tables if one.name == table), None)
        if spec is None:
            names = [one.name for one in ran.tables]
            raise Refused(
                f"There is no table {table!r}.{near(table, names)}",
                advice=f"There are: {', '.join(names) or 'none'}.",
            )
        names = [one.name for one in spec.indexes]
        if index and index not in names:
            raise Refused(
                f"Table {table!r} has no index {index!r}.{near(index, names)}",
                advice=f"It has: {', '.join(names) or 'none'}.",
            )
        unready = [name for found, name in unready_indexes(backend, ran) if found == table]
        chosen = [name for name in unready if index in ("", name)]
        for name in chosen:
            filled = 0
            while True:
                step: Count = backend.ask(Reindex(table, name, limits.REINDEX_BATCH))
                if step.count == 0:
                    break
                filled += step.count
                note(f"{table} {name}: {filled} items")
            show(f"Index {name} of {table} is ready.")
    if not chosen:
        show("Nothing is to be filled.")


def _index(index: object) -> dict[str, object]:
    return {name: getattr(index, name) for name in ("name", "key", "sort")}
