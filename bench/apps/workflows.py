"""Workflows that do nothing but move: ten tasks, ten states that wait for nothing, a map."""

from __future__ import annotations

import json
import time
from typing import Any

from wherry import App, Struct

COUNT = 10
NEWEST = 32  # executions that are looked at: more than run at once


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


@app.get("/ended/{workflow}", grants=[tasks.read, passes.read, items.read], timeout_s=25)
def ended(workflow: str, names: str, pause_s: float, after_s: float = 0) -> list[str]:
    """Wait until one of these has ended; return which have. None has within some seconds: none.

    Nothing is looked at before `after_s` is over: looking takes the machine's time.
    """
    time.sleep(after_s)
    among = {"tasks": tasks, "passes": passes, "items": items}[workflow]
    wanted = set(names.split(","))
    give_up_s = time.monotonic() + 20
    while time.monotonic() < give_up_s:
        if len(wanted) == 1:
            rows = [one for one in [among.describe(names)] if one is not None]
        else:
            rows = [one for one in among.list(limit=NEWEST).items if one.name in wanted]
        found = [one for one in rows if one.status != "RUNNING"]
        if any(one.status != "SUCCEEDED" for one in found):
            raise ValueError(f"{found}")
        if found:
            return [one.name for one in found]
        time.sleep(pause_s)
    return []
