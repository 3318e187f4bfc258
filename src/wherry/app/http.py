"""What a routed handler meets: its caller, special arguments, special answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Caller(Struct, frozen=True, kw_only=True):
    """Who calls, verified by the edge: `caller: Caller` among a handler's arguments."""

    subject: str
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    issuer: str = ""
    claims: dict[str, Any] = {}

    def has_role(self, *roles: str) -> bool:
        """Whether the caller has at least one of these roles."""
        return any(role in self.roles for role in roles)


class Header(Struct, frozen=True):
    """Takes an argument from a header: `agent: Annotated[str, Header("user-agent")]`."""

    name: str


class RawBody(Struct, frozen=True):
    """The request's body as it came, for what is neither JSON nor a form."""

    content: bytes
    media_type: str = ""


class FormMarker(Struct, frozen=True):
    """Marks an argument that is read from an urlencoded form."""


Form = Annotated[T, FormMarker()]
"""`new: Form[NewOrder]`: an urlencoded form, read into the type; the handler gets a `NewOrder`."""


class Reply(Struct, frozen=True):
    """An answer with more to say than its body.

    Args:
        body: Encoded like any result; bytes and, with a `media_type` other than JSON, text are
            sent as they are.
        status: 200 to 599.
        headers: Not those that frame the message (Content-Length, Transfer-Encoding ...).
            X-Correlation-Id and traceparent are the engine's: those given here are left out.
        cookies: Set-Cookie values as they are, or names with their values, which are then set for
            the whole site, this session, Secure, HttpOnly and SameSite=Lax.
        media_type: Of the body; JSON unless it is bytes.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}
    cookies: Sequence[str] | Mapping[str, str] = ()
    media_type: str | None = None


class Redirect(Struct, frozen=True):
    """Sends the caller elsewhere. 303 fetches `url` with GET; 307 and 308 keep the method."""

    url: str
    status: int = 303
