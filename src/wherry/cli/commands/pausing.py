"""`wherry pause`, `wherry resume`, `wherry schedules`: what runs by itself, and what does not."""

from __future__ import annotations

import click

from wherry.blueprint import Blueprint, FunctionSpec, HttpTrigger
from wherry.cli.actor import actor
from wherry.cli.backend import Backend, active_blueprint, connected
from wherry.cli.groups import examples
from wherry.cli.options import data_option, json_option
from wherry.cli.output import near, paint, show, show_json
from wherry.errors import Refused
from wherry.observe.columns import Cell, columns
from wherry.observe.durations import show_moment, show_ms
from wherry.ports import Count, ListSchedules, Pause, ScheduleRow, ScheduleRows

PAGE = 500


@click.command(
    short_help="Let a function's messages wait and its schedules skip; without a name: all.",
    epilog=examples("wherry pause export", "wherry pause"),
)
@click.argument("function", default="")
@data_option
def pause(function: str, data: str) -> None:
    """Pause a function, or (without a name) the whole app.

    Its messages wait, its schedules skip; both are seen in `wherry queues` and `wherry schedules`.
    Requests are answered as before, and what runs is finished; so is a batch that gathers
    (window_s=).
    """
    _pause(function, True, data)


@click.command(
    short_help="Let a paused function, or the app, go on.",
    epilog=examples("wherry resume export", "wherry resume"),
)
@click.argument("function", default="")
@data_option
def resume(function: str, data: str) -> None:
    """Let a function, or (without a name) the whole app, go on.

    A function that was paused by itself stays so when the app goes on.
    """
    _pause(function, False, data)


def _pause(function: str, paused: bool, data: str) -> None:
    with connected(data) as backend:
        if function and paused:
            _check_function(active_blueprint(backend), function)
        count: Count = backend.ask(Pause(function, paused, actor()))
        if function and not count.count:
            _check_name(active_blueprint(backend), function)
    what = f"{function!r}" if function else "The app"
    if count.count:
        show(f"{what} is paused." if paused else f"{what} goes on.")
    else:
        show(f"{what} was paused already." if paused else f"{what} was not paused.")


def _check_function(blueprint: Blueprint, function: str) -> None:
    """Refuse a pause of what is no function, or of what nothing but requests calls."""
    triggers = _check_name(blueprint, function).triggers
    if all(isinstance(one, HttpTrigger) for one in triggers):
        raise Refused(
            f"{function!r} is called by requests alone, which a pause does not hold up.",
            advice="A function with messages or a schedule can be paused.",
        )


def _check_name(blueprint: Blueprint, function: str) -> FunctionSpec:
    """Refuse a name that is none; one that was paused may go on whatever became of it since."""
    names = [one.name for one in blueprint.functions]
    if function not in names:
        raise Refused(
            f"There is no function {function!r}.{near(function, names)}",
            advice=f"There are: {', '.join(names)}.",
        )
    return blueprint.functions[names.index(function)]


@click.command(epilog=examples("wherry schedules", "wherry schedules --json"))
@data_option
@json_option
def schedules(data: str, as_json: bool) -> None:
    """Show when each schedule fires next, how often it has fired and skipped."""
    from wherry.world import SystemClock

    with connected(data) as backend:
        rows = _all(backend)
    now_ms = SystemClock().now_ms()
    if as_json:
        show_json(rows)
        return
    if not rows:
        show("There are no schedules.")
        return
    shown: list[list[Cell]] = [
        [
            row.name,
            f"{row.expression} {row.timezone}",
            _next(row, now_ms),
            show_moment(row.fired_ms) if row.fired_ms is not None else "-",
            str(row.fired),
            ("bad", str(row.skipped)) if row.skipped else "0",
        ]
        for row in rows
    ]
    head = ["schedule", "when", "next", "last", "fired", "skipped"]
    show(columns(head, shown, paint(), right="fired skipped"))


def _next(row: ScheduleRow, now_ms: int) -> Cell:
    if row.paused:
        return ("bad", "paused")
    if row.next_ms is None:
        return "never again" if row.fired or row.skipped else ("bad", "over, never fired")
    left_ms = row.next_ms - now_ms
    when = f"in {show_ms(left_ms)}" if left_ms >= 1_000 else "now"
    return f"{show_moment(row.next_ms)} ({when})"


def _all(backend: Backend) -> list[ScheduleRow]:
    rows: list[ScheduleRow] = []
    after: str | None = ""
    while after is not None:
        page: ScheduleRows = backend.ask(ListSchedules(PAGE, after))
        rows += page.rows
        after = page.after
    return rows
