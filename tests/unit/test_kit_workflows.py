"""Workflows in a test's process: what states do themselves, waits that take no time, redrives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from wherry import App, Struct, current
from wherry.handles.workflows import Execution, Workflow
from wherry.testing import Backend, running

INVOKE = "arn:aws:states:::lambda:invoke"
DAY_S = 86_400


class Order(Struct):
    id: str
    cents: int = 0
    state: str = "new"


class Job(Struct):
    number: int


def task(resource: str, following: str | None = None, **more: Any) -> dict[str, Any]:
    end = {"End": True} if following is None else {"Next": following}
    return {"Type": "Task", "Resource": resource, **end, **more}


def machine(start: str, **states: Any) -> dict[str, Any]:
    return {"StartAt": start, "States": states}


class Shop:
    """An app with what states can use; `calls` is what its tasks were called with."""

    def __init__(self) -> None:
        self.app = app = App("shop")
        self.calls: list[Any] = []
        self.fail = 0
        self.orders = app.table(Order, key="id")
        self.jobs = app.queue(Job)
        self.files = app.bucket("files")
        shop = self

        @app.task()
        def echo(payload: Any) -> Any:
            shop.calls.append(payload)
            if shop.fail:
                shop.fail -= 1
                raise ValueError("not now")
            return payload

        @app.consume(self.jobs)
        def work(job: Job) -> None:
            shop.calls.append(job.number)

    def workflow(self, name: str, definition: dict[str, Any], *grants: Any) -> Workflow[Any]:
        return self.app.workflow(name, definition=definition, grants=list(grants))


def start(backend: Backend, workflow: Workflow[Any], input: Any = None, name: str = "r") -> None:
    with backend.acting():
        workflow.start(input, name=name)


def look(backend: Backend, workflow: Workflow[Any], name: str = "r") -> Execution:
    with backend.acting():
        found = workflow.describe(name)
    assert found is not None
    return found


def run(backend: Backend, workflow: Workflow[Any], input: Any = None, name: str = "r") -> Execution:
    start(backend, workflow, input, name)
    backend.drain()
    return look(backend, workflow, name)


# --- time -----------------------------------------------------------------------------------------


def test_a_wait_of_a_month_takes_no_time_and_a_task_runs_at_its_moment() -> None:
    shop = Shop()
    flow = shop.workflow(
        "flow", machine("Wait", Wait={"Type": "Wait", "Seconds": 30 * DAY_S, "Next": "Echo"},
                        Echo=task("echo")),
    )  # fmt: skip
    with running(shop.app) as backend:
        begun_ms = backend.clock.now_ms()
        found = run(backend, flow, {"a": 1})
        assert (found.status, found.output) == ("SUCCEEDED", {"a": 1})
        assert backend.clock.now_ms() - begun_ms == 30 * DAY_S * 1000
        start(backend, flow, name="second")
        backend.advance(29 * DAY_S)
        assert look(backend, flow, "second").states == ("Wait",)
        backend.advance(DAY_S)
        assert look(backend, flow, "second").status == "SUCCEEDED"


def test_a_drain_leaves_what_waits_for_a_person_and_time_ends_it() -> None:
    """A task that waits for its token has not timed out because a test let others finish."""
    shop = Shop()
    ask = {"FunctionName": "echo", "Payload": {"token.$": "$$.Task.Token"}}
    flow = shop.workflow(
        "flow",
        machine(
            "Ask",
            Ask=task(
                f"{INVOKE}.waitForTaskToken", "Done", Parameters=ask, TimeoutSeconds=7 * DAY_S,
                HeartbeatSeconds=3 * DAY_S, Catch=[{"ErrorEquals": ["States.Timeout"],
                "Next": "Late"}],
            ),
            Done={"Type": "Succeed"},
            Late={"Type": "Fail", "Error": "TooLate"},
        ),
    )  # fmt: skip
    with running(shop.app) as backend:
        assert run(backend, flow).states == ("Ask",)
        with backend.acting():
            flow.succeed(shop.calls[-1]["token"], {"by": "alice"})
        backend.drain()
        assert look(backend, flow).output == {"by": "alice"}
        start(backend, flow, name="late")
        backend.advance(2 * DAY_S)
        with backend.acting():
            flow.heartbeat(shop.calls[-1]["token"])
        backend.advance(2 * DAY_S)
        assert look(backend, flow, "late").status == "RUNNING"
        backend.advance(DAY_S)
        assert look(backend, flow, "late").error == "TooLate"


def test_a_task_is_tried_again_after_its_interval_by_the_test_s_clock() -> None:
    shop = Shop()
    retry = [{"ErrorEquals": ["ValueError"], "IntervalSeconds": 100, "MaxAttempts": 3,
              "BackoffRate": 2.0}]  # fmt: skip
    flow = shop.workflow("flow", machine("Echo", Echo=task("echo", Retry=retry)))
    with running(shop.app) as backend:
        shop.fail = 3
        begun_ms = backend.clock.now_ms()
        assert run(backend, flow, 5).status == "SUCCEEDED"
        assert shop.calls == [5, 5, 5, 5]
        assert 700_000 <= backend.clock.now_ms() - begun_ms < 701_000


def test_a_task_has_one_key_for_the_outside_over_its_retries_and_a_redrive() -> None:
    app = App("shop")
    keys: list[str] = []
    booked: list[bool] = []

    def book() -> bool:
        booked.append(True)
        return True

    @app.task()
    def pay() -> int:
        app.atomic("book", book)
        keys.append(current().key("pay"))
        if len(keys) < 4:
            raise ValueError("not now")
        return len(keys)

    retry = [{"ErrorEquals": ["ValueError"], "MaxAttempts": 1}]
    definition = machine("Pay", Pay=task("pay", "Again", Retry=retry), Again=task("pay"))
    flow = app.workflow("flow", definition=definition)
    with running(app) as backend:
        assert run(backend, flow).status == "FAILED"
        assert (len(keys), len(set(keys)), len(booked)) == (2, 1, 1)
        with backend.acting():
            flow.redrive("r")
        backend.drain()
        assert look(backend, flow).status == "SUCCEEDED"
        assert run(backend, flow, name="s").status == "SUCCEEDED"
    first, again, *others = keys[3:]
    assert keys[:3] == [first] * 3
    assert len({first, again, *others}) == 4  # another state, another execution: another key
    assert len(booked) == 4


# --- what states do themselves ----------------------------------------------------------------


def test_states_send_publish_and_change_items_with_their_own_grants() -> None:
    shop = Shop()

    @shop.app.event("shop.paid")
    class Paid(Struct):
        id: str

    @shop.app.on(Paid)
    def heard(event: Paid) -> None:
        shop.calls.append(event.id)

    item = {"id": {"S.$": "$.id"}, "cents": {"N": "5"}}
    flow = shop.workflow(
        "flow",
        machine(
            "Put",
            Put=task("arn:aws:states:::dynamodb:putItem", "Send", ResultPath=None,
                     Parameters={"TableName": "orders", "Item": item,
                                 "ConditionExpression": "attribute_not_exists(id)"}),
            Send=task("arn:aws:states:::sqs:sendMessage", "Tell", ResultPath=None,
                      Parameters={"QueueUrl": "jobs", "MessageBody": {"number": 7}}),
            Tell=task("arn:aws:states:::events:putEvents", "Get", ResultPath=None,
                      Parameters={"Entries": [{"DetailType": "shop.paid", "Source": "shop",
                                               "Detail": {"id.$": "$.id"}}]}),
            Get=task("arn:aws:states:::dynamodb:getItem", ResultPath="$.found",
                     Parameters={"TableName": "orders", "Key": {"id": {"S.$": "$.id"}}}),
        ),
        shop.orders.read, shop.orders.write, shop.jobs.send, *_publish(Paid),
    )  # fmt: skip
    with running(shop.app) as backend:
        found = run(backend, flow, {"id": "o-1"})
        assert (found.status, found.error, found.cause) == ("SUCCEEDED", None, None)
        assert found.output["found"]["Item"]["cents"] == {"N": "5"}
        assert backend.items(shop.orders) == [Order("o-1", 5)]
        assert shop.calls in ([7, "o-1"], ["o-1", 7])
        again = run(backend, flow, {"id": "o-1"}, "again")
        assert again.error == "DynamoDB.ConditionalCheckFailedException"
        assert shop.calls in ([7, "o-1"], ["o-1", 7])


def _publish(event: Any) -> list[Any]:
    from wherry import publish

    return [publish[event]]


def test_a_state_begins_another_workflow_and_waits_for_its_end() -> None:
    shop = Shop()
    inner = shop.workflow("inner", machine("Echo", Echo=task("echo")))
    begin = "arn:aws:states:::states:startExecution"
    parameters = {"StateMachineArn": "inner", "Input": {"n.$": "$.n"}}
    outer = shop.workflow(
        "outer",
        machine("Begin", Begin=task(f"{begin}.sync:2", Parameters=parameters,
                                    OutputPath="$.Output")),
        inner.start,
    )  # fmt: skip
    free = shop.workflow(
        "free", machine("Begin", Begin=task(begin, Parameters=parameters)), inner.start
    )
    with running(shop.app) as backend:
        found = run(backend, outer, {"n": 5})
        assert (found.status, found.output) == ("SUCCEEDED", {"n": 5})
        found = run(backend, free, {"n": 6})
        assert set(found.output) >= {"ExecutionArn", "StartDate"}
        assert shop.calls == [{"n": 5}, {"n": 6}]
        shop.fail = 1
        found = run(backend, outer, {"n": 7}, "failing")
        assert (found.status, found.error) == ("FAILED", "States.TaskFailed")
        assert "ValueError" in str(found.cause)


def test_a_map_reads_its_items_from_a_bucket_and_writes_its_results_there() -> None:
    shop = Shop()
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        **machine("Echo", Echo=task("echo")),
    }
    flow = shop.workflow(
        "flow",
        machine(
            "All",
            All={
                "Type": "Map", "ItemProcessor": processor, "MaxConcurrency": 3, "End": True,
                "ItemReader": {
                    "Resource": "arn:aws:states:::s3:getObject",
                    "ReaderConfig": {"InputType": "JSON"},
                    "Parameters": {"Bucket": "files", "Key": "items.json"},
                },
                "ResultWriter": {
                    "Resource": "arn:aws:states:::s3:putObject",
                    "Parameters": {"Bucket": "files", "Prefix": "results"},
                },
            },
        ),
        shop.files.read, shop.files.write, shop.files.create,
    )  # fmt: skip
    with running(shop.app) as backend:
        with backend.acting():
            shop.files.put("items.json", b"[1, 2, 3, 4, 5, 6, 7]")
        found = run(backend, flow)
        assert (found.status, found.error, found.cause) == ("SUCCEEDED", None, None)
        assert sorted(shop.calls) == [1, 2, 3, 4, 5, 6, 7]
        key = found.output["ResultWriterDetails"]["Key"]
        with backend.acting():
            keys = [one.key for one in shop.files.list("results").items]
        assert key in keys
        (written,) = [one for one in keys if "SUCCEEDED_0" in one]
        content = backend.object(shop.files, written)
        assert content is not None
        assert content.read().count(b'"Status":"SUCCEEDED"') == 7


def test_results_tell_of_each_item_once_after_a_redrive() -> None:
    shop = Shop()
    flow = shop.workflow(
        "flow",
        machine(
            "All",
            All={
                "Type": "Map", "MaxConcurrency": 1, "End": True,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    **machine("Echo", Echo=task("echo")),
                },
                "ResultWriter": {
                    "Resource": "arn:aws:states:::s3:putObject",
                    "Parameters": {"Bucket": "files", "Prefix": "results"},
                },
            },
        ),
        shop.files.create,
    )  # fmt: skip
    with running(shop.app) as backend:
        shop.fail = 1
        assert run(backend, flow, [1, 2, 3]).status == "FAILED"
        backend.redrive()
        backend.drain()
        assert look(backend, flow).status == "SUCCEEDED"
        assert shop.calls == [1, 1, 2, 3]
        with backend.acting():
            keys = [one.key for one in shop.files.list("results").items]
        assert [key.rsplit("/", 1)[-1] for key in keys] == ["SUCCEEDED_0.json", "manifest.json"]
        content = backend.object(shop.files, keys[0])
        assert content is not None
        assert [one["Output"] for one in json.decode(content.read())] == ["1", "2", "3"]


def test_jsonata_is_evaluated_as_everywhere() -> None:
    shop = Shop()
    flow = shop.workflow(
        "flow",
        {
            "QueryLanguage": "JSONata",
            **machine(
                "Echo",
                Echo=task("echo", Arguments={"sum": "{% $sum($states.input.n) %}"},
                          Output="{% $states.result.sum * 2 %}"),
            ),
        },
    )  # fmt: skip
    with running(shop.app) as backend:
        assert run(backend, flow, {"n": [1, 2, 3]}).output == 12


def test_a_loop_without_an_end_is_ended_by_the_limit_of_its_history() -> None:
    """It is no burden meanwhile: after so many states others have their turn."""
    shop = Shop()
    choice = {"Variable": "$.stop", "IsPresent": True, "Next": "Done"}
    flow = shop.workflow(
        "flow",
        machine(
            "Turn",
            Turn={"Type": "Pass", "Next": "Round"},
            Round={"Type": "Choice", "Choices": [choice], "Default": "Turn"},
            Done={"Type": "Succeed"},
        ),
    )
    other = shop.workflow("other", machine("Echo", Echo=task("echo")))
    with running(shop.app) as backend:
        start(backend, flow)
        start(backend, other, 1)
        backend.drain()
        found = look(backend, flow)
        assert (found.status, found.error) == ("FAILED", "States.Runtime")
        assert "history events" in str(found.cause)
        assert look(backend, other).status == "SUCCEEDED"


# --- failures ---------------------------------------------------------------------------------


def test_a_failed_execution_is_in_the_inbox_and_goes_on_from_there() -> None:
    shop = Shop()
    flow = shop.workflow("flow", machine("One", One=task("echo", "Two"), Two=task("echo")))
    with running(shop.app) as backend:
        shop.fail = 0
        start(backend, flow, "a")
        shop.fail = 1
        backend.drain()
        failed = look(backend, flow)
        assert (failed.status, failed.error) == ("FAILED", "ValueError")
        (failure,) = backend.failures()
        assert "not now" in failure.error
        shop.fail = 1
        backend.redrive()
        backend.drain()
        assert look(backend, flow).redrives == 1
        (failure,) = backend.failures()
        backend.redrive()
        backend.drain()
        found = look(backend, flow)
        assert (found.status, found.output, found.redrives) == ("SUCCEEDED", "a", 2)
        assert backend.failures() == []
        assert shop.calls == ["a"] * 4


def test_a_task_that_loses_a_conflict_runs_again_and_moves_its_execution_once() -> None:
    shop = Shop()
    orders = shop.orders

    @shop.app.task(grants=[orders.read, orders.write])
    def count(payload: Any) -> int:
        found = orders.get("o") or Order("o")
        shop.calls.append(found.cents)
        found.cents += 1
        orders.put(found)
        return found.cents

    flow = shop.workflow("flow", machine("Count", Count=task("count")))
    with running(shop.app) as backend:
        backend.conflict_next(orders, 2)
        assert run(backend, flow).output == 1
        assert shop.calls == [0, 0, 0]
        assert backend.items(orders) == [Order("o", 1)]
        backend.crash_after_commit()  # the answer is lost, and the store is asked again
        assert run(backend, flow, name="lost").output == 2
        assert backend.items(orders) == [Order("o", 2)]
        with backend.fail(orders):
            start(backend, flow, name="down")
            backend.advance(1)
            assert look(backend, flow, "down").states == ("Count",)
        backend.drain()
        assert look(backend, flow, "down").output == 3


def test_what_the_commit_refuses_fails_the_task_by_a_name() -> None:
    """A condition that does not hold, a grant that is missing: nothing of it is there."""
    shop = Shop()
    orders, jobs = shop.orders, shop.jobs

    @shop.app.task(grants=[orders.write])
    def reserve(payload: Any) -> None:
        orders.put(Order("o", 1), if_absent=True)

    @shop.app.task(grants=[orders.write])
    def notify(payload: Any) -> None:
        jobs.send(Job(1))

    catch = [{"ErrorEquals": ["ConditionFailed"], "Next": "Notify"}]
    flow = shop.workflow(
        "flow",
        machine("Reserve", Reserve=task("reserve", Catch=catch), Notify=task("notify")),
    )
    with running(shop.app) as backend:
        assert run(backend, flow).status == "SUCCEEDED"
        found = run(backend, flow, name="again")
        assert (found.status, found.error) == ("FAILED", "GrantMissing")
        assert backend.items(orders) == [Order("o", 1)]


def test_a_branch_that_fails_takes_the_others_with_it_and_their_tasks_have_no_effect() -> None:
    shop = Shop()
    orders = shop.orders

    @shop.app.task(grants=[orders.write])
    def place(id: str) -> str:
        orders.put(Order(id))
        return id

    failing = machine("Echo", Echo=task("echo"))
    placing = machine("Side", Side=task("place"))
    both = {
        "Type": "Parallel", "Branches": [failing, placing], "Next": "Place",
        "Catch": [{"ErrorEquals": ["ValueError"], "Next": "Place", "ResultPath": None}],
    }  # fmt: skip
    flow = shop.workflow(
        "flow", machine("Both", Both=both, Place=task("place", Parameters="caught"))
    )
    with running(shop.app) as backend:
        shop.fail = 1
        found = run(backend, flow, "side")
        assert (found.status, found.output) == ("SUCCEEDED", "caught")
        assert backend.items(orders) == [Order("caught")]


def test_a_function_redrives_and_stops_executions() -> None:
    shop = Shop()
    wait = {"Type": "Wait", "Seconds": DAY_S, "End": True}
    flow = shop.workflow("flow", machine("Echo", Echo=task("echo", "Wait"), Wait=wait))
    with running(shop.app) as backend:
        shop.fail = 1
        assert run(backend, flow, 1).status == "FAILED"
        with backend.acting():
            flow.redrive("r")
        backend.advance(5)
        assert look(backend, flow).states == ("Wait",)
        assert backend.failures() == []
        with backend.acting():
            flow.stop("r", error="Enough", cause="of it")
        backend.drain()
        found = look(backend, flow)
        assert (found.status, found.error, found.cause) == ("ABORTED", "Enough", "of it")


def test_a_handler_under_test_is_run_twice_and_must_repeat_itself() -> None:
    shop = Shop()
    flow = shop.workflow("flow", machine("Echo", Echo=task("echo")))
    with running(shop.app, twice=True) as backend:
        assert run(backend, flow, 3).output == 3
        assert shop.calls == [3, 3]


@pytest.mark.parametrize("input", [10**25, "half \\ud800", 1.5e300, {"deep": [[[{}]]]}])
def test_what_an_execution_is_given_comes_out_as_it_was(input: Any) -> None:
    shop = Shop()
    hold = {"Type": "Wait", "Seconds": 5, "End": True}
    flow = shop.workflow("flow", machine("Wait", Wait=hold))
    with running(shop.app) as backend:
        assert run(backend, flow, input).output == input


def test_executions_of_a_workflow_that_is_declared_no_more_are_told_of(tmp_path: Path) -> None:
    """They stand still; declared again, they go on."""
    waits = machine("Wait", Wait={"Type": "Wait", "Seconds": DAY_S, "End": True})
    waiting = App("shop").workflow("waiting", definition=waits)
    data = str(tmp_path / "data")

    def warnings(backend: Backend) -> list[tuple[Any, Any]]:
        lines = [line for line in backend.logs if line["level"] == "WARNING"]
        return [(line.get("workflow"), line.get("executions")) for line in lines]

    def declaring() -> tuple[App, Workflow[Any]]:
        app = App("shop")
        return app, app.workflow("waiting", definition=waiting.definition)

    app, flow = declaring()
    with running(app, data=data) as backend:
        with backend.acting():
            flow.start({}, name="r")
        backend.advance(1)
        assert warnings(backend) == []
    with running(App("shop"), data=data) as backend:
        backend.advance(2 * DAY_S)
        assert warnings(backend) == [("waiting", 1)]
    app, flow = declaring()
    with running(app, data=data) as backend:
        backend.drain()
        assert look(backend, flow).status == "SUCCEEDED"
