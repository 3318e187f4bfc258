"""Calling one handler, to look at what it returns and at what it wants to change."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wherry.app.endpoints import Endpoint
from wherry.errors import Forbidden, Refused
from wherry.handles.aftercommit import AfterCommit
from wherry.handles.scope import Scope, enter, leave
from wherry.handles.shapes import to_json
from wherry.invocation import HttpEvent, MessageEvent
from wherry.runtime.awaiting import awaited
from wherry.runtime.binding import AwsContext
from wherry.testing.acting import Acting, ActingLink, invocation
from wherry.testing.batching import CalledBatch
from wherry.testing.composing import Composed
from wherry.testing.seen import Called, Effects
from wherry.testing.twice import compare_effects, refuse

if TYPE_CHECKING:
    from wherry.app import App
    from wherry.app.http import Caller
    from wherry.handles import Table

Items = Mapping["Table[Any]", Iterable[Any]]


def call(
    app: App,
    handler: Callable[..., Any],
    /,
    *args: Any,
    caller: Caller | None = None,
    key: str | None = None,
    items: Items | None = None,
    secrets: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> Called[Any]:
    """Call a handler of an app and return what it returned and what it wants to change.

        result = call(app, create_order, NewOrder([...]), caller=Caller(subject="alice"))
        assert result.value.total_cents == 8_900
        assert result.effects.puts(orders) == [result.value]

    Grants, roles and policies hold as they do in operation; nothing is committed but what the
    handler itself commits with `app.atomic`, and that is thrown away.

    Args:
        handler: The function, as it was decorated.
        args, kwargs: What it takes. A `Caller` argument is filled from `caller`, the context of a
            plain `handler(event, context)` is made; one that takes a `Batch` gets a list of
            payloads, and `failed` tells which of them failed.
        key: Tells this invocation from others; `new_id()` and `current().key()` derive from it.
        items: What the tables hold: `{orders: [Order(...)]}`.
        secrets: Secrets by name.

    Raises:
        Whatever the handler raises; `Forbidden` where the caller lacks a role of the route.
    """
    composed = _composed(app, secrets)
    try:
        _set_up(composed, items)
        return _Call(composed, handler, args, kwargs, caller, key).run()
    finally:
        composed.close()


def repeats(
    app: App,
    handler: Callable[..., Any],
    /,
    *args: Any,
    caller: Caller | None = None,
    key: str | None = None,
    items: Items | None = None,
    secrets: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> Called[Any]:
    """Call a handler twice under one key, as `call` does, and compare; return the second run.

    Raises:
        NotRepeatable: The runs return or want something different: the handler looks at a clock,
            throws dice, or keeps something between its runs.
    """
    composed = _composed(app, secrets)
    try:
        _set_up(composed, items)
        once = _Call(composed, handler, args, kwargs, caller, key or "repeats")
        first = once.run()
        composed.clock.advance(1.5)
        second = once.run()
        differences = compare_effects(first.effects, second.effects)
        one, two = _shown(first.value), _shown(second.value)
        if one != two:
            differences.insert(0, f"what it returned:\n    first:  {one}\n    second: {two}")
        refuse(once.name, differences)
        return second
    finally:
        composed.close()


def _composed(app: App, secrets: Mapping[str, str] | None) -> Composed:
    return Composed(
        app, seed=0, start_ms=None, secrets=secrets or {}, public_url="https://testserver",
        data=None, twice=False,
    )  # fmt: skip


def _set_up(composed: Composed, items: Items | None) -> None:
    for table, rows in (items or {}).items():
        for row in rows:
            with Acting(composed):
                table.put(row)


def _shown(value: Any) -> str:
    try:
        return to_json(value).decode()
    except (TypeError, ValueError):
        return repr(value)


class _Call:
    """One handler with its arguments."""

    def __init__(
        self,
        composed: Composed,
        handler: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        caller: Caller | None,
        key: str | None,
    ) -> None:
        self._composed = composed
        self._endpoint = find_endpoint(composed.app, handler)
        self.name = self._endpoint.function
        self._args, self._kwargs, self._caller = args, dict(kwargs), caller
        self._number = composed.core.dispatcher.numbers.next()
        kind = "message" if hasattr(self._endpoint.trigger, "queue") else "http"
        self._key = f"{kind}/{self.name}/{key or f'{self._number:016x}'}"
        self._started_ms = composed.clock.now_ms()
        if caller is not None:
            for argument in self._endpoint.signature.arguments:
                if argument.source == "caller":
                    self._kwargs.setdefault(argument.name, caller)

    def run(self) -> Called[Any]:
        composed, endpoint = self._composed, self._endpoint
        spec = next(one for one in composed.blueprint.functions if one.name == self.name)
        number = composed.core.dispatcher.numbers.next()
        run = invocation(composed, number, self.name, self._key, self._event())
        scope = Scope(
            _from(run, self._started_ms),
            ActingLink(composed, self.name, number),
            composed.clock,
            grants=frozenset((grant.resource, grant.action) for grant in spec.grants),
            policies=composed.app.policies,
            guard_all=spec.reads == "checked",
        )
        scope.caller = self._caller
        self._check_roles()
        args = self._args
        if endpoint.plain and len(args) == 1:
            args = (*args, AwsContext(spec, run, composed.clock))
        batch: CalledBatch | None = None
        if endpoint.batch and not endpoint.plain:
            batch = CalledBatch(endpoint, scope, args[0] if args else None)
            args = (batch.batch, *args[1:])
        before = len(composed.log_lines())
        token = enter(scope)
        try:
            value = endpoint.fn(*args, **self._kwargs)
            if inspect.iscoroutine(value):
                value = awaited(value)
        finally:
            leave(token)
        logs = composed.log_lines()[before:]
        if batch is not None:
            return Called(value, Effects(batch.effects()), batch.marks(), logs, batch.failed())
        return Called(value, Effects(scope.effects()), scope.marks, logs)

    def _event(self) -> Any:
        trigger = self._endpoint.trigger
        queue = getattr(trigger, "queue", None)
        if queue is not None:
            return MessageEvent(self._endpoint.name, queue, "", b"null", self._started_ms)
        method, path = getattr(trigger, "method", "GET"), getattr(trigger, "path", "/")
        return HttpEvent(self._endpoint.name, method, path, {}, "", {}, b"", None, "127.0.0.1")

    def _check_roles(self) -> None:
        roles = getattr(self._endpoint.trigger, "roles", ())
        if roles and self._caller is not None and not self._caller.has_role(*roles):
            raise Forbidden(f"One of these roles is needed: {', '.join(roles)}.")


def _from(run: Any, started_ms: int) -> Any:
    import msgspec

    return msgspec.structs.replace(run, started_ms=started_ms)


def find_endpoint(app: App, handler: Callable[..., Any]) -> Endpoint:
    """Return the endpoint of a handler.

    Raises:
        Refused: It is none of this app.
    """
    app.freeze()
    handler = handler.fn if isinstance(handler, AfterCommit) else handler
    for endpoints in app.endpoints.values():
        for endpoint in endpoints.values():
            if endpoint.fn is handler:
                return endpoint
    name = getattr(handler, "__name__", repr(handler))
    raise Refused(
        f"{name} is no handler of {app!r}.", advice="Pass the function as it was decorated."
    )
