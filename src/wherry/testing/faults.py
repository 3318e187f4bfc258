"""Trouble on purpose: a platform that fails, loses answers and conflicts when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from wherry.codec import key_text
from wherry.effects import (
    CancelMessage,
    DeleteItem,
    DeleteObject,
    Effect,
    EndTask,
    PublishEvent,
    PutItem,
    PutObject,
    RedriveExecution,
    SendMessage,
    StartExecution,
    StopExecution,
    UpdateItem,
)
from wherry.errors import Passing
from wherry.ports import (
    Broken,
    Commit,
    Committed,
    Conflicted,
    FindExecution,
    GetItem,
    GetObject,
    GetSecret,
    ListExecutions,
    ListObjects,
    MessageAck,
    QueryItems,
    Release,
    SignUrl,
)

if TYPE_CHECKING:
    from wherry.ports import Platform, Request
    from wherry.testing.stores import Window

Target: TypeAlias = tuple[str, str]  # kind and name: ("table", "orders")

_effects = msgspec.msgpack.Decoder(list[Effect])


class Failing:
    """One resource that fails, for a number of times (None: until it is taken away)."""

    def __init__(self, targets: frozenset[Target], error: Passing, times: int | None) -> None:
        self.targets = targets
        self.error = error
        self.left = times
        self.hits = 0

    def hit(self, used: set[Target]) -> bool:
        """Whether it strikes what uses these resources; then one of its times is used up."""
        if self.left == 0 or not self.targets & used:
            return False
        self.hits += 1
        if self.left is not None:
            self.left -= 1
        return True


class Lag:
    """Tables whose indexes are answered from a copy of the store."""

    def __init__(self, tables: frozenset[str], store: Window) -> None:
        self.tables = tables
        self.store = store


class Faults:
    """What is to go wrong."""

    def __init__(self) -> None:
        self.failing: list[Failing] = []
        self.lags: list[Lag] = []
        self.orphaning: list[frozenset[str]] = []
        self.conflicts: dict[str, int] = {}
        self.twice_delivered: set[str] = set()
        self.deaths_before_commit = 0
        self.answers_lost = 0

    def strike(self, used: set[Target]) -> Passing | None:
        """Return the error that what uses these resources gets, if any."""
        for failing in self.failing:
            if failing.hit(used):
                return failing.error
        return None

    @contextmanager
    def to_come_again(self) -> Iterator[None]:
        """What strikes meanwhile strikes the next run too: no time of it is used up."""
        before = [(one, one.left, one.hits) for one in self.failing]
        yield
        for one, left, hits in before:
            one.left, one.hits = left, hits

    def check(self, kind: str, name: str) -> None:
        """Raise the error that this resource is to give, if any."""
        error = self.strike({(kind, name)})
        if error is not None:
            raise error

    def lag_of(self, request: Request) -> Window | None:
        """Return the store that answers this request if it is a query by an index that lags."""
        if not isinstance(request, QueryItems) or request.index is None:
            return None
        return next((lag.store for lag in self.lags if request.table in lag.tables), None)

    def orphans(self, bucket: str) -> bool:
        """Whether what is put into this bucket stays although its run never commits."""
        return any(bucket in buckets for buckets in self.orphaning)


class FaultyPlatform:
    """A platform in front of the real one."""

    def __init__(self, inner: Platform, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults
        self._delivered: set[str] = set()
        self.recover: Callable[[], Request] | None = (
            None  # what an engine asks a store that is back
        )

    def run(self, requests: list[tuple[str, Request]]) -> list[Any]:
        """Answer each request; what no fault strikes, the real platform answers."""
        answers: list[Any] = [None] * len(requests)
        passed: list[int] = []
        for at, (function, request) in enumerate(requests):
            struck = self._struck(function, request) if function else None
            if struck is None and isinstance(request, Commit) and function:
                self._prepare(function, request)
            if struck is None:
                passed.append(at)
            else:
                answers[at] = struck
        given = self._inner.run([requests[at] for at in passed]) if passed else []
        for at, answer in zip(passed, given, strict=True):
            answers[at] = answer
        return answers

    def _struck(self, function: str, request: Request) -> Any:
        """Return the answer to what the real platform is not to see; None for all else."""
        error = self._faults.strike(resources_of(request)) if self._faults.failing else None
        if error is not None:
            return Broken(error.code, error.message)
        lagging = self._faults.lag_of(request)
        if lagging is not None:
            return lagging.run([(function, request)])[0]
        if isinstance(request, Commit) and self._faults.conflicts:
            return self._conflict(request)
        return None

    def _conflict(self, commit: Commit) -> Conflicted | None:
        """Let a commit lose against a writer who is not there, where it checks what it read."""
        for guard in commit.guards:
            left = self._faults.conflicts.get(guard.table, 0)
            if left > 0:
                self._faults.conflicts[guard.table] = left - 1
                return Conflicted(guard.table, key_text(guard.pk), "another", "of-the-test")
        return None

    def _prepare(self, function: str, commit: Commit) -> None:
        """Do what has to go wrong before the commit is answered."""
        for ack in commit.acks:
            if isinstance(ack, MessageAck) and ack.id not in self._delivered:
                trigger, own = commit.record.trigger, commit.record.function
                # What a source feeds has a queue of the function's name.
                queue = trigger[6:] if trigger.startswith("queue ") else own
                if queue in self._faults.twice_delivered:
                    # The lease ends, the message is delivered again: this run comes too late.
                    self._delivered.add(ack.id)
                    self._inner.run([("", Release(ack.id, ack.token, 0, True, ""))])
                    return
        if self._faults.answers_lost > 0:
            # Applied, and nobody heard: who asks again is told that it stands.
            applied = self._inner.run([(function, commit)])[0]
            if isinstance(applied, Committed):
                self._faults.answers_lost -= 1
                if self.recover is not None:
                    self._inner.run([("", self.recover())])


def resources_of(request: object) -> set[Target]:
    """Return what a request reads or writes."""
    match request:
        case GetItem(table=name) | QueryItems(table=name):
            return {("table", name)}
        case GetObject(bucket=name) | ListObjects(bucket=name) | SignUrl(bucket=name):
            return {("bucket", name)}
        case GetSecret(name=name):
            return {("secret", name)}
        case FindExecution(workflow=str(name)) | ListExecutions(workflow=str(name)):
            return {("workflow", name)}
        case Commit():
            used = {("table", guard.table) for guard in request.guards}
            return used | {_resource_of(effect) for effect in _effects.decode(request.effects)}
        case _:
            return set()


def _resource_of(effect: Effect) -> Target:
    match effect:
        case PutItem() | UpdateItem() | DeleteItem():
            return "table", effect.table
        case SendMessage() | CancelMessage():
            return "queue", effect.queue
        case PublishEvent():
            return "event", effect.event
        case PutObject() | DeleteObject():
            return "bucket", effect.bucket
        case StartExecution() | StopExecution() | RedriveExecution() | EndTask():
            return "workflow", effect.workflow


class Undo:
    """A fault that is taken away at the end of a `with` block, or stays without one."""

    def __init__(self, undo: Callable[[], object], failing: Failing | None = None) -> None:
        self._undo = undo
        self._failing = failing

    @property
    def hits(self) -> int:
        """How often it has struck."""
        return self._failing.hits if self._failing else 0

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, *error: object) -> None:
        self._undo()
