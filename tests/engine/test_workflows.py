"""Workflows on an engine in processes of its own: each step's effects once, whatever is killed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wherry.ports import ExecutionRow, FindExecution, GetHistory, History, ListExecutions
from wherry.runtime.process.trees import children
from wherry.statemachine.records import HistoryEvent

from .fault_kit import killing
from .server_kit import Engine, serving, tries, until
from .stores_kit import both_stores, sqlite_alone

QUICK = {"LEASE_S": 1.5, "LEASE_RENEW_S": 0.5, "POLL_S": 0.5}
STEPS = ("one", "two", "three", "four")


@pytest.fixture(scope="module")
def flows(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """For tests that kill nothing of it."""
    with serving("flows", tmp_path_factory.mktemp("flows") / "data", limits=QUICK) as engine:
        yield engine


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Engine]:
    """For a test alone."""
    with serving("flows", tmp_path / "data", limits=QUICK) as engine:
        yield engine


def start(engine: Engine, workflow: str, name: str, **asked: Any) -> None:
    reply = engine.once("POST", f"/start/{workflow}", {"name": name, **asked})
    assert reply.status == 204, reply


def look(engine: Engine, workflow: str, name: str) -> ExecutionRow | None:
    found = tries(lambda: engine.ask(FindExecution(workflow, name)))
    return found if isinstance(found, ExecutionRow) else None


def ended(engine: Engine, workflow: str, name: str) -> ExecutionRow:
    """Wait for the end of an execution."""

    def at_its_end() -> ExecutionRow | None:
        row = look(engine, workflow, name)
        return row if row is not None and row.status != "RUNNING" else None

    return until(at_its_end, f"the end of {name}")


def in_state(engine: Engine, workflow: str, name: str, state: str) -> None:
    """Wait until an execution is in a state."""

    def there() -> bool:
        row = look(engine, workflow, name)
        return row is not None and state in row.states

    until(there, f"{name} in {state}")


def history(engine: Engine, execution: int) -> list[HistoryEvent]:
    """Return the whole history; it is numbered without a gap, and only looks back."""
    events: list[HistoryEvent] = []
    while True:
        page = engine.ask(GetHistory(execution, 50, events[-1].id if events else 0))
        assert isinstance(page, History)
        events += [msgspec.msgpack.decode(body, type=HistoryEvent) for body in page.events]
        if page.after is None:
            break
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert all(event.previous < event.id for event in events)
    return events


def visits(events: list[HistoryEvent], kind: str) -> Counter[str]:
    """How often each state was entered, or left."""
    return Counter(
        event.details["name"]
        for event in events
        if event.type.endswith(f"State{kind}") and event.details is not None
    )


def count(engine: Engine, key: str) -> int:
    found: int = until(
        lambda: tries(lambda: engine.once("GET", f"/marks/{key}")), "an answer"
    ).json()
    return found


def sound(engine: Engine, name: str) -> list[HistoryEvent]:
    """A chain has succeeded: each state visited once, each effect there once."""
    row = ended(engine, "chain", name)
    assert (row.status, row.error, row.cause) == ("SUCCEEDED", None, None)
    events = history(engine, row.id)
    assert row.events == len(events)
    once = Counter({**dict.fromkeys(STEPS, 1), "pause": 1})
    assert visits(events, "Entered") == once
    assert visits(events, "Exited") == once
    assert {step: count(engine, f"{name}.{step}") for step in STEPS} == dict.fromkeys(STEPS, 1)
    return events


def types(events: list[HistoryEvent]) -> Counter[str]:
    return Counter(event.type for event in events)


# --- what states do -----------------------------------------------------------------------------


@both_stores
def test_tasks_follow_each_other_and_their_effects_are_there_once(flows: Engine) -> None:
    start(flows, "chain", "a")
    start(flows, "chain", "a")  # the same name and input: the same execution
    events = sound(flows, "a")
    assert types(events)["LambdaFunctionSucceeded"] == 4
    row = ended(flows, "chain", "a")
    assert row.output is not None
    assert msgspec.json.decode(row.output)["last"] == {"step": "four"}
    other = {"name": "a", "work_s": 0.5}
    assert flows.once("POST", "/start/chain", other).status == 409


def test_branches_items_and_children_run_side_by_side(flows: Engine) -> None:
    start(flows, "sides", "s", items=list(range(50)))
    start(flows, "many", "m", items=list(range(100, 160)))
    row = ended(flows, "sides", "s")
    assert (row.status, row.error, row.cause) == ("SUCCEEDED", None, None)
    assert msgspec.json.decode(row.output or b"") == [number**2 for number in range(50)]
    assert [count(flows, f"s.{side}") for side in ("left", "right")] == [1, 1]
    row = ended(flows, "many", "m")
    assert (row.status, row.error, row.cause) == ("SUCCEEDED", None, None)
    assert msgspec.json.decode(row.output or b"") == [number**2 for number in range(100, 160)]
    assert {count(flows, f"item.{number}") for number in range(100, 160)} == {1}
    children = flows.ask(ListExecutions(None, None, 100, parent=row.id)).rows
    assert Counter(child.status for child in children) == {"SUCCEEDED": 60}
    assert types(history(flows, children[0].id))["LambdaFunctionSucceeded"] == 1


def test_a_task_that_fails_dies_or_hangs_is_told_by_the_names_that_lambda_gives(
    flows: Engine,
) -> None:
    """Each is retried by its name; what a failed attempt wrote is not there."""
    told = {"fail": "Declined", "die": "Runtime.ExitError", "hang": "Sandbox.Timedout"}
    for how in told:
        start(flows, "chain", how, where="two", **{how: 1})
    start(flows, "chain", "g", fail=9)
    for how, error in told.items():
        events = sound(flows, how)
        failed = [one.details for one in events if one.type == "LambdaFunctionFailed"]
        assert [details["error"] for details in failed if details] == [error]
        cause = msgspec.json.decode((failed[0] or {})["cause"])
        assert cause["errorType"] == error
    row = ended(flows, "chain", "g")
    assert (row.status, row.error) == ("FAILED", "Declined")
    cause = msgspec.json.decode(row.cause or "")
    assert (cause["errorMessage"], cause["errorType"]) == ("no one", "Declined")
    assert cause["requestId"]
    assert any("in work" in line for line in cause["stackTrace"])
    (failure,) = flows.failures("chain").rows
    assert (failure.id, failure.code) == (f"{row.id}.0", "execution_failed")
    assert count(flows, "g.one") == 0


def test_a_person_completes_a_token_by_a_route_and_only_once(flows: Engine) -> None:
    start(flows, "approval", "p")
    until(lambda: flows.once("POST", "/approve/p").status == 204, "a token to approve")
    row = ended(flows, "approval", "p")
    assert row.status == "SUCCEEDED"
    assert msgspec.json.decode(row.output or b"")["answer"] == {"by": "alice"}
    assert flows.once("POST", "/approve/p").status == 409


def test_what_is_stopped_ends_at_once_and_its_task_has_no_effect(flows: Engine) -> None:
    start(flows, "chain", "x", work_s=1.0)
    in_state(flows, "chain", "x", "one")
    until(lambda: flows.pools()["work"]["busy"], "the task")
    assert flows.once("POST", "/stop/x").status == 204
    row = ended(flows, "chain", "x")
    assert (row.status, row.error) == ("ABORTED", "Enough")
    until(lambda: not flows.pools()["work"]["busy"], "the end of the task")
    assert count(flows, "x.one") == 0
    assert flows.drained("work")


def worker(engine: Engine) -> int | None:
    """The process ID of the process that evaluates expressions."""
    for pid in children(engine.pid):
        with suppress(OSError):
            if b"workflows.expressions" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


def test_expressions_are_evaluated_in_a_process_whose_death_is_not_noticed(own: Engine) -> None:
    assert worker(own) is None
    for number in range(5):
        start(own, "query", f"q{number}", items=[1, 2, 3])
        row = ended(own, "query", f"q{number}")
        assert (row.status, row.output) == ("SUCCEEDED", b"37")
        history(own, row.id)
        pid = worker(own)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        # A step that it takes along fails: here it has none.
        until(lambda: pid not in children(own.pid), "the end of the process")  # noqa: B023


VERSIONED = """
from typing import Any
from wherry import App

app = App("versioned")
states = {"Wait": {"Type": "Wait", "SecondsPath": "$.wait_s", "Next": "Say"},
          "Say": {"Type": "Task", "Resource": "say", "Parameters": {"which": "WHICH"}, "End": True}}
flow = app.workflow("flow", definition={"StartAt": "Wait", "States": states})


@app.task()
def say(payload: Any) -> Any:
    return [payload["which"], "WHICH"]


@app.post("/start/{name}/{wait_s}", grants=[flow.start])
def start(name: str, wait_s: int) -> None:
    flow.start({"wait_s": wait_s}, name=name)
"""


def test_an_execution_keeps_its_definition_and_calls_the_functions_of_today(
    tmp_path: Path,
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "versioned.py").write_text(VERSIONED.replace("WHICH", "old"))
    with serving("versioned", tmp_path / "data", folder=code, limits=QUICK) as engine:
        assert engine.client("POST", "/start/before/2").status == 204
        release = engine.status()["release"]
        (code / "versioned.py").write_text(VERSIONED.replace("WHICH", "new"))
        os.kill(engine.pid, signal.SIGHUP)
        until(lambda: engine.status()["release"] != release, "the new release")
        assert engine.client("POST", "/start/after/0").status == 204
        outputs = {name: ended(engine, "flow", name).output for name in ("before", "after")}
        assert outputs == {"before": b'["old","new"]', "after": b'["new","new"]'}


# --- what is killed -----------------------------------------------------------------------------


def test_an_engine_killed_in_each_state_goes_on_where_it_was(tmp_path: Path) -> None:
    engine = Engine("flows", tmp_path / "data", limits=QUICK)
    try:
        engine.start()
        for life, state in enumerate(("one", "three", "pause", "four")):
            wait_s = 2 if state == "pause" else 0
            start(engine, "chain", f"e{life}", where=state, work_s=0.6, wait_s=wait_s)
            in_state(engine, "chain", f"e{life}", state)
            engine.kill()
            engine.start()
            sound(engine, f"e{life}")
    finally:
        print(engine.said()[-6_000:])
        engine.close()


def test_an_engine_killed_in_a_map_does_each_item_once(tmp_path: Path) -> None:
    """Items that wait, run and are done: of inline iterations, and of children."""
    engine = Engine("flows", tmp_path / "data", limits=QUICK)
    items = {"sides": list(range(40)), "many": list(range(1_000, 1_120))}
    try:
        engine.start()
        for workflow, numbers in items.items():
            start(engine, workflow, workflow, items=numbers)
            for _ in range(2):
                before = len(numbers) // 3
                until(lambda: progress(engine, numbers) >= before, "some items")  # noqa: B023
                engine.kill()
                engine.start()
                numbers = numbers[before:]
            row = ended(engine, workflow, workflow)
            assert (row.status, row.error, row.cause) == ("SUCCEEDED", None, None)
            assert msgspec.json.decode(row.output or b"") == [n**2 for n in items[workflow]]
            assert {count(engine, f"item.{number}") for number in items[workflow]} == {1}
            history(engine, row.id)
    finally:
        print(engine.said()[-6_000:])
        engine.close()


def progress(engine: Engine, numbers: list[int]) -> int:
    """How many of these items are done."""
    found = 0
    while found < len(numbers) and count(engine, f"item.{numbers[found]}"):
        found += 1
    return found


def test_a_wait_ends_at_its_moment_over_a_restart(tmp_path: Path) -> None:
    engine = Engine("flows", tmp_path / "data", limits=QUICK)
    try:
        engine.start()
        start(engine, "chain", "w", wait_s=1)
        in_state(engine, "chain", "w", "pause")
        assert engine.stop() == 0
        engine.start()
        events = sound(engine, "w")
        entered, exited = (
            next(event.at_ms for event in events if event.type == f"WaitState{kind}")
            for kind in ("Entered", "Exited")
        )
        assert exited - entered >= 1_000
    finally:
        engine.close()


def test_environments_killed_while_they_run_fail_their_task_and_nothing_twice(
    own: Engine,
) -> None:
    start(own, "chain", "k", work_s=0.5)
    for state in ("one", "two"):
        in_state(own, "chain", "k", state)
        until(lambda: own.pools()["work"]["busy"], "a task that runs")
        for pid in own.environments("work"):
            os.kill(pid, signal.SIGKILL)
    events = sound(own, "k")
    assert types(events)["LambdaFunctionFailed"] >= 1


@sqlite_alone("there is no process of a store that could be killed")
def test_a_store_killed_at_its_kth_system_call_is_not_noticed(own: Engine, tmp_path: Path) -> None:
    number = 0
    for call in ("fdatasync", "pwrite64", "sendto"):
        for nth in (1, 4, 9):
            pid = own.store_pid()
            with killing(pid, call, nth, tmp_path / "strace") as tracer:
                for _ in range(20):
                    number += 1
                    start(own, "chain", f"s{number}")
                    sound(own, f"s{number}")
                    if tracer.poll() is not None:
                        break
            until(lambda: tries(own.store_pid) not in (None, pid), f"the kill at {call} {nth}")  # noqa: B023
    for done in range(1, number + 1):
        sound(own, f"s{done}")
