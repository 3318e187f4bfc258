"""From what a handler returned to an encoded answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_origin

import msgspec

from wherry import invocation, limits
from wherry.app.endpoints import UNSET, Endpoint
from wherry.app.http import Redirect, Reply
from wherry.app.kinds import members, shown, unwrap
from wherry.blueprint.records import HttpTrigger
from wherry.codec import NotFinite, refuse_lost_numbers
from wherry.errors import HandlerFailed, Problem
from wherry.handles.shapes import is_pydantic
from wherry.runtime.failures import text_of
from wherry.runtime.problems import problem_document, problem_headers

JSON = "application/json"
BYTES = "application/octet-stream"
REDIRECTS = (301, 302, 303, 307, 308)
BODILESS = (204, 205, 304)
_EXPLICIT = (Reply, Redirect)
BYTES_KINDS = (bytes, bytearray, memoryview)

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING = frozenset(
    ("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
OF_THE_ENGINE = frozenset(("x-correlation-id", "traceparent"))  # it sends them with every answer


class CannotReply(TypeError):
    """What a handler returned cannot be sent; the message is for the team."""


def encode_reply(endpoint: Endpoint, result: Any) -> invocation.Reply:
    """Encode what a routed handler returned, by its type.

    None is 204, or the route's status without a body where that is not 200. Text, numbers, lists
    and objects are JSON; bytes are sent as they are.

    Raises:
        HandlerFailed: It cannot be sent; the cause says why, for the team.
    """
    trigger = endpoint.trigger
    status = trigger.status if isinstance(trigger, HttpTrigger) else 200
    try:
        reply = _encode(endpoint, result, status)
        if len(reply.body) > limits.REPLY_BODY_BYTES:
            raise CannotReply(
                f"{endpoint.name!r} returned {len(reply.body)} bytes; {limits.REPLY_BODY_BYTES} "
                "are allowed. Write it into a bucket and return a presigned download."
            )
    except CannotReply as error:
        raise HandlerFailed(
            "The function returned what cannot be sent; nothing of it was applied."
        ) from error
    return reply


def encode_problem(problem: Problem, correlation_id: str) -> invocation.Reply:
    """Encode a problem that a handler raised, whose class may be the team's own.

    Raises:
        HandlerFailed: It cannot be sent; the cause says why, for the team.
    """
    try:
        document = problem_document(problem, correlation_id)
        reply = _explicit(Reply(document, problem.status, problem_headers(problem)))
        if len(reply.body) > limits.REPLY_BODY_BYTES:
            size = f"{len(reply.body)} bytes; {limits.REPLY_BODY_BYTES} are allowed"
            raise CannotReply(f"A {type(problem).__name__} was raised that has {size}.")
    except Exception as error:  # what the class of a problem has and does is the team's
        why = error if isinstance(error, CannotReply) else CannotReply(text_of(error))
        raise HandlerFailed(
            "The function raised what cannot be sent; nothing of it was applied."
        ) from why
    return reply


def _encode(endpoint: Endpoint, result: Any, status: int) -> invocation.Reply:
    if isinstance(result, _EXPLICIT):
        return _explicit(result) if isinstance(result, Reply) else _redirect(result)
    if type(result) is not endpoint.signature.returns:
        check_type(endpoint, result)
    if result is None:
        return invocation.Reply(204 if status == 200 else status, [], b"")
    if status in BODILESS:
        raise CannotReply(f"{endpoint.name!r} returned a body, and {status} has none.")
    if isinstance(result, msgspec.Struct):  # as most are
        return invocation.Reply(status, [("content-type", JSON)], encode_json(result))
    media_type, body = _content(result, None)
    return invocation.Reply(status, [("content-type", media_type)], body)


def _redirect(redirect: Redirect) -> invocation.Reply:
    if redirect.status not in REDIRECTS:
        raise CannotReply(f"A redirect has a status of {REDIRECTS}, not {redirect.status}.")
    return invocation.Reply(redirect.status, [header("location", redirect.url)], b"")


def _explicit(reply: Reply) -> invocation.Reply:
    if not isinstance(reply.status, int) or not 200 <= reply.status <= 599:
        raise CannotReply(f"status={reply.status!r} is not in 200..599.")
    given = [header(name, value) for name, value in reply.headers.items()]
    headers = [one for one in given if one[0] not in OF_THE_ENGINE]
    for name, _ in headers:
        if name in _FRAMING:
            raise CannotReply(f"The header {name!r} frames the message; it is not for handlers.")
    content_type = next((value for name, value in headers if name == "content-type"), None)
    if reply.media_type is not None and content_type is not None:
        raise CannotReply("Content-Type is given twice: as header and as media_type=.")
    body = b""
    if reply.body is not None:
        if reply.status in BODILESS:
            raise CannotReply(f"A reply with status {reply.status} has no body.")
        media_type, body = _content(reply.body, reply.media_type or content_type)
        if content_type is None:
            headers.append(header("content-type", media_type))
    elif reply.media_type is not None:
        headers.append(header("content-type", reply.media_type))
    headers.extend(("set-cookie", cookie) for cookie in _cookies(reply.cookies))
    return invocation.Reply(reply.status, headers, body)


def _content(body: Any, media_type: str | None) -> tuple[str, bytes]:
    """Return media type and bytes of a body."""
    if isinstance(body, bytes | bytearray | memoryview):
        return media_type or BYTES, bytes(body)
    if isinstance(body, str) and media_type is not None and not _is_json(media_type):
        return media_type, encode_text(body)
    return media_type or JSON, encode_json(body)


def _is_json(media_type: str) -> bool:
    bare = media_type.partition(";")[0].strip().lower()
    return bare == JSON or bare.endswith("+json")


def encode_text(text: str) -> bytes:
    """Encode text. Raises `CannotReply` for lone surrogates."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CannotReply(f"The text cannot be said in UTF-8: {error}.") from error


def encode_json(value: Any) -> bytes:
    """Encode any supported value, Pydantic models in it too.

    Raises:
        CannotReply: It has no JSON form.
    """
    try:
        if not isinstance(value, msgspec.Struct) and is_pydantic(type(value)):
            text: str = value.model_dump_json(by_alias=True)
            body = text.encode()
        else:
            body = _encoder.encode(value)
    except RecursionError as error:
        raise CannotReply(f"A {type(value).__name__} that contains itself has no end.") from error
    except Exception as error:  # also what the team's own properties raise
        raise CannotReply(f"A {type(value).__name__} cannot be encoded: {error}.") from error
    try:
        if b"null" in body:
            refuse_lost_numbers(value, _model)
    except NotFinite as error:
        raise CannotReply(f"{error}. Return a number or None.") from None
    return body


def _model(value: Any) -> Any:
    if is_pydantic(type(value)):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_encoder = msgspec.json.Encoder(enc_hook=_model)


# --- the declared type --------------------------------------------------------------------------


def check_type(endpoint: Endpoint, result: Any) -> None:
    """Refuse a result that is plainly not what the handler says it returns."""
    returns = endpoint.signature.returns
    if returns is UNSET:
        return
    kinds = _classes(returns)
    if kinds is not None and not isinstance(result, kinds):
        raise CannotReply(
            f"{endpoint.name!r} says that it returns {shown(returns)}, and returned "
            f"{'None' if result is None else 'a ' + type(result).__name__}."
        )


def _classes(returns: Any) -> tuple[type, ...] | None:
    """Return the classes that a return annotation stands for; None where it may be anything."""
    found: list[type] = []
    for part in members(returns):
        bare = unwrap(part)
        kind = type(None) if bare is None else (get_origin(bare) or bare)
        if kind is Any or not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
            return None
        if issubclass(kind, dict):
            kind = dict  # a typed dict is a plain one
        found.append(kind)
        if kind is float:
            found.append(int)
    return tuple(found)


# --- headers ------------------------------------------------------------------------------------


def header(name: str, value: Any) -> tuple[str, str]:
    """Return a header that cannot break out of its line."""
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise CannotReply(f"{name!r} is not the name of a header.")
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise CannotReply(f"The header {name!r} has a value that no header holds: {value!r}.")
    return name.lower(), value


def _cookies(cookies: Any) -> list[str]:
    if isinstance(cookies, str):
        cookies = [cookies]
    if isinstance(cookies, Mapping):
        cookies = [_session_cookie(name, value) for name, value in cookies.items()]
    return [header("set-cookie", cookie)[1] for cookie in cookies]


def _session_cookie(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(name) or not re.fullmatch(r'[^\s",;\\\x00-\x1f\x7f-\uffff]*', value):
        raise CannotReply(f"The cookie {name!r} has a name or a value that no cookie holds.")
    return f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax"
