"""CORS, answered by the gateway as AWS's HTTP API does: a preflight needs no OPTIONS route."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from wherry.blueprint import Cors
from wherry.engine.gateway.callers import ISSUER_PREFIX
from wherry.engine.gateway.objects import PREFIX as OBJECTS_PREFIX
from wherry.engine.http.messages import Request, Responder, Response

Headers = list[tuple[str, str]]
_OWN = (f"{OBJECTS_PREFIX}/", f"{ISSUER_PREFIX}/")
_ALLOW_ORIGIN = "access-control-allow-origin"
_OWN_METHODS = ("GET", "HEAD", "POST", "PUT")


class CrossOrigin:
    """What a page of another origin may send and read.

    What an app says of methods and headers is about its routes. Uploads, downloads and the
    issuer take what they take from whichever origins the app names; ETag tells of an upload.
    """

    def __init__(self, cors: Cors) -> None:
        self._routes = cors
        expose = (*cors.expose, "etag")
        self._own = structs.replace(cors, methods=_OWN_METHODS, headers=("*",), expose=expose)

    def _of(self, request: Request) -> Cors:
        return self._own if request.path.startswith(_OWN) else self._routes

    def preflight(self, request: Request) -> Headers | None:
        """Return the headers of a preflight's answer, or None if this is no preflight we allow."""
        return preflight(self._of(request), request.headers)

    def on_reply(self, request: Request) -> Headers:
        """Return the headers that let the asking origin read a reply; none if it may not."""
        return on_reply(self._of(request), request.headers)


class Readable:
    """A responder whose answers have these headers, whoever gives them (`http.Responder`)."""

    __slots__ = ("_headers", "_responder")

    def __init__(self, responder: Responder, headers: Headers) -> None:
        self._responder = responder
        self._headers = headers

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._responder.gone

    def send(self, response: Response) -> None:
        """Send the answer with the headers."""
        self._responder.send(readable(response, self._headers))

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Call `callback` if the client leaves before the answer."""
        self._responder.on_gone(callback)


def readable(response: Response, headers: Headers) -> Response:
    """Return an answer with these headers too."""
    return Response(response.status, [*response.headers, *headers], response.body)


def preflight(cors: Cors, headers: dict[str, str]) -> Headers | None:
    """Return the headers of a preflight's answer, or None if this is no preflight we allow."""
    asked = headers.get("access-control-request-method")
    allowed = on_reply(cors, headers)
    if asked is None or not any(name == _ALLOW_ORIGIN for name, _ in allowed):
        return None
    methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    if cors.methods != ("*",):
        methods = ", ".join(cors.methods)
    wanted = headers.get("access-control-request-headers", "")
    names = wanted if cors.headers == ("*",) else ", ".join(cors.headers)
    allowed.append(("access-control-allow-methods", methods))
    if names:
        allowed.append(("access-control-allow-headers", names))
    allowed.append(("access-control-max-age", str(cors.max_age_s)))
    return allowed


def on_reply(cors: Cors, headers: dict[str, str]) -> Headers:
    """Return the headers that let the asking origin read a reply; none if it may not."""
    origin = headers.get("origin")
    if origin is None:
        return []
    anyone = "*" in cors.origins
    if not anyone and origin not in cors.origins:
        return [("vary", "Origin")]
    if anyone:
        found: Headers = [(_ALLOW_ORIGIN, "*")]
    else:
        found = [(_ALLOW_ORIGIN, origin), ("vary", "Origin")]
    if cors.credentials:
        found.append(("access-control-allow-credentials", "true"))
    if cors.expose:
        found.append(("access-control-expose-headers", ", ".join(cors.expose)))
    return found
