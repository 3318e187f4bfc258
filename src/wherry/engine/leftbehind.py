"""Executions of workflows that the activated release does not declare: they stand still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.ports import ExecutionRows, ListExecutions

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.journal import Journal
    from wherry.engine.store import Store


def tell_left_behind(store: Store, journal: Journal, declared: Callable[[], set[str]]) -> None:
    """Warn of each workflow that has executions which nobody moves.

    Args:
        declared: The workflows that the activated release declares.
    """

    def told(answer: Any) -> None:
        if not isinstance(answer, ExecutionRows):
            return
        left: dict[str, int] = {}
        for row in answer.rows:
            if row.workflow not in declared():
                left[row.workflow] = left.get(row.workflow, 0) + 1
        for workflow, count in sorted(left.items()):
            shown = f"{count} or more" if answer.after is not None else str(count)
            journal.say(
                "WARNING",
                f"{shown} execution(s) of the workflow {workflow!r} stand still: this release does "
                "not declare it. Declare it again until they have ended or are stopped.",
                workflow=workflow,
                executions=count,
            )

    store.send("", ListExecutions(None, "RUNNING", limits.QUERY_LIMIT_MAX), told)
