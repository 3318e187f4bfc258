"""From a handler's signature to where each of its arguments comes from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from wherry.app.endpoints import UNSET, Argument, Signature
from wherry.app.fields import fields_of
from wherry.app.http import Caller, FormMarker, Header, RawBody
from wherry.app.kinds import (
    has_pydantic,
    list_item,
    marker,
    members,
    scalar,
    shown,
    unwrap,
    without_none,
)
from wherry.blueprint.parts import Finding, Place
from wherry.blueprint.paths import path_parameters
from wherry.handles.shapes import is_pydantic

PLAIN = ["event", "context"]

_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2


class Reading:
    """Reads the signature of one handler and collects what is wrong with it."""

    def __init__(self, fn: Callable[..., Any], place: Place, names: dict[str, Any] | None) -> None:
        self.fn = fn
        self.name = fn.__name__
        self.place = place
        self.findings: list[Finding] = []
        self.parameters = list(inspect.signature(fn).parameters.values())
        self.plain = [one.name for one in self.parameters] == PLAIN
        self.yields = inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn)
        self.hints = {} if self.plain else self._hints(names)

    def find(self, code: str, message: str, fix: str) -> None:
        """Note that something is wrong."""
        self.findings.append(Finding(code=code, message=message, fix=fix, place=self.place))

    def _hints(self, names: dict[str, Any] | None) -> dict[str, Any]:
        try:
            return get_type_hints(self.fn, localns=names, include_extras=True)
        except (NameError, TypeError, SyntaxError) as error:
            self.find(
                "annotation_unknown",
                f"An annotation of {self.name!r} cannot be read: {error}.",
                "Import or define what it names above the handler (not below TYPE_CHECKING).",
            )
            return {}

    def usable(self) -> Iterator[inspect.Parameter]:
        """Yield the parameters that can be given by name and have a type."""
        for one in self.parameters:
            if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY):
                self.find(
                    "argument_kind",
                    f"{self.name!r} has the argument {str(one).split(':')[0]!r}, which cannot be "
                    "given by name.",
                    "Name each argument: they are filled by their names.",
                )
            elif one.name in self.hints:
                yield one
            elif not self.findings or self.hints:
                self.find(
                    "argument_without_type",
                    f"The argument {one.name!r} of {self.name!r} has no type.",
                    f"Annotate it, for example `{one.name}: str`.",
                )

    # -- routes ----------------------------------------------------------------------------------

    def routed(self, path: str) -> Signature:
        """Return the signature of a route's handler."""
        if self.plain:
            return Signature()
        in_path = path_parameters(path)
        found = [self._argument(one, in_path) for one in self.usable()]
        arguments = tuple(one for one in found if one is not None)
        return Signature(arguments=arguments, returns=self.hints.get("return", UNSET))

    def _argument(self, one: inspect.Parameter, in_path: list[str]) -> Argument | None:
        annotation = self.hints[one.name]
        inner, optional = without_none(annotation)
        has_default = one.default is not one.empty
        header = marker(annotation, Header) or marker(inner, Header)
        form = marker(annotation, FormMarker) or marker(inner, FormMarker)
        bare = unwrap(inner)
        kind = inner
        many = False
        alias = one.name
        if one.name in in_path:
            return self._path(one, annotation)
        if bare is Caller:
            return Argument(one.name, "caller", alias, Caller, required=not optional)
        if bare is RawBody:
            source: Any = "raw"
        elif form is not None:
            if not self._may_be_form(one.name, inner):
                return None
            source = "form"
        elif header is not None:
            source, alias = "header", str(header.name).lower()
            if not _TOKEN.fullmatch(alias):
                self.find(
                    "header_name",
                    f"The argument {one.name!r} of {self.name!r} is of a header {header.name!r}, "
                    "and no header has such a name.",
                    'Name it as it is sent: Header("user-agent").',
                )
                return None
            if scalar(inner) is None:
                self._unsupported(one.name, inner, "A header is one scalar value.")
                return None
        elif scalar(inner) is not None:
            source = "query"
        elif list_item(inner) is not None and scalar(list_item(inner)) is not None:
            source, many, kind = "query", True, list_item(inner)
        else:
            if not self._may_be_body(one.name, inner):
                return None
            source = "body"
        if source in ("query", "header"):
            self._default(one, inner)
        return Argument(
            one.name,
            source,
            alias,
            kind,
            required=not (has_default or optional or (many and not has_default)),
            default=one.default if has_default else ([] if many and not optional else None),
            many=many,
        )

    def _default(self, one: inspect.Parameter, kind: Any) -> None:
        """Note a default that is of another type. It may be out of bounds, and None for nothing."""
        if one.default is one.empty or one.default is None:
            return
        item = list_item(kind)
        plain = unwrap(kind) if item is None else list[unwrap(item)]  # type: ignore[misc]
        try:
            msgspec.convert(msgspec.to_builtins(one.default), plain)
        except (ValueError, TypeError):
            self.find(
                "default_type",
                f"The argument {one.name!r} of {self.name!r} has the default {one.default!r}, "
                f"which is no {shown(plain)}.",
                "Give it one of its type, or None.",
            )

    def _path(self, one: inspect.Parameter, annotation: Any) -> Argument | None:
        if scalar(annotation) is None:
            self._unsupported(
                one.name, annotation, "A path parameter is one scalar value, and always there."
            )
            return None
        return Argument(one.name, "path", one.name, annotation)

    def _may_be_body(self, name: str, kind: Any) -> bool:
        parts = members(kind)
        if any(unwrap(part) in (bytes, bytearray, memoryview) for part in parts):
            self._unsupported(name, kind, "For content that is not JSON take `body: RawBody`.")
            return False
        if len(parts) > 1 and any(scalar(part) is not None for part in parts):
            self._unsupported(
                name, kind, "Beside None, an argument from the query has one scalar type."
            )
            return False
        if get_origin(unwrap(kind)) in (tuple, set, frozenset):
            self._unsupported(name, kind, "Use list[...].")
            return False
        if inspect.isgeneratorfunction(unwrap(kind)) or _is_stream(kind):
            self._unsupported(
                name, kind, "A body is read whole; large content is uploaded by a presigned URL."
            )
            return False
        return True

    def _may_be_form(self, name: str, kind: Any) -> bool:
        try:
            fields = fields_of(kind)
        except (NameError, TypeError):
            fields = None
        if fields is None:
            self._unsupported(name, kind, "A form is read into a Struct or a dataclass.")
            return False
        for field in fields.values():
            inner, _ = without_none(field.type)
            if scalar(inner) is None and scalar(list_item(inner)) is None:
                self._unsupported(
                    name,
                    kind,
                    f"A form is flat: its field {field.name!r} is {shown(field.type)}; use a "
                    "scalar or a list of scalars.",
                )
                return False
        return True

    def _unsupported(self, name: str, kind: Any, advice: str) -> None:
        self.find(
            "argument_unsupported",
            f"The argument {name!r} of {self.name!r} has the type {shown(kind)}, which cannot be "
            "bound.",
            advice,
        )

    # -- consumers ---------------------------------------------------------------------------------

    def after_commit(self) -> Signature:
        """Return the signature of a function that runs after a commit."""
        if self.plain:
            self.find(
                "after_commit_plain",
                f"{self.name!r} takes an AWS event; after a commit it is called with what it was "
                "sent.",
                "Name its arguments for what they are, or consume a queue.",
            )
            return Signature()
        arguments = tuple(
            Argument(
                one.name,
                "sent",
                one.name,
                self.hints[one.name],
                required=one.default is one.empty,
            )
            for one in self.usable()
        )
        for one in arguments:
            if has_pydantic(one.type) and not is_pydantic(one.type):
                self._unsupported(one.name, one.type, "Make it a field of a model.")
        return Signature(arguments=arguments, returns=self.hints.get("return", UNSET))

    # -- either ------------------------------------------------------------------------------------

    def generator(self) -> None:
        """Note a handler that yields."""
        if self.yields:
            self.find(
                "handler_generator",
                f"{self.name!r} is a generator; replies are whole.",
                "Write the content into a bucket and return a presigned download.",
            )

    def is_async(self) -> bool:
        """Whether the handler is `async def`, also below decorators that are not."""
        return inspect.iscoroutinefunction(inspect.unwrap(self.fn))


def _is_stream(kind: Any) -> bool:
    from collections.abc import AsyncIterable, Iterable

    bare = unwrap(kind)
    origin = get_origin(bare) or bare
    return origin in (AsyncIterable, Iterable) or (
        isinstance(origin, type)
        and issubclass(origin, AsyncIterable | Iterator)
        and bool(get_args(bare))
    )
