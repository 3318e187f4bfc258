"""What JSONata says of errors: the reference implementation's catalogue, filled in."""

from __future__ import annotations

import re
from typing import Any

from wherry.statemachine.text import to_text

_PLACE = re.compile(r"\{\{\{?(\w+)\}?\}\}")
_FUNCTION = re.compile(r"\bObject\b(?! with)")


class EvaluationError(Exception):
    """An expression failed. `code` is JSONata's, empty where a bound was reached.

    `internal` says that JSONata has no error for it; `message` is then for nobody's eyes.
    """

    def __init__(self, code: str, message: str, *, internal: bool = False) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code
        self.message = message
        self.internal = internal


def message_of(error: Any) -> EvaluationError:
    """Return a library's exception as the reference implementation words it."""
    template = type(error).error_codes.get(error.error)
    if template is None:
        return EvaluationError("", str(error.error))
    template = template.replace("a Object", "a function").replace("an Object", "a function")
    template = _FUNCTION.sub("function", template).replace('"', "'")
    arguments = [error.current, error.expected, error.extra]
    if error.error == "D1002":  # its first argument is the operator
        arguments = [error.expected]
    given = iter(arguments)
    named = {}

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in named:
            named[name] = next(given, None)
        value = named[name]
        if match.group(0).startswith("{{{"):
            return str(value)
        return _json(value)

    return EvaluationError(error.error, _PLACE.sub(fill, template))


def _json(value: Any) -> str:
    try:
        return to_text(value)
    except (TypeError, ValueError):
        return "null" if repr(value) == "null" else '"function"'
