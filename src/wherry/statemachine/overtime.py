"""Whether expressions have time left: who runs them in a process of their own says when not.

`expire` may be called in a signal's handler, on the thread that evaluates. An expression that is
being evaluated is broken off there; every later one fails at once, until `reset`.
"""

from __future__ import annotations

TIMEOUT = "Expression evaluation timeout: Check for infinite loop"
MEMORY = "Expression evaluation memory limit exceeded: Check for excessive memory usage"


class Overtime(BaseException):
    """Raised in the middle of an evaluation; no `except Exception` on its way holds it up."""


class _Allowance:
    over = False
    overran = False  # an expression was broken off since `reset`
    evaluating = False


allowance = _Allowance()


def expire() -> None:
    """Say that the time is over.

    Raises:
        Overtime: An expression is being evaluated.
    """
    allowance.over = allowance.overran = True
    if allowance.evaluating:
        raise Overtime


def exceeded(cause: str) -> str:
    """Note that an expression is broken off after it used too much; return `cause`."""
    allowance.overran = True
    return cause


def reset() -> None:
    """Begin anew."""
    allowance.over = allowance.overran = False
