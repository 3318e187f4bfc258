"""One invocation, on any platform: bind, authorize, run, record effects, encode.

Raising discards the effects; returning commits them, whatever the status.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import errors
from wherry.codec import digest, to_msgpack
from wherry.handles.late import Late
from wherry.handles.scope import Link, Scope, enter, leave
from wherry.invocation import (
    ANSWERED,
    EMPTY,
    BatchEvent,
    Failure,
    HttpEvent,
    Invocation,
    MessageEvent,
    Once,
    Outcome,
    Reply,
    TaskEvent,
)
from wherry.runtime import binding
from wherry.runtime.awaiting import awaited
from wherry.runtime.failures import failure_of, tellable, text_of, trace_of
from wherry.runtime.problems import problem_reply, store_trouble

if TYPE_CHECKING:
    from wherry import ports
    from wherry.app import App
    from wherry.app.endpoints import Endpoint
    from wherry.app.http import Caller
    from wherry.app.policies import Policy
    from wherry.blueprint import FunctionSpec
    from wherry.world import Clock
else:
    ports = Late("wherry.ports", globals())


class Runner:
    """Runs the invocations of one function."""

    def __init__(
        self,
        spec: FunctionSpec,
        endpoints: Mapping[str, Endpoint],
        policies: Mapping[str, list[Policy]],
        grants: frozenset[tuple[str, str]],
    ) -> None:
        self.function = spec.name
        self._spec = spec
        self._endpoints = endpoints
        self._policies = policies
        self._grants = grants
        self._guard_all = spec.reads == "checked"

    @classmethod
    def prepare(cls, app: App, function: str) -> Runner:
        """Return the runner of a function of a frozen app, with its signatures compiled."""
        spec = spec_of(app, function)
        endpoints = app.endpoints[function]
        for endpoint in endpoints.values():
            binding.compile_endpoint(endpoint)
            _import_what_runs(endpoint)
        grants = frozenset((grant.resource, grant.action) for grant in spec.grants)
        return cls(spec, endpoints, app.policies, grants)

    def run(
        self, invocation: Invocation, link: Link, clock: Clock, *, cold: bool = False
    ) -> Outcome:
        """Run one attempt. Whatever the handler does, this returns an outcome."""
        scope = Scope(
            invocation,
            link,
            clock,
            grants=self._grants,
            policies=self._policies,
            guard_all=self._guard_all,
            cold=cold,
            kept=dict(invocation.kept),
        )
        event = invocation.event
        endpoint = self._endpoints[event.endpoint]
        token = enter(scope)
        try:
            if isinstance(event, HttpEvent):
                return self._request(endpoint, invocation, event, scope)
            if isinstance(event, TaskEvent):
                return self._task(endpoint, invocation, event, scope)
            if endpoint.batch or isinstance(event, BatchEvent):
                return self._batch(endpoint, invocation, event, scope)
            return self._message(endpoint, invocation, event, scope)
        except errors.Problem as problem:
            if isinstance(event, HttpEvent):
                return _refused(problem, invocation, scope)
            return self._failed(problem, invocation, scope)
        except BaseException as error:  # also asyncio.CancelledError: the next run goes on
            return self._failed(error, invocation, scope)
        finally:
            scope.over = True  # for threads that the handler has left behind
            leave(token)

    # -- requests --------------------------------------------------------------------------------

    def _request(
        self, endpoint: Endpoint, invocation: Invocation, event: HttpEvent, scope: Scope
    ) -> Outcome:
        fingerprint = ""
        if event.idempotency_key is not None:
            fingerprint = digest(event.method, event.path, event.query, event.body)
            replayed = _stored_reply(invocation, scope, fingerprint)
            if replayed is not None:
                return replayed
        if event.caller is not None:
            scope.caller = binding.caller_of(event.caller)
            _check_roles(endpoint, scope.caller)
        if endpoint.plain:
            reply = binding.reply_from_aws(self._call_plain(endpoint, invocation, scope))
        else:
            arguments = binding.bind(endpoint, event, scope.caller)
            reply = binding.encode_reply(endpoint, _call(endpoint, arguments))
        return _outcome(scope, reply, fingerprint)

    # -- messages --------------------------------------------------------------------------------

    def _message(
        self, endpoint: Endpoint, invocation: Invocation, event: MessageEvent, scope: Scope
    ) -> Outcome:
        event = binding.redeemed(endpoint, event)
        arguments = {} if endpoint.plain else binding.bind_message(endpoint, event)
        once: Once | None = None
        if endpoint.once_per is not None:
            from wherry.runtime.once import DONE_BEFORE, is_done, once_of

            payload = event.body if endpoint.plain else next(iter(arguments.values()))
            once = once_of(endpoint, binding.keyed_by(endpoint, payload))
            if is_done(scope, once):
                scope.marks.append(DONE_BEFORE)
                return msgspec.structs.replace(_outcome(scope, None, ""), replayed=True)
        if endpoint.plain:
            if event is not invocation.event:
                invocation = msgspec.structs.replace(invocation, event=event)
            result = self._call_plain(endpoint, invocation, scope)
            binding.accept_sqs_result(result, event.id)
        else:
            _call(endpoint, arguments)
        return _outcome(scope, None, "", once)

    def _task(
        self, endpoint: Endpoint, invocation: Invocation, event: TaskEvent, scope: Scope
    ) -> Outcome:
        if endpoint.plain:
            result = self._call_plain(endpoint, invocation, scope)
        else:
            result = _call(endpoint, binding.bind_task(endpoint, event))
        return _outcome(scope, binding.encode_result(endpoint, result), "")

    def _batch(
        self,
        endpoint: Endpoint,
        invocation: Invocation,
        event: MessageEvent | BatchEvent,
        scope: Scope,
    ) -> Outcome:
        from wherry.runtime.batches import BatchRun, batch_of_one, run_alone

        def call(arguments: dict[str, Any]) -> Any:
            return _call(endpoint, arguments)

        if isinstance(event, BatchEvent):
            return BatchRun(endpoint, self._spec, invocation, event, scope, call).run()
        alone = batch_of_one(invocation, event)
        scope.invocation = msgspec.structs.replace(invocation, event=alone)
        return run_alone(BatchRun(endpoint, self._spec, invocation, alone, scope, call))

    def _failed(self, error: BaseException, invocation: Invocation, scope: Scope) -> Outcome:
        """The handler raised, or asked for what it may not have."""
        failure = failure_of(error, self._spec.memory_mb)
        reply = None
        if isinstance(error, errors.Passing) and isinstance(invocation.event, HttpEvent):
            reply = problem_reply(store_trouble(failure.code), invocation.correlation_id)
        return Outcome(reply, EMPTY, 0, [], scope.marks, failure)

    def _call_plain(self, endpoint: Endpoint, invocation: Invocation, scope: Scope) -> Any:
        """Call a `handler(event, context)` with AWS's shapes."""
        context = binding.AwsContext(self._spec, invocation, scope.clock)
        event = binding.aws_event(endpoint, invocation)
        return _call(endpoint, {"event": event, "context": context})


def _import_what_runs(endpoint: Endpoint) -> None:
    """Import, before the first fork, what only some handlers need."""
    if endpoint.batch:
        import wherry.runtime.batches
    if endpoint.once_per is not None:
        import wherry.runtime.once
    if endpoint.claims:
        import wherry.handles.claims  # noqa: F401


def spec_of(app: App, function: str) -> FunctionSpec:
    """Return the description of a function of a frozen app."""
    return next(spec for spec in app.freeze().functions if spec.name == function)


def _call(endpoint: Endpoint, arguments: dict[str, Any]) -> Any:
    result = endpoint.fn(**arguments)
    if endpoint.is_async and isinstance(result, Coroutine):  # a decorator may have run it already
        return awaited(result)
    return result


def _check_roles(endpoint: Endpoint, caller: Caller) -> None:
    roles = getattr(endpoint.trigger, "roles", ())
    if roles and not caller.has_role(*roles):
        raise errors.Forbidden(f"One of these roles is needed: {', '.join(roles)}.")


def _stored_reply(invocation: Invocation, scope: Scope, fingerprint: str) -> Outcome | None:
    """Return the reply that was committed under this Idempotency-Key, if there is one."""
    stored = scope.ask(ports.GetReply(invocation.key))
    if not isinstance(stored, ports.StoredReply):
        return None
    if stored.fingerprint != fingerprint:
        raise errors.Invalid("This Idempotency-Key was used with another request.")
    reply = msgspec.msgpack.decode(stored.body, type=Reply)
    reply.headers.append(("idempotency-replayed", "true"))
    return Outcome(reply, EMPTY, 0, [], ["replayed"], None, fingerprint, True)


def _outcome(
    scope: Scope, reply: Reply | None, fingerprint: str, once: Once | None = None
) -> Outcome:
    effects = scope.effects()
    raw = msgspec.Raw(to_msgpack(effects)) if effects else EMPTY
    guards, marks = scope.guards(), scope.marks
    return Outcome(
        reply, raw, len(effects), guards, marks, None, fingerprint, kept=scope.kept, once=once
    )


def _refused(problem: errors.Problem, invocation: Invocation, scope: Scope) -> Outcome:
    """A problem was raised: it is the caller's answer."""
    try:
        reply = binding.encode_problem(problem, invocation.correlation_id)
    except errors.HandlerFailed as unsendable:
        problem, reply = unsendable, problem_reply(unsendable, invocation.correlation_id)
    retry = problem.status >= 500 or problem.status == 429
    failure = Failure(ANSWERED, type(problem).__name__, tellable(problem.message), retry)
    if problem.status >= 500:
        cause = f" {text_of(problem.__cause__)}" if problem.__cause__ else ""  # not for the caller
        message = tellable(problem.message + cause)[:2000]
        failure = Failure(problem.code, type(problem).__name__, message, True, trace_of(problem))
    return Outcome(reply, EMPTY, 0, [], scope.marks, failure)
