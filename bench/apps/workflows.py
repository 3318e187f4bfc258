"""Workflows that do nothing but move: ten tasks, ten states that wait for nothing, a map."""

from __future__ import annotations

import json
import time
from typing import Any

from wherry import App, Struct
from wherry.handles.workflows import Status

COUNT = 10
SPARE = 8  # executions that may run beside those that are looked for
PAUSE_S = 0.004  # between two looks: each takes the machine's time
PATIENCE_S = 20


class Asked(Struct):
    name: str
    items: int = 0


app = App("bench-workflows")


@app.task()
def step(number: int) -> int:
    """The least that a task can do: its end is a commit all the same."""
    return number + 1


def chain(kind: dict[str, Any]) -> dict[str, Any]:
    """Return a definition of ten states of one kind."""
    states: dict[str, Any] = {f"S{at}": {**kind, "Next": f"S{at + 1}"} for at in range(COUNT)}
    last = states[f"S{COUNT - 1}"]
    del last["Next"]
    last["End"] = True
    return {"StartAt": "S0", "States": states}


ONE_TASK = {
    "StartAt": "Step",
    "States": {"Step": {"Type": "Task", "Resource": "step", "End": True}},
}
tasks = app.workflow("tasks", definition=chain({"Type": "Task", "Resource": "step"}))
passes = app.workflow("passes", definition=chain({"Type": "Pass"}))
files = app.bucket("files")
items = app.workflow(
    "items",
    grants=[files.read, files.create],
    definition={
        "StartAt": "All",
        "States": {
            "All": {
                "Type": "Map",
                "MaxConcurrency": 40,
                "ItemReader": {
                    "Resource": "arn:aws:states:::s3:getObject",
                    "ReaderConfig": {"InputType": "JSON"},
                    "Parameters": {"Bucket": "files", "Key.$": "$"},
                },
                "ResultWriter": {
                    "Resource": "arn:aws:states:::s3:putObject",
                    "Parameters": {"Bucket": "files", "Prefix": "results"},
                },
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    **ONE_TASK,
                },
                "End": True,
            }
        },
    },
)
WORKFLOWS = {"tasks": tasks, "passes": passes, "items": items}
READ = [tasks.read, passes.read, items.read]


@app.post("/tasks", grants=[tasks.start])
def start_tasks(asked: Asked) -> None:
    tasks.start(0, name=asked.name)


@app.post("/passes", grants=[passes.start])
def start_passes(asked: Asked) -> None:
    passes.start({"number": 1}, name=asked.name)


@app.post("/items", grants=[items.start, files.write])
def start_items(asked: Asked) -> None:
    """Put the items into a bucket, and begin a map over them that writes its results there."""
    files.put(asked.name, json.dumps(list(range(asked.items))).encode())
    items.start(asked.name, name=asked.name)


@app.get("/end/{workflow}/{name}", grants=READ, timeout_s=25)
def end_of(workflow: str, name: str) -> int:
    """Wait until this one has ended; say when, in ms since 1970. 0: not within some seconds."""
    give_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s:
        found = WORKFLOWS[workflow].describe(name)
        if found is not None and found.status not in ("RUNNING", "SUCCEEDED"):
            raise ValueError(f"{found}")
        if found is not None and found.ended_ms is not None:
            return found.ended_ms
        time.sleep(PAUSE_S)
    return 0


@app.get("/ended/{workflow}", grants=READ, timeout_s=25)
def ended(workflow: str, names: str) -> list[str]:
    """Wait until one of these runs no more; return which do not. None: not within some seconds."""
    wanted = set(names.split(","))
    give_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s:
        running = WORKFLOWS[workflow].list(status="RUNNING", limit=len(wanted) + SPARE).items
        if gone := wanted.difference(one.name for one in running):
            return list(gone)
        time.sleep(PAUSE_S)
    return []


@app.get("/failed/{workflow}", grants=READ)
def failed(workflow: str) -> int:
    """How many have ended otherwise than they should (at most one of each kind is counted)."""
    kinds: tuple[Status, ...] = ("FAILED", "TIMED_OUT", "ABORTED")
    return sum(len(WORKFLOWS[workflow].list(status=kind, limit=1).items) for kind in kinds)
