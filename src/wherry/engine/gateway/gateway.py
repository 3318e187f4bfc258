"""The gateway: what stands between a client and the functions of an app.

It authenticates and throttles. Roles, policies, validation and the stored replies of an
Idempotency-Key belong to the runtime: one code here and on AWS.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from wherry import errors, limits
from wherry.blueprint.paths import is_reserved
from wherry.engine.gateway.callers import ISSUER_PREFIX, Callers
from wherry.engine.gateway.cors import CrossOrigin, Headers, Readable, readable
from wherry.engine.gateway.edge import (
    TrustedProxies,
    correlation_id,
    idempotency_key,
    trace_context,
)
from wherry.engine.gateway.objects import PREFIX as OBJECTS_PREFIX
from wherry.engine.gateway.objects import Objects
from wherry.engine.gateway.router import Match, Router
from wherry.engine.gateway.throttle import Buckets
from wherry.engine.http.messages import Request, Responder, Response
from wherry.engine.work import Work, traceparent
from wherry.identity import handle as handle_issuer
from wherry.invocation import CallerClaims, HttpEvent, Reply
from wherry.runtime.keys import idempotency_key as key_of_idempotent
from wherry.runtime.keys import request_key
from wherry.runtime.problems import problem_reply

if TYPE_CHECKING:
    from wherry.blueprint import Blueprint, HttpTrigger
    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.offload import Offload
    from wherry.engine.releases import ActiveFunction, ActiveRelease
    from wherry.world import Chance, Clock

SHOWN_PATH = 200  # characters of a path in a log line
Pages = dict[str, tuple[str, bytes]]  # path -> media type, content


class Route:
    """A route of the active release."""

    __slots__ = ("buckets", "function", "label", "trigger")

    def __init__(self, function: ActiveFunction, trigger: HttpTrigger, clock: Clock) -> None:
        self.function = function
        self.trigger = trigger
        self.label = f"{trigger.method} {trigger.path}"
        limit = trigger.throttle
        self.buckets = Buckets(limit.rate_per_s, limit.burst, clock) if limit else None


class Gateway:
    """Serves the active release (`engine.http.App`).

    Args:
        pages: Makes what is served besides the app: OpenAPI and its page.
        ready: What keeps the engine from serving; empty when nothing does.
        refused: Logs a request that no function is called for (`Journal.refused`).
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        objects: Objects,
        offload: Offload,
        clock: Clock,
        chance: Chance,
        proxies: TrustedProxies,
        pages: Callable[[Blueprint], Pages],
        ready: Callable[[], list[str]],
        refused: Callable[[str, int, errors.Problem, str], None],
    ) -> None:
        self._refused = refused
        self.objects = objects
        self.callers: Callers | None = None
        self._dispatcher = dispatcher
        self._offload = offload
        self._clock = clock
        self._mark = chance.token(4).hex()  # of this engine, in the traces that it begins
        self._proxies = proxies
        self._make_pages = pages
        self._ready = ready
        self._router: Router[Route] = Router([])
        self._pages: Callable[[], Pages] = dict
        self._cors: CrossOrigin | None = None
        self._clients: Buckets | None = None
        self._joined: dict[str, tuple[HttpEvent, list[Callable[[Reply], None]]]] = {}

    def follow(self, release: ActiveRelease, callers: Callers) -> None:
        """Serve this release from the next request on."""
        blueprint = release.blueprint
        self._router = Router(
            (trigger.method, trigger.path, Route(function, trigger, self._clock))
            for function, trigger in release.routes()
        )
        self._pages = _once(lambda: self._make_pages(blueprint))
        self._cors = CrossOrigin(blueprint.cors) if blueprint.cors is not None else None
        limit = blueprint.throttle
        self._clients = Buckets(limit.rate_per_s, limit.burst, self._clock) if limit else None
        self.callers = callers

    # -- the HTTP server's two calls -------------------------------------------------------------

    def admit(self, request: Request, length: int | None) -> Any:
        """Decide on a request's body: refuse it, stream it to its file, or collect it."""
        if request.path.startswith(OBJECTS_PREFIX + "/") and request.method != "OPTIONS":
            admitted = self.objects.admit(request, self._correlation(request))
        elif length is None or length <= limits.REQUEST_BODY_BYTES:
            return None
        else:
            admitted = self.refuse(errors.TooLarge(), self._correlation(request), _asked(request))
        if isinstance(admitted, Response):
            return readable(admitted, self.cors_of(request))
        return admitted

    def handle(self, request: Request, responder: Responder) -> None:
        """Answer a request, now or later."""
        path = request.path
        if self._cors is not None:
            if request.method == "OPTIONS":
                allowed = self._cors.preflight(request)
                if allowed is not None:
                    self._nothing(allowed, request, responder)
                    return
            if "origin" in request.headers:
                responder = Readable(responder, self._cors.on_reply(request))
        if path in _OWN or (path.startswith("/_") and is_reserved(path)):
            self._system(request, responder)
            return
        found = self._router.find(request.method, request.segments)
        if isinstance(found, Match):
            self._route(found.target, found.parameters, request, responder)
        elif found is None:
            self._refuse(errors.NotFound("route", path), request, responder)
        elif request.method == "OPTIONS":
            self._nothing([("allow", ", ".join(found))], request, responder)
        else:
            self._refuse(errors.MethodNotAllowed(found), request, responder)

    def _nothing(self, headers: Headers, request: Request, responder: Responder) -> None:
        correlation = ("x-correlation-id", self._correlation(request))
        responder.send(Response(204, [*headers, correlation]))

    # -- routes ----------------------------------------------------------------------------------

    def _route(
        self,
        route: Route,
        parameters: dict[str, str],
        request: Request,
        responder: Responder,
    ) -> None:
        client = self._proxies.client(request.client, request.headers)
        wait_s = self._clients.take(client) if self._clients is not None else 0
        if wait_s == 0 and route.buckets is not None:
            wait_s = route.buckets.take("")
        if wait_s:
            problem = errors.TooManyRequests(headers={"retry-after": str(wait_s)})
            self._refuse(problem, request, responder)
            return
        auth = route.trigger.auth
        if auth is None:
            self._submit(route, parameters, request, responder, client, None)
            return
        assert self.callers is not None
        authorization = request.headers.get("authorization")
        caller = self.callers.known(auth, authorization)
        if caller is not None:
            self._submit(route, parameters, request, responder, client, caller)
            return

        def verified(result: CallerClaims | Exception) -> None:
            if isinstance(result, CallerClaims):
                self._submit(route, parameters, request, responder, client, result)
            elif isinstance(result, errors.Problem):
                self._refuse(result, request, responder)
            else:
                self._refuse(errors.HandlerFailed(), request, responder)

        self.callers.verify(auth, authorization, verified)

    def _submit(
        self,
        route: Route,
        parameters: dict[str, str],
        request: Request,
        responder: Responder,
        client: str,
        caller: CallerClaims | None,
    ) -> None:
        headers = request.headers
        function = route.function
        number = self._dispatcher.numbers.next()
        request_id = f"{number:016x}"
        correlation = correlation_id(headers) or request_id
        try:
            asked = idempotency_key(headers) if request.method not in _SAFE else None
        except errors.Problem as problem:
            responder.send(self.refuse(problem, correlation, route.label))
            return
        now_ms = self._clock.now_ms()
        now_s = self._clock.steady_s()
        trace, parent = trace_context(headers) or (
            f"{now_ms // 1000:08x}{self._mark}{request_id}",
            "",
        )
        event = HttpEvent(
            route.trigger.endpoint, request.method, request.path, parameters, request.query,
            headers, request.body, caller, client, asked,
        )  # fmt: skip
        name = function.spec.name
        if asked is None:
            key = request_key(name, request_id)
        else:
            subject = caller.subject if caller else None
            key = key_of_idempotent(name, route.label, subject, asked)
            if self._join(key, event, correlation, responder):
                return
        work = Work(
            function, event, route.label,
            number=number, key=key, request_id=request_id, correlation_id=correlation,
            trace=trace, traceparent=traceparent(trace, request_id), parent=parent, attempt=1,
            started_ms=now_ms, at_ms=now_ms, at_s=now_s, ran_from_s=now_s,
            deadline_s=now_s + function.spec.timeout_s,
            done=partial(self._done, responder), idempotency=asked is not None,
        )  # fmt: skip
        self._dispatcher.submit(work)
        pending = function.pool.pending
        if pending and pending[-1] is work and asked is None:  # it waits
            responder.on_gone(partial(self._left, work))

    def _left(self, work: Work) -> None:
        """Nobody waits for this any more: what has not begun is not run.

        With an Idempotency-Key it is run: its caller asks again for the answer. So is what runs
        again: its named steps are committed.
        """
        if not work.reruns and work.function.pool.withdraw(work):
            feeds = self._dispatcher.feeds
            stopping = feeds is not None and feeds.stopping  # then it was us who hung up
            problem = errors.Unavailable() if stopping else errors.CallerGone()
            self._dispatcher.fail(work, "refused", problem, counted=False)

    def _done(self, responder: Responder, work: Work, reply: Reply | None) -> None:
        assert reply is not None
        if work.idempotency:
            joined = self._joined.pop(work.key, None)
            for follower in joined[1] if joined else ():
                follower(reply)
        responder.send(_response(reply, work.correlation_id, work.traceparent))

    def _join(
        self,
        key: str,
        event: HttpEvent,
        correlation: str,
        responder: Responder,
    ) -> bool:
        """Join a running request with the same Idempotency-Key, or become the one to join."""
        running = self._joined.get(key)
        if running is None:
            self._joined[key] = (event, [])
            return False
        first, followers = running
        if (first.body, first.path, first.query) != (event.body, event.path, event.query):
            problem = errors.Invalid("This Idempotency-Key was used with another request.")
            asked = _asked(event)
            responder.send(self.refuse(problem, correlation, asked))
            return True
        followers.append(lambda reply: responder.send(_response(reply, correlation, None)))
        return True

    # -- refusals --------------------------------------------------------------------------------

    def _correlation(self, request: Request) -> str:
        return self.correlation_of(request.headers)

    def correlation_of(self, headers: dict[str, str]) -> str:
        """Return the caller's correlation ID if it is usable, else a new one."""
        return correlation_id(headers) or f"{self._dispatcher.numbers.next():016x}"

    def cors_of(self, request: Request) -> Headers:
        """Return the headers that let a page of another origin read the answer."""
        return self._cors.on_reply(request) if self._cors is not None else []

    def _refuse(self, problem: errors.Problem, request: Request, responder: Responder) -> None:
        correlation = self._correlation(request)
        responder.send(self.refuse(problem, correlation, _asked(request)))

    def refuse(self, problem: errors.Problem, correlation: str, asked: str) -> Response:
        """Return the response for a problem that no function was called for; log `asked`."""
        reply = problem_reply(problem, correlation)
        self._refused(asked, reply.status, problem, correlation)
        return _response(reply, correlation, None)

    # -- what the engine serves itself -----------------------------------------------------------

    def _system(self, request: Request, responder: Responder) -> None:
        path = request.path
        if path.startswith(OBJECTS_PREFIX + "/"):
            self.objects.handle(request, responder, self._correlation(request))
        elif path.startswith(ISSUER_PREFIX + "/"):
            self._issuer(request, responder)
        elif request.method not in ("GET", "HEAD"):
            self._refuse(errors.MethodNotAllowed(["GET", "HEAD"]), request, responder)
        elif path == "/healthz":
            responder.send(_json(200, b'{"status":"ok"}'))
        elif path == "/readyz":
            missing = self._ready()
            if missing:  # asked each second by a load balancer: no line in the log
                correlation = self._correlation(request)
                reply = problem_reply(errors.Unavailable("; ".join(missing)), correlation)
                responder.send(_response(reply, correlation, None))
            else:
                responder.send(_json(200, b'{"status":"ready"}'))
        else:
            self._offload(self._pages, partial(self._page, request, responder))

    def _page(self, request: Request, responder: Responder, pages: Pages | Exception) -> None:
        """Send a page; they are made once for a release, away from the loop."""
        if isinstance(pages, Exception):
            self._refuse(errors.HandlerFailed("The page cannot be made."), request, responder)
            return
        page = pages.get(request.path)
        if page is None:
            self._refuse(errors.NotFound("route", request.path), request, responder)
            return
        headers = [
            ("content-type", page[0]),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "frame-ancestors 'none'"),
        ]
        responder.send(Response(200, headers, page[1]))

    def _issuer(self, request: Request, responder: Responder) -> None:
        name = request.segments[1] if len(request.segments) > 1 else ""
        issuer = self.callers.issuers.get(name) if self.callers is not None else None
        if issuer is None:
            self._refuse(errors.NotFound("issuer", name), request, responder)
            return

        correlation = self._correlation(request)

        def answered(result: Any) -> None:
            if isinstance(result, Exception):
                problem = errors.HandlerFailed()
                responder.send(self.refuse(problem, correlation, _asked(request)))
                return
            status, headers, body = result
            responder.send(Response(status, list(headers.items()), body))

        self._offload(
            lambda: handle_issuer(
                issuer, request.method, request.path, request.headers, request.body, correlation
            ),
            answered,
        )


_OWN = frozenset(("/healthz", "/readyz", "/openapi.json", "/docs"))
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


def _asked(request: Request | HttpEvent) -> str:
    return f"{request.method} {request.path[:SHOWN_PATH]}"


def _response(reply: Reply, correlation: str, traceparent: str | None) -> Response:
    headers = [*reply.headers, ("x-correlation-id", correlation)]
    if traceparent is not None:
        headers.append(("traceparent", traceparent))
    return Response(reply.status, headers, reply.body)


def _json(status: int, body: bytes) -> Response:
    return Response(status, [("content-type", "application/json")], body)


def _once(make: Callable[[], Pages]) -> Callable[[], Pages]:
    made: list[Pages] = []

    def get() -> Pages:
        if not made:
            made.append(make())
        return made[0]

    return get
