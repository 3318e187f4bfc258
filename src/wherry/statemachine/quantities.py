"""Numbers that a definition gives as they are, by a path or by an expression."""

from __future__ import annotations

import re
from typing import Any

from wherry import limits
from wherry.statemachine.context import StateScope
from wherry.statemachine.faults import QUERY, READER, StatesError, runtime
from wherry.statemachine.jsonata import Query, compile_query, unexpected_type
from wherry.statemachine.paths import NoMatch, Path, parse
from wherry.statemachine.templates import root_of
from wherry.statemachine.text import to_text

_INTEGER = re.compile(r"-?[0-9]{1,9}\Z")
_LONG = re.compile(r"-?[0-9]{1,18}\Z")


class Quantity:
    """A field such as TimeoutSeconds, with its form that ends in `Path`.

    Attributes:
        literal: The number where it is given as it is.
        computed: Whether it is not: then it has to be read.
    """

    __slots__ = ("_path", "_query", "computed", "field", "literal", "where")

    def __init__(self, fields: dict[str, Any], field: str, jsonata: bool, where: str = "") -> None:
        self.field = field
        self.where = where + field
        self.literal: Any = fields.get(field)
        self._path: Path | None = None
        self._query: Query | None = None
        if f"{field}Path" in fields:
            self._path = parse(fields[f"{field}Path"])
        elif jsonata and isinstance(self.literal, str):
            self._query = compile_query(self.literal, self.where)
        self.computed = self._path is not None or self._query is not None

    def read(self, scope: StateScope, raw: Any, effective: Any) -> Any:
        """Return the number, or None where the field is not there.

        Raises:
            StatesError: It is no whole number of the field's range.
        """
        if self._query is not None:
            found = self._query.evaluate(scope, {"input": raw})
            if self.field in ("TimeoutSeconds", "HeartbeatSeconds"):
                return queried_integer(self._query.text, self.where, found)
            return _plain_number(self.field, self._query.text, self.where, found)
        if self._path is not None:
            return self._referenced(self._path, scope, effective)
        return self.literal

    def _referenced(self, path: Path, scope: StateScope, value: Any) -> Any:
        try:
            found = path.read(root_of(path, scope, value))
        except NoMatch as nothing:
            raise runtime(f"Invalid path '{path.text}' : {nothing.reason}") from None
        except KeyError:
            raise runtime(
                f"Invalid path '{path.text}' : No results for path: {path.text}"
            ) from None
        if self.field == "MaxItems":  # AWS parses its text as a long
            text = found if isinstance(found, str) else to_text(found)
            found = int(text) if _LONG.match(text) else text
        elif isinstance(found, float):
            found = int(found) if found.is_integer() else found
        elif isinstance(found, str) and _INTEGER.match(found):
            found = int(found)
        percentage = self.field == "ToleratedFailurePercentage"
        if isinstance(found, bool) or not isinstance(found, int | float if percentage else int):
            shown = found if isinstance(found, str) else to_text(found)
            kind = "number" if percentage else "integer"
            raise runtime(
                f'The {self.field}Path field refers to value "{shown}" which is not a valid'
                f" {kind}: {path.text}"
            )
        return _within(self.field, found)


def _within(field: str, number: float) -> float:
    if field == "MaxConcurrency" and number < 0:
        raise runtime(f"Expected non-negative integer for MaxConcurrency, got '{number}' instead.")
    if field == "MaxItems" and number < 0:
        raise StatesError(READER, "field MaxItems must be positive", final=True)
    if field == "ToleratedFailurePercentage" and not 0 <= number <= 100:
        raise runtime("ToleratedFailurePercentage must be between 0 and 100.")
    if field.endswith("Seconds") and not 0 < number <= limits.STATE_SECONDS_MAX:
        raise runtime(f"{field} must be between 1 and {limits.STATE_SECONDS_MAX} but was: {number}")
    if number < 0:
        raise runtime(f"{field} cannot be negative.")
    return number


def _plain_number(field: str, text: str, where: str, found: Any) -> Any:
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise StatesError(QUERY, unexpected_type(text, where, "number", found), location=where)
    if field != "ToleratedFailurePercentage" and found != int(found):
        raise _no_integer(where, found)
    try:
        return _within(field, found)
    except StatesError as error:
        raise StatesError(QUERY, error.cause, location=where) from None


def queried_integer(
    text: str, where: str, found: Any, most: int | None = limits.STATE_SECONDS_MAX
) -> int:
    """Return the seconds that an expression gave.

    Raises:
        StatesError: It gave something else.
    """
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise StatesError(QUERY, unexpected_type(text, where, "number", found), location=where)
    if found != int(found):
        raise _no_integer(where, found)
    if found < 0 or (most is not None and found > most):
        raise StatesError(
            QUERY,
            f"{where} must be between 0 and {limits.STATE_SECONDS_MAX} but was: {found}",
            location=where,
        )
    return int(found)


def _no_integer(where: str, found: Any) -> StatesError:
    return StatesError(
        QUERY, f"The {where} field cannot be parsed as an integer: {to_text(found)}", location=where
    )
