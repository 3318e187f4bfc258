"""What is kept and the activated release does not declare: nobody reaches it, it stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from wherry import limits
from wherry.ports import ExecutionRows, ListExecutions, ListUndeclared, Undeclared

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.journal import Journal
    from wherry.engine.store import Store
    from wherry.ports import UndeclaredRow


def tell_left_behind(store: Store, journal: Journal, declared: Callable[[], set[str]]) -> None:
    """Warn of each workflow with executions that nobody moves, of tables and queues that hold more.

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

    def kept(answer: Any) -> None:
        for row in answer.rows if isinstance(answer, Undeclared) else ():
            journal.say("WARNING", _kept(row), **{row.kind: row.name, "count": row.count})

    store.send("", ListExecutions(None, "RUNNING", limits.QUERY_LIMIT_MAX), told)
    store.send("", ListUndeclared(), kept)


def _kept(row: UndeclaredRow) -> str:
    most = limits.UNDECLARED_COUNTED
    shown = f"{row.count:,} or more" if row.count >= most else str(row.count)
    same = f"If its class was renamed, give it its old name: name={row.name!r}."
    match row.kind:
        case "table":
            return (
                f"{shown} item(s) of the table {row.name!r} are out of reach: this release does "
                f"not declare it. {same} Else declare it until they are copied or deleted."
            )
        case "queue":
            return (
                f"{shown} message(s) wait in the queue {row.name!r} for nobody: this release does "
                f"not declare it. {same} Else declare it until it has run empty."
            )
        case _:
            assert_never(row.kind)
