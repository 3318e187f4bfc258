"""Payload templates of JSONPath states: keys that end in `.$` hold a path or an intrinsic call.

A template is compiled to a tree of small nodes; a part without references is copied as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from wherry.statemachine.faults import runtime
from wherry.statemachine.intrinsics import Scope, is_call, parse_call
from wherry.statemachine.paths import NoMatch, Path, PathSyntax, parse
from wherry.statemachine.text import to_text

Template: TypeAlias = Callable[[Scope, Any], Any]
"""Gives a template's value, for what `$` is."""

_NO_INPUT = "Unable to apply Path transformation to null or empty input."


def compile_template(template: Any) -> Template:
    """Compile a payload template.

    Raises:
        PathSyntax: A value is neither a path nor a call.
    """
    if not _moves(template):
        return lambda _scope, _value: template
    if isinstance(template, list):
        parts = [compile_template(one) for one in template]
        return lambda scope, value: [part(scope, value) for part in parts]
    fields: list[tuple[str, Template]] = []
    for key, inner in template.items():
        if key.endswith(".$"):
            fields.append((key[:-2], compile_reference(inner, key)))
        else:
            fields.append((key, compile_template(inner)))
    return lambda scope, value: {name: part(scope, value) for name, part in fields}


def _moves(template: Any) -> bool:
    if isinstance(template, dict):
        return any(key.endswith(".$") or _moves(inner) for key, inner in template.items())
    return isinstance(template, list) and any(map(_moves, template))


def compile_reference(text: Any, field: str) -> Template:
    """Compile the value of a `.$` field, of ErrorPath or of CausePath.

    Raises:
        PathSyntax: It is neither a path nor a call.
    """
    if is_call(text):
        return parse_call(text).evaluate
    if not isinstance(text, str):
        raise PathSyntax(f"The value for the field '{field}' must be a STRING")
    path = parse(text)

    def read(scope: Scope, value: Any) -> Any:
        root = value
        if value is None and path.root == "$":
            raise runtime(_NO_INPUT)
        try:
            root = root_of(path, scope, value)
            return path.read(root)
        except NoMatch as nothing:
            if nothing.beyond:
                return None
        except KeyError:
            pass
        shown = path.text[1:] if path.root == "$$" else path.text
        raise runtime(
            f"The JSONPath '{shown}' specified for the field '{field}' could not be found in the"
            f" input '{to_text(root)}'"
        )

    return read


def root_of(path: Path, scope: Scope, value: Any) -> Any:
    """Return what a path is read from: the value at hand, the context object or a variable.

    Raises:
        KeyError: There is no such variable.
    """
    if path.root == "$":
        return value
    return scope.context() if path.root == "$$" else scope.variable(path.root)


def compile_path(text: str) -> Template:
    """Compile InputPath or OutputPath.

    Raises:
        PathSyntax: It is no path.
    """
    path = parse(text)

    def read(scope: Scope, value: Any) -> Any:
        if value is None and path.root == "$":
            raise runtime(_NO_INPUT)
        try:
            return path.read(root_of(path, scope, value))
        except NoMatch as nothing:
            raise runtime(f"Invalid path '{text}' : {nothing.reason}") from None
        except KeyError:
            raise runtime(f"Invalid path '{text}' : No results for path: {text}") from None

    return read
