"""A batch in one run: each message ends by itself, or all of them alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from tests.unit.runtime_kit import Runs, effects
from wherry import App, Batch, DoNotRetry, NotFound, current, new_id, now
from wherry.effects import PutItem
from wherry.errors import Refused
from wherry.handles.scope import maybe_scope
from wherry.invocation import ItemOutcome, Outcome
from wherry.testing import running


class Job(Struct):
    """A message: what to do about a key."""

    key: str
    do: str = "put"


class Done(Struct):
    """An item."""

    key: str
    by: str = ""


app = App("batches")
done = app.table(Done, key="key")
jobs = app.queue(Job)
whole_jobs = app.queue(Job, name="whole_jobs")
aws_jobs = app.queue(Job, name="aws_jobs")


@app.post("/send", grants=[jobs.send, whole_jobs.send, aws_jobs.send])
def send(job: Job) -> None:
    jobs.send(job)


@app.consume(jobs, batch=10, grants=[done.read, done.write])
def each(batch: Batch[Job]) -> None:
    for item in batch:
        if item.value.do == "leave":
            continue
        if item.value.do == "stop":
            return
        if item.value.do == "break":
            raise OSError("the handler broke")
        with item as job:
            act(job)
        if item.value.do == "outside":
            done.put(Done("outside"))
        if item.value.do == "again":
            with item:
                pass


def act(job: Job) -> None:
    done.put(Done(job.key, new_id()))
    match job.do:
        case "fail":
            raise ValueError("this one cannot be done")
        case "give up":
            raise DoNotRetry("no use")
        case "missing":
            raise NotFound("thing", job.key)
        case "exit":
            raise SystemExit(3)


@app.consume(whole_jobs, batch=10, grants=[done.write])
def whole(batch: Batch[Job]) -> None:
    for job in batch.values:
        if job.do == "fail":
            raise ValueError("all of them")
        done.put(Done(job.key))


@app.consume(aws_jobs, batch=10, grants=[done.write])
def aws(event, context):  # type: ignore[no-untyped-def]
    import json

    failures = []
    for record in event["Records"]:
        job = json.loads(record["body"])
        if job["do"] == "fail":
            failures.append({"itemIdentifier": record["messageId"]})
        elif job["do"] == "unknown":
            failures.append({"itemIdentifier": "nobody"})
        else:
            done.put(Done(job["key"]))
    return {"batchItemFailures": failures}


@pytest.fixture(scope="module")
def backend() -> Iterator[Any]:
    with running(app) as found:
        yield found


@pytest.fixture
def runs(backend: Any) -> Runs:
    return Runs(app, backend, "each")


def codes(outcome: Outcome) -> list[str]:
    return ["ok" if one.failure is None else one.failure.code for one in outcome.items]


def keys(outcome: Outcome | ItemOutcome) -> list[str]:
    return [done.shape.decode(one.body).key for one in effects(outcome) if isinstance(one, PutItem)]


# --- one by one ---------------------------------------------------------------------------------


def test_each_item_that_is_entered_has_effects_of_its_own(runs: Runs) -> None:
    outcome = runs.batch(Job("a"), Job("b"))
    assert outcome.failure is None
    assert effects(outcome) == []
    assert [(one.id, one.own, keys(one)) for one in outcome.items] == [
        ("m1", True, ["a"]),
        ("m2", True, ["b"]),
    ]
    assert [one.marks for one in outcome.items] == [["put dones/a"], ["put dones/b"]]


def test_an_item_that_raises_fails_alone_and_applies_nothing(runs: Runs) -> None:
    outcome = runs.batch(Job("a"), Job("b", "fail"), Job("c"))
    assert codes(outcome) == ["ok", "handler_failed", "ok"]
    failed = outcome.items[1]
    assert failed.failure is not None
    assert (failed.failure.error, failed.failure.retry) == ("ValueError", True)
    assert "act(job)" in failed.failure.trace
    assert effects(failed) == []
    assert keys(outcome.items[2]) == ["c"]


@pytest.mark.parametrize(
    ("do", "code", "retry"), [("give up", "do_not_retry", False), ("missing", "not_found", False)]
)
def test_an_item_fails_as_its_message_would_alone(
    runs: Runs, do: str, code: str, retry: bool
) -> None:
    alone = runs.one(Job("a", do)).failure
    among = runs.batch(Job("a", do), Job("b")).items[0].failure
    assert alone is not None
    assert among is not None
    assert (alone.code, alone.retry) == (among.code, among.retry) == (code, retry)


def test_what_an_item_makes_is_the_same_in_any_company(runs: Runs) -> None:
    """IDs come of the message's key, not of the batch's."""
    first = runs.batch(Job("x", "fail"), Job("a"))
    again = runs.batch(Job("y"), Job("a"), attempt=2)
    assert effects(first.items[1]) == effects(again.items[1]) != []


def test_an_item_that_was_not_entered_fails_where_others_were(runs: Runs) -> None:
    outcome = runs.batch(Job("a"), Job("b", "leave"), Job("c"))
    assert codes(outcome) == ["ok", "item_not_entered", "ok"]
    assert outcome.items[1].failure is not None
    assert outcome.items[1].failure.retry


def test_a_handler_may_stop_early_and_what_is_left_comes_again(runs: Runs) -> None:
    outcome = runs.batch(Job("a"), Job("b", "stop"), Job("c"))
    assert codes(outcome) == ["ok", "item_not_entered", "item_not_entered"]


def test_what_was_done_stays_done_when_the_handler_breaks_later(runs: Runs) -> None:
    outcome = runs.batch(Job("a"), Job("b", "break"), Job("c"))
    assert codes(outcome) == ["ok", "handler_failed", "handler_failed"]
    assert outcome.items[2].failure is not None
    assert outcome.items[2].failure.message == "the handler broke"


def test_an_exit_inside_an_item_ends_the_run_and_that_item_fails(runs: Runs) -> None:
    outcome = runs.batch(Job("a"), Job("b", "exit"), Job("c"))
    assert codes(outcome) == ["ok", "handler_exited", "handler_exited"]


def test_a_message_that_cannot_be_read_fails_without_the_others(runs: Runs) -> None:
    outcome = runs.batch(Job("a"), b'{"key":7}', Job("c"))
    assert codes(outcome) == ["ok", "do_not_retry", "ok"]


def test_nothing_of_a_batch_that_cannot_be_read_reaches_the_handler(runs: Runs) -> None:
    assert codes(runs.batch(b"{}", b"[]")) == ["do_not_retry", "do_not_retry"]


def test_writing_beside_the_items_is_refused_and_nothing_is_applied(runs: Runs) -> None:
    outcome = runs.batch(Job("a", "outside"), Job("b"))
    assert outcome.failure is not None
    assert outcome.failure.code == "refused"
    assert not outcome.failure.retry
    assert outcome.items == []


def test_an_item_is_entered_once(runs: Runs) -> None:
    outcome = runs.batch(Job("a", "again"), Job("b"))
    assert codes(outcome) == ["ok", "refused"]


def test_an_item_is_not_entered_inside_another(backend: Any) -> None:
    inner = App("inner")
    some = inner.queue(Job)

    @inner.consume(some, batch=5)
    def work(batch: Batch[Job]) -> None:
        first, second = batch
        with first, second:
            pass

    with running(inner) as found:
        outcome = Runs(inner, found, "work").batch(Job("a"), Job("b"))
    assert codes(outcome) == ["refused", "item_not_entered"]


def test_an_item_that_was_entered_and_never_left_fails(backend: Any) -> None:
    """A handler that forgets the block's end does not get half of it committed."""
    inner = App("inner")
    table = inner.table(Done, key="key")
    some = inner.queue(Job)

    @inner.consume(some, batch=5, grants=[table.write])
    def work(batch: Batch[Job]) -> None:
        (item,) = batch
        table.put(Done(item.__enter__().key))

    with running(inner) as found:
        outcome = Runs(inner, found, "work").batch(Job("a"))
        assert maybe_scope() is None
    assert codes(outcome) == ["item_not_entered"]


def test_an_item_knows_its_own_run(backend: Any) -> None:
    """now(), attempt and correlation are those of the message."""
    seen = []
    inner = App("inner")
    some = inner.queue(Job)

    @inner.consume(some, batch=5)
    def work(batch: Batch[Job]) -> None:
        for item in batch:
            with item:
                seen.append((now().microsecond, current().correlation_id, current().attempt))

    with running(inner) as found:
        Runs(inner, found, "work").batch(Job("a"), Job("b"), attempt=2)
    assert seen == [(1_000, "c1", 2), (2_000, "c2", 2)]


def test_items_put_objects_of_their_own(backend: Any) -> None:
    """What they stage is not mixed up, nor with what another attempt has staged."""
    inner = App("inner")
    files = inner.bucket("files")
    some = inner.queue(Job)

    @inner.consume(some, batch=5, grants=[files.write])
    def work(batch: Batch[Job]) -> None:
        for item in batch:
            with item as job:
                files.put(job.key, job.key.encode())

    with running(inner) as found:
        runs = Runs(inner, found, "work")
        for one in runs.batch(Job("a"), Job("b")).items:
            runs.commit(one)
        stored = [found.object(files, name) for name in ("a", "b")]
        assert [one.read() for one in stored if one is not None] == [b"a", b"b"]


def test_an_async_handler_takes_batches_too(backend: Any) -> None:
    inner = App("inner")
    table = inner.table(Done, key="key")
    some = inner.queue(Job)

    @inner.consume(some, batch=5, grants=[table.write])
    async def work(batch: Batch[Job]) -> None:
        for item in batch:
            with item as job:
                table.put(Done(job.key))

    with running(inner) as found:
        outcome = Runs(inner, found, "work").batch(Job("a"), Job("b"))
    assert [keys(one) for one in outcome.items] == [["a"], ["b"]]


def test_an_item_is_of_no_use_outside_of_its_run() -> None:
    from wherry.handles.batches import BatchItem as Item

    with pytest.raises(Refused, match="outside of its batch"):
        Item(Job("a"), "m1", None).__enter__()  # type: ignore[arg-type]


# --- all alike ----------------------------------------------------------------------------------


def test_a_handler_that_enters_no_item_decides_for_all_of_them(backend: Any) -> None:
    outcome = Runs(app, backend, "whole").batch(Job("a"), Job("b"))
    assert keys(outcome) == ["a", "b"]
    assert [(one.own, one.failure, effects(one)) for one in outcome.items] == [
        (False, None, []),
        (False, None, []),
    ]


def test_a_handler_that_enters_no_item_and_raises_fails_all_of_them(backend: Any) -> None:
    outcome = Runs(app, backend, "whole").batch(Job("a"), Job("b", "fail"))
    assert codes(outcome) == ["handler_failed", "handler_failed"]
    assert effects(outcome) == []


def test_a_batch_of_plain_events_reports_its_failures_by_message(backend: Any) -> None:
    runs = Runs(app, backend, "aws")
    outcome = runs.batch(Job("a"), Job("b", "fail"), Job("c"))
    assert codes(outcome) == ["ok", "handler_failed", "ok"]
    assert keys(outcome) == ["a", "c"]
    assert [one.own for one in outcome.items if one.failure is None] == [False, False]


def test_a_report_about_an_unknown_message_fails_the_batch(backend: Any) -> None:
    outcome = Runs(app, backend, "aws").batch(Job("a"), Job("b", "unknown"))
    assert codes(outcome) == ["handler_failed", "handler_failed"]


# --- a message that comes alone -----------------------------------------------------------------


def test_a_message_that_comes_alone_is_a_batch_of_one(runs: Runs, backend: Any) -> None:
    assert keys(runs.one(Job("a"))) == ["a"]
    assert keys(Runs(app, backend, "whole").one(Job("b"))) == ["b"]
    failed = runs.one(Job("c", "fail")).failure
    assert failed is not None
    assert failed.code == "handler_failed"


def test_a_consumer_of_batches_works_off_its_queue(backend: Any) -> None:
    with backend.acting():
        jobs.send(Job("sent"))
    backend.drain()
    assert "sent" in [one.key for one in backend.items(done)]


# --- whose failure it is ------------------------------------------------------------------------


def test_a_failure_of_the_run_is_told_from_that_of_an_item(runs: Runs, backend: Any) -> None:
    """Of the first it is not known which message is to blame."""
    one_by_one = runs.batch(Job("a", "fail"), Job("b"), b"[]").items
    assert [one.own for one in one_by_one] == [True, True, True]
    broken = runs.batch(Job("a", "fail"), Job("b", "break"), Job("c")).items
    assert [one.own for one in broken] == [True, False, False]
    whole = Runs(app, backend, "whole").batch(Job("a"), Job("b", "fail"), b"[]").items
    assert [one.own for one in whole] == [False, False, True]
    reported = Runs(app, backend, "aws").batch(Job("a", "fail"), Job("b")).items
    assert [one.own for one in reported] == [True, False]


def test_a_named_step_belongs_to_an_item(backend: Any) -> None:
    """Outside of them it would be done again in other company; also where one came alone."""
    inner = App("inner")
    some = inner.queue(Job)

    @inner.consume(some, batch=5)
    def work(batch: Batch[Job]) -> None:
        if batch.values[0].do == "beside":
            inner.atomic("beside", lambda: None)
        for item in batch:
            with item as job:
                inner.atomic("inside", len, job.key)

    with running(inner) as found:
        found_runs = Runs(inner, found, "work")
        assert codes(found_runs.batch(Job("a"), Job("b"))) == ["ok", "ok"]
        assert codes(found_runs.batch(Job("a", "beside"), Job("b"))) == ["refused", "refused"]
        alone = found_runs.one(Job("c", "beside")).failure
    assert alone is not None
    assert "inside `with item`" in alone.message


def test_what_is_raised_when_all_items_have_ended_is_told() -> None:
    """Nothing of the batch is lost by it, and nobody else would hear of it."""
    app = App("shop")
    jobs = app.queue(Job, name="raised")

    @app.consume(jobs, batch=10)
    def work(batch: Batch[Job]) -> None:
        for item in batch:
            with item:
                pass
        raise ValueError("after all")

    with running(app) as backend:
        with backend.acting():
            jobs.send(Job("a"))
        backend.drain()
        (told,) = [line for line in backend.logs if line["level"] == "ERROR"]
        assert "when all its items had ended" in told["message"]
        assert "ValueError: after all" in told["trace"]
        assert backend.failures() == []
