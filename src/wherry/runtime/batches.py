"""A batch in one run: each message with a scope, an end and a key of its own.

What an item writes carries the key of its message, as it would if the message had come alone: so
a repeat is harmless in whatever company it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import errors
from wherry.codec import to_msgpack
from wherry.handles.batches import Batch, BatchItem
from wherry.handles.logs import log
from wherry.handles.scope import Scope, enter, leave
from wherry.invocation import (
    EMPTY,
    BatchEvent,
    BatchMessage,
    Failure,
    Invocation,
    ItemOutcome,
    MessageEvent,
    Once,
    Outcome,
)
from wherry.runtime import binding
from wherry.runtime.failures import failure_of
from wherry.runtime.keys import message_key
from wherry.runtime.once import DONE_BEFORE, is_done, once_of

if TYPE_CHECKING:
    from wherry.app.endpoints import Endpoint
    from wherry.blueprint import FunctionSpec

NOT_ENTERED = "item_not_entered"


class _Member:
    """One message of the batch, from its bytes to its outcome."""

    __slots__ = (
        "failure", "is_done", "item", "leader", "message", "once", "payload", "scope", "shares",
    )  # fmt: skip

    def __init__(self, message: BatchMessage, scope: Scope) -> None:
        self.message = message
        self.scope = scope
        self.payload: Any = None
        self.failure: Failure | None = None
        self.shares = False  # its failure with others: which of them is to blame is not known
        self.once: Once | None = None
        self.is_done = False  # by an earlier message of its `once_per` key
        self.leader: _Member | None = None  # in this batch, with the same key: it goes first
        self.item: BatchItem[Any] | None = None  # what the handler is handed


class BatchRun:
    """One run of a consumer with a batch. `call` calls the handler with its arguments."""

    def __init__(
        self,
        endpoint: Endpoint,
        spec: FunctionSpec,
        invocation: Invocation,
        event: BatchEvent,
        scope: Scope,
        call: Callable[[dict[str, Any]], Any],
    ) -> None:
        self._endpoint = endpoint
        self._spec = spec
        self._invocation = invocation
        self._event = event
        self._scope = scope
        self._call = call
        self._members: list[_Member] = []

    def run(self) -> Outcome:
        """Hand the messages over, and return what became of each."""
        leaders: dict[str, _Member] = {}
        for message in self._event.messages:
            member = _Member(message, self._scope_of(message))
            self._members.append(member)
            self._bind(member)
            if member.once is not None and member.failure is None and not member.is_done:
                first = leaders.setdefault(member.once.key, member)
                member.leader = None if first is member else first
        handed = [one for one in self._members if _is_handed(one)]
        if not handed:
            return self._together([])
        if self._endpoint.plain:
            return self._plain(handed)
        return self._batch(handed)

    # -- before the handler ------------------------------------------------------------------------

    def _scope_of(self, message: BatchMessage) -> Scope:
        invocation = msgspec.structs.replace(
            self._invocation,
            number=message.number,
            key=message_key(self._invocation.function, message.id),
            attempt=message.attempt,
            started_ms=message.started_ms,
            correlation_id=message.correlation_id,
            traceparent=message.traceparent,
            event=MessageEvent(
                self._event.endpoint,
                self._event.queue,
                message.id,
                message.body,
                message.sent_at_ms,
            ),
        )
        return self._scope.part(invocation)

    def _bind(self, member: _Member) -> None:
        """Read the payload: what cannot be read fails by itself, and nobody else with it."""
        token = enter(member.scope)
        try:
            event = binding.redeemed(self._endpoint, member.scope.invocation.event)
            member.payload = event.body
            if not self._endpoint.plain:
                (member.payload,) = binding.bind_message(self._endpoint, event).values()
            member.once = once_of(self._endpoint, binding.keyed_by(self._endpoint, member.payload))
            member.is_done = is_done(member.scope, member.once)
            if member.is_done:
                member.scope.marks.append(DONE_BEFORE)
        except BaseException as error:  # the team's own types run code of theirs
            member.failure = failure_of(error, self._spec.memory_mb)
        finally:
            leave(token)

    # -- the handler -------------------------------------------------------------------------------

    def _batch(self, handed: list[_Member]) -> Outcome:
        def failed(item: BatchItem[Any], error: BaseException) -> None:
            by_item[id(item)].failure = failure_of(error, self._spec.memory_mb)

        for one in handed:
            one.item = BatchItem(one.payload, one.message.id, one.scope, one.message.group)
        by_item = {id(one.item): one for one in handed}
        batch = Batch([one.item for one in handed if one.item is not None], self._scope, failed)
        argument = self._endpoint.signature.arguments[0].name
        ended: Failure | None = None
        try:
            self._call({argument: batch})
        except BaseException as error:
            ended = failure_of(error, self._spec.memory_mb)
        finally:
            for one in handed:
                one.scope.over = True
        if not batch.entered:
            _share(handed, ended)
            return self._together(handed)
        refuse_writes_beside(self._endpoint.name, self._scope)
        left_over = [
            one
            for one in handed
            if one.failure is None and one.item is not None and not one.item.left
        ]
        if ended is not None:
            if not left_over:
                log.error("the handler raised when all its items had ended", trace=ended.trace)
            _share(left_over, ended)
            return self._each()
        for one in left_over:
            one.failure = _not_entered(one.message.id)
        return self._each()

    def _plain(self, handed: list[_Member]) -> Outcome:
        """Call a `handler(event, context)` with AWS's shape of a batch, and read its answer."""
        messages = [(one.message, one.payload) for one in handed]
        try:
            event = binding.aws_batch(self._endpoint, self._event, messages)
            context = binding.AwsContext(self._spec, self._invocation, self._scope.clock)
            result = self._call({"event": event, "context": context})
            failures = binding.failed_items(result, [one.message.id for one in handed])
        except BaseException as error:
            _share(handed, failure_of(error, self._spec.memory_mb))
            return self._together(handed)
        for one in handed:
            if one.message.id in failures:
                reported = f"The handler reported the message {one.message.id} as failed."
                one.failure = failure_of(errors.HandlerFailed(reported), self._spec.memory_mb)
        return self._together(handed)

    # -- after the handler -------------------------------------------------------------------------

    def _each(self) -> Outcome:
        """Return outcomes that are committed one by one."""
        items = [self._own(one) for one in self._members]
        return Outcome(
            None, EMPTY, 0, [], self._scope.marks, kept=self._scope.kept, items=items
        )  # fmt: skip

    def _together(self, handed: list[_Member]) -> Outcome:
        """Return one outcome for the messages that the handler has decided on as a whole."""
        joined = [one for one in handed if one.failure is None]
        items = []
        for one in self._members:
            if any(one is other or one.leader is other for other in joined):
                once = one.once if one.leader is None else None
                repeat = one.leader is not None
                items.append(ItemOutcome(one.message.id, own=False, once=once, replayed=repeat))
            else:
                items.append(self._own(one))
        effects = self._scope.effects() if joined else []
        guards = self._scope.guards() if joined else []
        raw = msgspec.Raw(to_msgpack(effects)) if effects else EMPTY
        scope = self._scope
        return Outcome(
            None, raw, len(effects), guards, scope.marks, kept=scope.kept, items=items
        )  # fmt: skip

    def _own(self, one: _Member) -> ItemOutcome:
        first = one.leader or one
        if first.failure is not None:
            return ItemOutcome(
                one.message.id, own=not first.shares, failure=first.failure, marks=one.scope.marks
            )
        if one.leader is not None:  # it is done only once the commit of the other one is
            return ItemOutcome(one.message.id, own=True, marks=one.scope.marks, again=True)
        effects = one.scope.effects()
        return ItemOutcome(
            one.message.id,
            own=True,
            effects=msgspec.Raw(to_msgpack(effects)) if effects else EMPTY,
            effect_count=len(effects),
            guards=one.scope.guards(),
            marks=one.scope.marks,
            once=None if one.is_done else one.once,
            replayed=one.is_done,
        )


def refuse_writes_beside(name: str, scope: Scope) -> None:
    """Refuse what a handler that has entered items wrote outside of them."""
    if scope.effects():
        raise errors.Refused(
            f"{name!r} wrote something outside of the items that it entered: it is of no message, "
            "and nothing of the batch is applied.",
            advice="Write inside `with item`, or enter no item and decide for all of them.",
        )


def _share(members: list[_Member], failure: Failure | None) -> None:
    """Let the failure of the run (None: it has not failed) be that of all these messages."""
    for one in members:
        one.failure, one.shares = failure, failure is not None


def _is_handed(one: _Member) -> bool:
    return one.failure is None and not one.is_done and one.leader is None


def _not_entered(message_id: str) -> Failure:
    return Failure(
        NOT_ENTERED,
        "ItemNotEntered",
        f"The handler returned without entering (or leaving) the item {message_id}, and entered "
        "others. Enter each that needs nothing done too: with item: pass.",
    )


def run_alone(run: BatchRun) -> Outcome:
    """Return the outcome of a batch of one message as that of a message that came by itself."""
    whole = run.run()
    (item,) = whole.items
    marks = [*whole.marks, *item.marks]
    if item.failure is not None:
        return Outcome(None, EMPTY, 0, [], marks, item.failure, kept=whole.kept)
    if not item.own:
        return Outcome(
            None, whole.effects, whole.effect_count, whole.guards, marks, kept=whole.kept,
            once=item.once,
        )  # fmt: skip
    return Outcome(
        None, item.effects, item.effect_count, item.guards, marks, replayed=item.replayed,
        kept=whole.kept, once=item.once,
    )  # fmt: skip


def batch_of_one(invocation: Invocation, event: MessageEvent) -> BatchEvent:
    """Return a message that came alone, for a handler that takes batches."""
    return BatchEvent(
        event.endpoint,
        event.queue,
        [
            BatchMessage(
                invocation.number,
                event.id,
                event.body,
                event.sent_at_ms,
                invocation.attempt,
                invocation.started_ms,
                invocation.correlation_id,
                invocation.traceparent,
            )
        ],
    )
