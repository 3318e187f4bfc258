"""An app with workflows, and short words for what tests do with executions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import json
from msgspec.structs import replace

from tests.contract.conftest import BUCKETS, FUNCTIONS, QUEUES, TABLES, Place, function
from wherry.blueprint import (
    Blueprint,
    EventSpec,
    FunctionSpec,
    Grant,
    QueueSpec,
    TaskTrigger,
    WorkflowSpec,
)
from wherry.codec import canonical_json
from wherry.effects import StartExecution
from wherry.platforms.sql.store import SqlStore
from wherry.ports import (
    Advance,
    Claimed,
    Commit,
    Committed,
    Configure,
    Configured,
    Execution,
    FindExecution,
    GetExecution,
    GetHistory,
    Happened,
    MessageAck,
    TaskBody,
    WakeExecutions,
    Woken,
)
from wherry.world import ManualClock

ACTIONS = ("start", "read", "stop", "redrive", "complete")
ALL = tuple(
    Grant(kind="workflow", resource=name, action=action)  # type: ignore[arg-type]
    for name in ("refund", "audit")
    for action in ACTIONS
)
REFUND = WorkflowSpec(
    name="refund",
    definition='{"StartAt":"Charge","States":{}}',
    grants=(
        Grant(kind="table", resource="orders", action="write"),
        Grant(kind="table", resource="orders", action="read"),
        Grant(kind="queue", resource="jobs", action="send"),
        Grant(kind="workflow", resource="audit", action="start"),
    ),
    functions=("charge",),
)
AUDIT = WorkflowSpec(name="audit", definition='{"StartAt":"Look","States":{}}')
CHARGE = FunctionSpec(
    name="charge",
    module="app",
    triggers=(TaskTrigger(endpoint="charge", queue="charge"),),
    grants=(Grant(kind="table", resource="orders", action="write"),),
)
OWN_QUEUES = (
    QueueSpec(name="refund", payload="Happened", schema={}, max_attempts=2, retention_s=3_600),
    QueueSpec(name="audit", payload="Happened", schema={}),
    QueueSpec(name="charge", payload="TaskBody", schema={}, max_attempts=2, retention_s=3_600),
)
CALLERS = (function("caller", ALL), function("nobody", ()))


def blueprint(**parts: Any) -> Blueprint:
    values: dict[str, Any] = {
        "app": "shop",
        "functions": (*FUNCTIONS, CHARGE, *CALLERS),
        "tables": TABLES,
        "queues": (*QUEUES, *OWN_QUEUES),
        "buckets": BUCKETS,
        "events": (EventSpec(name="Paid", version=1, payload="Paid", schema={}),),
        "workflows": (REFUND, AUDIT),
    }
    return Blueprint(**(values | parts))


def configure(place: Any, digest: str = "flows", **parts: Any) -> None:
    answer = place.ask(Configure(digest, canonical_json(blueprint(**parts)), True))
    assert isinstance(answer, Configured), answer


def start(
    name: str = "one", input: bytes = b'{"n":1}', workflow: str = "refund", **options: Any
) -> StartExecution:
    return StartExecution(workflow, name, f"begin-{workflow}-{name}", input, **options)


def ordered(place: Any, *effects: Any, **options: Any) -> Any:
    """Commit orders on behalf of a function that may give them."""
    return place.commit(*effects, **({"function": "caller", "release": "flows"} | options))


def begun(place: Any, name: str = "one", workflow: str = "refund", **options: Any) -> int:
    """Start an execution, take its message away, and return its number."""
    answer = ordered(place, start(name, workflow=workflow, **options), leases={workflow: 1})
    assert isinstance(answer, Committed), answer
    [message] = answer.leased
    place.acknowledge(message)
    return happened(message).execution


def happened(message: Claimed) -> Happened:
    return json.decode(message.body, type=Happened)


def moving(place: Any, id: int, version: int | None = None, **fields: Any) -> Commit:
    """Return a commit that moves an execution by a step."""
    options: dict[str, Any] = {
        str(name): fields.pop(name)
        for name in ("acks", "leases", "number", "function", "effects", "correlation_id")
        if name in fields
    }
    effects = options.pop("effects", ())
    if version is None:
        version = get(place, id).version
    head = fields.pop("head", b"head-%d" % (version + 1))
    options = {"function": "", "release": "flows"} | options
    request: Commit = place.request(*effects, **options)
    return replace(request, advances=[Advance(id, version, head, **fields)])


def move(place: Any, id: int, version: int | None = None, **fields: Any) -> Any:
    return place.ask(moving(place, id, version, **fields))


def get(place: Any, id: int) -> Execution:
    answer = place.ask(GetExecution(id))
    assert isinstance(answer, Execution), answer
    return answer


def find(place: Any, name: str = "one", workflow: str = "refund", **options: Any) -> Any:
    return place.ask(FindExecution(workflow, name, **options))


def events(place: Any, id: int) -> list[bytes]:
    """Return all of a history, page by page."""
    found: list[bytes] = []
    after: int | None = 0
    while after is not None:
        page = place.ask(GetHistory(id, 3, after))
        found += page.events
        after = page.after
    return found


def wake(place: Any, limit: int = 100) -> Woken:
    answer = place.ask(WakeExecutions(limit))
    assert isinstance(answer, Woken), answer
    return answer


def told(place: Any, workflow: str = "refund") -> list[Happened]:
    """Claim and acknowledge what happened to a workflow's executions."""
    found = []
    while messages := place.claim(50, queue=workflow):
        for message in messages:
            place.acknowledge(message)
            found.append(happened(message))
    return found


def task(id: int, call: int = 0, workflow: str = "refund") -> bytes:
    body: bytes = json.encode(TaskBody(id, call, workflow, "one", "Charge", {"sum": 3}))
    return body


def done(message: Claimed) -> list[MessageAck]:
    return [MessageAck(message.id, message.token)]


def rows(place: Any, table: str) -> int:
    """Count the rows of a table of a store in this process."""
    return int(place.platform._session.run(f"SELECT count(*) FROM {table}").get)


class Again:
    """A place whose store can lose its process."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self._path = str(folder / "store")
        self.place = Place(SqlStore(self._path, self.clock), self.clock.advance_to)
        configure(self.place)

    def crash(self) -> None:
        """End as a killed process does: nothing is written any more. Start again."""
        store: Any = self.place.platform
        store._session.abandon()
        self.place.platform = SqlStore(self._path, self.clock)
