"""The trace of a failed run is Python's own, whether its place has failed before or not."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from wherry.runtime.failures import trace_of

FAILURES = (ValueError, LookupError, RecursionError, SyntaxError, ExceptionGroup)


def deep(depth: int) -> None:
    if depth:
        deep(depth - 1)
    raise ValueError(f"at {depth}")


def with_a_cause() -> None:
    try:
        deep(2)
    except ValueError as error:
        raise KeyError("k") from error


def with_a_context() -> None:
    try:
        deep(2)
    except ValueError:
        raise KeyError("k")  # noqa: B904


def without_a_context() -> None:
    try:
        deep(2)
    except ValueError:
        raise KeyError("k") from None


def with_a_note() -> None:
    error = ValueError("several\nlines")
    error.add_note("a note")
    raise error


def of_a_group() -> None:
    raise ExceptionGroup("several", [ValueError(1), KeyError(2)])


def of_syntax() -> None:
    compile("a b", "elsewhere", "exec")


def of_a_part_of_a_line() -> None:
    print(len("") + len({}["there"]))  # type: ignore[index]


@pytest.mark.parametrize(
    "fails",
    [
        lambda: deep(0),
        lambda: deep(20),
        lambda: deep(5_000),
        with_a_cause,
        with_a_context,
        without_a_context,
        with_a_note,
        of_a_group,
        of_syntax,
        of_a_part_of_a_line,
    ],
)
def test_a_trace_is_python_s_own_of_the_last_frames(fails: Callable[[], None]) -> None:
    """Its stack is remembered: the same place tells of another error with its own text."""
    for _ in range(2):
        with pytest.raises(FAILURES) as caught:
            fails()
        error = caught.value
        own = traceback.format_exception(type(error), error, error.__traceback__, limit=-12)
        assert trace_of(error) == "".join(own)[-16_000:]


def test_one_place_tells_of_different_errors() -> None:
    """What is remembered of a place is its lines, not what was said there."""

    def fail(text: str) -> None:
        raise ValueError(text)

    told = []
    for text in ("one", "another"):
        with pytest.raises(ValueError, match=text) as caught:
            fail(text)
        told.append(trace_of(caught.value))
    assert told[0].endswith("ValueError: one\n")
    assert told[1].endswith("ValueError: another\n")
