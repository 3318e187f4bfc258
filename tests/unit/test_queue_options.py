"""What a send says of order and fairness, and how a large payload travels."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from msgspec import Struct

from wherry import App, Batch, limits
from wherry.effects import PutObject, SendMessage
from wherry.errors import BoundExceeded, Refused
from wherry.handles.claims import claims_bucket
from wherry.testing import call, running
from wherry.tickets import is_reference


class Job(Struct):
    """A message."""

    order_id: Any
    text: str = ""


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    LARGE = 3


class Flag(Enum):
    ON = True


class _Keyed:
    """What the functions of keys give: `give` for `what`, else what is right."""

    give: Any = "o1"
    what = ""

    def of(self, what: str) -> Any:
        return self.give if self.what == what else "o1"


keyed = _Keyed()


class Kept(Struct):
    """An item."""

    order_id: str
    length: int


app = App("options")
kept = app.table(Kept, name="kept", key="order_id")
ordered = app.queue(
    Job, name="ordered", fifo=True, group=lambda job: job.order_id, dedup=lambda job: job.text
)
shared = app.queue(Job, name="shared", fair_by=lambda job: job.order_id)
by_case = app.queue(
    Job,
    name="keyed",
    fifo=True,
    group=lambda job: keyed.of("group"),
    dedup=lambda job: keyed.of("dedup"),
)
turns = app.queue(Job, name="turns", fair_by=lambda job: keyed.of("fair_by"))
plain = app.queue(Job, name="plain")
large = app.queue(Job, name="large", claim_check=True)
wild = app.queue(dict, name="wild", claim_check=True)
sends = [one.send for one in (ordered, shared, plain, large, by_case, turns)] + [wild.send]


@app.post("/send", grants=sends)
def send(queue: str, job: Job, delay_s: float = 0) -> str:
    named = {one.name: one for one in (ordered, shared, plain, large, by_case, turns)}
    return named[queue].send(job, delay_s=delay_s)


@app.post("/wild", grants=sends)
def send_wild(body: dict[str, Any]) -> None:
    wild.send(body)


@app.post("/cancel", grants=sends)
def send_and_cancel() -> None:
    large.cancel(large.send(Job("o1", "x" * limits.MESSAGE_BYTES)))


@app.consume(large, grants=[kept.write])
def take(job: Job) -> None:
    if job.text == "fail" * 100_000:
        raise ValueError("not now")
    kept.put(Kept(job.order_id, len(job.text)))


@app.consume(wild, batch=10, grants=[kept.write])
def take_wild(batch: Batch[dict]) -> None:  # type: ignore[type-arg]
    for body in batch.values:
        kept.put(Kept("wild", len(body)))


for_nobody = [ordered, shared, plain, by_case, turns]
for one in for_nobody:

    def consume(job: Job) -> None: ...

    consume.__name__ = f"consume_{one.name}"
    app.consume(one)(consume)


def sent(queue: str, job: Job, delay_s: float = 0) -> SendMessage:
    (effect,) = call(app, send, queue, job, delay_s).effects
    assert isinstance(effect, SendMessage)
    return effect


@pytest.mark.parametrize(
    ("order_id", "group"),
    [
        ("o1", "o1"),
        (7, "7"),
        (UUID(int=1), str(UUID(int=1))),
        ("g" * 128, "g" * 128),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 11, 21), "2026-11-21"),
        (Colour.RED, "red"),
        (Size.LARGE, "3"),
    ],
)
def test_a_fifo_message_says_its_group_and_what_repeats_it(order_id: Any, group: str) -> None:
    effect = sent("ordered", Job(order_id, "once"))
    assert (effect.group, effect.dedup) == (group, "once")


def test_a_fair_message_says_the_key_that_takes_turns() -> None:
    effect = sent("shared", Job("o1", "x"))
    assert (effect.group, effect.dedup) == ("o1", "")


def test_other_messages_say_nothing_of_the_kind() -> None:
    effect = sent("plain", Job("o1", "x"))
    assert (effect.group, effect.dedup) == ("", "")


@pytest.mark.parametrize(
    "order_id",
    [
        "",
        None,
        True,
        "g" * 129,
        ["o1"],
        {"id": 1},
        ("o1",),
        b"o1",
        float("nan"),
        Flag.ON,
        Job("o1"),
    ],
)
def test_a_group_that_is_none_is_refused_with_how_to_name_it(order_id: Any) -> None:
    keyed.give = order_id
    for queue, what in (("keyed", "group"), ("keyed", "dedup"), ("turns", "fair_by")):
        keyed.what = what
        with pytest.raises(Refused, match=f"{what}= of the queue '{queue}' gave") as refusal:
            sent(queue, Job("o1", "x"))
        assert f"{what}=lambda job: job.order_id" in str(refusal.value)


def test_an_object_has_no_text_that_tells_it_from_others() -> None:
    """Its address would be another one in every process."""
    keyed.give, keyed.what = object(), "group"
    with pytest.raises(Refused, match=r"gave <object object at 0x\w+> \(object\)"):
        sent("keyed", Job("o1", "x"))


def test_a_fifo_queue_takes_no_delay() -> None:
    with pytest.raises(Refused, match="FIFO"):
        sent("ordered", Job("o1", "x"), 5)


def test_a_message_that_is_too_large_is_refused_with_both_ways_out() -> None:
    with pytest.raises(BoundExceeded) as refusal:
        sent("plain", Job("o1", "x" * limits.MESSAGE_BYTES))
    assert "bucket" in str(refusal.value)
    assert "claim_check=True" in str(refusal.value)


# --- claim check --------------------------------------------------------------------------------


def test_a_large_payload_is_put_into_the_queues_bucket_and_the_message_refers_to_it() -> None:
    put, message = call(app, send, "large", Job("o1", "x" * limits.MESSAGE_BYTES)).effects
    assert isinstance(put, PutObject)
    assert isinstance(message, SendMessage)
    assert (put.bucket, put.key) == ("large-payloads", message.id)
    assert put.size_bytes > limits.MESSAGE_BYTES
    assert is_reference(message.body)


def test_a_small_payload_travels_as_it_is() -> None:
    assert not is_reference(sent("large", Job("o1", "x")).body)


def test_a_payload_beyond_the_claim_check_is_refused() -> None:
    with pytest.raises(BoundExceeded, match="bucket of yours"):
        sent("large", Job("o1", "x" * limits.CLAIM_BYTES))


def test_a_large_payload_arrives_whole_and_its_object_goes_with_the_commit() -> None:
    text = "x" * limits.MESSAGE_BYTES
    with running(app) as backend:
        with backend.acting():
            message_id = large.send(Job("o1", text))
        assert backend.messages(large) == [Job("o1", text)]
        backend.drain()
        assert backend.items(kept) == [Kept("o1", len(text))]
        assert backend.object(claims_bucket("large"), message_id) is None
        assert backend.failures() == []


def test_a_large_payload_stays_until_its_message_is_done() -> None:
    with running(app) as backend:
        with backend.acting():
            message_id = large.send(Job("o1", "fail" * 100_000))
        backend.drain()
        assert len(backend.failures()) == 1
        assert backend.object(claims_bucket("large"), message_id) is not None


def test_a_payload_that_looks_like_a_reference_is_taken_for_what_it_is() -> None:
    body = {"wherry_claim": "somebody-elses", "size_bytes": 3, "more": 1}
    put, message = call(app, send_wild, body).effects
    assert isinstance(put, PutObject)
    assert isinstance(message, SendMessage)
    with running(app) as backend:
        with backend.acting():
            wild.send(body)
        backend.drain()
        assert backend.items(kept) == [Kept("wild", 3)]


def test_a_claimed_payload_is_removed_with_the_commit_of_its_batch() -> None:
    with running(app) as backend:
        with backend.acting():
            id = wild.send({"x": "y" * limits.MESSAGE_BYTES})
            wild.send({"a": 1})
        backend.drain()
        assert [row.length for row in backend.items(kept)] == [1]
        assert backend.object(claims_bucket("wild"), id) is None


def test_a_large_payload_that_is_cancelled_while_it_waits_leaves_nothing() -> None:
    with running(app) as backend:
        with backend.acting():
            id = large.send(Job("o1", "x" * limits.MESSAGE_BYTES), delay_s=60)
        assert backend.object(claims_bucket("large"), id) is not None
        with backend.acting():
            large.cancel(id)
        assert backend.object(claims_bucket("large"), id) is None


def test_a_large_payload_that_is_cancelled_at_once_leaves_nothing() -> None:
    assert call(app, send_and_cancel).effects == []


def test_a_payload_whose_object_is_gone_is_not_tried_again() -> None:
    from tests.unit.runtime_kit import Runs

    with running(app) as backend:
        body = b'{"wherry_claim":"gone","size_bytes":1}'
        failure = Runs(app, backend, "take").one(body).failure
    assert failure is not None
    assert (failure.code, failure.retry) == ("do_not_retry", False)
