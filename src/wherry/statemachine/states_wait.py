"""Wait: for seconds, or until a moment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.statemachine.context import StateScope
from wherry.statemachine.faults import QUERY, StatesError, runtime
from wherry.statemachine.paths import NoMatch, Path, parse
from wherry.statemachine.quantities import queried_integer
from wherry.statemachine.records import Frame
from wherry.statemachine.states import Compiling, State, query_of
from wherry.statemachine.templates import root_of
from wherry.statemachine.text import parse_moment_leniently_us, to_text

if TYPE_CHECKING:
    from wherry.statemachine.stepping import Walk


_LONG = re.compile(r"-?[0-9]{1,18}\Z")


class WaitState(State):
    """Has exactly one of four fields that say until when."""

    kind = "Wait"

    def __init__(
        self, name: str, fields: dict[str, Any], jsonata: bool, compiling: Compiling
    ) -> None:
        super().__init__(name, fields, jsonata, compiling)
        self._seconds = fields.get("Seconds")
        self._timestamp = fields.get("Timestamp")
        self._seconds_query = query_of(fields, "Seconds", jsonata)
        self._timestamp_query = query_of(fields, "Timestamp", jsonata)
        self._seconds_path = parse(fields["SecondsPath"]) if "SecondsPath" in fields else None
        self._timestamp_path = parse(fields["TimestampPath"]) if "TimestampPath" in fields else None

    def attempt(self, walk: Walk, frame: Frame) -> None:
        scope = walk.scope(frame)
        effective = self.flow.effective(scope, frame.input)
        due_ms = self._due_ms(walk.now_ms, scope, effective)
        if due_ms <= walk.now_ms:
            self.pass_on(walk, frame, scope, effective)
            return
        frame.phase = "wait"
        frame.due_ms = due_ms

    def due(self, walk: Walk, frame: Frame) -> None:
        scope = walk.scope(frame)
        self.pass_on(walk, frame, scope, self.flow.effective(scope, frame.input))

    def _due_ms(self, now_ms: int, scope: StateScope, value: Any) -> int:
        if self._seconds_query is not None:
            found = self._seconds_query.evaluate(scope, {"input": value})
            seconds = queried_integer(self._seconds_query.text, "Seconds", found, most=None)
            return now_ms + 1000 * min(seconds, limits.STATE_SECONDS_MAX)
        if self._seconds is not None:
            return now_ms + int(self._seconds * 1000)
        if self._seconds_path is not None:
            return now_ms + 1000 * _seconds_at(self._seconds_path, scope, value)
        if self._timestamp_path is not None:
            found = _found("TimestampPath", self._timestamp_path, scope, value)
            moment = parse_moment_leniently_us(found) if isinstance(found, str) else None
            if moment is None:
                shown = found if isinstance(found, str) else to_text(found)
                raise runtime(
                    "The TimestampPath parameter does not reference a valid ISO-8601 extended"
                    f" offset date-time format string: {self._timestamp_path.text} == {shown}"
                )
            return -(-moment // 1000)
        text = self._timestamp
        if self._timestamp_query is not None:
            text = self._timestamp_query.evaluate(scope, {"input": value})
        moment = parse_moment_leniently_us(text) if isinstance(text, str) else None
        if moment is None:
            raise StatesError(
                QUERY,
                "The Timestamp parameter does not evaluate to a valid ISO-8601 extended offset"
                f" date-time format string: {text if isinstance(text, str) else to_text(text)}",
                location="Timestamp",
            )
        return -(-moment // 1000)


def _found(field: str, path: Path, scope: StateScope, value: Any) -> Any:
    try:
        return path.read(root_of(path, scope, value))
    except (NoMatch, KeyError):
        raise runtime(
            f"The {field} parameter does not reference an input value: {path.text}"
        ) from None


def _seconds_at(path: Path, scope: StateScope, value: Any) -> int:
    found = _found("SecondsPath", path, scope, value)
    if isinstance(found, str) and _LONG.match(found):
        found = int(found)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int):
        raise runtime(
            "The SecondsPath parameter cannot be parsed as a long value:"
            f" {path.text} == {to_text(found)}"
        )
    if found < 0:
        raise runtime(
            f"The SecondsPath parameter references a negative value: {path.text} == {found}"
        )
    return min(found, limits.STATE_SECONDS_MAX)
