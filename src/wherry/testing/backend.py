"""A whole app in the test's process: `with running(app) as backend: ...`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from wherry.engine.issuers import choose_issuer
from wherry.errors import Passing
from wherry.handles import Bucket, Queue, Secret, Table
from wherry.handles.buckets import StoredObject
from wherry.handles.claims import claims_bucket
from wherry.observe.timeline import timeline_text
from wherry.platforms.files.refs import BlobRef
from wherry.ports import (
    Discard,
    FailedWork,
    GetObject,
    GetTimeline,
    ListFailures,
    ObjectRow,
    RecentRecords,
    Redrive,
)
from wherry.testing.acting import Acting
from wherry.testing.client import UNSET, TestReply
from wherry.testing.composing import Composed
from wherry.testing.faults import Failing, Lag, Target, Undo
from wherry.tickets import is_reference, key_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from wherry.app import App
    from wherry.telemetry import InvocationRecord
    from wherry.world import ManualClock

T = TypeVar("T")
Resource = Table[Any] | Queue[Any] | Bucket | Secret | str
RECORDS = 100_000  # more than a test makes


@contextmanager
def running(
    app: App,
    *,
    seed: int | None = None,
    start: datetime | None = None,
    secrets: Mapping[str, str] | None = None,
    public_url: str = "https://testserver",
    data: str | None = None,
    twice: bool = False,
) -> Iterator[Backend]:
    """Run a whole app: gateway, engine, store and handlers, on a clock that the test moves.

    Everything is real but the processes, the network and the time. Handlers run in this process,
    one after the other; requests are answered at once; messages wait until `drain` or `advance`.

    Args:
        seed: Of everything that is chance. The same seed repeats a run (default: 0).
        start: When the clock starts (default: 2026-01-01, UTC).
        secrets: Secrets by name.
        public_url: What presigned URLs and tokens begin with.
        data: A folder for the state, which then outlives the backend (default: in memory). The
            clock of the next one goes on behind what happened before.
        twice: Run every handler twice under one key, compare, and raise `NotRepeatable` from
            `request` or `drain` where the runs differ.

    Raises:
        AppInvalid: What is wrong with the app.
    """
    composed = Composed(
        app,
        seed=seed or 0,
        start_ms=None if start is None else int(start.timestamp() * 1000),
        secrets=secrets or {},
        public_url=public_url.rstrip("/"),
        data=data,
        twice=twice,
    )
    try:
        yield Backend(composed)
    finally:
        composed.close()


class Backend:
    """A running app, in a test's hands."""

    def __init__(self, composed: Composed) -> None:
        self._composed = composed
        self._faults = composed.faults

    # -- requests --------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        *,
        json: Any = UNSET,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        query: Mapping[str, Any] | None = None,
        client: str = "127.0.0.1",
    ) -> TestReply:
        """Send a request and return the answer.

        Args:
            path: With or without a query; or a URL of this backend, as a presigned one is.
            body: As it is; or `json`, a value to encode (Structs too).
            token: For `Authorization: Bearer`.
            query: Appended to the path; a list gives its name several times, None is left out.
            client: The address that it comes from.
        """
        waiting = self._composed.client.send(
            method, path, body, json=json, headers=headers, token=token, query=query, client=client
        )
        self._composed.settle(waiting)
        return waiting.reply()

    def get(self, path: str, **options: Any) -> TestReply:
        """`request("GET", path, ...)`."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: bytes | str | None = None, **options: Any) -> TestReply:
        """`request("POST", path, body, ...)`."""
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: bytes | str | None = None, **options: Any) -> TestReply:
        """`request("PUT", path, body, ...)`."""
        return self.request("PUT", path, body, **options)

    def patch(self, path: str, body: bytes | str | None = None, **options: Any) -> TestReply:
        """`request("PATCH", path, body, ...)`."""
        return self.request("PATCH", path, body, **options)

    def delete(self, path: str, body: bytes | str | None = None, **options: Any) -> TestReply:
        """`request("DELETE", path, body, ...)`."""
        return self.request("DELETE", path, body, **options)

    def together(self, *requests: tuple[Any, ...]) -> list[TestReply]:
        """Send requests at the same moment, and return the answers in their order.

        Each is what `request` takes: `("POST", "/visits")`, `("PUT", "/x", b"...")`, with a last
        `{"token": ...}` for what has a name. All handlers run before the first of them commits,
        as far as the functions' concurrency lets them.
        """
        composed = self._composed
        assert composed.core.active is not None
        for function in composed.core.active.functions.values():
            function.pool.warm(len(requests))
        composed.loop.run_ready()
        sent = []
        for one in requests:
            options = one[-1] if isinstance(one[-1], dict) else {}
            parts = one[:-1] if options else one
            sent.append(composed.client.send(*parts, **options))
        for waiting in sent:
            composed.settle(waiting)
        return [waiting.reply() for waiting in sent]

    def token(self, subject: str, roles: Any = (), auth: str | None = None) -> str:
        """Return an access token for anybody, an hour long, from the issuer of `auth`.

        An outside issuer is stood in for: nothing is fetched.
        """
        callers = self._composed.core.gateway.callers
        assert callers is not None
        return choose_issuer(callers.issuers, auth or "").token_for(subject, tuple(roles))

    # -- time and background work ----------------------------------------------------------------

    @property
    def clock(self) -> ManualClock:
        """The clock of everything here. `clock.advance(s)` moves it and runs nothing."""
        return self._composed.clock

    def drain(self, *, until_s: float | None = None) -> None:
        """Deliver messages, and let time pass, until none waits that has a consumer.

        Args:
            until_s: How much time may pass at most.

        Raises:
            NotDrained: What still waits then.
            TooManyRuns: Handlers send each other messages without an end.
        """
        self._composed.drain(until_s)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; messages that fall due meanwhile are delivered at their moment."""
        if seconds < 0:
            raise ValueError(f"{seconds} seconds cannot pass.")
        self._composed.advance(seconds)

    def failures(self, queue: Queue[Any] | str | None = None) -> list[FailedWork]:
        """What waits in the failure inbox, newest first."""
        found = self._composed.ask(ListFailures(_name(queue), RECORDS, None))
        rows: list[FailedWork] = found.rows
        return rows

    def redrive(
        self, *work: FailedWork | str, queue: Queue[Any] | str | None = None, edited: Any = UNSET
    ) -> int:
        """Give failed work back to its queue: these, or all (of a queue). Returns how many.

        Args:
            edited: Another payload for the one that is given; it gets a new ID.
        """
        if not work and queue is None:
            return sum(self.redrive(one) for one in self.failures())
        ids = [one if isinstance(one, str) else one.id for one in work]
        body, new_id = None, ""
        if edited is not UNSET:
            from wherry.handles.shapes import to_json

            body, new_id = to_json(edited), self._composed.chance.token(16).hex()
        request = Redrive(ids, _name(queue), "the test", body, new_id, RECORDS)
        return _count(self._composed.ask(request))

    def discard(self, *work: FailedWork | str, reason: str = "in a test") -> int:
        """Give failed work up. Returns how many."""
        ids = [one if isinstance(one, str) else one.id for one in work]
        return _count(self._composed.ask(Discard(ids, None, reason, "the test", RECORDS)))

    # -- looking ---------------------------------------------------------------------------------

    def items(self, table: Table[T]) -> list[T]:
        """All items of a table, in the order of their keys."""
        return [table.shape.decode(body) for body in self._composed.store.bodies(table.name)]

    def messages(self, queue: Queue[T]) -> list[T]:
        """All messages that wait, delayed ones too, in the order in which they fall due."""
        bodies = self._composed.store.payloads(queue.name)
        return [queue.shape.decode(self._payload(queue, body)) for body in bodies]

    def object(self, bucket: Bucket | str, key: str) -> StoredObject | None:
        """An object, to read; None where there is none."""
        name = self._targets(bucket)[0][1]
        blobs = self._composed.blobs
        row = self._composed.ask(GetObject(name, key))
        if not isinstance(row, ObjectRow):
            return None
        ref = BlobRef(row.blob, row.size_bytes, row.sha256)
        return StoredObject(row, lambda: blobs.open(name, ref))

    @property
    def records(self) -> list[InvocationRecord]:
        """The records of all invocations, oldest first."""
        self._composed.settle()
        rows: list[InvocationRecord] = self._composed.ask(RecentRecords(None, RECORDS)).records
        return sorted(rows, key=lambda row: row.number)

    @property
    def logs(self) -> list[dict[str, Any]]:
        """All log lines, those of the engine too."""
        return self._composed.log_lines()

    def timeline(self, correlation_id: str) -> str:
        """One page: a request with all that followed it."""
        self._composed.settle()
        rows = self._composed.ask(GetTimeline(correlation_id))
        return timeline_text(rows, correlation_id, self.clock.now_ms())

    # -- setting things up -----------------------------------------------------------------------

    def acting(self) -> AbstractContextManager[None]:
        """`with backend.acting(): orders.put(...)`: act with every grant; commits at the end.

        Raises:
            ConditionFailed: At the end, where a condition does not hold.
        """
        return Acting(self._composed)

    # -- trouble ---------------------------------------------------------------------------------

    def fail(
        self, *resources: Resource, error: str | Passing = "", times: int | None = None
    ) -> Undo:
        """Let reads of these resources, and commits that touch them, fail as a store in trouble.

        Use it in a `with` statement, or let it stay.

        Args:
            resources: Tables, queues (sending to them), buckets, secrets; or their names.
            error: What is wrong, in words; or a `Passing`, such as `StoreFull`.
            times: How often (default: until the block ends).
        """
        targets = frozenset(found for one in resources for found in self._targets(one))
        if not isinstance(error, Passing):
            names = ", ".join(sorted({name for _, name in targets}))
            error = Passing(error or f"{names}: in trouble, says the test.")
        failing = Failing(targets, error, times)
        self._faults.failing.append(failing)
        return Undo(lambda: self._faults.failing.remove(failing), failing)

    def lag(self, *tables: Table[Any]) -> Undo:
        """Let queries by an index of these tables answer with what was there when this was called.

        On AWS an index follows its table a moment later; `get` and queries by key never lag. What
        is decided from an index has to stand that, also here: what is read behind and then
        written loses its commit. Use it in a `with` statement, or let it stay.
        """
        for table in tables:
            if not table.indexes:
                raise ValueError(f"{table!r} has no index: nothing of it lags.")
        lag = Lag(frozenset(table.name for table in tables), self._composed.copy_store())
        self._faults.lags.append(lag)

        def catch_up() -> None:
            self._faults.lags.remove(lag)
            lag.store.close()

        return Undo(catch_up)

    def orphans(self, *buckets: Bucket) -> Undo:
        """Let what is put into these buckets be there although its run never commits.

        On S3 an object is there at once, here when its run commits. A run that raises, or whose
        process dies, leaves it behind there, and what looks at the bucket has to stand that. A
        repeat of the run takes its place. Use it in a `with` statement, or let it stay.
        """
        names = frozenset(bucket.name for bucket in buckets)
        self._faults.orphaning.append(names)
        return Undo(lambda: self._faults.orphaning.remove(names))

    def conflict_next(self, table: Table[Any] | str, times: int = 1) -> None:
        """Let the next commits that check what they read in this table lose a version conflict."""
        name = self._targets(table)[0][1]
        self._faults.conflicts[name] = self._faults.conflicts.get(name, 0) + times

    def crash_before_commit(self, times: int = 1) -> None:
        """Let the environments of the next runs die when their handler has just returned."""
        self._faults.deaths_before_commit += times

    def crash_after_commit(self, times: int = 1) -> None:
        """Let the store apply the next commits and lose its answers; it is then asked again."""
        self._faults.answers_lost += times

    def duplicate(self, queue: Queue[Any] | str) -> Undo:
        """Deliver each message of a queue twice: its lease ends while the handler still runs."""
        name = self._targets(queue)[0][1]
        self._faults.twice_delivered.add(name)
        return Undo(lambda: self._faults.twice_delivered.discard(name))

    def _payload(self, queue: Queue[Any], body: bytes) -> bytes:
        if not queue.claim_check or not is_reference(body):
            return body
        found = self.object(claims_bucket(queue.name), key_of(body))
        return body if found is None else found.read()

    def _targets(self, resource: Resource) -> list[Target]:
        match resource:
            case Table():
                return [("table", resource.name)]
            case Queue():
                return [("queue", resource.name)]
            case Bucket():
                return [("bucket", resource.name)]
            case Secret():
                return [("secret", resource.name)]
        blueprint = self._composed.blueprint
        known: dict[str, tuple[Any, ...]] = {
            "table": blueprint.tables, "queue": blueprint.queues,
            "bucket": blueprint.buckets, "secret": blueprint.secrets,
        }  # fmt: skip
        named = [(kind, spec.name) for kind, specs in known.items() for spec in specs]
        found = [target for target in named if target[1] == resource]
        if not found:
            every = ", ".join(sorted({name for _, name in named}))
            raise ValueError(f"There is no resource {resource!r}; there are: {every}.")
        return found


def _name(resource: Any) -> str | None:
    return resource if resource is None or isinstance(resource, str) else str(resource.name)


def _count(answer: Any) -> int:
    count = getattr(answer, "count", None)
    if count is None:
        raise ValueError(getattr(answer, "message", repr(answer)))
    return int(count)
