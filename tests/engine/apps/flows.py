"""Workflows whose tasks leave a count behind, so that each effect can be counted."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from wherry import App, NotFound, Struct


class Mark(Struct):
    key: str
    count: int = 0


class Token(Struct):
    name: str
    token: str


class Asked(Struct):
    """What an execution is begun with. `fail`, `die`, `hang`: so many first attempts of a task.

    `where`: the only step to which these, and `work_s`, apply.
    """

    name: str
    work_s: float = 0.0
    fail: int = 0
    die: int = 0
    hang: int = 0
    wait_s: int = 0
    where: str = ""
    items: tuple[int, ...] = ()


class Work(Struct):
    asked: Asked
    step: str
    retry: int = 0


class Ask(Struct):
    name: str
    token: str


class Declined(Exception):
    """What a task fails with."""


app = App("flows")
marks = app.table(Mark, key="key")
tokens = app.table(Token, key="name")


@app.task(grants=[marks.write], timeout_s=2)
def work(work: Work) -> dict[str, Any]:
    """Do what is asked; count the effect."""
    asked = work.asked
    marks.add(f"{asked.name}.{work.step}", count=1)
    if asked.where not in ("", work.step):
        return {"step": work.step}
    if work.retry < asked.fail:
        raise Declined(f"no {work.step}")
    if work.retry < asked.die:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60 if work.retry < asked.hang else asked.work_s)
    return {"step": work.step}


@app.task(grants=[marks.write])
def item(number: int) -> int:
    marks.add(f"item.{number}", count=1)
    return number * number


@app.task(grants=[tokens.write])
def ask(ask: Ask) -> None:
    """Ask a person: the token waits in a table."""
    tokens.put(Token(ask.name, ask.token))


def step(name: str, following: str | None, **more: Any) -> dict[str, Any]:
    """Return a state that calls `work`."""
    end = {"End": True} if following is None else {"Next": following}
    parameters = {"asked.$": "$.asked", "step": name, "retry.$": "$$.State.RetryCount"}
    retry = [
        {"ErrorEquals": ["Declined", "Runtime.ExitError", "Sandbox.Timedout"],
         "IntervalSeconds": 1, "MaxAttempts": 2, "BackoffRate": 1.0},
    ]  # fmt: skip
    return {
        "Type": "Task", "Resource": "work", "Parameters": parameters, "Retry": retry,
        "ResultPath": "$.last", **end, **more,
    }  # fmt: skip


def machine(start: str, **states: Any) -> dict[str, Any]:
    return {"StartAt": start, "States": states}


chain = app.workflow(
    "chain",
    definition=machine(
        "one",
        one=step("one", "two"),
        two=step("two", "three"),
        three=step("three", "pause"),
        pause={"Type": "Wait", "SecondsPath": "$.asked.wait_s", "Next": "four"},
        four=step("four", None),
    ),
)
sides = app.workflow(
    "sides",
    definition=machine(
        "both",
        both={
            "Type": "Parallel",
            "Branches": [machine(name, **{name: step(name, None)}) for name in ("left", "right")],
            "ResultPath": "$.sides",
            "Next": "each",
        },
        each={
            "Type": "Map",
            "ItemsPath": "$.asked.items",
            "ItemProcessor": machine(
                "item", item={"Type": "Task", "Resource": "item", "End": True}
            ),
            "End": True,
        },
    ),
)
many = app.workflow(
    "many",
    definition=machine(
        "each",
        each={
            "Type": "Map",
            "ItemsPath": "$.asked.items",
            "MaxConcurrency": 10,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                **machine("item", item={"Type": "Task", "Resource": "item", "End": True}),
            },
            "End": True,
        },
    ),
)
approval = app.workflow(
    "approval",
    definition=machine(
        "ask",
        ask={
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {
                "FunctionName": "ask",
                "Payload": {"name.$": "$.asked.name", "token.$": "$$.Task.Token"},
            },
            "ResultPath": "$.answer",
            "Next": "done",
        },
        done=step("done", None),
    ),
)
query = app.workflow(
    "query",
    definition={
        "QueryLanguage": "JSONata",
        **machine(
            "sum",
            sum={"Type": "Pass", "Next": "item", "Output": "{% $sum($states.input.asked.items) %}"},
            item={"Type": "Task", "Resource": "item", "Next": "more",
                  "Arguments": "{% $states.input %}"},
            more={"Type": "Pass", "End": True, "Output": "{% $states.input + 1 %}"},
        ),
    },
)  # fmt: skip
WORKFLOWS = {one.name: one for one in (chain, sides, many, approval, query)}


@app.post("/start/{workflow}", grants=[one.start for one in WORKFLOWS.values()])
def start(workflow: str, asked: Asked) -> None:
    WORKFLOWS[workflow].start({"asked": asked}, name=asked.name)


@app.post("/stop/{name}", grants=[chain.stop])
def stop(name: str) -> None:
    chain.stop(name, error="Enough")


@app.post("/redrive/{name}", grants=[chain.redrive])
def redrive(name: str) -> None:
    chain.redrive(name)


@app.post("/approve/{name}", grants=[tokens.read, approval.complete])
def approve(name: str) -> None:
    token = tokens.get(name)
    if token is None:
        raise NotFound("token", name)
    approval.succeed(token.token, {"by": "alice"})


@app.get("/marks/{key}", grants=[marks.read])
def look(key: str) -> int:
    found = marks.get(key)
    return found.count if found else 0
