"""The timeline: a request with all that followed it, on one page of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from wherry.observe.columns import Cell, columns
from wherry.observe.durations import show_ago, show_moment, show_ms
from wherry.observe.paint import PLAIN, Paint, Style, in_line
from wherry.observe.threads import Attempt, Thread, threads
from wherry.ports import TimelineRows
from wherry.telemetry import InvocationRecord, origin_of

BAR = 24  # characters
MARKS = 10  # of one attempt that are shown
ERROR_CHARS = 300

_STYLES: dict[str, Style] = {
    "ok": "good",
    "duplicate": "good",
    "refused": "warn",
    "conflict": "warn",
    "condition": "warn",
    "failed": "bad",
    "died": "bad",
    "timeout": "bad",
}
_EXPLAINED = {
    "refused": "refused",
    "failed": "failed",
    "died": "its process died",
    "timeout": "over its time",
    "conflict": "lost a conflict",
    "condition": "a condition did not hold",
    "duplicate": "answered before",
}


class _Line(msgspec.Struct, frozen=True):
    """A line of the tree: an attempt with its times, or only words."""

    at_ms: float | None
    text: str
    style: Style = "plain"
    attempt: Attempt | None = None


def timeline_text(
    rows: TimelineRows, correlation_id: str, now_ms: int, paint: Paint = PLAIN
) -> str:
    """Return one page: each attempt with when, what, how it ended, waiting, running, and a bar.

    Times are relative to the first thing that happened. In a bar `·` is waiting, `█` running.
    """
    roots = threads(rows)
    if not roots:
        return f"Nothing is known of {in_line(correlation_id)}."
    begin_ms = min(root.at_ms for root in roots)
    end_ms = max(
        (attempt.ends_ms for root in roots for one in root.walk() for attempt in one.attempts),
        default=begin_ms,
    )
    lines = [line for root in roots for line in _thread(root, 0, now_ms)]
    head = _head(roots, correlation_id, begin_ms, end_ms, paint)
    return "\n".join([*head, "", *_laid_out(lines, begin_ms, end_ms, paint)])


def _head(
    roots: list[Thread], correlation_id: str, begin_ms: float, end_ms: float, paint: Paint
) -> list[str]:
    first = roots[0]
    told = in_line(first.label)
    if first.attempts and not first.is_message:
        last = first.attempts[-1]
        took = show_ms(last.ends_ms - first.at_ms)
        told += f" took {took} and was answered with {last.record.status or last.record.ending}"
    everything = [thread for root in roots for thread in root.walk()]
    failed = sum(thread.failure is not None for thread in everything)
    if any(root.open for root in roots):
        told += "; not all is done yet"
    elif len(everything) > 1:
        told += f"; all was done after {show_ms(end_ms - begin_ms)}"
    if failed:
        told += f"; {failed} failed"
    moment = f"{show_moment(int(begin_ms))}, correlation ID {in_line(correlation_id)}"
    return [paint("strong", told), paint("dim", moment)]


# -- the tree --------------------------------------------------------------------------------------


def _thread(thread: Thread, depth: int, now_ms: int) -> Iterator[_Line]:
    indent = "   " * depth
    branch = f"{indent[:-3]}└─ " if depth else ""
    several = len(thread.attempts) > 1
    if not thread.attempts:
        yield _Line(thread.at_ms, branch + in_line(thread.label))
    unclaimed = list(thread.children)
    for number, attempt in enumerate(thread.attempts):
        record = attempt.record
        if attempt.redriven:
            yield _Line(None, f"{indent}redriven", "warn")
        text = f"{branch}{in_line(thread.label)}  {in_line(record.function)}"
        if number:
            text = f"{indent}attempt {record.attempt}"
            text += " again" if record.attempt == thread.attempts[number - 1].record.attempt else ""
        elif several:
            text += f", attempt {record.attempt}"
        yield _Line(record.at_ms, text, "plain", attempt)
        yield from _details(attempt, f"{indent}     ")
        led_to = {*(id for _, id in attempt.sent()), *attempt.origins()}
        for child in [one for one in unclaimed if {one.id, origin_of(one.id)} & led_to]:
            unclaimed.remove(child)
            yield from _thread(child, depth + 1, now_ms)
    yield from _rest(thread, indent, now_ms)


def _details(attempt: Attempt, indent: str) -> Iterator[_Line]:
    record = attempt.record
    marks = list(_marks(attempt))
    for mark in marks[:MARKS]:
        yield _Line(None, indent + in_line(mark, 100), "dim")
    if len(marks) > MARKS:
        yield _Line(None, f"{indent}... and {len(marks) - MARKS} more", "dim")
    if record.error:
        yield _Line(None, indent + in_line(record.error, ERROR_CHARS), _STYLES[record.ending])
    if record.ending not in ("ok", "duplicate") and any(map(_changes, record.marks)):
        yield _Line(None, f"{indent}nothing of it was applied", "dim")


def _marks(attempt: Attempt) -> Iterator[str]:
    """Yield what was read and changed; what a step did stands below the step."""
    steps = list(attempt.steps)
    for mark in attempt.record.marks:
        yield mark
        if mark.startswith("step ") and steps:
            yield from (f"   {inner}" for inner in steps.pop(0).marks)
    for step in steps:  # its attempt ended before it could tell
        yield "step"
        yield from (f"   {inner}" for inner in step.marks)


def _changes(mark: str) -> bool:
    return mark.partition(" ")[0] in ("put", "update", "delete", "send", "cancel")


def _rest(thread: Thread, indent: str, now_ms: int) -> Iterator[_Line]:
    """Say what has become of a message that is not simply done."""
    waiting, failure = thread.waiting, thread.failure
    if waiting is not None and waiting.leased:
        yield _Line(None, f"{indent}attempt {waiting.attempt} is running", "warn")
    elif waiting is not None and waiting.held:
        why = "its function is paused" if waiting.held == "paused" else "others of its group first"
        yield _Line(None, f"{indent}attempt {waiting.attempt + 1} waits: {why}", "warn")
    elif waiting is not None:
        due_ms = waiting.visible_at_ms - now_ms
        when = f"is due in {show_ms(due_ms)}" if due_ms > 0 else "is due"
        yield _Line(None, f"{indent}attempt {waiting.attempt + 1} {when}", "warn")
    if failure is not None:
        told = f"failed for good {show_ago(now_ms, failure.failed_at_ms)}"
        told += f" after {failure.attempts} attempt{'s' if failure.attempts != 1 else ''}: "
        yield _Line(None, f"{indent}{told}wherry failures show {failure.id}", "bad")
    gone = waiting is None and failure is None
    if gone and thread.is_message and not any(_ended_well(one.record) for one in thread.attempts):
        yield _Line(
            None,
            f"{indent}it was cancelled, discarded, edited, a repeat, or its retention ended",
            "warn",
        )


def _ended_well(record: InvocationRecord) -> bool:
    return record.ending in ("ok", "duplicate")


# -- the page --------------------------------------------------------------------------------------


def _laid_out(
    lines: Iterable[_Line], begin_ms: float, end_ms: float, paint: Paint
) -> Iterator[str]:
    lines = list(lines)
    timed = [line for line in lines if line.at_ms is not None]
    when = {id(line): f"+{show_ms(max(0.0, (line.at_ms or 0) - begin_ms))}" for line in timed}
    when_wide = max(map(len, when.values()))
    wide = max(len(line.text) for line in timed)
    endings = [_ending(line.attempt.record) for line in timed if line.attempt]
    ending_wide = max(map(len, ["ended", *endings]))
    head = f"{'when':>{when_wide}}  {'what':{wide}}  {'ended':{ending_wide}}"
    yield paint("dim", f"{head}  {'waited':>8}  {'ran':>8}")
    for line in lines:
        moment = paint("dim", when.get(id(line), "").rjust(when_wide))
        if line.attempt is None:
            yield f"{moment}  {paint(line.style, line.text)}"
            continue
        record = line.attempt.record
        ending = paint(_STYLES[record.ending], _ending(record).ljust(ending_wide))
        times = f"{show_ms(record.waited_ms):>8}  {show_ms(record.ran_ms):>8}"
        bar = _bar(line.attempt, begin_ms, end_ms)
        cold = paint("dim", " cold") if record.cold else ""
        yield f"{moment}  {line.text.ljust(wide)}  {ending}  {times}  {bar}{cold}"


def _ending(record: InvocationRecord) -> str:
    if record.status:
        return str(record.status)
    return _EXPLAINED.get(record.ending, record.ending)


def _bar(attempt: Attempt, begin_ms: float, end_ms: float) -> str:
    scale = BAR / max(end_ms - begin_ms, 0.001)

    def place(at_ms: float) -> int:
        return min(BAR - 1, max(0, int((at_ms - begin_ms) * scale)))

    first, begins, ends = map(
        place, (attempt.record.at_ms, attempt.begins_ms, max(attempt.begins_ms, attempt.ends_ms))
    )
    cells = [" "] * BAR
    cells[first:begins] = "·" * (begins - first)
    cells[begins : ends + 1] = "█" * (ends + 1 - begins)
    return f"▕{''.join(cells)}▏"


# -- which one -------------------------------------------------------------------------------------


def recent_text(
    records: list[InvocationRecord], now_ms: int, most: int, paint: Paint = PLAIN
) -> str:
    """List the newest requests, to choose from: one line for each correlation ID."""
    found: dict[str, list[InvocationRecord]] = {}
    for record in sorted(records, key=lambda one: (-one.at_ms, -one.number)):
        found.setdefault(record.correlation_id, []).append(record)
    if not found:
        return "No request is remembered yet."
    rows: list[list[Cell]] = []
    for correlation_id, group in list(found.items())[:most]:
        roots = threads(TimelineRows(group, [], []))
        root = roots[0]
        first = root.attempts[-1].record
        jobs = [
            thread.attempts[-1].record
            for one in roots
            for thread in one.walk()
            if thread.is_message and thread.attempts
        ]
        rows.append(
            [
                correlation_id,
                show_ago(now_ms, first.at_ms),
                first.trigger,
                (_STYLES[first.ending], _ending(first)),
                show_ms(root.attempts[-1].ends_ms - root.at_ms),
                _background(jobs),
            ]
        )
    head = ["correlation ID", "when", "what", "ended", "took", "background"]
    table = columns(head, rows, paint, right="took")
    return f"{table}\n\n{paint('dim', 'wherry timeline CORRELATION_ID shows one of them.')}"


def _background(jobs: list[InvocationRecord]) -> Cell:
    if not jobs:
        return ""
    told = f"{len(jobs)} job{'s' if len(jobs) != 1 else ''}"
    bad = next((job for job in jobs if _STYLES[job.ending] != "good"), None)
    return (_STYLES[bad.ending], f"{told}, {_ending(bad)}") if bad else ("good", told)
