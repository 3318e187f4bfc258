"""`wherry status`, `wherry reload`, `wherry stop`: the running engine."""

from __future__ import annotations

from typing import Any

import click

from wherry import limits
from wherry.cli.backend import RunningEngine
from wherry.cli.groups import examples
from wherry.cli.options import data_option, json_option
from wherry.cli.output import paint, show, show_json
from wherry.engine.controlwire import ReloadAsked, call
from wherry.engine.datafolder import DataFolder
from wherry.errors import Passing, WherryError
from wherry.ports import Depths, ListPaused, Paused, QueueDepths

STORE_ANSWERS_S = 5.0  # else the status is told without what the store knows


@click.command(epilog=examples("wherry status --json"))
@data_option
@json_option
def status(data: str, as_json: bool) -> None:
    """Show what the engine is doing, and what is held. Exits with 1 where none is running.

    Held is what nobody is handed: of a paused function, or behind a failure (`wherry queues`).
    """
    folder = DataFolder.at(data)
    found = call(folder, "status")
    asked = _held(folder)
    if as_json:
        show_json({**found, **asked})
    else:
        show(_status_text(found, asked))


@click.command(epilog=examples("wherry reload --data /var/lib/shop"))
@click.option(
    "--accept-schemas",
    is_flag=True,
    help="Also where a type does not read a form that schemas/ holds.",
)
@data_option
def reload(accept_schemas: bool, data: str) -> None:
    """Load the app's code again; without a pause, and only if it is sound.

    With a folder schemas/ beside the code it is refused where a type does not read a recorded form:
    what waits or is stored in that form would fail (`wherry schemas check`).
    """
    folder = DataFolder.at(data)
    call(folder, "reload", ReloadAsked(accept_schemas))
    found = call(folder, "status")
    show(f"Release {str(found.get('release'))[:8]} serves at {found.get('url')}.")


@click.command(epilog=examples("wherry stop --data /var/lib/shop"))
@data_option
def stop(data: str) -> None:
    """Stop the engine when what is running is finished, and wait for that (30 s at most)."""
    from wherry.world import SystemClock, pause

    folder = DataFolder.at(data)
    clock = SystemClock()
    call(folder, "stop")
    give_up_s = clock.steady_s() + limits.DRAIN_TIMEOUT_S + limits.CONTROL_READ_S
    while clock.steady_s() < give_up_s:
        if not folder.owned():
            show("Stopped.")
            return
        pause(0.05)
    raise Passing("The engine is still stopping.", advice="`wherry logs` may say why.")


def _held(folder: DataFolder) -> dict[str, Any]:
    """Return what is paused and blocked; that it is not known where the store does not answer."""
    try:
        backend = RunningEngine(folder, STORE_ANSWERS_S)
        paused: Paused = backend.ask(ListPaused())
        depths: Depths = backend.ask(QueueDepths())
    except WherryError as error:
        return {"paused": None, "blocked": None, "unknown": error.message}
    return {"paused": paused.rows, "blocked": [row for row in depths.rows if row.blocked]}


def _status_text(found: dict[str, Any], asked: dict[str, Any]) -> str:
    from wherry.observe.columns import Cell, columns
    from wherry.observe.queues import held
    from wherry.world import SystemClock

    colours = paint()
    lines = [
        f"{colours('strong', str(found.get('url')))}  engine {found.get('pid')}, "
        f"release {str(found.get('release'))[:8]}"
    ]
    if found.get("beside"):
        told = f"beside {found['beside'][:8]}, which triggers follow: "
        lines.append(colours("warn", f"{told}wherry reload makes this one the active one"))
    store: dict[str, Any] = found.get("store", {})
    if "where" in store:
        lines.append(f"store {store['where']}, engine {store['node']} of those on it")
    if store.get("why"):
        lines.append(colours("bad", f"The store does not answer: {store['why']}"))
    if found.get("objects_away"):
        lines.append(colours("bad", found["objects_away"]))
    functions: dict[str, Any] = found.get("functions", {})
    rows: list[list[Cell]] = [
        [name, str(one["busy"]), str(one["waiting"]), str(one["idle"])]
        for name, one in sorted(functions.items())
    ]
    if rows:
        head = ["function@release", "running", "waiting", "idle"]
        lines += ["", columns(head, rows, colours, right="running waiting idle")]
    for table, index, left in found.get("unready_indexes", []):
        told = f"Index {index} of {table} is not filled, {left} items to go: "
        lines += ["", colours("warn", f"{told}wherry tables reindex {table}")]
    if "unknown" in asked:
        lines += ["", colours("bad", f"What is held is not known: {asked['unknown']}")]
    else:
        told_held = held(asked["blocked"], asked["paused"], SystemClock().now_ms(), colours)
        lines += ["", *told_held] if told_held else []
    return "\n".join(lines)
