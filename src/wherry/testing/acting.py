"""A test that acts as a function of its own: it sets things up, with every grant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.codec import to_msgpack
from wherry.errors import ConditionFailed, Passing, rejection
from wherry.handles.scope import Scope, enter, leave
from wherry.invocation import Invocation, MessageEvent
from wherry.platforms.files.refs import BlobRef
from wherry.ports import (
    Broken,
    Commit,
    Committed,
    FetchBlob,
    GetSecret,
    KeepBlob,
    Rejected,
    ReplyAck,
    SignUrl,
    Unmet,
)
from wherry.telemetry import InvocationRecord

if TYPE_CHECKING:
    from wherry.effects import Effect, Guard
    from wherry.ports import Ack, CommitAnswer, ObjectRow, Read, ReadAnswer, StepCommit
    from wherry.testing.composing import Composed

ACTOR = "the test"


class ActingLink:
    """Asks the store for one function ("": for the engine, which may do everything)."""

    def __init__(self, composed: Composed, function: str, number: int) -> None:
        self._composed = composed
        self._function = function
        self._number = number

    def ask(self, request: Read) -> ReadAnswer:
        if isinstance(request, GetSecret):
            return self._composed.core.broker.secret(request.name)
        if isinstance(request, SignUrl):
            return self._composed.core.broker.signed(request)
        assert not isinstance(request, KeepBlob | FetchBlob)  # content is moved where it is staged
        answer: Any = self._composed.store.run([(self._function, request)])[0]
        return answer  # type: ignore[no-any-return]

    def commit(
        self, effects: list[Effect], guards: list[Guard], marks: list[str], acks: list[Ack]
    ) -> CommitAnswer:
        """Commit for this function."""
        return self._commit(msgspec.Raw(to_msgpack(effects)), guards, marks, acks)

    def _commit(
        self, effects: msgspec.Raw, guards: list[Guard], marks: list[str], acks: list[Ack]
    ) -> CommitAnswer:
        composed = self._composed
        now_ms = composed.clock.now_ms()
        number = composed.core.dispatcher.numbers.next()
        release = composed.core.active.digest if composed.core.active else ""
        record = InvocationRecord(
            number, f"test-{self._number:x}", self._function or ACTOR, ACTOR,
            f"{number:016x}", "", "", release, 1, now_ms, 0.0, 0.0, False, "ok", 0, "", "", marks,
        )  # fmt: skip
        commit = Commit(
            self._function, effects, guards, acks, record, {},
            "", f"test/{number:x}",
        )  # fmt: skip
        answer: Any = composed.store.run([(self._function, commit)])[0]
        if isinstance(answer, Committed):
            composed.core.feeds.sent(answer)
        return answer  # type: ignore[no-any-return]

    def commit_step(self, step: StepCommit) -> CommitAnswer:
        ack = ReplyAck(step.key, step.fingerprint, step.value, limits.APPLIED_S)
        return self._commit(step.effects, step.guards, step.marks, [ack])

    def stage(self, bucket: str, blob: str) -> Any:
        return self._composed.blobs.stage(bucket, blob)

    def open_blob(self, bucket: str, row: ObjectRow) -> Any:
        return self._composed.blobs.open(bucket, BlobRef(row.blob, row.size_bytes, row.sha256))


class Acting:
    """`with backend.acting(): orders.put(...)`: commits at the end, unless the block raises."""

    def __init__(self, composed: Composed) -> None:
        number = composed.core.dispatcher.numbers.next()
        self._link = ActingLink(composed, "", number)
        event = MessageEvent("", "", "", b"null", composed.clock.now_ms())
        self._scope = Scope(
            invocation(composed, number, ACTOR, f"test/acting/{number:x}", event),
            self._link,
            composed.clock,
        )
        self._token: Any = None

    def __enter__(self) -> None:
        self._token = enter(self._scope)

    def __exit__(self, kind: object, *error: object) -> None:
        leave(self._token)
        if kind is not None:
            return
        scope = self._scope
        answer = self._link.commit(scope.effects(), scope.guards(), scope.marks, [])
        match answer:
            case Committed():
                return
            case Unmet(table=table, key=key, why=why):
                raise ConditionFailed(table, key, why)
            case Rejected(message=message, code=code):
                raise rejection(code, message)
            case Broken(message=message):
                raise Passing(message)
            case _:
                raise AssertionError(f"What the test did could not be committed: {answer!r}")


def invocation(
    composed: Composed, number: int, function: str, key: str, event: Any, attempt: int = 1
) -> Invocation:
    """Return an invocation that no request and no message has caused."""
    now_ms = composed.clock.now_ms()
    trace = f"00-{number:032x}-{number:016x}-01"
    return Invocation(
        number, function, key, f"{number:016x}", f"test-{number:x}", trace, attempt, now_ms,
        now_ms + limits.FUNCTION_TIMEOUT_S * 1000, event,
    )  # fmt: skip
