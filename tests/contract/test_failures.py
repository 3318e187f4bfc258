"""The failure inbox: listing, redrive, edit and redrive, discard; retention."""

from __future__ import annotations

from typing import Any

from tests.contract.inside import audit
from wherry import limits
from wherry.effects import SendMessage
from wherry.ports import (
    Bury,
    Claim,
    Count,
    Discard,
    Failures,
    GetTimeline,
    ListFailures,
    Redrive,
    Rejected,
    Sweep,
)


def fail(place: Any, *ids: str, queue: str = "jobs", **options: Any) -> None:
    for id in ids:
        place.send(id, queue=queue, **options)
        [message] = place.claim(queue=queue)
        place.ask(Bury(id, message.token, "worker", "handler_failed", "no luck", None))


def listed(place: Any, **options: Any) -> Failures:
    values = {"queue": None, "limit": 100, "after": None, "id": None}
    answer: Failures = place.ask(ListFailures(**(values | options)))
    return answer


def test_failed_work_is_listed_newest_first_in_pages(place: Any) -> None:
    fail(place, "a", "b", "c")
    fail(place, "m", queue="mail")
    first = listed(place, limit=3)
    assert [row.id for row in first.rows] == ["m", "c", "b"]
    rest = listed(place, limit=3, after=first.after)
    assert ([row.id for row in rest.rows], rest.after, rest.total) == (["a"], None, 4)
    only = listed(place, queue="jobs", limit=2)
    assert ([row.id for row in only.rows], only.total) == (["c", "b"], 3)
    more = listed(place, queue="jobs", limit=2, after=only.after)
    assert [row.id for row in more.rows] == ["a"]
    assert [row.id for row in listed(place, id="b").rows] == ["b"]
    assert listed(place, id="nothing") == Failures([], None, 0)
    assert listed(place, queue="nothing") == Failures([], None, 0)


def test_a_redrive_keeps_the_id_begins_the_attempts_again_and_is_counted(place: Any) -> None:
    fail(place, "a", number=3)
    assert place.ask(Redrive(["a", "a", "unknown"], None, "ana")) == Count(1)
    [message] = place.claim()
    assert (message.id, message.attempt, message.body) == ("a", 1, b'{"id":"a"}')
    assert message.correlation_id == "correlation-3"
    place.ask(Bury("a", message.token, "worker", "handler_failed", "again", None))
    [failed] = listed(place).rows
    assert (failed.redrives, failed.attempts, failed.error) == (1, 1, "again")


def test_a_redriven_message_starts_when_its_first_attempt_did(place: Any) -> None:
    fail(place, "a")
    started = place.now_ms
    place.advance(1000)
    place.ask(Redrive(["a"], None, "ana"))
    [message] = place.claim()
    assert message.started_ms == started


def test_a_whole_queue_is_redriven_oldest_first_and_bounded(place: Any) -> None:
    fail(place, "a", "b", "c")
    fail(place, "m", queue="mail")
    assert place.ask(Redrive([], "jobs", "ana", limit=2)) == Count(2)
    assert [message.id for message in place.claim()] == ["a", "b"]
    assert place.ask(Redrive([], "jobs", "ana", limit=2)) == Count(1)
    assert place.ask(Redrive([], "jobs", "ana", limit=2)) == Count(0)
    assert [row.id for row in listed(place).rows] == ["m"]


def test_a_redriven_message_has_its_queues_whole_retention_again(place: Any) -> None:
    fail(place, "a")
    place.advance(10 * 86_400)
    place.ask(Redrive(["a"], None, "ana"))
    place.advance(86_399)
    place.ask(Sweep(100))
    assert len(place.claim()) == 1


def test_an_edited_message_gets_a_new_id_and_stays_on_its_timeline(place: Any) -> None:
    fail(place, "a", number=3)
    edit = Redrive(["a"], None, "ana", b'{"id":"mended"}', "a2")
    assert place.ask(edit) == Count(1)
    [waiting] = place.ask(GetTimeline("correlation-3")).waiting
    assert waiting.id == "a2"
    [message] = place.claim()
    assert (message.id, message.body, message.attempt) == ("a2", b'{"id":"mended"}', 1)
    assert place.ask(edit) == Count(0)


def test_an_edit_without_a_new_id_or_of_several_is_refused(place: Any) -> None:
    fail(place, "a", "b")
    place.send("taken")
    assert isinstance(place.ask(Redrive(["a"], None, "ana", b"{}")), Rejected)
    assert isinstance(place.ask(Redrive(["a", "b"], None, "ana", b"{}", "x")), Rejected)
    assert isinstance(place.ask(Redrive(["a"], None, "ana", b"{}", "taken")), Rejected)
    assert isinstance(place.ask(Redrive(["a"], None, "ana", b"{}", "b")), Rejected)
    large = b"x" * (limits.MESSAGE_BYTES + 1)
    assert isinstance(place.ask(Redrive(["a"], None, "ana", large, "x")), Rejected)
    assert listed(place).total == 2


def test_work_is_discarded_with_a_reason(place: Any) -> None:
    fail(place, "a", "b", "c")
    assert place.ask(Discard(["b"], None, "a typing error", "ana")) == Count(1)
    assert [row.id for row in listed(place).rows] == ["c", "a"]
    assert place.ask(Discard([], "jobs", "all of it", "ana")) == Count(2)
    assert listed(place) == Failures([], None, 0)


def test_every_exit_from_the_inbox_leaves_an_audit_row(quick: Any) -> None:
    fail(quick, "a", "b", "c")
    quick.ask(Redrive(["a"], None, "ana"))
    quick.ask(Redrive(["b"], None, "ben", b"{}", "b2"))
    quick.ask(Discard(["c"], None, "too old", "cem"))
    at = quick.now_ms
    assert audit(quick) == [
        (at, "ana", "redrive", "a", "jobs"),
        (at, "ben", "edit", "b", "b2"),
        (at, "cem", "discard", "c", "too old"),
    ]


def test_failed_work_that_nobody_looks_after_goes_after_its_retention(place: Any) -> None:
    fail(place, "a", "b")
    place.advance(limits.FAILURES_S)
    fail(place, "c")
    assert place.ask(Sweep(100)).given_up == {"jobs": 2}
    assert [row.id for row in listed(place).rows] == ["c"]
    assert place.ask(Sweep(100)).given_up == {}


def test_each_redrive_that_failed_makes_the_next_one_wait_longer(place: Any) -> None:
    fail(place, "a")
    waits = []
    for _ in range(12):
        place.ask(Redrive(["a"], None, "ana"))
        claims = place.ask(Claim("jobs", 1, "engine-1"))
        wait_ms = 0 if claims.messages else claims.next_due_ms - place.now_ms
        place.advance(wait_ms / 1000)
        [message] = claims.messages or place.claim()
        waits.append(wait_ms / 1000)
        place.ask(Bury("a", message.token, "worker", "handler_failed", "again", None))
    assert waits[:4] == [0, 5, 10, 20]
    assert waits[-1] == limits.REDRIVE_MAX_S


def test_an_edited_message_does_not_wait(place: Any) -> None:
    fail(place, "a")
    place.ask(Redrive(["a"], None, "ana"))
    [message] = place.claim()
    place.ask(Bury("a", message.token, "worker", "handler_failed", "again", None))
    place.ask(Redrive(["a"], None, "ana", body=b"{}", new_id="b"))
    assert [found.id for found in place.claim()] == ["b"]


def test_a_claim_hands_out_no_more_than_fits_into_an_answer(place: Any) -> None:
    body = b'"%s"' % (b"x" * (limits.MESSAGE_BYTES - 2))
    for number in range(40):
        place.commit(SendMessage("jobs", f"m{number}", body))
    first = place.ask(Claim("jobs", 64, "engine-1"))
    assert len(first.messages) == limits.CLAIMED_BYTES // limits.MESSAGE_BYTES
    assert first.next_due_ms == place.now_ms
    assert len(place.claim(64)) == 40 - len(first.messages)
