"""`wherry status`, `wherry reload`, `wherry stop`: the running engine."""

from __future__ import annotations

from typing import Any

import click

from wherry import limits
from wherry.cli.groups import examples
from wherry.cli.options import data_option, json_option
from wherry.cli.output import paint, show, show_json
from wherry.engine.controlwire import call
from wherry.engine.datafolder import DataFolder
from wherry.errors import Passing


@click.command(epilog=examples("wherry status --json"))
@data_option
@json_option
def status(data: str, as_json: bool) -> None:
    """Show what the engine is doing. Exits with 1 where none is running."""
    found = call(DataFolder.at(data), "status")
    if as_json:
        show_json(found)
    else:
        show(_status_text(found))


@click.command(epilog=examples("wherry reload --data /var/lib/shop"))
@data_option
def reload(data: str) -> None:
    """Load the app's code again; without a pause, and only if it is sound."""
    folder = DataFolder.at(data)
    call(folder, "reload")
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


def _status_text(found: dict[str, Any]) -> str:
    from wherry.observe.columns import Cell, columns

    colours = paint()
    lines = [
        f"{colours('strong', str(found.get('url')))}  engine {found.get('pid')}, "
        f"release {str(found.get('release'))[:8]}"
    ]
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
    return "\n".join(lines)
