"""`wherry retries`: what can follow a request, and how often all of it is tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from wherry import limits
from wherry.cli.commands.check import shown
from wherry.cli.groups import examples
from wherry.cli.options import json_option, target_argument
from wherry.cli.output import paint, show, show_json
from wherry.cli.target import load_blueprint
from wherry.observe.columns import Cell, columns
from wherry.observe.durations import show_ms

if TYPE_CHECKING:
    from wherry.paths import Branch, Entry, Step

_HEAD = ["path", "attempts", "most", "re-runs", "last after", "when it fails for good"]
_ROUTES = 3  # of a bundle that are named
_LEGEND = """\
attempts  of one request, firing or message
most      of one path: the attempts of its layers multiplied; what each run sends counted once
re-runs   of each attempt as a rule at most, where it loses conflicts; its time bounds them, and
          they cost no attempt
last      attempt begins at most so long after the first, by the waits between attempts
Repeats by clients and redrives are not counted. `most` takes every attempt to pass its work on;
effects leave only with the one that commits, so that each message is tried as its own line says."""


@click.command(
    short_help="Show what can follow a request, and how often it is tried.",
    epilog=examples(
        "wherry retries",
        "wherry retries shop:app --json",
    ),
)
@target_argument
@json_option
def retries(target: str, folder: str, as_json: bool) -> None:
    """Show each path from a route or a schedule of TARGET to its ends, and what bounds it.

    For each step: its attempts, the most that one request can cause (layers multiplied), the time
    until the last attempt, and where the work waits after it. Exits with 0, with warnings too.
    """
    from wherry.paths import Graph, check_paths, paths, trees

    blueprint = load_blueprint(target, folder)
    graph = Graph(blueprint)
    findings = check_paths(graph)
    if as_json:
        found, complete = paths(graph, limits.PATHS_LISTED)
        told = {"paths": found, "complete": complete, "cycles": graph.cycles}
        show_json({**told, "findings": findings})
        return
    rows: list[list[Cell]] = []
    alone = 0
    for entry, tree in trees(graph):
        if entry.kind == "route" and not tree.branches:
            alone += len(entry.names)
        else:
            rows += _rows(tree, _entry(entry), "")
    colours = paint()
    if rows:
        show(columns(_HEAD, rows, colours, right="attempts most re-runs"))
        show("\n" + "\n".join(colours("dim", line) for line in _LEGEND.splitlines()))
    if alone:
        more = "more " if rows else ""
        routes = f"{alone} {more}route{'s' if alone > 1 else ''}"
        show(("\n" if rows else "") + f"{routes} cause{'s' if alone == 1 else ''} nothing further.")
    if not rows and not alone:
        show(f"{blueprint.app} has no functions that anything calls.")
    for finding in findings:
        show("\n" + shown(finding, colours))


def _entry(entry: Entry) -> str:
    names = ", ".join(entry.names[:_ROUTES])
    if len(entry.names) > _ROUTES:
        names += f" and {len(entry.names) - _ROUTES} more"
    kind = "" if entry.kind == "route" else f"{entry.kind} "
    return f"{kind}{names} > {entry.first.function}"


def _rows(tree: Branch, name: str, indent: str) -> Iterator[list[Cell]]:
    """Yield the lines of a step and of all that follows it; `name` stands behind its branch."""
    yield [name, *_figures(tree)]
    for number, branch in enumerate(tree.branches, 1):
        last = number == len(tree.branches)
        step = branch.layer.step
        label = f"{', '.join(branch.layer.by)} > {step.function}"
        lines = _rows(branch, label, "")
        for place, (text, *rest) in enumerate(lines):
            turn = ("└─ " if last else "├─ ") if place == 0 else ("   " if last else "│  ")
            yield [f"{indent}{turn}{text}", *rest]


def _figures(tree: Branch) -> list[Cell]:
    step = tree.layer.step
    most = tree.layer.most_attempts
    endless: Cell = ("warn", "no bound")
    if tree.wait_s is None:
        last: Cell = endless
    else:
        last = show_ms(tree.wait_s * 1000) if tree.wait_s else "-"
    return [
        f"{step.attempts:,}",
        endless if most is None else f"{most:,}",
        str(step.reruns) if step.reruns else "-",
        last,
        _left(step, tree.cut),
    ]


def _left(step: Step, cut: str) -> str:
    if step.inbox is None:
        return "nothing is kept, the caller is told"
    if step.task:
        waits = "its workflow goes on as its state says, or fails"
    else:
        waits = f"failure inbox: {step.inbox}" + (", its group waits" if step.blocks else "")
    return waits + {"": "", "again": "; and so on, in a cycle", "above": "; goes on as above"}[cut]
