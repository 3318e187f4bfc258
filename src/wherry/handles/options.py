"""What declarations of functions take, for type checkers: nothing imports it while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypedDict, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class FunctionOptions(TypedDict, total=False):
    """What every function may be given, whatever triggers it.

    Args:
        grants: What it may do: `[orders.read, exports.send]`.
        timeout_s: A route's at most 25, which is also its default; a consumer's at most 900
            (default 30).
        memory_mb: Of one environment (default 256).
        concurrency: Environments at once (default 32).
        reserved: Environments of these that no other function may take (default 0).
        reads: "checked" makes every `get` a condition of the commit.
    """

    grants: Iterable[Any]
    timeout_s: float | None
    memory_mb: int
    concurrency: int
    reserved: int
    reads: Literal["versioned", "checked"]


class TriggerOptions(FunctionOptions, total=False):
    """Those of a function with a queue of its own: how its messages are tried again.

    Args:
        max_attempts: Before a message waits in the failure inbox, 1 to 1,000 (default 3).
        retry_base_s: Wait before the second attempt (default 1); it doubles each time.
        retry_max_s: The longest wait (default 300).
        retention_s: After this, what was never done waits in the failure inbox (default 4 days).
    """

    max_attempts: int
    retry_base_s: float
    retry_max_s: float
    retention_s: int


class BatchOptions(TriggerOptions, total=False):
    """Those of one that may be handed several messages at once.

    Args:
        batch: Above 1 the handler takes `Batch[...]`, up to so many at once.
        window_s: How long the first of them waits for others, 0 to 300.
    """

    batch: int
    window_s: float


class Declare(Protocol):
    """How a handle declares a function on the app that it is of."""

    def __call__(
        self, kind: str, source: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Callable[[F], F]:
        """Return the decorator."""
        ...
