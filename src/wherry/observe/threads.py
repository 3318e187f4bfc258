"""From the rows of a timeline to a tree: a request, what it sent, what that sent in turn."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from wherry.ports import FailedWork, TimelineRows, Waiting
from wherry.telemetry import InvocationRecord, by_source, cause_of, origin_of


class Attempt(msgspec.Struct, frozen=True):
    """One attempt of a run. `steps` are the records of the named steps it committed on its way."""

    record: InvocationRecord
    steps: list[InvocationRecord]
    redriven: bool = False  # somebody took the message out of the failure inbox before this

    @property
    def begins_ms(self) -> float:
        """When it began to run."""
        return self.record.at_ms + self.record.waited_ms

    @property
    def ends_ms(self) -> float:
        """When it had run."""
        return self.begins_ms + self.record.ran_ms

    def sent(self) -> list[tuple[str, str]]:
        """Return the messages that this attempt sent for good, as (queue, ID)."""
        marks = [mark for step in self.steps for mark in step.marks]
        if self.record.ending == "ok":
            marks += self.record.marks
        parts = [mark.split(" ") for mark in marks if mark.startswith("send ")]
        return list(dict.fromkeys((part[1], part[2]) for part in parts if len(part) == 3))

    def origins(self) -> list[str]:
        """Return what it may have told to others for good: `telemetry.origin_of` their messages."""
        done = [*self.steps, *([self.record] if self.record.ending == "ok" else [])]
        published = [
            mark.rpartition(" ")[2]
            for record in done
            for mark in record.marks
            if mark.startswith("publish ")
        ]
        kinds = ("object", "change")
        return [*published, *(f"{kind}.{one.number}" for one in done for kind in kinds)]


class Thread(msgspec.Struct):
    """A request or a message: its attempts, what it led to, and what has become of it."""

    id: str
    label: str
    attempts: list[Attempt]
    children: list[Thread]
    waiting: Waiting | None = None
    failure: FailedWork | None = None
    is_message: bool = False

    @property
    def at_ms(self) -> float:
        """When it began to wait for its first attempt."""
        if self.attempts:
            return self.attempts[0].record.at_ms
        if self.waiting is not None:
            return self.waiting.sent_at_ms
        return self.failure.sent_at_ms if self.failure is not None else 0.0

    @property
    def open(self) -> bool:
        """Whether more will happen by itself."""
        return self.waiting is not None or any(child.open for child in self.children)

    def walk(self) -> Iterable[Thread]:
        """Yield this and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def threads(rows: TimelineRows) -> list[Thread]:
    """Return the roots of the tree, in order of time."""
    builder = _Builder(rows)
    roots = [builder.request(records) for records in builder.requests()]
    # What nobody is known to have sent: an edited message, or one whose sender's record is gone.
    roots += [builder.message(queue, id) for queue, id in builder.others()]
    return sorted(roots, key=lambda root: root.at_ms)


class _Builder:
    def __init__(self, rows: TimelineRows) -> None:
        self._by_cause: dict[str, list[InvocationRecord]] = {}
        self._by_request: dict[str, list[InvocationRecord]] = {}
        for record in rows.records:
            if record.cause:
                self._by_cause.setdefault(record.cause, []).append(record)
            else:
                self._by_request.setdefault(record.request_id, []).append(record)
        self._waiting = {waiting.id: waiting for waiting in rows.waiting}
        self._failures = {failure.id: failure for failure in rows.failures}
        self._seen: set[str] = set()
        self._by_origin: dict[str, list[str]] = {}
        for id in dict.fromkeys((*self._by_cause, *self._waiting, *self._failures)):
            if by_source(id):
                self._by_origin.setdefault(origin_of(id), []).append(id)

    def requests(self) -> list[list[InvocationRecord]]:
        return list(self._by_request.values())

    def others(self) -> Iterable[tuple[str, str]]:
        for id, records in self._by_cause.items():
            if id not in self._seen:
                yield records[0].trigger.removeprefix("queue "), id
        for id, waiting in self._waiting.items():
            if id not in self._seen:
                yield waiting.queue, id
        for id, failure in self._failures.items():
            if id not in self._seen:
                yield failure.queue, id

    def request(self, records: list[InvocationRecord]) -> Thread:
        attempts = _attempts(records)
        first = attempts[0].record
        return Thread(first.request_id, first.trigger, attempts, self._children(attempts))

    def message(self, queue: str, id: str) -> Thread:
        self._seen.add(id)
        attempts = _attempts(self._by_cause.get(id, []))
        return Thread(
            id,
            self._label(queue, id),
            attempts,
            self._children(attempts),
            self._waiting.get(id),
            self._failures.get(id),
            True,
        )

    def _label(self, queue: str, id: str) -> str:
        """Say what a message is of: a queue, or what its source says, and for whom.

        What a source feeds has a queue of its function's name.
        """
        records, waiting = self._by_cause.get(id), self._waiting.get(id)
        if records:
            return records[0].trigger
        told = waiting.cause if waiting is not None else ""
        failure = self._failures.get(id)
        if failure is not None and by_source(id):
            told = cause_of(failure.body)
        return f"{told}  {queue}" if told else f"queue {queue}"

    def _children(self, attempts: list[Attempt]) -> list[Thread]:
        sent = [found for attempt in attempts for found in attempt.sent()]
        for origin in [one for attempt in attempts for one in attempt.origins()]:
            sent += [(id.rpartition(".")[2], id) for id in self._by_origin.get(origin, ())]
        found = []
        for queue, id in sent:
            if id not in self._seen:
                found.append(self.message(queue, id))
        return found


def _attempts(records: list[InvocationRecord]) -> list[Attempt]:
    """Tell attempts from the steps that they committed, and see where somebody redrove."""
    runs: dict[str, list[InvocationRecord]] = {}
    for record in sorted(records, key=lambda one: (one.at_ms, one.number)):
        runs.setdefault(f"{record.request_id} {record.attempt}", []).append(record)
    attempts: list[Attempt] = []
    for run in runs.values():
        steps = _steps(run)
        finals = [record for record in run if record not in steps]
        for record in finals:
            before = attempts[-1].record if attempts else None
            redriven = (
                before is not None
                and before.request_id != record.request_id
                and record.attempt <= before.attempt
                and before.ending not in ("ok", "conflict", "duplicate")
            )
            attempts.append(Attempt(record, steps if record is finals[-1] else [], redriven))
    return attempts


def _steps(run: list[InvocationRecord]) -> list[InvocationRecord]:
    """Return the records of named steps; their trigger says so."""
    return [record for record in run if record.trigger.startswith("step ")]
