"""Where a message's turn comes without a send, an answer that goes out anyway says so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.trigger_kit import bury, claim, configure, release, send
from tests.postgres_kit import Waited
from wherry import limits
from wherry.ports import (
    Already,
    Bury,
    Claim,
    Done,
    Fire,
    MessageAck,
    Note,
    Renew,
    ReplyAck,
    Sweep,
)

KEY = "once/worker/k"


@pytest.fixture(autouse=True)
def kinds(place: Any) -> None:
    configure(place)


def _where_leases_are_ended(place: Any) -> None:
    if isinstance(place.platform, Waited):
        pytest.skip("On Postgres a lease ends by itself: the next poll of its queue finds it.")


def test_the_end_of_a_lease_is_told_to_who_claims_from_another_queue(place: Any) -> None:
    _where_leases_are_ended(place)
    send(place, "plain", "a")
    [found] = claim(place, "plain")
    place.advance(limits.LEASE_S)
    assert place.ask(Claim("mail", 10, "engine-1")).queued == {"plain": found.visible_at_ms}
    assert place.ask(Claim("mail", 10, "engine-1")).queued == {}  # once


def test_who_claims_from_the_queue_itself_has_it_with_the_messages(place: Any) -> None:
    send(place, "plain", "a")
    claim(place, "plain")
    place.advance(limits.LEASE_S)
    answer = place.ask(Claim("plain", 10, "engine-1"))
    assert (len(answer.messages), answer.queued) == (1, {})


def test_a_sweep_tells_what_it_has_let_come(place: Any) -> None:
    _where_leases_are_ended(place)
    send(place, "plain", "a")
    send(place, "lane", "b", "c")
    claim(place, "plain")
    claim(place, "lane")
    place.advance(limits.LEASE_S)
    assert set(place.ask(Sweep(100)).queued) == {"plain", "lane"}


@pytest.mark.parametrize("way", ["retention of what blocks", "retention of the head"])
def test_a_sweep_tells_of_a_group_that_goes_on(place: Any, way: str) -> None:
    queue = "strict" if way == "retention of what blocks" else "lane"
    send(place, queue, "a")
    if queue == "strict":
        bury(place, claim(place, queue)[0])
        place.advance(limits.FAILURES_S + 1)
        send(place, queue, "b")
    else:
        place.advance(86_400)
        send(place, queue, "b")
    assert set(place.ask(Sweep(100)).queued) == {queue}
    assert [one.id for one in claim(place, queue)] == ["b"]


def test_a_message_that_dies_tells_that_the_next_of_its_group_comes(place: Any) -> None:
    send(place, "lane", "a", "b")
    [found] = claim(place, "lane")
    answer = bury(place, found)
    assert isinstance(answer, Done)
    assert set(answer.queued) == {"lane"}


def test_a_message_that_was_done_before_tells_it_too(place: Any) -> None:
    place.commit(acks=[ReplyAck(KEY, "", b"", 100)], function="")
    send(place, "lane", "a", "b")
    [found] = claim(place, "lane")
    acks = [MessageAck(found.id, found.token), ReplyAck(KEY, "", b"", 100)]
    answer = place.commit(acks=acks, function="worker")
    assert isinstance(answer, Already)
    assert set(answer.queued) == {"lane"}


def test_it_is_told_in_an_answer_whose_reader_looks_for_it(place: Any) -> None:
    send(place, "lane", "a", "b")
    [found] = claim(place, "lane")
    dies = Bury(found.id, found.token, "worker", "failed", "no luck", None)
    noted, buried = place.batch(Note([place.record()]), dies)
    assert (noted.queued, set(buried.queued)) == ({}, {"lane"})
    place.advance(limits.LEASE_S)


def test_a_release_is_told_to_nobody_else_it_is_known_to_who_releases(place: Any) -> None:
    send(place, "plain", "a")
    assert release(place, claim(place, "plain")[0], delay_s=5) == Done()
    assert place.ask(Renew("engine-1", [])) == Done()
    assert place.ask(Fire(10)).queued == {}
