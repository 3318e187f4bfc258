"""The fine print: messages are tried again with backoff, bounded, and never delay each other."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import msgpack

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from wherry import BadRequest, DoNotRetry, NotFound, TooManyRequests, Unavailable
from wherry.testing import NotDrained, TooManyRuns, composing

pytestmark = on_every_platform


class Failing:
    """A consumer that fails for payloads named "bad", until it is told otherwise."""

    def __init__(self, error: BaseException | None = None, **queue: Any) -> None:
        self.shelf = Shelf(**queue)
        self.error = error or ValueError("the printer is out of paper")
        self.at_s: list[float] = []
        self.broken = True
        self.backend: Any = None
        shelf = self.shelf

        @shelf.app.consume(shelf.jobs, grants=shelf.all)
        def work(job: Job) -> None:
            if job.name == "bad":
                self.at_s.append(self.backend.clock.steady_s())
            shelf.things.add(job.name, count=1)
            if self.broken and job.name == "bad":
                raise self.error

    def send(self, backend: Any, *names: str) -> None:
        """Send messages."""
        self.backend = backend
        with backend.acting():
            self.shelf.jobs.send.many([Job(name) for name in names])


def test_retries_wait_twice_as_long_each_time_with_jitter(run: Any) -> None:
    case = Failing(max_attempts=6, retry_base_s=2, retry_max_s=10)
    with run(case.shelf.app) as backend:
        case.send(backend, "bad")
        backend.drain()
    waits = [late - early for early, late in zip(case.at_s, case.at_s[1:], strict=False)]
    for waited, most in zip(waits, [2, 4, 8, 10, 10], strict=True):
        assert most / 2 <= waited <= most + 0.1
    assert (
        len(
            {round(waited / most, 3) for waited, most in zip(waits, [2, 4, 8, 10, 10], strict=True)}
        )
        > 1
    )


@pytest.mark.parametrize("most", [1, 3, 7])
def test_after_max_attempts_a_message_waits_in_the_failure_inbox(run: Any, most: int) -> None:
    case = Failing(max_attempts=most)
    with run(case.shelf.app) as backend:
        case.send(backend, "bad")
        backend.drain()
        (failure,) = backend.failures()
        assert failure.attempts == most == len(case.at_s)
        assert failure.function == "work"
        assert failure.body == b'{"name":"bad","size":0}'
        assert "the printer is out of paper" in failure.error
        assert backend.messages(case.shelf.jobs) == []
        assert backend.items(case.shelf.things) == []
        backend.advance(3600)
        assert len(case.at_s) == most


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ValueError("any"), 4),
        (Unavailable(), 4),
        (TooManyRequests(), 4),
        (SystemExit(1), 4),
        (DoNotRetry("of no use"), 1),
        (NotFound("order", 7), 1),
        (BadRequest("no"), 1),
    ],
)
def test_what_cannot_get_better_is_not_tried_again(
    run: Any, error: BaseException, attempts: int
) -> None:
    case = Failing(error, max_attempts=4)
    with run(case.shelf.app) as backend:
        case.send(backend, "bad")
        backend.drain()
        (failure,) = backend.failures()
        assert failure.attempts == len(case.at_s) == attempts


def test_a_payload_that_cannot_be_read_is_not_tried_again(run: Any) -> None:
    shelf = Shelf(max_attempts=4)

    @shelf.app.consume(shelf.jobs)
    def work(job: Job) -> None:
        raise AssertionError("never reached")

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        backend.redrive(*backend.failures(), edited={"nonsense": 1})
        backend.drain()
        (failure,) = backend.failures()
        assert failure.attempts == 1
        assert "name" in failure.error


def test_a_poison_message_never_delays_its_neighbours(run: Any) -> None:
    case = Failing(max_attempts=5)
    with run(case.shelf.app) as backend:
        case.send(backend, "bad", "a", "bad", "b", "c")
        backend.advance(0.3)
        assert [thing.name for thing in backend.items(case.shelf.things)] == ["a", "b", "c"]


def test_redriven_work_begins_its_attempts_again_and_succeeds(run: Any) -> None:
    case = Failing(max_attempts=2)
    with run(case.shelf.app) as backend:
        case.send(backend, "bad")
        backend.drain()
        backend.redrive()
        backend.drain()
        (failure,) = backend.failures()
        assert (failure.attempts, failure.redrives) == (2, 1)
        case.broken = False
        assert backend.redrive(failure.id) == 1
        backend.drain()
        assert backend.failures() == []
        assert backend.items(case.shelf.things) == [Thing("bad", 1)]


def test_discarded_work_is_gone(run: Any) -> None:
    case = Failing(max_attempts=1)
    with run(case.shelf.app) as backend:
        case.send(backend, "bad")
        backend.drain()
        assert backend.discard(*backend.failures(), reason="a test order") == 1
        assert backend.failures() == []
        assert backend.redrive() == 0


@pytest.mark.parametrize("delay_s", [0.5, 60, 86_400, 30 * 86_400])
def test_a_message_can_be_delayed_for_any_time(run: Any, delay_s: float) -> None:
    case = Failing()
    case.broken = False
    with run(case.shelf.app) as backend:
        case.backend = backend
        sent_s = backend.clock.steady_s()
        with backend.acting():
            case.shelf.jobs.send(Job("bad"), delay_s=delay_s)
        backend.advance(delay_s - 0.1)
        assert case.at_s == []
        assert backend.messages(case.shelf.jobs) == [Job("bad")]
        backend.advance(0.2)
        assert case.at_s == [pytest.approx(sent_s + delay_s, abs=0.01)]


def test_a_delayed_message_is_one_of_the_commit(run: Any) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.post("/go", grants=[shelf.jobs.send])
    def go() -> None:
        shelf.jobs.send(Job("a"), delay_s=60)
        raise ValueError("no")

    with run(shelf.app) as backend:
        backend.post("/go")
        assert backend.messages(shelf.jobs) == []


def test_messages_carry_the_correlation_id_and_the_trace_through_every_hop(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=[shelf.jobs.send])
    def go() -> None:
        shelf.jobs.send(Job("a", 3))

    @shelf.app.consume(shelf.jobs, grants=[shelf.jobs.send])
    def work(job: Job) -> None:
        if job.size:
            shelf.jobs.send(Job("a", job.size - 1))

    trace = "0af7651916cd43dd8448eb211c80319c"
    with run(shelf.app) as backend:
        headers = {
            "X-Correlation-Id": "order-7", "traceparent": f"00-{trace}-b7ad6b7169203331-01"
        }  # fmt: skip
        assert backend.post("/go", headers=headers).correlation_id == "order-7"
        backend.drain()
        assert len(backend.records) == 5
        assert {record.correlation_id for record in backend.records} == {"order-7"}
        assert {record.traceparent[3:35] for record in backend.records} == {trace}
        assert backend.timeline("order-7").count("queue jobs") == 4
        assert {line["correlation_id"] for line in backend.logs} == {"order-7"}


def test_the_order_of_sending_is_the_order_of_delivery_where_nothing_fails(run: Any) -> None:
    shelf, seen = Shelf(), []

    @shelf.app.consume(shelf.jobs, concurrency=1)
    def work(job: Job) -> None:
        seen.append(job.size)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send.many([Job("a", number) for number in range(80)])
        backend.drain()
    assert seen == list(range(80))


def test_a_message_that_nobody_took_in_its_retention_waits_in_the_inbox(run: Any) -> None:
    case = Failing(max_attempts=1_000, retry_max_s=43_200, retention_s=86_400)
    with run(case.shelf.app) as backend:
        case.send(backend, "bad")
        backend.advance(10 * 86_400)
        (failure,) = backend.failures()
        assert failure.code == "expired"


def test_drain_says_what_still_waits(run: Any) -> None:
    case = Failing(max_attempts=9)
    with run(case.shelf.app) as backend:
        case.send(backend, "bad")
        with pytest.raises(NotDrained, match=r"(?s)jobs: 1 waiting.*out of paper"):
            backend.drain(until_s=5)


def test_messages_without_an_end_are_found_out(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composing, "RUNS", 500)  # 10,000 take seconds
    shelf = Shelf()

    @shelf.app.consume(shelf.jobs, grants=[shelf.jobs.send])
    def work(job: Job) -> None:
        shelf.jobs.send(job)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        with pytest.raises(TooManyRuns, match="work"):
            backend.drain()


def test_a_plain_handler_gets_the_messages_shape_of_aws_and_its_own_outcome(run: Any) -> None:
    shelf, events = Shelf(max_attempts=2), []

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def handler(event: Any, context: Any) -> Any:
        (record,) = event["Records"]
        events.append((record["body"], context.function_name, context.aws_request_id))
        shelf.things.add("seen", count=1)
        if '"bad"' in record["body"]:
            return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
        return None

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send.many([Job("good"), Job("bad")])
        backend.drain()
        (failure,) = backend.failures()
        assert failure.attempts == 2
        assert len(events) == 3
        assert events[0][1] == "handler"
        assert backend.items(shelf.things) == [Thing("seen", 1)]


def test_drain_names_the_store_that_never_comes_back(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        shelf.things.add("a", count=1)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        with backend.fail(shelf.things), pytest.raises(NotDrained, match="things: in trouble"):
            backend.drain(until_s=10)
        backend.drain()
        assert backend.items(shelf.things) == [Thing("a", 1)]


@pytest.mark.parametrize(
    "forged",
    [
        b"\x91\x91\xa5other",
        b"\x91\x94\xa4send\xa4jobs\xa2\xff\xff\xc4\x02{}",  # no UTF-8
        msgpack.encode([["update", "things", b"sa", b"", b"[" * 9_000, b"{}", b"{}"]]),
    ],
)
def test_a_message_whose_handler_forges_its_effects_counts_and_ends_in_the_inbox(
    run: Any, monkeypatch: pytest.MonkeyPatch, forged: bytes
) -> None:
    from wherry.runtime import invoke

    shelf = Shelf(max_attempts=3)

    @shelf.app.consume(shelf.jobs, grants=[*shelf.all, shelf.jobs.send])
    def work(job: Job) -> None:
        shelf.things.put(Thing("a"))

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        monkeypatch.setattr(invoke, "to_msgpack", lambda effects: forged)
        backend.drain()
        (failure,) = backend.failures()
        assert failure.attempts == 1
        assert backend.messages(shelf.jobs) == []
