"""Regular expressions of definitions, which are cut off in time: they may be anybody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wherry import limits
from wherry.statemachine.faults import QUERY, StatesError
from wherry.statemachine.overtime import TIMEOUT, allowance, exceeded


class Regex:
    """A compiled pattern whose matching is bounded; the methods are those of `re.Pattern`."""

    __slots__ = ("_pattern",)

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern

    @property
    def pattern(self) -> str:
        """The source."""
        return str(self._pattern.pattern)

    @property
    def compiled(self) -> Any:
        """The pattern, unbounded."""
        return self._pattern

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        return self._within(self._pattern.fullmatch, text) is not None

    def search(self, text: str) -> Any:
        """Return the first match, or None."""
        return self._within(self._pattern.search, text)

    def finditer(self, text: str) -> Any:
        """Return all matches, one after the other."""
        return iter(self._within(lambda *a, **kw: list(self._pattern.finditer(*a, **kw)), text))

    def sub(self, repl: Any, text: str, count: int = 0) -> str:
        """Replace matches."""
        return str(self._within(self._pattern.sub, repl, text, count))

    def split(self, text: str, maxsplit: int = 0) -> list[Any]:
        """Split at matches."""
        found: list[Any] = self._within(self._pattern.split, text, maxsplit)
        return found

    def _within(self, method: Callable[..., Any], *args: Any) -> Any:
        if allowance.over:
            raise StatesError(QUERY, TIMEOUT)
        try:
            return method(*args, timeout=limits.STATE_REGEX_S)
        except TimeoutError:
            raise StatesError(QUERY, exceeded(TIMEOUT)) from None


def compile_regex(source: str, *, ignore_case: bool = False, multiline: bool = False) -> Regex:
    """Compile a pattern.

    Raises:
        ValueError: It is not one.
    """
    import regex  # type: ignore[import-untyped]

    flags = (
        regex.ASCII
        | (regex.IGNORECASE if ignore_case else 0)
        | (regex.MULTILINE if multiline else 0)
    )
    try:
        return Regex(regex.compile(source, flags))
    except regex.error as error:
        raise ValueError(f"'{source}' is no regular expression: {error}") from None
