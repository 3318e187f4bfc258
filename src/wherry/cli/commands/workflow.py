"""`wherry workflow`: definitions that are shown, drawn, checked and tried; and their executions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import click

from wherry.cli.backend import connected
from wherry.cli.commands import executions
from wherry.cli.commands.check import shown
from wherry.cli.definitions import decoded, is_file, read_file, read_json, workflow_of
from wherry.cli.groups import ListFirst, examples
from wherry.cli.options import data_option, folder_option, json_option, target_argument
from wherry.cli.output import near, note, paint, show, show_json
from wherry.cli.target import load_blueprint, load_target
from wherry.errors import AppInvalid, Refused

if TYPE_CHECKING:
    from wherry.blueprint import Finding as AppFinding
    from wherry.blueprint import WorkflowSpec
    from wherry.drawing import Status
    from wherry.statemachine import Finding
    from wherry.testing import WorkflowResult

Type = Literal["STANDARD", "EXPRESS"]

type_option = click.option(
    "--type",
    "kind",
    type=click.Choice(["STANDARD", "EXPRESS"], case_sensitive=False),
    default="STANDARD",
    show_default=True,
    help="An express workflow takes less, and runs for five minutes at most.",
)


@click.group(
    cls=ListFirst,
    short_help="Draw, check and try workflows; look after their runs.",
    epilog=examples(
        "wherry workflow",
        "wherry workflow show refund --svg > refund.svg",
        "wherry workflow history refund-17",
    ),
)
def workflow() -> None:
    """Draw, check and try workflows, and look after their runs. Without a verb: list the runs.

    A RUN is named as it was started, or by the beginning of its name.
    """


workflow.add_command(executions.list_)
workflow.add_command(executions.describe)
workflow.add_command(executions.history)


# -- show ------------------------------------------------------------------------------------------


@workflow.command(
    "show",
    short_help="Print a workflow, or draw it.",
    epilog=examples(
        "wherry workflow show refund",
        "wherry workflow show refund.asl.json --svg > refund.svg",
        "wherry workflow show refund --svg --run refund-17 > run.svg",
    ),
)
@click.argument("name")
@target_argument
@click.option("--mermaid", "form", flag_value="mermaid", help="A flowchart for Markdown.")
@click.option("--svg", "form", flag_value="svg", help="A picture that needs nothing else.")
@click.option("--run", default=None, metavar="RUN", help="As this run has it, and how far it is.")
@data_option
@json_option
def show_(
    name: str,
    target: str,
    folder: str,
    form: str | None,
    run: str | None,
    data: str,
    as_json: bool,
) -> None:
    """Print the definition of the workflow NAME of TARGET, or of the file NAME.

    It is Amazon States Language in JSON, as Step Functions takes it. With --json all that the app
    says of the workflow.
    """
    states: dict[str, Status] = {}
    spec: WorkflowSpec | None = None
    if run is not None:
        with connected(data) as backend:
            row = executions.find(backend, run, name)
            spec = executions.definition_of(backend, row)
            definition = decoded(spec.definition)
            events = executions.events_of(backend, row)
        from wherry.observe.progress import progress

        states = progress(definition, events, row.status)
    elif is_file(name):
        definition = _valid(name)
    else:
        spec = workflow_of(load_blueprint(target, folder), name)
        definition = decoded(spec.definition)
    if form is not None:
        from wherry import drawing

        title = run or (spec.name if spec is not None else os.path.basename(name))
        if form == "svg":
            click.echo(drawing.svg(definition, states, title), nl=False)
        else:
            click.echo(drawing.mermaid(definition, states), nl=False)
    elif as_json and spec is not None:
        show_json({**_fields(spec), "definition": definition, "states": states})
    else:
        show_json(definition)


def _fields(spec: WorkflowSpec) -> dict[str, Any]:
    functions, grants = list(spec.functions), [str(one) for one in spec.grants]
    return {"name": spec.name, "input": spec.input, "functions": functions, "grants": grants}


def _valid(path: str) -> dict[str, Any]:
    """Return the definition in a file.

    Raises:
        InvalidDefinition: With all that is wrong with it.
    """
    from wherry.statemachine import InvalidDefinition, validate

    definition = read_file(path)
    found = validate(definition, functions=None)
    if found:
        raise InvalidDefinition(list(found))
    return decoded(definition)


# -- check -----------------------------------------------------------------------------------------


@workflow.command(
    short_help="Find what is wrong with definitions.",
    epilog=examples(
        "wherry workflow check",
        "wherry workflow check refund.asl.json import.asl.yaml",
        "wherry workflow check shop:app",
    ),
)
@click.argument("files", nargs=-1)
@folder_option
@type_option
@json_option
def check(files: tuple[str, ...], folder: str, kind: Type, as_json: bool) -> None:
    """Find every fault of definitions in FILES, each with its path; without one those of the app.

    What CreateStateMachine would refuse is an error, what wherry does not do is a warning; in an
    app that is an error too, as is what does not fit its functions and grants. Exits with 1 where
    there is an error. An app is named as elsewhere: module:app.
    """
    found: dict[str, list[dict[str, str]]] = {}
    lines: list[str] = []
    for one in files or ("",):
        if one and is_file(one):
            found[one] = _faults(one, kind)
            lines += [_line(one, fault) for fault in found[one]]
        else:
            name, findings = _of_the_app(one, folder)
            found[name] = [_finding(about) for about in findings]
            lines += [shown(about, paint()) for about in findings]
    counts = {name: sum(one["severity"] == "error" for one in those)
              for name, those in found.items()}  # fmt: skip
    if as_json:
        show_json(found)
    else:
        for line in lines:
            show(line)
        colours = paint()
        for name, count in counts.items():
            many = f"{count} error{'s' if count != 1 else ''}"
            show(f"{name}: {colours('bad', many) if count else colours('good', 'no errors')}")
    raise click.exceptions.Exit(1 if any(counts.values()) else 0)


def _faults(path: str, kind: Type) -> list[dict[str, str]]:
    from wherry.statemachine import validate
    from wherry.statemachine.integration_checks import check_integrations

    definition = read_file(path)
    found = validate(definition, type=kind, functions=None)
    if found:
        return [_fault(one, "error") for one in found]
    return [_fault(one, "warning") for one in check_integrations(decoded(definition))]


def _fault(finding: Finding, severity: str) -> dict[str, str]:
    return {"severity": severity, "code": finding.code, "location": finding.location,
            "message": finding.message}  # fmt: skip


def _line(path: str, fault: dict[str, str]) -> str:
    colours = paint()
    severity = fault["severity"]
    style = colours("bad" if severity == "error" else "warn", severity)
    code = colours("dim", f"[{fault['code']}]")
    return f"{path}: {style}: {fault['location']}: {fault['message']} {code}"


def _of_the_app(target: str, folder: str) -> tuple[str, list[AppFinding]]:
    """Return an app's name, and what is wrong with its workflows."""
    app = load_target(target, folder)
    try:
        app.freeze()
        found = list(app.warnings)
    except AppInvalid as error:
        found = [*error.findings, *app.warnings]
    about = [one for one in found if one.code.startswith(("workflow_", "definition_", "task_"))]
    if len(about) < len(found):
        note("There is more to be said of the app: wherry check")
    return app.name, about


def _finding(finding: AppFinding) -> dict[str, str]:
    return {"severity": finding.severity, "code": finding.code,
            "location": str(finding.place or ""), "message": finding.message}  # fmt: skip


# -- run -------------------------------------------------------------------------------------------


@workflow.command(
    short_help="Try a definition, without an app.",
    epilog=examples(
        """wherry workflow run refund.asl.json --input '{"order_id": "o-1"}'""",
        "wherry workflow run refund.asl.json --input @order.json --task charge=receipt.json",
        "wherry workflow run refund.asl.json --task charge=fakes:charge --history",
    ),
)
@click.argument("file")
@click.option("--input", "given", default="{}", metavar="JSON", help="Or @FILE; {} by default.")
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="NAME=DOES",
    help="What a task does: FILE.json is its result, module:function is called. NAME is that of "
    "its state, its function or its resource.",
)
@type_option
@click.option("--history", is_flag=True, help="Show each event.")
@folder_option
@json_option
def run(
    file: str,
    given: str,
    tasks: tuple[str, ...],
    kind: Type,
    history: bool,
    folder: str,
    as_json: bool,
) -> None:
    """Run the definition in FILE to its end, and print its output.

    Nothing is kept, and no time passes: waits and retries move a clock of the run's own. A task
    gets its payload; a function of yours may raise wherry.testing.TaskFailed, or return NEVER.
    Exits with 1 where the run does not succeed.
    """
    from wherry.testing import run_workflow

    definition = _valid(file)
    does = dict(_task(one, folder) for one in tasks)
    _check_names(definition, does)
    try:
        ended = run_workflow(definition, read_json(given, "input"), does, type=kind)
    except LookupError as error:
        raise Refused(
            f"{error.args[0]}.", advice="Say what it does: --task NAME=result.json"
        ) from None
    _tell(ended, history, as_json)
    raise click.exceptions.Exit(0 if ended.status == "SUCCEEDED" else 1)


def _check_names(definition: str | dict[str, Any], does: Iterable[str]) -> None:
    """Refuse a name that no task has: what it does would never be done, and nobody would know."""
    from wherry.statemachine.calls import task_states

    states = list(task_states(decoded(definition)))
    if any(state.calls_function and state.function is None for state in states):
        return  # an expression names the function
    known = {name for one in states for name in (one.name, one.resource.text, one.resource.name)}
    known |= {state.function for state in states if state.function is not None}
    for name in does:
        if name not in known and name.rpartition(":")[2] not in known:
            raise Refused(
                f"No task is called {name!r}, by its state, its function or its resource."
                f"{near(name, known)}"
            )


def _task(text: str, folder: str) -> tuple[str, Callable[[Any], Any]]:
    name, sign, does = text.rpartition("=")
    if not sign or not name:
        raise click.BadParameter(
            f"{text!r} is not NAME=FILE.json nor NAME=module:function.", param_hint="--task"
        )
    if not does.endswith(".json") and ":" in does:
        return name, _function(does, os.path.abspath(folder))
    result = read_json(f"@{does}", f"result of {name}")
    return name, lambda payload: result


def _function(name: str, folder: str) -> Callable[[Any], Any]:
    from importlib import import_module

    from wherry.runtime.loading import team_trace

    module, _, attribute = name.partition(":")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:
        raise Refused(f"{name} cannot be imported:\n{team_trace(error)}") from error
    if not callable(found):
        raise Refused(f"{name} is no function.")
    does: Callable[[Any], Any] = found
    return does


def _tell(ended: WorkflowResult, history: bool, as_json: bool) -> None:
    if as_json:
        told: dict[str, Any] = {"status": ended.status, "output": ended.output,
                                "error": ended.error, "cause": ended.cause}  # fmt: skip
        show_json({**told, "history": ended.history} if history else told)
        return
    if history:
        from wherry.observe.executions import history_text
        from wherry.statemachine.history import read

        show(history_text([read(one) for one in ended.history], paint()) + "\n")
    if ended.status == "SUCCEEDED":
        show_json(ended.output)
        return
    why = ": ".join(filter(None, (ended.error, ended.cause)))
    show(f"{paint()('bad', ended.status)} {why}".rstrip())


for _command in executions.MOVING:
    workflow.add_command(_command)
