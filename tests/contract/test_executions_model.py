"""Executions against a model: whatever happens in whatever order, each is what its steps made it.

Held after every step (on Postgres after every few): state, history, end and tokens of every
execution; the tasks that wait or are leased are those that its steps sent and nobody took back;
lists have each in its status.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from msgspec import json

from tests.contract.inside import rows
from tests.contract.model_kit import Model, play
from tests.contract.trigger_kit import failures
from tests.contract.workflow_kit import (
    configure,
    done,
    events,
    get,
    move,
    ordered,
    start,
    task,
    told,
    wake,
)
from tests.postgres_kit import Waited
from wherry import limits
from wherry.effects import EndTask, RedriveExecution, SendMessage, StopExecution
from wherry.ports import (
    Bury,
    ChildExecution,
    Claimed,
    Committed,
    Conflicted,
    Ended,
    GetExecution,
    Happened,
    Inboxed,
    LeaseLost,
    ListExecutions,
    Nothing,
    Part,
    Redrive,
    Sweep,
    Unmet,
)

KEPT_S = 90 * 86_400
NAMES = st.sampled_from("abc")
ENDS = st.sampled_from(["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])


class Known:
    """What an execution must be."""

    def __init__(self, id: int, name: str, input: bytes, parent: Known | None = None) -> None:
        self.id, self.name, self.input, self.parent = id, name, input, parent
        self.version = self.events = self.redrives = 0
        self.status = "RUNNING"
        self.wake_ms: int | None = None
        self.started_ms = self.ended_ms = 0
        self.tokens: set[str] = set()
        self.tasks: set[str] = set()
        self.parts: dict[str, bytes] = {}
        self.children: list[Known] = []


class Flows(Model):
    """A few executions, their tasks, and what was told to each."""

    def __init__(self) -> None:
        super().__init__()
        self.place = self.make()
        configure(self.place)
        self.known: dict[int, Known] = {}
        self.held: dict[str, Claimed] = {}  # tasks under lease
        self.tokens = 0

    # -- choosing --

    def pick(self, data: Any, running: bool = True) -> Known | None:
        found = [one for one in self.known.values() if not running or one.status == "RUNNING"]
        return data.draw(st.sampled_from(found)) if found else None

    def named(self, name: str) -> Known | None:
        now_ms = self.place.now_ms
        for one in self.known.values():
            over = one.status != "RUNNING" and one.ended_ms <= now_ms - KEPT_S * 1000
            if one.name == name and one.parent is None and not over:
                return one
        return None

    def listen(self) -> list[Happened]:
        return told(self.place)

    # -- what is asked of executions --

    @rule(name=NAMES, input=st.sampled_from([b"1", b"2"]))
    def start(self, name: str, input: bytes) -> None:
        before = self.named(name)
        answer = ordered(self.place, start(name, input))
        heard = self.listen()
        if before is None:
            [message] = heard
            assert message.event == "begin"
            one = self.known[message.execution] = Known(message.execution, name, input)
            one.started_ms = self.place.now_ms
        elif before.input == input:
            assert (answer, heard) == (Committed([], {}), [])
        else:
            assert (answer, heard) == (Unmet("workflow refund", name, "input"), [])

    @rule(name=NAMES)
    def stop(self, name: str) -> None:
        one = self.named(name)
        answer = ordered(self.place, StopExecution("refund", name, "stop"))
        heard = [(message.execution, message.event) for message in self.listen()]
        if one is None:
            assert (answer, heard) == (Unmet("workflow refund", name, "absent"), [])
        else:
            assert heard == ([(one.id, "stop")] if one.status == "RUNNING" else [])

    @rule(name=NAMES)
    def ask_to_redrive(self, name: str) -> None:
        one = self.named(name)
        answer = ordered(self.place, RedriveExecution("refund", name, "redrive"))
        heard = [(message.execution, message.event) for message in self.listen()]
        if one is None or one.status in ("RUNNING", "SUCCEEDED"):
            why = "absent" if one is None else one.status.lower()
            assert (answer, heard) == (Unmet("workflow refund", name, why), [])
        elif self.place.now_ms - one.started_ms >= limits.STATE_STANDARD_S * 1000:
            assert (answer, heard) == (Unmet("workflow refund", name, "old"), [])
        elif self.place.now_ms - one.ended_ms > limits.STATE_REDRIVE_S * 1000:
            assert (answer, heard) == (Unmet("workflow refund", name, "late"), [])
        else:
            assert heard == [(one.id, "redrive")]

    @rule(data=st.data(), kind=st.sampled_from(["succeeded", "failed", "heartbeat"]))
    def end_task(self, data: Any, kind: Any) -> None:
        token = f"token-{data.draw(st.integers(0, self.tokens))}"
        answer = ordered(self.place, EndTask("refund", token, "end", kind))
        heard = [message.execution for message in self.listen()]
        owner = next((one for one in self.known.values() if token in one.tokens), None)
        if owner is None:
            assert (answer, heard) == (Unmet("workflow refund", "token"), [])
            return
        assert heard == [owner.id]
        if kind != "heartbeat":
            owner.tokens.discard(token)

    # -- steps --

    @rule(data=st.data(), stale=st.booleans())
    def step(self, data: Any, stale: bool) -> None:
        one = self.pick(data)
        if one is None:
            return
        fields = self.fields(data, one)
        if stale:
            answer = move(self.place, one.id, one.version + 1, **fields)
            assert isinstance(answer, Conflicted)
            return
        assert isinstance(move(self.place, one.id, one.version, **fields), Committed)
        self.moved(one, fields)

    def fields(self, data: Any, one: Known) -> dict[str, Any]:
        call = f"{one.id}.call.{one.version}"
        first = one.events + 1
        gone = data.draw(st.lists(st.sampled_from(sorted(one.tasks)), unique=True, max_size=2)
                         if one.tasks else st.just([]))  # fmt: skip
        over = data.draw(st.sampled_from(sorted(one.tokens)) if one.tokens else st.none())
        key = data.draw(st.sampled_from("xy"))
        body = data.draw(st.sampled_from([b"1", b"2", None]))
        count = data.draw(st.integers(0, 3))
        return {
            "history": [(first + n, b"%d" % (first + n)) for n in range(count)],
            "parts": [Part("c", key, body)],
            "cancels": [("", id) for id in gone],
            "sends": [SendMessage("charge", call, task(one.id, one.version))],
            "tokens": [f"token-{self.tokens}"] if data.draw(st.booleans()) else [],
            "tokens_over": [over] if over and data.draw(st.booleans()) else [],
            "wake_ms": data.draw(st.sampled_from([None, self.place.now_ms + 1_000])),
        }

    def moved(self, one: Known, fields: dict[str, Any]) -> None:
        one.version += 1
        one.events += len(fields.get("history", []))
        for part in fields.get("parts", []):
            one.parts.pop(part.key, None)
            if part.body is not None:
                one.parts[part.key] = part.body
        for _, id in fields.get("cancels", []):
            one.tasks.discard(id)
            self.held.pop(id, None)
        one.tasks |= {message.id for message in fields.get("sends", [])}
        for token in fields.get("tokens", []):
            one.tokens.add(token)
            self.tokens += 1
        one.tokens -= set(fields.get("tokens_over", []))
        one.wake_ms = fields.get("wake_ms")

    @rule(data=st.data(), count=st.integers(1, 3))
    def begin_children(self, data: Any, count: int) -> None:
        one = self.pick(data)
        if one is None or one.parent is not None:
            return
        first = len(one.children)
        begun = [ChildExecution("child", first + n, b"", b"0") for n in range(count)]
        move(self.place, one.id, one.version, children=begun)
        self.moved(one, {})
        for message in self.listen():
            child = Known(message.execution, "child", b"0", one)
            self.known[child.id] = child
            one.children.append(child)

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        for message in self.place.claim(limit, queue="charge"):
            assert message.id not in self.held
            assert any(message.id in one.tasks for one in self.known.values())
            self.held[message.id] = message
        self.hear_given_up()  # a claim may be the first to see that a last lease has ended

    def hear_given_up(self) -> None:
        """Tasks whose last lease has ended are told to their executions as failed."""
        for message in self.listen():
            assert message.event == "failed"
            one = self.known[message.execution]
            one.tasks.remove(f"{one.id}.call.{message.call}")

    @rule(data=st.data(), lost=st.booleans())
    def finish(self, data: Any, lost: bool) -> None:
        """The end of a task moves its execution, in one commit with its acknowledgement."""
        if not self.held:
            return
        message = data.draw(st.sampled_from(list(self.held.values())))
        owner = next(one for one in self.known.values() if message.id in one.tasks)
        if lost:
            [ack] = done(message)
            wrong = type(ack)(ack.id, ack.token + 1_000)
            answer = move(self.place, owner.id, owner.version, acks=[wrong])
            assert answer == LeaseLost([message.id])
            return
        fields = self.fields(data, owner) | {"cancels": []}
        answer = move(self.place, owner.id, owner.version, acks=done(message), **fields)
        assert isinstance(answer, Committed)
        del self.held[message.id]
        owner.tasks.discard(message.id)
        self.moved(owner, fields)

    @rule(data=st.data())
    def give_up(self, data: Any) -> None:
        if not self.held:
            return
        message = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        owner = next(one for one in self.known.values() if message.id in one.tasks)
        owner.tasks.discard(message.id)
        self.place.ask(Bury(message.id, message.token, "charge", "died", "x", None))
        [failed] = self.listen()
        assert (failed.execution, failed.event) == (owner.id, "failed")

    @rule(data=st.data(), status=ENDS)
    def end(self, data: Any, status: Any) -> None:
        one = self.pick(data)
        if one is None:
            return
        failed = status in ("FAILED", "TIMED_OUT") and one.parent is None
        body = json.encode(Happened(one.id, "redrive"))
        inbox = Inboxed(f"{one.id}.{one.redrives}", "failed", "E", body) if failed else None
        output = b"1" if status == "SUCCEEDED" else None
        cancels = [("", id) for id in one.tasks]
        answer = move(
            self.place, one.id, one.version, ended=Ended(status, output), inboxed=inbox,
            cancels=cancels,
        )  # fmt: skip
        assert isinstance(answer, Committed)
        self.moved(one, {"cancels": cancels})
        one.status, one.ended_ms = status, self.place.now_ms
        one.tokens.clear()
        if status == "SUCCEEDED":
            one.parts.clear()
        expected = {(child.id, "stop") for child in one.children if child.status == "RUNNING"}
        if one.parent is not None and one.parent.status == "RUNNING":
            event = "succeeded" if status == "SUCCEEDED" else "failed"
            expected.add((one.parent.id, event))
        assert {(message.execution, message.event) for message in self.listen()} == expected

    @rule(data=st.data(), inbox=st.booleans())
    def redrive(self, data: Any, inbox: bool) -> None:
        one = self.pick(data, running=False)
        if one is None or one.status in ("RUNNING", "SUCCEEDED") or one.parent is not None:
            return
        acks = []
        if inbox and one.status in ("FAILED", "TIMED_OUT"):
            self.place.ask(Redrive([f"{one.id}.{one.redrives}"], None, "me"))
            self.place.advance(1_000)
            self.held.clear()  # their leases have ended
            acks = [ack for found in self.place.claim(10, queue="refund") for ack in done(found)]
            assert len(acks) <= 1  # none: it was swept from the inbox
        answer = move(self.place, one.id, one.version, redriven=True, acks=acks)
        assert isinstance(answer, Committed)
        self.moved(one, {})
        one.status = "RUNNING"
        one.redrives += 1

    # -- time --

    @rule(seconds=st.sampled_from([1, 14 * 86_400, KEPT_S]))
    def wait(self, seconds: int) -> None:
        self.place.advance(seconds)
        self.held.clear()
        self.place.ask(Sweep(500))
        self.hear_given_up()

    @rule(limit=st.integers(1, 4))
    def wake(self, limit: int) -> None:
        due = [
            one for one in self.known.values()
            if one.wake_ms is not None and one.wake_ms <= self.place.now_ms
        ]  # fmt: skip
        woken = wake(self.place, limit)
        heard = [message.execution for message in self.listen() if message.event == "wake"]
        assert len(heard) == len(set(heard)) == min(limit, len(due))
        assert set(heard) <= {one.id for one in due}
        for id in heard:
            self.known[id].wake_ms = None
        left = [one.wake_ms for one in self.known.values() if one.wake_ms is not None]
        assert woken.next_ms == min(left, default=None)

    # -- what must hold --

    def holds(self) -> None:
        self.drop_what_was_swept()
        self.each_is_what_its_steps_made_it()
        self.what_waits_is_known()
        self.lists_have_each_in_its_status()

    def each_is_what_its_steps_made_it(self) -> None:
        for one in self.known.values():
            execution = get(self.place, one.id)
            assert (execution.version, execution.status) == (one.version, one.status)
            assert (execution.input, execution.redrives) == (one.input, one.redrives)
            assert {part.key: part.body for part in execution.parts} == one.parts
            assert events(self.place, one.id) == [b"%d" % n for n in range(1, one.events + 1)]

    @invariant()
    def drop_what_was_swept(self) -> None:
        before = self.place.now_ms - KEPT_S * 1000
        for id, one in list(self.known.items()):
            if one.status != "RUNNING" and one.ended_ms <= before:
                self.place.ask(Sweep(500))
                assert isinstance(self.place.ask(GetExecution(id)), Nothing)
                del self.known[id]

    def what_waits_is_known(self) -> None:
        waiting = {row[0] for row in rows(self.place, "SELECT id FROM messages")}
        assert waiting == {id for one in self.known.values() for id in one.tasks}
        tokens = set(rows(self.place, "SELECT token, execution FROM tokens"))
        kept = {(_kept(self.place, token), id) for token, id in self._tokens()}
        assert tokens == kept
        assert rows(self.place, "SELECT count(*) FROM executions") == [(len(self.known),)]

    def _tokens(self) -> list[tuple[str, int]]:
        return [(token, one.id) for one in self.known.values() for token in one.tokens]

    def lists_have_each_in_its_status(self) -> None:
        own = [one for one in self.known.values() if one.parent is None]
        for status in ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"):
            page = self.place.ask(ListExecutions("refund", status, 1_000))
            expected = sorted((one.id for one in own if one.status == status), reverse=True)
            assert [row.id for row in page.rows] == expected
        failed = {
            f"{one.id}.{one.redrives}" for one in own if one.status in ("FAILED", "TIMED_OUT")
        }
        assert {row.id for row in failures(self.place)} <= failed


def _kept(place: Any, token: str) -> str | bytes:
    return token.encode() if isinstance(place.platform, Waited) else token


def test_executions_are_what_a_model_says(new_place: Any) -> None:
    play(Flows, new_place, 40)
