"""Requests of a test, through the same gateway that a server stands in front of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from wherry import limits
from wherry.codec import from_json
from wherry.engine.http.messages import FileSlice, Request, Response
from wherry.engine.http.refusals import Refusal, answer_to, named
from wherry.engine.http.target import read_target
from wherry.handles.shapes import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wherry.engine.gateway.gateway import Gateway

_SAFE = "/?:@!$&'()*+,;=-._~%[]"  # of a target: what needs no escaping in it
UNSET = msgspec.UNSET


class Headers(dict[str, str]):
    """Headers by name, whatever their case. What came twice is joined by `, `."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or `default`."""
        return super().get(name.lower(), default)


class TestReply:
    """An answer, as a client gets it.

    Attributes:
        status: The status code.
        headers: By name, whatever their case.
        body: Its bytes.
        cookies: The values of all Set-Cookie headers.
    """

    __test__ = False  # it is no test, whatever pytest thinks of its name
    __slots__ = ("body", "cookies", "headers", "status")

    def __init__(self, response: Response, method: str) -> None:
        self.status = response.status
        self.headers = Headers()
        self.cookies = [value for name, value in response.headers if name.lower() == "set-cookie"]
        for name, value in response.headers:
            name = name.lower()
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        body = response.body
        if isinstance(body, FileSlice):
            with open(body.path, "rb") as file:
                file.seek(body.offset)
                body = file.read(body.length)
        self.body = b"" if method == "HEAD" else body

    def __repr__(self) -> str:
        return f"TestReply({self.status}, {self.text[:300]!r})"

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self, kind: Any = Any) -> Any:
        """The body, read as JSON; as `kind`, where a type is given."""
        return from_json(self.body, type=kind)

    @property
    def correlation_id(self) -> str:
        """The ID that joins this request with all that follows it."""
        found: str = self.headers.get("x-correlation-id", "")
        return found


class Waiting:
    """A request that was sent (`http.Responder`)."""

    def __init__(self, method: str) -> None:
        self.gone = False
        self.response: Response | None = None
        self._method = method

    def send(self, response: Response) -> None:
        """Take the answer; the first one counts."""
        if self.response is None:
            self.response = response

    def on_gone(self, callback: Callable[[], None]) -> None:
        """This client never leaves."""

    def reply(self) -> TestReply:
        """Return the answer."""
        assert self.response is not None
        return TestReply(self.response, self._method)


class Client:
    """Sends requests into a gateway."""

    def __init__(self, gateway: Gateway, public_url: str) -> None:
        self._gateway = gateway
        self._public_url = public_url
        self._host = public_url.partition("://")[2]

    def send(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        *,
        json: Any = UNSET,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        query: Mapping[str, Any] | None = None,
        client: str = "127.0.0.1",
    ) -> Waiting:
        """Send a request; the answer comes when the loop runs."""
        waiting = Waiting(method)
        fields = {"host": self._host, "user-agent": "wherry-testing"}
        content = body.encode() if isinstance(body, str) else body or b""
        if json is not UNSET:
            content = to_json(json)
            fields["content-type"] = "application/json"
        if token is not None:
            fields["authorization"] = f"Bearer {token}"
        if content or method in ("POST", "PUT", "PATCH"):
            fields["content-length"] = str(len(content))
        fields |= {name.lower(): value for name, value in (headers or {}).items()}
        try:
            target = self._target(path, query)
            parsed, segments, text = read_target(method, target, self._host)
        except Refusal as refusal:
            waiting.send(named(refusal.response, self._gateway.correlation_of(fields)))
            return waiting
        request = Request(method, target, parsed, segments, text, fields, b"", client)
        self._pour(request, content, waiting)
        return waiting

    def _target(self, path: str, query: Mapping[str, Any] | None) -> str:
        if "://" in path:
            origin, rest = self._public_url, path.removeprefix(self._public_url)
            if rest == path:
                raise ValueError(f"{path} is not at {origin}: a test reaches this backend only.")
            path = rest
        target = quote(path, safe=_SAFE)
        if query:
            pairs = {name: value for name, value in query.items() if value is not None}
            target += ("&" if "?" in target else "?") + urlencode(pairs, doseq=True)
        return target

    def _pour(self, request: Request, content: bytes, waiting: Waiting) -> None:
        """Do what the server does between the headers and the end of the body."""
        admitted: Any = self._gateway.admit(request, len(content))
        if isinstance(admitted, Response):
            waiting.send(admitted)
            return
        if admitted is None:
            request.body = content
        else:
            try:
                for at in range(0, len(content), limits.BLOB_PIECE_BYTES):
                    admitted.write(content[at : at + limits.BLOB_PIECE_BYTES])
            except Exception as fault:
                admitted.close(False)
                waiting.send(answer_to(fault))
                return
            admitted.close(True)
        self._gateway.handle(request, waiting)
