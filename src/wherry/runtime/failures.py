"""Why a run failed, for the team: a code, what was raised, whether another attempt may help."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, TypeAlias

from wherry import errors
from wherry.handles.logs import hide
from wherry.invocation import FILES_LIMIT, MEMORY_LIMIT, Failure

if TYPE_CHECKING:
    from types import CodeType, TracebackType

Place: TypeAlias = "tuple[CodeType, str, int]"  # code of one file is equal to that of another
_FRAMES = 12
_STACKS_KEPT = 64
_stacks: dict[tuple[Place, ...], str] = {}
_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


def failure_of(error: BaseException, memory_mb: int) -> Failure:
    """Return the failure of a run, or of one message, that ended with this exception."""
    retry = not isinstance(error, errors.DoNotRetry | errors.Refused)
    said = ""
    match error:
        case errors.Problem():
            code, said, retry = _told(error)
        case errors.WherryError():
            code = str(error.code)
        case MemoryError():
            code = MEMORY_LIMIT
            said = f"over its memory limit of {memory_mb} MiB: an allocation failed"
        case SystemExit():
            code = "handler_exited"
        case _:
            code = "handler_failed"
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        code = FILES_LIMIT
    message = tellable(said or text_of(error))
    return Failure(code, type(error).__name__, message[:2000], retry, trace_of(error))


def _told(problem: errors.Problem) -> tuple[str, str, bool]:
    """Return a problem's code, its message, and whether another attempt may help."""
    try:
        retry = problem.status >= 500 or problem.status == 429
        return str(problem.code), str(problem.message), retry
    except Exception:  # a class of the team's own, which has not what a problem has
        return errors.Problem.code, "", True


def text_of(error: BaseException) -> str:
    """Return what an exception says, or its name."""
    try:
        return str(error) or type(error).__name__
    except Exception:  # the team's own exception class is at fault
        return type(error).__name__


def tellable(text: str) -> str:
    """Return text that UTF-8 can say, without the secrets that were read."""
    return hide(text.encode("utf-8", "backslashreplace")).decode()


def trace_of(error: BaseException) -> str:
    """Return an exception's trace, without wherry's own frames above the handler."""
    import traceback

    first = error.__traceback__
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_OURS):
        first = first.tb_next
    frames = first or error.__traceback__  # all of them are ours: then these are what there is
    if frames is None or _is_chained(error):
        lines = traceback.format_exception(type(error), error, frames, limit=-_FRAMES)
    else:
        lines = [_stack_of(frames), *traceback.format_exception_only(error)]
    return tellable("".join(lines))[-16_000:]


def _is_chained(error: BaseException) -> bool:
    """Whether the traces of other exceptions are shown with that of this one."""
    if error.__cause__ is not None or isinstance(error, BaseExceptionGroup):
        return True
    return error.__context__ is not None and not error.__suppress_context__


def _stack_of(frames: TracebackType) -> str:
    """Return the last frames as text: remembered, as what fails mostly fails at one place again.

    To read their lines and find what to underline costs more than many a handler does.
    """
    places: list[Place] = []
    at: TracebackType | None = frames
    while at is not None:
        code = at.tb_frame.f_code
        places.append((code, code.co_filename, at.tb_lasti))
        at = at.tb_next
    key = tuple(places[-_FRAMES:])
    found = _stacks.get(key)
    if found is None:
        import traceback

        lines = traceback.format_tb(frames, limit=-_FRAMES)
        if len(_stacks) >= _STACKS_KEPT:
            _stacks.clear()
        found = _stacks[key] = "".join(("Traceback (most recent call last):\n", *lines))
    return found
