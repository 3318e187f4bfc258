"""Orders of a person to executions: each a commit of its own, with its record for the timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw

from wherry.cli.actor import actor
from wherry.cli.backend import Backend
from wherry.codec import to_msgpack
from wherry.errors import Passing, Refused, unmet
from wherry.ports import Commit, Committed, Unmet
from wherry.telemetry import InvocationRecord
from wherry.world import Chance, SystemClock

if TYPE_CHECKING:
    from wherry.effects import EndTask, RedriveExecution, StartExecution, StopExecution

_COUNTS = 1 << 12  # of one millisecond
_NODE = 255  # of those that give numbers: no engine has this one


def new_id() -> str:
    """Return a new ID of an order, or of what began with it."""
    return Chance().token(16).hex()


def commit(
    backend: Backend,
    verb: str,
    effect: StartExecution | StopExecution | RedriveExecution | EndTask,
    required: bool = True,
) -> bool:
    """Give an order; return False where its condition does not hold, and that is no matter.

    Raises:
        Refused: The condition does not hold; or with what the store says.
    """
    now_ms, chance = SystemClock().now_ms(), Chance()
    number = now_ms << 20 | _NODE << 12 | chance.below(_COUNTS)
    request_id = chance.token(8).hex()
    trace = chance.token(16).hex()
    record = InvocationRecord(
        number=number,
        correlation_id=trace,
        function=f"{actor()} at the command line",
        trigger=f"wherry workflow {verb}",
        request_id=request_id,
        traceparent=f"00-{trace}-{request_id}-01",
        parent="",
        release="",
        attempt=1,
        at_ms=now_ms,
        waited_ms=0.0,
        ran_ms=0.0,
        cold=False,
        ending="ok",
        status=0,
        error="",
        cause="",
        marks=[f"{verb} {effect.workflow}"],
    )
    answer = backend.ask(Commit("", Raw(to_msgpack([effect])), [], [], record, {}))
    match answer:
        case Committed():
            return True
        case Unmet():
            if required:
                raise Refused(f"{unmet(answer.table, answer.key, answer.why)}.")
            return False
    raise Passing("Somebody else was at it at the same moment.", advice="Try again.")
