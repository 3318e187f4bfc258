"""The platforms that the contract suite holds to the design, and an app to try them with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from msgspec import Raw, json, msgpack

from tests.contract.clocked_store import ForkedClient
from tests.postgres_kit import schema
from wherry import limits
from wherry.blueprint import (
    Blueprint,
    BucketSpec,
    FunctionSpec,
    Grant,
    IndexSpec,
    QueueSpec,
    QueueTrigger,
    TableSpec,
)
from wherry.codec import key_bytes
from wherry.effects import Condition, Effect, Guard, PutItem, SendMessage
from wherry.platforms.sql.store import SqlStore
from wherry.ports import (
    Ack,
    Claim,
    Claimed,
    Commit,
    Configure,
    Configured,
    GetItem,
    Item,
    MessageAck,
    Platform,
    QueryItems,
    Releases,
    Request,
)
from wherry.telemetry import InvocationRecord
from wherry.world import ManualClock

ORDERS = TableSpec(
    name="orders",
    item="Order",
    schema={},
    key="customer",
    sort="order",
    indexes=(IndexSpec(name="by_status", key="status", sort="at"),),
    kinds={"customer": "text", "order": "text", "status": "text", "at": "number"},
)
NOTES = TableSpec(
    name="notes",
    item="Note",
    schema={},
    key="id",
    expires="until",
    indexes=(IndexSpec(name="by_tag", key="tag"),),
    kinds={"id": "text", "tag": "text"},
)
TABLES = (ORDERS, NOTES, TableSpec(name="counters", item="Counter", schema={}, key="id"))
QUEUES = tuple(
    QueueSpec(name=name, payload="Job", schema={}, max_attempts=3, retention_s=86_400)
    for name in ("jobs", "mail")
)
BUCKETS = (BucketSpec(name="assets"),)
ALL_GRANTS = (
    *(
        Grant(kind="table", resource=table, action=action)
        for table in ("orders", "notes", "counters")
        for action in ("read", "write")
    ),
    *(Grant(kind="queue", resource=queue, action="send") for queue in ("jobs", "mail")),
    *(
        Grant(kind="bucket", resource="assets", action=action)
        for action in ("read", "write", "delete")
    ),
)


def function(name: str, grants: Sequence[Grant], queue: str | None = None) -> FunctionSpec:
    triggers = (QueueTrigger(endpoint=name, queue=queue),) if queue else ()
    return FunctionSpec(name=name, module="app", triggers=triggers, grants=tuple(grants))


FUNCTIONS = (
    function("shop", ALL_GRANTS),
    function("worker", ALL_GRANTS, "jobs"),
    function("reader", [Grant(kind="table", resource="orders", action="read")]),
    function("writer", [Grant(kind="table", resource="orders", action="write")]),
    function("creator", [Grant(kind="bucket", resource="assets", action="create")]),
)


class Place:
    """A platform with the app configured, and short words for what tests do with it."""

    tables = TABLES

    def __init__(self, platform: Platform, move: Any) -> None:
        self.platform = platform
        self._move = move
        self._start_ms = ManualClock().now_ms()
        self._moved_s = 0.0
        self._numbers = itertools.count(1)
        self.configure()

    # -- time --

    @property
    def now_ms(self) -> int:
        return self._start_ms + int(self._moved_s * 1000)

    def advance(self, seconds: float) -> None:
        self._moved_s += seconds
        self._move(self._moved_s)

    # -- asking --

    def ask(self, request: Request, function: str = "") -> Any:
        return self.platform.run([(function, request)])[0]

    def batch(self, *requests: Request, function: str = "") -> list[Any]:
        return self.platform.run([(function, request) for request in requests])

    def configure(
        self,
        digest: str = "release-1",
        activate: bool = True,
        owner: str = "",
        chosen: bool = False,
        engine: str = "",
        **parts: Any,
    ) -> Configured:
        blueprint = Blueprint(
            app="shop",
            functions=parts.get("functions", FUNCTIONS),
            tables=parts.get("tables", TABLES),
            queues=parts.get("queues", QUEUES),
            buckets=parts.get("buckets", BUCKETS),
        )
        request = Configure(digest, json.encode(blueprint), activate, owner, chosen, engine)
        answer = self.ask(request)
        assert isinstance(answer, Configured), answer
        return answer

    def active(self) -> str:
        """The release that was activated last."""
        return str(self.ask(Releases()).rows[0].digest)

    # -- committing --

    def record(self, number: int | None = None, **fields: Any) -> InvocationRecord:
        number = next(self._numbers) if number is None else number
        values: dict[str, Any] = {
            "number": number,
            "correlation_id": f"correlation-{number}",
            "function": "shop",
            "trigger": "POST /orders",
            "request_id": f"request-{number}",
            "traceparent": f"00-{number:032x}-{number:016x}-01",
            "parent": "",
            "release": "release-1",
            "attempt": 1,
            "at_ms": self.now_ms,
            "waited_ms": 0.5,
            "ran_ms": 1.5,
            "cold": False,
            "ending": "ok",
            "status": 201,
            "error": "",
            "cause": "",
            "marks": [],
        }
        return InvocationRecord(**(values | fields))

    def request(
        self,
        *effects: Effect,
        guards: Sequence[Guard] = (),
        acks: Sequence[Ack] = (),
        leases: Mapping[str, int] | None = None,
        owner: str = "engine-1",
        number: int | None = None,
        **fields: Any,
    ) -> Commit:
        record = self.record(number, **fields)
        return Commit(
            record.function,
            Raw(msgpack.encode(effects)),
            list(guards),
            list(acks),
            record,
            dict(leases or {}),
            owner,
        )

    def commit(self, *effects: Effect, **options: Any) -> Any:
        return self.ask(self.request(*effects, **options))

    # -- tables --

    def put(
        self,
        table: str,
        pk: object,
        sk: object = None,
        /,
        when: Condition | None = None,
        **fields: Any,
    ) -> PutItem:
        return PutItem(table, *self.key(pk, sk), json.encode(fields), when)

    def key(self, pk: object, sk: object = None) -> tuple[bytes, bytes]:
        return key_bytes(pk), b"" if sk is None else key_bytes(sk)

    def get(self, table: str, pk: object, sk: object = None) -> dict[str, Any] | None:
        answer = self.ask(GetItem(table, *self.key(pk, sk)))
        return json.decode(answer.body) if isinstance(answer, Item) else None

    def version(self, table: str, pk: object, sk: object = None) -> int:
        answer = self.ask(GetItem(table, *self.key(pk, sk)))
        return answer.version if isinstance(answer, Item) else 0

    def guard(self, table: str, pk: object, sk: object = None) -> Guard:
        return Guard(table, *self.key(pk, sk), self.version(table, pk, sk))

    def query(self, table: str, pk: object, index: str | None = None, **options: Any) -> Any:
        values = {"low": None, "high": None, "limit": 100, "descending": False, "after": None}
        return self.ask(QueryItems(table, index, key_bytes(pk), **(values | options)))

    def bodies(self, page: Any) -> list[dict[str, Any]]:
        return [json.decode(row.body) for row in page.rows]

    # -- messages --

    def send(self, id: str, queue: str = "jobs", delay_ms: int = 0, **options: Any) -> Any:
        return self.commit(
            SendMessage(queue, id, b'{"id":"%s"}' % id.encode(), delay_ms), **options
        )

    def claim(self, limit: int = 10, queue: str = "jobs", owner: str = "engine-1") -> list[Claimed]:
        messages: list[Claimed] = self.ask(Claim(queue, limit, owner)).messages
        return messages

    def acknowledge(self, message: Claimed, *effects: Effect, **options: Any) -> Any:
        acks = [MessageAck(message.id, message.token)]
        return self.commit(*effects, acks=acks, function="worker", **options)


def _memory() -> Place:
    clock = ManualClock()
    moved = [0.0]

    def move(to: float) -> None:
        clock.advance(to - moved[0])
        moved[0] = to

    return Place(SqlStore(":memory:", clock), move)


def _in_memory(tmp_path: Path) -> Iterator[Place]:
    yield _memory()


def _in_a_process(tmp_path: Path) -> Iterator[Place]:
    """Every other test as on a disk whose syncs are slow, by its name."""
    offset = tmp_path / "clock"
    offset.write_text("0")
    slow_s = -1.0 if crc32(tmp_path.name.encode()) % 2 else limits.SYNC_SLOW_S
    with ForkedClient(tmp_path / "store.sqlite", offset, slow_s) as client:
        yield Place(client, lambda to: offset.write_text(str(to)))


def _on_postgres(tmp_path: Path) -> Iterator[Place]:
    clock = ManualClock()
    with schema(clock) as found:
        yield Place(found.store, clock.advance_to)


PLATFORMS = {
    "SQLite in memory": _in_memory,
    "SQLite in the store process": _in_a_process,
    "Postgres": _on_postgres,
}


@pytest.fixture(params=list(PLATFORMS))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Every platform in turn."""
    yield from PLATFORMS[request.param](tmp_path)


@pytest.fixture
def memory() -> Place:
    """The quickest platform, for long searches."""
    return _memory()


@pytest.fixture(params=["SQLite", "Postgres"])
def quick(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The platforms that are asked without a process between, for many short cases."""
    yield from (_in_memory if request.param == "SQLite" else _on_postgres)(tmp_path)


@pytest.fixture(params=["SQLite", "Postgres"])
def new_place(request: pytest.FixtureRequest) -> Iterator[Callable[[], Place]]:
    """Makes one such platform after the other, for long searches."""
    if request.param == "SQLite":
        yield _memory
        return
    with schema(ManualClock()) as found:

        def make() -> Place:
            clock = ManualClock()
            found.begin(clock)
            return Place(found.store, clock.advance_to)

        make.platform = "Postgres"  # type: ignore[attr-defined]
        yield make


@pytest.fixture
def make_place() -> Callable[[Platform], Place]:
    """Puts the app on a platform that the test has made; its clock stands still."""

    def no_move(to: float) -> None:
        raise AssertionError(f"this platform's clock cannot be moved to {to}")

    return lambda platform: Place(platform, no_move)
