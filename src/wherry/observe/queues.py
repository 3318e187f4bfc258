"""Queues as a table, and what is held, each with why and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wherry import limits
from wherry.observe.columns import Cell, columns
from wherry.observe.durations import show_ago, show_moment, show_ms
from wherry.observe.paint import PLAIN, Paint, in_line
from wherry.ports import Depth, PausedRow

_HEAD = ["queue", "waiting", "running", "failed", "oldest due for"]


def queues_text(rows: list[Depth], paused: list[PausedRow], now_ms: int, paint: Paint) -> str:
    """Return a line for each queue; below, what is held.

    The column `behind` is there where messages wait behind others of their group, or of their key.
    """
    if not rows:
        return "\n".join(["There are no queues.", *held(rows, paused, now_ms, paint)])
    behind = any(row.behind for row in rows)
    head = [*_HEAD[:2], *(["behind"] if behind else []), *_HEAD[2:]]
    table = columns(
        head, [_row(row, behind) for row in rows], paint, right="waiting behind running failed"
    )
    told = held(rows, paused, now_ms, paint)
    return "\n".join([table, *([""] if told else []), *told])


def held(
    rows: Iterable[Depth], paused: Iterable[PausedRow], now_ms: int, paint: Paint = PLAIN
) -> list[str]:
    """Return two lines for each pause and each blocked group: what it is, and how to end it."""
    found = [line for row in paused for line in _pause(row, now_ms, paint)]
    return found + [line for row in rows for line in _blocked(row, now_ms, paint)]


def _row(row: Depth, behind: bool) -> list[Cell]:
    marks = [*(["paused"] if row.paused else []), *([] if row.declared else ["not declared"])]
    name: Cell = ("warn", f"{row.queue} ({', '.join(marks)})") if marks else row.queue
    waiting: list[Cell] = [str(row.waiting), *([_many(row.behind)] if behind else [])]
    failed: Cell = ("bad", str(row.failed)) if row.failed else "0"
    oldest = show_ms(row.oldest_ms) if row.waiting else "-"
    return [name, *waiting, str(row.leased), failed, oldest]


def _pause(row: PausedRow, now_ms: int, paint: Paint) -> Iterator[str]:
    what = in_line(row.function) if row.function else "The whole app"
    since = f"since {show_moment(row.since_ms)} ({show_ago(now_ms, row.since_ms)})"
    yield paint("warn", f"{what} is paused {since} by {in_line(row.actor)}.")
    yield paint("dim", f"  wherry resume {in_line(row.function)}".rstrip())


def _blocked(row: Depth, now_ms: int, paint: Paint) -> Iterator[str]:
    for group in row.blocked:
        yield paint(
            "bad",
            f"{row.queue}: the group {in_line(group.group)} waits for the failure {group.failure} "
            f"({show_ago(now_ms, group.failed_at_ms)}), {_many(group.behind)} behind it.",
        )
        yield paint("dim", f"  wherry failures show {group.failure}, then redrive or discard it")
    more = row.blocked_groups - len(row.blocked)
    if more > 0:
        many = _many(more) if row.blocked_groups < limits.HELD_COUNTED else f"{more:,} or more"
        yield paint("bad", f"{row.queue}: {many} more groups wait for a failure.")
        yield paint("dim", f"  wherry failures list --queue {row.queue}")


def _many(count: int) -> str:
    return f"{count:,} or more" if count >= limits.HELD_COUNTED else str(count)
