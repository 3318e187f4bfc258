"""The runs of workflows, for `wherry workflow`: look at them, start, stop, redrive, approve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from wherry.cli.backend import Backend, active_blueprint, connected
from wherry.cli.definitions import fitting_input, read_json, workflow_of
from wherry.cli.groups import examples
from wherry.cli.options import data_option, json_option
from wherry.cli.orders import commit, new_id
from wherry.cli.output import near, paint, show, show_json
from wherry.effects import EndTask, RedriveExecution, StartExecution, StopExecution
from wherry.errors import Refused
from wherry.ports import (
    Definition,
    Execution,
    ExecutionRow,
    ExecutionRows,
    FailedWork,
    FindExecution,
    GetDefinition,
    GetExecution,
    GetHistory,
    Happened,
    History,
    ListExecutions,
)

if TYPE_CHECKING:
    from wherry.blueprint import WorkflowSpec
    from wherry.statemachine.records import HistoryEvent

PAGE = 1_000  # looked through for a name that was cut short; and events of one answer
STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")

workflow_option = click.option(
    "--workflow", default=None, metavar="NAME", help="Of which workflow, where several have it."
)


# -- looking ---------------------------------------------------------------------------------------


@click.command(
    "list",
    short_help="List runs, newest first.",
    epilog=examples("wherry workflow list --workflow refund --status FAILED"),
)
@click.option("--workflow", default=None, metavar="NAME", help="Only of this one.")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), default=None)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, PAGE))
@click.option("--after", default=None, type=int, help="Go on where a page ended.")
@data_option
@json_option
def list_(
    workflow: str | None,
    status: Any,
    limit: int,
    after: int | None,
    data: str,
    as_json: bool,
) -> None:
    """List runs, newest first; those that a distributed Map began are left out."""
    from wherry.observe.executions import executions_text
    from wherry.world import SystemClock

    with connected(data) as backend:
        found: ExecutionRows = backend.ask(ListExecutions(workflow, status, limit, after))
        if workflow is not None and not found.rows:  # one that is declared no more has some
            workflow_of(active_blueprint(backend), workflow)
    if as_json:
        show_json(found.rows)
    else:
        show(executions_text(found, SystemClock().now_ms(), paint()))


@click.command(
    short_help="Show one run: where it is, what it got and gave.",
    epilog=examples("wherry workflow describe refund-17"),
)
@click.argument("run")
@workflow_option
@data_option
@json_option
def describe(run: str, workflow: str | None, data: str, as_json: bool) -> None:
    """Show the run RUN: its status, where it is, its input and its output.

    Of a task that waits for its token also that: whoever has it can `succeed` or `fail` the task.
    """
    from wherry.observe.executions import execution_text
    from wherry.observe.fields import as_fields
    from wherry.world import SystemClock

    with connected(data) as backend:
        row = find(backend, run, workflow)
        waiting = _waiting(backend, row)
    if as_json:
        show_json({**as_fields(row), "waiting": waiting})
    else:
        show(execution_text(row, SystemClock().now_ms(), paint(), waiting))


@click.command(
    short_help="Show each event of a run.",
    epilog=examples(
        "wherry workflow history refund-17",
        "wherry workflow history refund-17 --json > history.json",
    ),
)
@click.argument("run")
@workflow_option
@data_option
@json_option
def history(run: str, workflow: str | None, data: str, as_json: bool) -> None:
    """Show each event of the run RUN with its time and its data, shortened.

    With --json they are whole, as GetExecutionHistory of AWS gives them.
    """
    from wherry.observe.executions import history_text
    from wherry.statemachine.history import shown

    with connected(data) as backend:
        row = find(backend, run, workflow)
        events = events_of(backend, row)
    if as_json:
        show_json([shown(event) for event in events])
    else:
        show(history_text(events, paint()))


# -- moving ----------------------------------------------------------------------------------------


@click.command(
    short_help="Start a run.",
    epilog=examples(
        """wherry workflow start refund --name refund-17 --input '{"order_id": "o-1"}'""",
        "wherry workflow start refund --input @refund.json",
    ),
)
@click.argument("workflow")
@click.option("--name", default=None, help="One name is one run; without one it gets its own.")
@click.option("--input", "given", default="{}", metavar="JSON", help="Or @FILE; {} by default.")
@data_option
@json_option
def start(workflow: str, name: str | None, given: str, data: str, as_json: bool) -> None:
    """Start a run of WORKFLOW. A second start with the same name and input starts nothing more."""
    from wherry.names import check_execution_name

    value = read_json(given, "input")
    id = new_id()
    name = id if name is None else check_execution_name(name)
    with connected(data) as backend:
        fitting = fitting_input(workflow_of(active_blueprint(backend), workflow), value)
        body = msgspec.json.encode(fitting)
        commit(backend, "start", StartExecution(workflow, name, id, body))
    _told("started", workflow, name, as_json)


@click.command(
    short_help="Stop a run.", epilog=examples('wherry workflow stop refund-17 --cause "a test"')
)
@click.argument("run")
@workflow_option
@click.option("--error", default=None, help="A name for why, as errors have.")
@click.option("--cause", default=None, help="Why, for people.")
@data_option
@json_option
def stop(
    run: str,
    workflow: str | None,
    error: str | None,
    cause: str | None,
    data: str,
    as_json: bool,
) -> None:
    """End the run RUN as ABORTED. What its functions are doing is not kept."""
    with connected(data) as backend:
        row = find(backend, run, workflow)
        if row.status != "RUNNING":
            raise Refused(f"{row.name!r} has ended: {row.status}.")
        _require_moved(backend, row.workflow)
        effect = StopExecution(row.workflow, row.name, new_id(), error, cause)
        commit(backend, "stop", effect)
    _told("stopped", row.workflow, row.name, as_json)


@click.command(
    short_help="Let a run that failed go on.", epilog=examples("wherry workflow redrive refund-17")
)
@click.argument("run")
@workflow_option
@data_option
@json_option
def redrive(run: str, workflow: str | None, data: str, as_json: bool) -> None:
    """Let the run RUN, which failed, go on from the state that failed."""
    with connected(data) as backend:
        row = find(backend, run, workflow)
        _require_moved(backend, row.workflow)
        commit(backend, "redrive", RedriveExecution(row.workflow, row.name, new_id()))
    _told("redriven", row.workflow, row.name, as_json)


@click.command(
    short_help="End a task that waits for its token.",
    epilog=examples("""wherry workflow succeed TOKEN --output '{"approved": true}'"""),
)
@click.argument("token")
@click.option("--output", "given", default="{}", metavar="JSON", help="Its result, or @FILE; {}.")
@workflow_option
@data_option
@json_option
def succeed(token: str, given: str, workflow: str | None, data: str, as_json: bool) -> None:
    """End the task that waits for TOKEN with a result: an approval, from a terminal."""
    body = msgspec.json.encode(read_json(given, "output"))
    _end(token, workflow, data, as_json, kind="succeeded", output=body)


@click.command(
    short_help="Fail a task that waits for its token.",
    epilog=examples('wherry workflow fail TOKEN --error Refused --cause "too late"'),
)
@click.argument("token")
@click.option("--error", default=None, help="The error that its Retry and Catch see.")
@click.option("--cause", default=None, help="Why, for people.")
@workflow_option
@data_option
@json_option
def fail(
    token: str,
    error: str | None,
    cause: str | None,
    workflow: str | None,
    data: str,
    as_json: bool,
) -> None:
    """Fail the task that waits for TOKEN."""
    _end(token, workflow, data, as_json, kind="failed", error=error, cause=cause)


def _require_moved(backend: Backend, workflow: str) -> None:
    """Refuse an order to a run that nobody moves: it would lie in the queue of its workflow."""
    blueprint = active_blueprint(backend)
    if not any(one.name == workflow for one in blueprint.workflows):
        raise Refused(
            f"{blueprint.app} does not declare the workflow {workflow!r} any more: its runs stand "
            "still.",
            advice="Declare it again, until they have ended or are stopped.",
        )


def _end(token: str, workflow: str | None, data: str, as_json: bool, **how: Any) -> None:
    """End a task; of which workflow it is the token does not say, so each is asked."""
    with connected(data) as backend:
        blueprint = active_blueprint(backend)
        names = [one.name for one in blueprint.workflows]
        if workflow is not None:
            names = [workflow_of(blueprint, workflow).name]
        for name in names:
            effect = EndTask(name, token, new_id(), **how)
            if commit(backend, how["kind"], effect, required=False):
                if as_json:
                    show_json({"workflow": name, how["kind"]: True})
                else:
                    show(f"The task of {name} has {how['kind']}.")
                return
    raise Refused(
        "No task waits for this token.",
        advice="It has ended already, its time is over, or its run was stopped.",
    )


MOVING = (start, stop, redrive, succeed, fail)


def _told(what: str, workflow: str, name: str, as_json: bool) -> None:
    if as_json:
        show_json({"workflow": workflow, "name": name})
    else:
        show(f"{name} of {workflow} is {what}.")


# -- helpers ---------------------------------------------------------------------------------------


def find(backend: Backend, run: str, workflow: str | None) -> ExecutionRow:
    """Return a run by its name or the beginning of it.

    Raises:
        Refused: There is none, or several.
    """
    found = _exact(backend, run, workflow)
    if not found:
        newest: ExecutionRows = backend.ask(ListExecutions(workflow, None, PAGE))
        begun = [row for row in newest.rows if row.name.startswith(run)]
        if len(begun) != 1:
            raise _none_or_several(run, begun, [row.name for row in newest.rows])
        found = _exact(backend, begun[0].name, begun[0].workflow)
    if len(found) == 1:
        return found[0]
    raise _none_or_several(run, found, [])


def run_of(backend: Backend, failed: FailedWork) -> ExecutionRow | None:
    """Return the run that failed work is of, or to which it was to happen; None for other work."""
    try:
        number = msgspec.json.decode(failed.body, type=Happened).execution
    except msgspec.DecodeError:
        return None
    row = backend.ask(FindExecution(failed.queue, "", id=number))
    return row if isinstance(row, ExecutionRow) and row.workflow == failed.queue else None


def _exact(backend: Backend, run: str, workflow: str | None) -> list[ExecutionRow]:
    names = [workflow] if workflow is not None else [
        one.name for one in active_blueprint(backend).workflows]  # fmt: skip
    rows = [backend.ask(FindExecution(name, run)) for name in names]
    return [row for row in rows if isinstance(row, ExecutionRow)]


def _none_or_several(run: str, found: list[ExecutionRow], known: list[str]) -> Refused:
    if not found:
        return Refused(
            f"There is no run {run!r}.{near(run, known)}",
            advice="`wherry workflow list` shows the newest; they are kept for 90 days.",
        )
    names = {row.name for row in found}
    if len(names) == 1:
        ways = " or ".join(f"--workflow {row.workflow}" for row in found)
        return Refused(f"Several workflows have a run {run!r}.", advice=f"Say which: {ways}.")
    return Refused(f"{len(found)} runs begin with {run!r}.", advice=", ".join(sorted(names)[:5]))


def _waiting(backend: Backend, row: ExecutionRow) -> dict[str, str]:
    """Return the tokens that tasks of a run wait for, each with its state."""
    from wherry.engine.workflows.packing import unpack

    found = backend.ask(GetExecution(row.id)) if row.status == "RUNNING" else None
    if not isinstance(found, Execution) or not found.head:
        return {}
    run, _ = unpack(found)
    return {token: run.frames[frame].state for token, frame in run.tokens.items()}


def definition_of(backend: Backend, row: ExecutionRow) -> WorkflowSpec:
    """Return the workflow as this run began with it.

    Raises:
        Refused: It is gone.
    """
    from wherry.blueprint import WorkflowSpec

    found = backend.ask(GetDefinition(row.definition))
    if not isinstance(found, Definition):
        raise Refused(f"The definition of {row.name!r} is not kept any more.")
    return msgspec.json.decode(found.body, type=WorkflowSpec)


def events_of(backend: Backend, row: ExecutionRow) -> list[HistoryEvent]:
    """Return the whole history of a run."""
    from wherry.statemachine.records import HistoryEvent

    events: list[HistoryEvent] = []
    after: int | None = 0
    while after is not None:
        page: History = backend.ask(GetHistory(row.id, PAGE, after))
        events += [msgspec.msgpack.decode(one, type=HistoryEvent) for one in page.events]
        after = page.after
    return events
