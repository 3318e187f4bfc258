"""From a request to the arguments of a handler, by its signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from wherry import limits
from wherry.app.endpoints import Argument, Endpoint
from wherry.app.http import Caller, RawBody
from wherry.blueprint.records import QueueTrigger, TaskTrigger
from wherry.errors import BadRequest, DoNotRetry, Invalid, Unauthenticated, UnsupportedMediaType
from wherry.invocation import CallerClaims, HttpEvent, MessageEvent
from wherry.runtime.binding.bodies import (
    Reader,
    arguments_reader,
    form_reader,
    json_reader,
    message_reader,
)
from wherry.runtime.binding.occurrences import occurrence_reader
from wherry.runtime.binding.tasks import compile_task
from wherry.runtime.binding.texts import BadText, text_reader
from wherry.runtime.binding.urlencoded import parse

Faults: TypeAlias = list[Mapping[str, str]]
Query: TypeAlias = dict[str, list[str]]
TextReader: TypeAlias = Callable[[str], Any]


class _Binder:
    """The compiled arguments of a routed handler, by where they come from."""

    __slots__ = ("body", "callers", "has_texts", "headers", "in_path", "query", "read_body")

    def __init__(self, arguments: tuple[Argument, ...]) -> None:
        def of(*sources: str) -> list[Argument]:
            return [argument for argument in arguments if argument.source in sources]

        self.in_path = [(one, text_reader(one.type)) for one in of("path")]
        self.query = [(one, text_reader(one.type)) for one in of("query")]
        self.headers = [(one, text_reader(one.type)) for one in of("header")]
        self.has_texts = bool(self.in_path or self.query or self.headers)
        self.callers = of("caller")
        bodies = of("body", "form", "raw")
        self.body = bodies[0] if bodies else None
        self.read_body: Reader | None = None
        if self.body is not None and self.body.source != "raw":
            make = json_reader if self.body.source == "body" else form_reader
            self.read_body = make(self.body.type)


def caller_of(claims: CallerClaims | None) -> Caller | None:
    """Return the caller that a handler and the policies see."""
    if claims is None:
        return None
    return Caller(
        subject=claims.subject,
        roles=claims.roles,
        scopes=claims.scopes,
        issuer=claims.issuer,
        claims=claims.claims,
    )


def bind(endpoint: Endpoint, event: HttpEvent, caller: Caller | None = None) -> dict[str, Any]:
    """Return the arguments for a routed handler.

    `caller` is `caller_of(event.caller)` where it is known already.

    Raises:
        BadRequest: The query or the body cannot be read (400).
        Invalid: An argument is missing or wrong (422); every fault is listed.
        UnsupportedMediaType: The body is of a type that the handler does not take (415).
        Unauthenticated: The handler needs a caller and there is none (401).
    """
    binder: _Binder = endpoint.bound or _compile(endpoint)
    found: dict[str, Any] = {}
    faults: Faults = []
    if binder.callers:
        known = caller or caller_of(event.caller)
        for argument in binder.callers:
            if known is None and argument.required:
                raise Unauthenticated()
            found[argument.name] = known
    if binder.has_texts:
        _texts(binder, event, found, faults)
    if binder.body is not None:
        _body(binder.body, binder.read_body, event, found, faults)
    if faults:
        raise Invalid("The request breaks its contract.", faults=faults[: limits.FAULTS])
    return found


def bind_message(endpoint: Endpoint, event: MessageEvent) -> dict[str, Any]:
    """Return the arguments for a consumer, for what sources trigger, what runs after a commit.

    Unknown fields are passed over, because the sender may be a newer release.

    Raises:
        DoNotRetry: The message is not of the payload's type; it will not be on a later attempt.
    """
    if endpoint.bound is None:
        compile_endpoint(endpoint)
    try:
        found: dict[str, Any] = endpoint.bound(event.body)
        return found
    except (ValueError, RecursionError) as error:
        raise DoNotRetry(
            f"The message {event.id} in {event.queue!r} is not what {endpoint.name!r} takes: "
            f"{str(error).rstrip('.')}.",
            advice="Edit it or the type, then redrive it.",
        ) from error


def redeemed(endpoint: Endpoint, event: Any) -> Any:
    """Return a message with its payload, where that travels as an object (inside of its run)."""
    if not endpoint.claims:
        return event
    from wherry.handles.claims import redeem

    body = redeem(event.queue, event.body)
    return event if body is event.body else msgspec.structs.replace(event, body=body)


def keyed_by(endpoint: Endpoint, payload: Any) -> Any:
    """Return what `once_per` is given: the payload, which a plain handler gets as bytes.

    Raises:
        DoNotRetry: They are not of the payload's type.
    """
    if not endpoint.plain or endpoint.once_per is None:
        return payload
    if endpoint.bound is None:
        compile_endpoint(endpoint)
    try:
        return endpoint.bound(payload)
    except (ValueError, RecursionError) as error:
        raise DoNotRetry(
            f"A message is not what the queue of {endpoint.name!r} carries: {error}"
        ) from error


def compile_endpoint(endpoint: Endpoint) -> None:
    """Make, before the first call, what every call needs of a handler's signature."""
    if endpoint.bound is None and endpoint.plain and endpoint.once_per is not None:
        endpoint.bound = message_reader(endpoint.payload, endpoint.upgrades)
    if endpoint.bound is None and not endpoint.plain:
        if isinstance(endpoint.trigger, TaskTrigger):
            compile_task(endpoint)
        elif isinstance(endpoint.trigger, QueueTrigger):
            arguments = endpoint.signature.arguments
            if endpoint.feeds:
                endpoint.bound = occurrence_reader(endpoint.feeds, arguments)
            else:
                endpoint.bound = arguments_reader(arguments, endpoint.upgrades)
        else:
            _compile(endpoint)


def _compile(endpoint: Endpoint) -> _Binder:
    endpoint.bound = binder = _Binder(endpoint.signature.arguments)
    return binder


# --- texts --------------------------------------------------------------------------------------


def _texts(binder: _Binder, event: HttpEvent, found: dict[str, Any], faults: Faults) -> None:
    for argument, read in binder.in_path:
        text = event.path_parameters.get(argument.alias)
        _one(argument, read, [] if text is None else [text], found, faults)
    for argument, read in binder.headers:
        text = event.headers.get(argument.alias)
        _one(argument, read, [] if text is None else [text], found, faults)
    if binder.query:
        given = _query(event.query)
        for argument, read in binder.query:
            texts = given.get(argument.alias, [])
            if argument.many:
                _many(argument, read, texts, found, faults)
            else:
                _one(argument, read, texts, found, faults)


def _query(text: str) -> Query:
    given: Query = {}
    for name, value in parse(text, "query"):
        given.setdefault(name, []).append(value)
    return given


def _one(
    argument: Argument, read: TextReader, texts: list[str], found: dict[str, Any], faults: Faults
) -> None:
    if len(texts) == 1:
        try:
            found[argument.name] = read(texts[0])
        except BadText as error:
            faults.append(_fault(argument, str(error)))
    elif texts:
        faults.append(_fault(argument, "Given twice"))
    elif argument.required:
        faults.append(_fault(argument, f"Missing {argument.source} parameter"))
    else:
        found[argument.name] = argument.default


def _many(
    argument: Argument, read: TextReader, texts: list[str], found: dict[str, Any], faults: Faults
) -> None:
    if not texts:
        if argument.required:
            faults.append(_fault(argument, "Missing query parameter"))
        else:
            default = argument.default
            found[argument.name] = list(default) if isinstance(default, list) else default
        return
    values = []
    for number, text in enumerate(texts):
        try:
            values.append(read(text))
        except BadText as error:
            faults.append({"at": f"query.{argument.alias}[{number}]", "fault": str(error)})
    found[argument.name] = values


def _fault(argument: Argument, fault: str) -> dict[str, str]:
    return {"at": f"{argument.source}.{argument.alias}", "fault": fault}


# --- the body -----------------------------------------------------------------------------------


def _body(
    argument: Argument,
    read: Reader | None,
    event: HttpEvent,
    found: dict[str, Any],
    faults: Faults,
) -> None:
    content_type = event.headers.get("content-type", "")
    if read is None:
        if not event.body and not argument.required:
            found[argument.name] = argument.default
        else:
            found[argument.name] = RawBody(content=event.body, media_type=content_type)
        return
    if not event.body:
        if argument.required:
            raise BadRequest("A body is needed.", faults=[{"at": "$", "fault": "Missing body"}])
        found[argument.name] = argument.default
        return
    if content_type != "application/json" or argument.source == "form":
        _check_media_type(argument, content_type)
    try:
        found[argument.name] = read(event.body)
    except Invalid as error:
        faults.extend(error.faults)


def _check_media_type(argument: Argument, content_type: str) -> None:
    """Refuse a body of another type. JSON may come without any: then it says nothing else."""
    media_type, _, parameters = content_type.lower().partition(";")
    media_type = media_type.strip()
    if argument.source == "form":
        if media_type == "multipart/form-data":
            raise UnsupportedMediaType(
                "Multipart forms are not taken here.",
                advice="Upload files by a presigned URL: bucket.presign_upload(...).",
            )
        wanted = "application/x-www-form-urlencoded"
        fits = media_type == wanted
    else:
        wanted = "application/json"
        fits = media_type in ("", wanted) or (
            media_type.startswith("application/") and media_type.endswith("+json")
        )
    if not fits:
        raise UnsupportedMediaType(
            f"The body is {media_type[:80] or 'of no type'}; this takes {wanted}."
        )
    charset = next(
        (part.split("=", 1)[1] for part in parameters.split(";") if "charset=" in part), "utf-8"
    )
    if charset.strip(' "') not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(f"The body is in {charset.strip()[:40]}; this takes UTF-8.")
