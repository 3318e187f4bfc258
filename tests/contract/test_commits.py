"""What the design promises of a commit, sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw, json, msgpack, structs

from wherry import limits
from wherry.effects import (
    Absent,
    Compare,
    DeleteItem,
    Guard,
    Present,
    PutItem,
    PutObject,
    SendMessage,
    UpdateItem,
)
from wherry.ports import (
    Already,
    Broken,
    Committed,
    Conflicted,
    Denied,
    GetItem,
    GetObject,
    GetReply,
    GetTimeline,
    LeaseLost,
    MessageAck,
    Nothing,
    Rejected,
    ReplyAck,
    StoredReply,
    Unmet,
)


def test_effects_acknowledgement_and_record_are_one_step(place: Any) -> None:
    place.send("a")
    [message] = place.claim()
    done = place.acknowledge(
        message, place.put("orders", "c", "1", n=1), SendMessage("mail", "m", b"{}"), number=50
    )
    assert isinstance(done, Committed)
    assert place.get("orders", "c", "1") == {"n": 1}
    assert place.claim() == []
    assert [found.id for found in place.claim(queue="mail")] == ["m"]
    assert place.ask(GetTimeline("correlation-50")).records[0].number == 50


def test_a_commit_that_fails_a_check_leaves_nothing_of_itself(place: Any) -> None:
    effects = [
        place.put("orders", "c", "1", n=1),
        SendMessage("jobs", "a", b"{}"),
        place.put("notes", "x", when=Present()),
    ]
    assert place.commit(*effects, number=7) == Unmet("notes", "x")
    assert place.get("orders", "c", "1") is None
    assert place.claim() == []
    assert place.ask(GetTimeline("correlation-7")).records == []


def test_a_failing_commit_in_a_batch_undoes_only_itself(place: Any) -> None:
    requests = [
        place.request(place.put("orders", "c", str(number), n=number, when=Absent()))
        for number in (1, 2, 1, 3)
    ]
    answers = place.batch(*requests)
    assert [type(answer) for answer in answers] == [Committed, Committed, Unmet, Committed]
    assert len(place.query("orders", "c").rows) == 3


def test_each_commit_of_a_batch_sees_what_those_before_it_did(place: Any) -> None:
    read = GetItem("orders", *place.key("c", "1"))
    before, _, between, _, after = place.batch(
        read,
        place.request(place.put("orders", "c", "1", n=1)),
        read,
        place.request(place.put("orders", "c", "1", n=2, when=Compare("n", "==", 1))),
        read,
    )
    assert before == Nothing()
    assert json.decode(between.body) == {"n": 1}
    assert json.decode(after.body) == {"n": 2}
    assert after.version > between.version


# --- versions and guards ------------------------------------------------------------------------


def test_a_key_that_was_read_and_has_changed_is_a_conflict_that_names_the_winner(
    place: Any,
) -> None:
    place.commit(place.put("orders", "c", "1", n=1))
    guard = place.guard("orders", "c", "1")
    place.commit(place.put("orders", "c", "1", n=2), number=90, function="worker")
    lost = place.commit(place.put("orders", "c", "1", n=3), guards=[guard])
    assert lost == Conflicted("orders", "c/1", "worker", "request-90")
    assert place.get("orders", "c", "1") == {"n": 2}


def test_a_key_that_was_read_as_absent_and_was_created_is_a_conflict(place: Any) -> None:
    guard = place.guard("orders", "c", "1")
    place.commit(place.put("orders", "c", "1", n=2), number=90)
    lost = place.commit(place.put("notes", "n", n=3), guards=[guard])
    assert lost == Conflicted("orders", "c/1", "shop", "request-90")


def test_a_key_that_was_read_and_is_gone_is_a_conflict(place: Any) -> None:
    place.commit(place.put("orders", "c", "1", n=1))
    guard = place.guard("orders", "c", "1")
    place.commit(DeleteItem("orders", *place.key("c", "1")), number=91)
    lost = place.commit(place.put("notes", "n", n=3), guards=[guard])
    assert lost == Conflicted("orders", "c/1", "shop", "request-91")


def test_a_version_is_not_used_again_after_an_item_was_deleted_and_made_anew(place: Any) -> None:
    place.commit(place.put("orders", "c", "1", n=1))
    guard = place.guard("orders", "c", "1")
    place.commit(DeleteItem("orders", *place.key("c", "1")))
    place.commit(place.put("orders", "c", "1", n=1))
    assert isinstance(place.commit(guards=[guard]), Conflicted)


def test_a_guard_that_holds_lets_the_commit_pass(place: Any) -> None:
    place.commit(place.put("orders", "c", "1", n=1))
    guards = [place.guard("orders", "c", "1"), place.guard("orders", "c", "nothing")]
    done = place.commit(place.put("orders", "c", "1", n=2), guards=guards)
    assert isinstance(done, Committed)


def test_a_blind_put_replaces(place: Any) -> None:
    place.commit(place.put("orders", "c", "1", n=1, m=1))
    place.commit(place.put("orders", "c", "1", n=2))
    assert place.get("orders", "c", "1") == {"n": 2}


def test_a_conflict_is_found_before_a_condition_is_looked_at(place: Any) -> None:
    stale = Guard("orders", *place.key("c", "1"), 99)  # type: ignore[call-arg]
    answer = place.commit(place.put("notes", "x", when=Present()), guards=[stale])
    assert isinstance(answer, Conflicted)


# --- updates ------------------------------------------------------------------------------------


def update(place: Any, **options: Any) -> UpdateItem:
    parts: dict[str, Any] = {name: json.encode(value) for name, value in options.items()}
    return UpdateItem("counters", *place.key("k"), **parts)


def test_additions_commute_and_need_no_read(place: Any) -> None:
    requests = [place.request(update(place, add={"n": n}, initial={"id": "k"})) for n in (1, 2, -5)]
    assert all(isinstance(answer, Committed) for answer in place.batch(*requests))
    assert place.get("counters", "k") == {"id": "k", "n": -2}


def test_an_update_assigns_to_the_item_as_it_is_at_the_commit(place: Any) -> None:
    place.commit(place.put("counters", "k", id="k", a=1, b=2))
    assert isinstance(place.commit(update(place, assign={"b": [3], "c": None})), Committed)
    assert place.get("counters", "k") == {"id": "k", "a": 1, "b": [3], "c": None}


def test_an_update_of_an_absent_item_is_an_unmet_condition(place: Any) -> None:
    assert place.commit(update(place, assign={"a": 1})) == Unmet("counters", "k")


@pytest.mark.parametrize("value", ["1", True, None, [1]])
def test_adding_to_what_is_no_number_is_an_unmet_condition(place: Any, value: object) -> None:
    place.commit(place.put("counters", "k", id="k", n=value))
    assert place.commit(update(place, add={"n": 1})) == Unmet("counters", "k")


def test_an_update_cannot_change_a_key_field(place: Any) -> None:
    place.commit(place.put("counters", "k", id="k"))
    answer = place.commit(update(place, assign={"id": "other"}))
    assert isinstance(answer, Rejected)
    assert "key" in answer.message
    assert isinstance(place.commit(update(place, assign={"id": "k", "n": 1})), Committed)


# --- once ---------------------------------------------------------------------------------------


def test_sending_the_same_commit_again_is_harmless(place: Any) -> None:
    request = place.request(
        update(place, add={"n": 1}, initial={}), SendMessage("jobs", "a", b"{}"), number=5
    )
    first, second = place.batch(request, request)
    assert isinstance(first, Committed)
    assert second == Already(None)
    assert place.ask(request) == Already(None)
    assert place.get("counters", "k") == {"n": 1}


def test_a_number_that_another_run_has_is_not_taken_for_a_repeat(place: Any) -> None:
    """Two runs were given one number: the second is told to try again, not that it is done."""
    assert isinstance(place.commit(place.put("orders", "c", "1", n=1), number=77), Committed)
    other = structs.replace(
        place.request(place.put("orders", "c", "2", n=2), number=77),
        record=place.record(77, request_id="another"),
    )
    assert isinstance(place.ask(other), Broken)
    assert place.get("orders", "c", "2") is None


def test_a_job_commit_that_is_sent_again_is_known_though_its_message_is_gone(place: Any) -> None:
    place.send("a")
    [message] = place.claim()
    assert isinstance(place.acknowledge(message, number=77), Committed)
    assert place.acknowledge(message, number=77) == Already(None)


def test_of_two_commits_under_one_key_one_wins_and_the_other_gets_its_reply(place: Any) -> None:
    key = "idem/shop/k"
    first = place.commit(
        place.put("orders", "c", "1", n=1), acks=[ReplyAck(key, "print", b"first", 60)]
    )
    second = place.commit(
        place.put("orders", "c", "2", n=2), acks=[ReplyAck(key, "print", b"second", 60)]
    )
    assert isinstance(first, Committed)
    assert second == Already(StoredReply("print", b"first"), key)
    assert place.get("orders", "c", "2") is None
    assert place.ask(GetReply(key)) == StoredReply("print", b"first")


def test_a_reply_is_kept_for_its_time_and_no_longer(place: Any) -> None:
    key = "idem/shop/k"
    place.commit(acks=[ReplyAck(key, "", b"first", 60)])
    place.advance(59)
    assert isinstance(place.commit(acks=[ReplyAck(key, "", b"second", 60)]), Already)
    place.advance(2)
    assert place.ask(GetReply(key)) == Nothing()
    assert isinstance(place.commit(acks=[ReplyAck(key, "", b"third", 60)]), Committed)
    assert place.ask(GetReply(key)) == StoredReply("", b"third")


def test_a_commit_whose_lease_is_lost_applies_nothing(place: Any) -> None:
    place.send("a")
    [message] = place.claim()
    place.advance(limits.LEASE_S + 1)
    [again] = place.claim(owner="engine-2")
    assert again.token != message.token
    assert place.acknowledge(message, place.put("orders", "c", "1")) == LeaseLost(["a"])
    assert place.get("orders", "c", "1") is None
    assert isinstance(place.acknowledge(again), Committed)


def test_a_lost_lease_is_said_before_a_stored_reply(place: Any) -> None:
    place.commit(acks=[ReplyAck("message/worker/a", "", b"", 60)])
    acks = [ReplyAck("message/worker/a", "", b"", 60), MessageAck("a", 1)]
    assert place.commit(acks=acks) == LeaseLost(["a"])


# --- grants -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "effect", "denied"),
    [
        ("reader", PutItem("orders", b"sc", b"s1", b"{}"), Denied("orders", "write")),
        ("reader", UpdateItem("orders", b"sc", b"s1"), Denied("orders", "write")),
        ("reader", DeleteItem("orders", b"sc", b"s1"), Denied("orders", "write")),
        ("writer", SendMessage("jobs", "a", b"{}"), Denied("jobs", "send")),
        ("nobody", SendMessage("jobs", "a", b"{}"), Denied("jobs", "send")),
        (
            "creator",
            PutObject("assets", "k", "00" * 8, 1, "", "", {}),
            Denied("assets", "write"),
        ),
    ],
)
def test_an_effect_without_its_grant_is_denied_and_nothing_is_applied(
    place: Any, name: str, effect: Any, denied: Denied
) -> None:
    note = SendMessage("mail", "m", b"{}") if name == "nobody" else effect
    assert place.commit(effect, function=name) == denied
    assert isinstance(place.commit(note, function=name), Denied)
    assert place.get("orders", "c", "1") is None


def test_creating_an_object_is_less_than_replacing_one(place: Any) -> None:
    create = PutObject("assets", "k", "00" * 8, 1, "", "", {}, if_absent=True)
    assert isinstance(place.commit(create, function="creator"), Committed)
    assert place.commit(create, function="creator") == Unmet("assets", "k")
    found = place.ask(GetObject("assets", "k"))
    assert found.blob == "00" * 8


def test_a_guard_needs_the_grant_to_read(place: Any) -> None:
    guard = Guard("orders", *place.key("c", "1"), 0)  # type: ignore[call-arg]
    assert place.commit(guards=[guard], function="writer") == Denied("orders", "read")


def test_a_commit_has_the_grants_of_the_release_in_its_record(place: Any) -> None:
    place.configure("release-2", functions=())
    put = place.put("orders", "c", "1")
    assert isinstance(place.commit(put, release="release-1"), Committed)
    assert place.commit(put, release="release-2") == Denied("orders", "write")
    assert place.commit(put, release="never heard of") == Denied("orders", "write")


def test_a_function_cannot_commit_in_the_name_of_another(place: Any) -> None:
    request = place.request(place.put("orders", "c", "1"))
    assert isinstance(place.ask(request, function="reader"), Denied)
    assert isinstance(place.ask(request, function="shop@release-1"), Committed)


# --- bounds -------------------------------------------------------------------------------------


def test_a_commit_takes_ninety_effects_and_no_more(place: Any) -> None:
    puts = [place.put("orders", "c", str(number)) for number in range(limits.COMMIT_EFFECTS + 1)]
    assert isinstance(place.commit(*puts), Rejected)
    assert place.query("orders", "c").rows == []
    assert isinstance(place.commit(*puts[1:]), Committed)


def test_guards_of_further_keys_count_with_the_effects(place: Any) -> None:
    puts = [place.put("orders", "c", str(number)) for number in range(limits.COMMIT_EFFECTS)]
    own = [place.guard("orders", "c", str(number)) for number in range(limits.COMMIT_EFFECTS)]
    further = place.guard("orders", "c", "further")
    assert isinstance(place.commit(*puts, guards=[*own, further]), Rejected)
    assert place.query("orders", "c").rows == []
    assert isinstance(place.commit(*puts[1:], guards=[*own[1:], further]), Committed)


def test_two_effects_on_one_key_are_refused(place: Any) -> None:
    answer = place.commit(place.put("orders", "c", "1"), DeleteItem("orders", *place.key("c", "1")))
    assert isinstance(answer, Rejected)
    assert "orders c/1" in answer.message


@pytest.mark.parametrize(
    "effect",
    [
        PutItem("notes", b"sx", b"", b'{"a":"%s"}' % (b"x" * limits.ITEM_BYTES)),
        PutItem("notes", b"s" + b"s" * (limits.PARTITION_KEY_BYTES + 1), b"", b"{}"),
        PutItem("notes", b"", b"", b"{}"),
        PutItem("notes", b"sx", b"s" + b"s" * (limits.SORT_KEY_BYTES + 1), b"{}"),
        PutItem("notes", b"sx", b"", b"[]"),
        PutItem("notes", b"sx", b"", b"no JSON"),
        SendMessage("jobs", "a", b"x" * (limits.MESSAGE_BYTES + 1)),
        SendMessage("jobs", "", b"{}"),
        SendMessage("jobs", "a", b"{}", -1),
        SendMessage("jobs", "a", b"{}", limits.DELAY_MAX_S * 1000 + 1),
        PutObject("assets", "k" * (limits.OBJECT_KEY_BYTES + 1), "00" * 8, 1, "", "", {}),
        PutObject("assets", "k", "00" * 8, 2**63, "", "", {}),
        PutItem("nothing", b"sx", b"", b"{}"),
        SendMessage("nothing", "a", b"{}"),
    ],
)
def test_what_breaks_a_bound_is_rejected_with_a_reason(place: Any, effect: Any) -> None:
    answer = place.commit(effect, place.put("orders", "c", "1"), function="")
    assert isinstance(answer, Rejected)
    assert answer.message
    assert place.get("orders", "c", "1") is None


def test_effects_that_cannot_be_read_are_rejected(place: Any) -> None:
    request = place.request()
    unframed = (b"\xc1", b"\x91" * 100_000 + b"\xc0")  # nor can the frame around these be read
    deep = b'{"status":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for raw in (
        *unframed,
        msgpack.encode([["nonsense", 1]]),
        msgpack.encode("text"),
        b"\x91\x94\xa4send\xa2\xff\xff\xa1a\xc4\x02{}",  # no UTF-8
        msgpack.encode([["put", "orders", b"sc", b"s1", deep]]),
    ):
        broken = type(request)("shop", Raw(raw), [], [], place.record(), {}, "engine-1")
        neighbour = place.request(place.put("orders", "c", "neighbour"))
        answers = place.batch(broken, neighbour)
        if raw in unframed:
            assert isinstance(answers[0], Rejected | Broken)
        else:
            assert isinstance(answers[0], Rejected)
        assert isinstance(answers[1], Committed)
