"""Messages under lease: order, attempts, fencing, retention."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.conftest import QUEUES
from wherry import limits
from wherry.blueprint import QueueSpec
from wherry.effects import CancelMessage, SendMessage
from wherry.ports import (
    Bury,
    Claim,
    Claims,
    Committed,
    Denied,
    Depth,
    Done,
    GetTimeline,
    LeaseLost,
    ListFailures,
    Poll,
    Polled,
    QueueDepths,
    Rejected,
    Release,
    Renew,
    Sweep,
)


def release(place: Any, message: Any, delay_s: float = 0, counted: bool = True) -> Any:
    return place.ask(Release(message.id, message.token, int(delay_s * 1000), counted, "it failed"))


def failures(place: Any) -> list[Any]:
    rows: list[Any] = place.ask(ListFailures(None, 100, None)).rows
    return rows


def depth(place: Any, queue: str = "jobs") -> Depth:
    return next(row for row in place.ask(QueueDepths()).rows if row.queue == queue)  # type: ignore[no-any-return]


def test_messages_are_claimed_in_the_order_in_which_they_fell_due(place: Any) -> None:
    place.send("late", delay_ms=2000)
    place.send("early", delay_ms=1000)
    place.commit(*(SendMessage("jobs", name, b"{}") for name in "cab"))
    place.advance(2)
    assert [message.id for message in place.claim()] == ["c", "a", "b", "early", "late"]


def test_a_claim_says_when_the_next_message_falls_due(place: Any) -> None:
    assert place.ask(Claim("jobs", 10, "engine-1")) == Claims([], None, now_ms=place.now_ms)
    place.send("a", delay_ms=5000)
    assert place.ask(Claim("jobs", 10, "engine-1")) == Claims(
        [], place.now_ms + 5000, now_ms=place.now_ms
    )
    place.advance(4.999)
    assert place.claim() == []
    place.advance(0.001)
    assert [message.id for message in place.claim()] == ["a"]
    assert place.ask(Claim("nothing", 10, "engine-1")) == Claims([], None, now_ms=place.now_ms)


def test_one_question_tells_of_many_queues_where_something_is_due_and_leases_nothing(
    place: Any,
) -> None:
    """A queue where nothing is, and one that nobody knows, are not named."""
    queues = ["jobs", "mail", "nothing"]
    assert place.ask(Poll(queues)) == Polled({}, place.now_ms)
    place.send("late", delay_ms=5_000)
    assert place.ask(Poll(queues)).queued == {"jobs": place.now_ms + 5_000}
    place.send("a")
    sent = place.now_ms
    assert place.ask(Poll(queues)).queued == {"jobs": sent}
    assert place.ask(Poll(["mail"])).queued == {}
    assert [message.id for message in place.claim()] == ["a"]
    assert place.ask(Poll(queues)).queued == {"jobs": sent + 5_000}
    assert place.ask(Poll(queues), "reader") == Denied("engine", "Poll")


def test_a_question_finds_what_a_lease_that_ended_gives_back(place: Any) -> None:
    """Nobody else tells of it when the engine that held it has died."""
    place.send("a")
    assert len(place.claim()) == 1
    assert place.ask(Poll(["jobs"])).queued == {}
    place.advance(limits.LEASE_S)
    assert place.ask(Poll(["jobs"])).queued["jobs"] <= place.now_ms
    assert [message.attempt for message in place.claim(owner="engine-2")] == [2]


def test_a_claimed_message_carries_what_its_sender_gave_it(place: Any) -> None:
    place.send("a", number=9)
    sent = place.now_ms
    place.advance(3)
    [message] = place.claim()
    assert (message.queue, message.id, message.body) == ("jobs", "a", b'{"id":"a"}')
    assert (message.attempt, message.sent_at_ms, message.visible_at_ms) == (1, sent, sent)
    assert message.started_ms == place.now_ms
    assert message.correlation_id == "correlation-9"
    assert message.traceparent == f"00-{9:032x}-{9:016x}-01"


def test_the_first_attempts_start_is_kept_on_every_later_attempt(place: Any) -> None:
    place.send("a")
    [first] = place.claim()
    release(place, first, delay_s=60)
    place.advance(60)
    [second] = place.claim()
    assert (second.attempt, second.started_ms) == (2, first.started_ms)
    assert second.token > first.token


def test_nobody_else_gets_a_leased_message(place: Any) -> None:
    place.send("a")
    assert len(place.claim()) == 1
    assert place.claim() == []
    assert place.claim(owner="engine-2") == []


def test_a_message_comes_back_when_its_lease_ends_and_the_attempt_counts(place: Any) -> None:
    place.send("a")
    [first] = place.claim()
    place.advance(limits.LEASE_S - 0.001)
    assert place.claim(owner="engine-2") == []
    place.advance(0.001)
    [second] = place.claim(owner="engine-2")
    assert second.attempt == 2
    assert release(place, first) == LeaseLost()
    assert place.ask(Bury("a", first.token, "worker", "failed", "", None)) == LeaseLost()
    assert place.acknowledge(first) == LeaseLost(["a"])
    assert isinstance(place.acknowledge(second), Committed)


def test_a_lease_that_is_renewed_by_name_goes_on_and_others_run_out(place: Any) -> None:
    place.send("a")
    place.send("b")
    place.claim()
    for _ in range(4):
        place.advance(limits.LEASE_RENEW_S)
        assert place.ask(Renew("engine-1", ["a", "unknown"])) == Done()
        assert place.ask(Renew("engine-2", ["b"])) == Done()
    assert [message.id for message in place.claim(owner="engine-2")] == ["b"]


def test_an_engine_that_begins_frees_what_others_held(place: Any) -> None:
    place.send("a")
    [held] = place.claim(owner="engine-1")
    place.configure("release-1", owner="engine-2")
    [again] = place.claim(owner="engine-2")
    assert (again.id, again.attempt) == ("a", 2)
    place.configure("release-1", owner="engine-2")
    assert place.claim(owner="engine-2") == []
    assert place.acknowledge(held) == LeaseLost(["a"])


def test_a_message_whose_attempts_are_used_up_when_its_lease_ends_waits_in_the_inbox(
    place: Any,
) -> None:
    place.send("a")
    for attempt in (1, 2, 3):
        [message] = place.claim()
        assert message.attempt == attempt
        place.advance(limits.LEASE_S)
    assert place.claim() == []
    [failed] = failures(place)
    assert (failed.id, failed.code, failed.attempts) == ("a", "lease_expired", 3)
    assert failed.function == "worker"


# --- born leased --------------------------------------------------------------------------------


def test_a_message_is_born_leased_to_an_engine_with_room_when_nothing_waits(place: Any) -> None:
    done = place.send("a", leases={"jobs": 1})
    [message] = done.leased
    assert (message.id, message.attempt, message.started_ms) == ("a", 1, place.now_ms)
    assert done.queued == {}
    assert place.claim() == []
    assert isinstance(place.acknowledge(message), Committed)
    assert depth(place) == Depth("jobs", 0, 0, 0, 0)


def test_no_more_messages_are_born_leased_than_there_is_room(place: Any) -> None:
    done = place.commit(
        *(SendMessage("jobs", name, b"{}") for name in "abc"), leases={"jobs": 2, "mail": 5}
    )
    assert [message.id for message in done.leased] == ["a", "b"]
    assert done.queued == {"jobs": place.now_ms}
    assert [message.id for message in place.claim()] == ["c"]


def test_no_message_is_born_leased_while_an_older_one_of_its_queue_is_due(place: Any) -> None:
    place.send("old")
    assert place.send("new", leases={"jobs": 5}).leased == []
    assert len(place.send("other", queue="mail", leases={"mail": 5}).leased) == 1
    assert [message.id for message in place.claim()] == ["old", "new"]
    place.send("later", delay_ms=60_000)
    assert len(place.send("newest", leases={"jobs": 5}).leased) == 1
    place.advance(60)
    assert place.send("after later", leases={"jobs": 5}).leased == []


def test_a_delayed_message_is_not_born_leased(place: Any) -> None:
    done = place.send("a", delay_ms=1, leases={"jobs": 5})
    assert (done.leased, done.queued) == ([], {"jobs": place.now_ms + 1})


def test_a_message_born_leased_to_an_engine_that_dies_comes_back(place: Any) -> None:
    place.send("a", leases={"jobs": 1})
    place.advance(limits.LEASE_S)
    [message] = place.claim(owner="engine-2")
    assert message.attempt == 2


# --- giving back --------------------------------------------------------------------------------


def test_a_message_given_back_is_seen_after_its_delay_and_says_why(place: Any) -> None:
    place.send("a", number=3)
    [message] = place.claim()
    assert release(place, message, delay_s=10) == Done()
    assert place.claim() == []
    [waiting] = place.ask(GetTimeline("correlation-3")).waiting
    assert (waiting.error, waiting.leased, waiting.attempt) == ("it failed", False, 1)
    place.advance(10)
    assert [again.attempt for again in place.claim()] == [2]


def test_an_attempt_that_does_not_count_is_given_back(place: Any) -> None:
    place.send("a")
    for _ in range(10):
        [message] = place.claim()
        assert message.attempt == 1
        assert release(place, message, counted=False) == Done()


def test_a_message_is_given_back_only_once(place: Any) -> None:
    place.send("a")
    [message] = place.claim()
    assert release(place, message) == Done()
    assert release(place, message) == LeaseLost()


def test_burying_moves_a_message_into_the_inbox_with_its_record_in_one_step(place: Any) -> None:
    place.send("a", number=3)
    [message] = place.claim()
    record = place.record(4, correlation_id="correlation-3", ending="failed")
    answer = place.ask(Bury("a", message.token, "worker", "handler_failed", "no luck", record))
    assert answer == Done()
    timeline = place.ask(GetTimeline("correlation-3"))
    assert [found.number for found in timeline.records] == [3, 4]
    assert timeline.waiting == []
    [failed] = timeline.failures
    assert (failed.id, failed.queue, failed.function) == ("a", "jobs", "worker")
    assert (failed.code, failed.error, failed.attempts) == ("handler_failed", "no luck", 1)
    assert place.claim() == []


# --- once ---------------------------------------------------------------------------------------


def test_a_repeated_effect_id_is_no_second_message(place: Any) -> None:
    place.send("a")
    assert place.send("a", leases={"jobs": 5}).leased == []
    [message] = place.claim()
    assert place.send("a", leases={"jobs": 5}) == Committed([], {})
    place.ask(Bury("a", message.token, "worker", "failed", "", None))
    assert place.send("a", leases={"jobs": 5}) == Committed([], {})
    assert place.claim() == []
    assert depth(place) == Depth("jobs", 0, 0, 1, 0)


# --- cancelling ---------------------------------------------------------------------------------


def test_a_waiting_message_is_cancelled_and_a_leased_one_is_not(place: Any) -> None:
    for id in ("a", "b", "c"):
        place.send(id, delay_ms=1_000 if id == "c" else 0)
    [message] = place.claim(1)
    effects = [CancelMessage("jobs", id) for id in ("a", "b", "c", "none")]
    assert place.commit(*effects) == Committed([], {})
    assert depth(place) == Depth("jobs", 0, 1, 0, 0)
    assert release(place, message) == Done()
    assert [again.id for again in place.claim()] == ["a"]
    place.advance(2)
    assert place.claim() == []


def test_a_cancelled_message_may_be_the_one_that_was_to_fall_due_first(place: Any) -> None:
    place.send("first", delay_ms=1_000)
    place.send("second", delay_ms=5_000)
    place.commit(CancelMessage("jobs", "first"))
    place.advance(2)
    answer = place.ask(Claim("jobs", 10, "engine-1"))
    assert (answer.messages, answer.next_due_ms) == ([], place.now_ms + 3_000)
    assert depth(place) == Depth("jobs", 1, 0, 0, 0)


def test_a_message_is_cancelled_by_the_queue_it_waits_in_with_the_grant_to_send(place: Any) -> None:
    place.send("a")
    assert place.commit(CancelMessage("mail", "a")) == Committed([], {})
    denied = place.request(CancelMessage("jobs", "a"), function="reader")
    assert place.ask(denied, "reader") == Denied("jobs", "send")
    assert isinstance(place.commit(CancelMessage("nothing", "a")), Denied | Rejected)
    twice = [CancelMessage("jobs", "a"), SendMessage("jobs", "a", b"{}")]
    assert isinstance(place.commit(*twice), Rejected)
    assert depth(place).waiting == 1


# --- retention and depths -----------------------------------------------------------------------


def test_a_message_that_waits_beyond_its_queues_retention_is_buried(place: Any) -> None:
    place.send("old")
    place.send("delayed", delay_ms=86_400_000)
    place.advance(86_400)
    place.send("young")
    assert place.ask(Sweep(100)).count == 1
    [failed] = failures(place)
    assert (failed.id, failed.code) == ("old", "expired")
    assert [message.id for message in place.claim()] == ["delayed", "young"]


def test_a_message_that_is_given_back_beyond_its_queues_retention_is_buried(place: Any) -> None:
    kept_s = limits.MESSAGE_RETENTION_MIN_S
    jobs = QueueSpec(name="jobs", payload="Job", schema={}, retention_s=kept_s)
    place.configure("release-2", queues=(jobs, *QUEUES[1:]))
    place.send("a")
    [message] = place.claim()
    for _ in range(kept_s // 11 + 1):
        place.advance(11)
        place.ask(Renew("engine-1", ["a"]))
    assert release(place, message, counted=False) == Done()
    assert [failed.code for failed in failures(place)] == ["expired"]


def test_depths_tell_what_waits_what_is_leased_and_what_failed(place: Any) -> None:
    for name in "abcd":
        place.send(name)
    place.send("later", delay_ms=60_000)
    [a, _] = place.claim(limit=2)
    place.ask(Bury("a", a.token, "worker", "failed", "", None))
    place.advance(5)
    assert depth(place) == Depth("jobs", 3, 1, 1, 5000)
    assert depth(place, "mail") == Depth("mail", 0, 0, 0, 0)


def test_a_message_of_a_queue_that_no_release_has_stays_and_is_seen(place: Any) -> None:
    place.send("a", queue="mail")
    place.configure("release-2", queues=())
    place.configure("release-3", queues=())
    place.advance(30 * 86_400)
    place.ask(Sweep(100))
    assert depth(place, "mail").waiting == 1


@pytest.mark.parametrize("limit", [0, -1])
def test_a_claim_of_nothing_leases_nothing(place: Any, limit: int) -> None:
    place.send("a")
    assert place.claim(limit=limit) == []
    assert depth(place).waiting == 1


def test_a_claim_is_bounded(place: Any) -> None:
    for start in range(0, 2 * limits.CLAIM_BATCH, 64):
        place.commit(*(SendMessage("jobs", str(start + n), b"{}") for n in range(64)))
    assert len(place.claim(limit=1_000_000)) == limits.CLAIM_BATCH
