"""`wherry failures`: the inbox of work that failed for good, and the ways out of it."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import BinaryIO

import click
import msgspec

from wherry import limits
from wherry.cli.actor import actor
from wherry.cli.backend import Backend, active_blueprint, connected
from wherry.cli.commands.executions import run_of
from wherry.cli.consumers import require_consumer, require_payload
from wherry.cli.groups import ListFirst, examples
from wherry.cli.options import data_option, json_option
from wherry.cli.output import near, note, paint, show, show_json
from wherry.errors import Refused
from wherry.observe.columns import Cell
from wherry.ports import (
    Count,
    Depths,
    Discard,
    FailedWork,
    Failures,
    GetTimeline,
    ListFailures,
    ListRedrives,
    QueueDepths,
    Redrive,
    RedriveAll,
    RedriveJob,
    RedriveJobs,
    Request,
    StopRedrive,
)
from wherry.tickets import payloads_bucket, ticket_of

AT_ONCE = 100  # redriven or discarded in one step
PAGE_END_CHARS = 18  # of a number that the store has given
PER_S = 50.0  # of a redrive of many: what failed together must not come back as a flood


class Inbox(ListFirst):
    """The verbs of the inbox; what is none of them may be an ID."""

    def meant(self, name: str) -> str:
        """Return how to look at the failure of this ID."""
        return f" One failure is shown by `wherry failures show {name}`."


@click.group(
    cls=Inbox,
    short_help="Look after work that failed.",
    epilog=examples(
        "wherry failures",
        "wherry failures show 3f2a",
        "wherry failures redrive 3f2a",
    ),
)
def failures() -> None:
    """Look after work that failed for good. Without a verb: list it.

    Work stays here for 14 days. The beginning of an ID is enough everywhere.
    """


queue_option = click.option("--queue", default=None, help="Only of this queue.")


@failures.command("list", epilog=examples("wherry failures list --queue exports --limit 10"))
@queue_option
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, AT_ONCE))
@click.option("--after", default=None, help="Go on where a page ended.")
@data_option
@json_option
def list_(queue: str | None, limit: int, after: str | None, data: str, as_json: bool) -> None:
    """List what waits, newest first."""
    from wherry.observe.failures import failure_fields, failures_text
    from wherry.world import SystemClock

    if after is not None and not (after.isdecimal() and len(after) <= PAGE_END_CHARS):
        raise click.BadParameter(
            f"{after!r} is no end of a page; the line below a page names it.", param_hint="--after"
        )
    with connected(data) as backend:
        _check_queue(backend, queue)
        found: Failures = backend.ask(ListFailures(queue, limit, after))
        runs = {row.id: run for row in found.rows if (run := run_of(backend, row)) is not None}
    if as_json:
        show_json([failure_fields(row, runs.get(row.id)) for row in found.rows])
        if found.after:
            note(f"{found.total} in all; the next page: --after {found.after}")
    else:
        show(failures_text(found, SystemClock().now_ms(), paint(), runs))


@failures.command(
    "show",
    epilog=examples("wherry failures show 3f2a", "wherry failures show 3f2a --payload > fix.json"),
)
@click.argument("id")
@click.option("--payload", is_flag=True, help="Its payload alone, as it was sent.")
@data_option
@json_option
def show_(id: str, payload: bool, data: str, as_json: bool) -> None:
    """Show one failure: its error, its payload, its timeline; of a workflow's run, which it is."""
    if payload:
        _show_payload(id, data)
        return
    from wherry.observe.failures import failure_fields, failure_text
    from wherry.observe.timeline import timeline_text
    from wherry.world import SystemClock

    with connected(data) as backend:
        row = _find(backend, id)
        run = run_of(backend, row)
        rows = backend.ask(GetTimeline(row.correlation_id))
    if as_json:
        show_json({"failure": failure_fields(row, run), "records": rows.records})
        return
    now_ms = SystemClock().now_ms()
    show(failure_text(row, now_ms, paint(), run))
    show("\n" + timeline_text(rows, row.correlation_id, now_ms, paint()))


@failures.command(
    short_help="Give work back to its queue: IDs, or all of a queue.",
    epilog=examples(
        "wherry failures redrive 3f2a",
        "wherry failures redrive --queue exports --per-second 20",
        "wherry failures redrive 3f2a --payload fixed.json",
    ),
)
@click.argument("ids", nargs=-1)
@queue_option
@click.option(
    "--payload",
    type=click.File("rb"),
    help="Redrive one message with this JSON instead; it gets a new ID. `-`: standard input.",
)
@click.option(
    "--per-second",
    type=click.FloatRange(0.1, limits.REDRIVE_RATE_MAX_PER_S),
    help=f"Of a queue: so many messages at most; {PER_S:g} where there are more than {AT_ONCE}.",
)
@data_option
@json_option
def redrive(
    ids: tuple[str, ...],
    queue: str | None,
    payload: BinaryIO | None,
    per_second: float | None,
    data: str,
    as_json: bool,
) -> None:
    """Give work back to its queue, after the cause is gone: IDs, or all of a queue.

    A message keeps its identity: what it had already done is not done again. The more often it
    was redriven in vain, the longer it waits. Many go back little by little, also after a restart:
    `wherry failures redrives` shows how far it is, `wherry failures stop QUEUE` ends it.
    """
    _one_way(ids, queue)
    if per_second is not None and not isfinite(per_second):
        raise click.BadParameter("It is not a number.", param_hint="--per-second")
    body = None if payload is None else _json(payload.read())
    if body is not None and len(ids) != 1:
        raise click.UsageError("--payload edits one message: name its ID.")
    if ids and per_second is not None:
        raise click.UsageError("--per-second is for a --queue: what is named by ID goes at once.")
    with connected(data) as backend:
        blueprint = active_blueprint(backend)
        if queue is not None:
            _check_queue(backend, queue)
            require_consumer(blueprint, queue)
        if body is not None:
            from wherry.world import Chance

            new_id = Chance().token(16).hex()
            failed = _find(backend, ids[0])
            require_consumer(blueprint, failed.queue)
            was = failed.body if ticket_of(failed.body) is None else b"null"
            values = (msgspec.json.decode(one) for one in (body, was))
            require_payload(blueprint, failed.queue, *values)
            count = _count(backend.ask(Redrive([failed.id], None, actor(), body, new_id)))
        elif ids:
            found = [_find(backend, one) for one in ids]
            for one in found:
                require_consumer(blueprint, one.queue)
            count = _count(backend.ask(Redrive([one.id for one in found], None, actor())))
        elif _check_queue(backend, queue) > AT_ONCE or per_second is not None:
            rate = PER_S if per_second is None else per_second
            job: RedriveJob = backend.ask(RedriveAll(str(queue), rate, actor()))
            _told_jobs([job], as_json)
            return
        else:
            count = _count(backend.ask(Redrive([], queue, actor(), limit=AT_ONCE)))
    _told("redriven", count, as_json, new_id if body is not None else "")


@failures.command(epilog=examples('wherry failures discard 3f2a --reason "test data"'))
@click.argument("ids", nargs=-1)
@queue_option
@click.option("--reason", default="", help="Why; it is needed, and kept.")
@data_option
@json_option
def discard(ids: tuple[str, ...], queue: str | None, reason: str, data: str, as_json: bool) -> None:
    """Give work up, with a reason: IDs, or all of a queue."""
    _one_way(ids, queue)
    with connected(data) as backend:
        found = [_find(backend, one).id for one in ids]
        if queue is not None:
            _check_queue(backend, queue)
        if not reason.strip():  # asked for last: first it must be known what is meant
            raise click.UsageError('Say why: --reason "...". It is kept.')
        if ids:
            count = _count(backend.ask(Discard(found, None, reason, actor())))
        else:
            count = _all_of(
                backend, queue, lambda limit: Discard([], queue, reason, actor(), limit)
            )
    _told("discarded", count, as_json)


@failures.command(epilog=examples("wherry failures redrives"))
@data_option
@json_option
def redrives(data: str, as_json: bool) -> None:
    """Show the redrives of whole queues that are under way."""
    with connected(data) as backend:
        jobs: RedriveJobs = backend.ask(ListRedrives())
    _told_jobs(jobs.rows, as_json)


@failures.command(
    short_help="Stop the redrive of a queue.", epilog=examples("wherry failures stop exports")
)
@click.argument("queue")
@data_option
def stop(queue: str, data: str) -> None:
    """Stop the redrive of a queue. What is left of it stays in the inbox."""
    with connected(data) as backend:
        _check_queue(backend, queue)
        count: Count = backend.ask(StopRedrive(queue, actor()))
    none = f"No redrive of {queue!r} is under way."
    show(f"The redrive of {queue!r} is stopped." if count.count else none)


def _told_jobs(jobs: list[RedriveJob], as_json: bool) -> None:
    from wherry.observe.columns import columns

    if as_json:
        show_json(jobs)
    elif not jobs:
        show("No redrive is under way.")
    else:
        rows: list[list[Cell]] = [
            [job.queue, str(job.done), str(job.remaining), f"{job.per_s:g} a second", job.actor]
            for job in jobs
        ]
        head = ["queue", "redriven", "left", "at", "by"]
        show(columns(head, rows, paint(), right="redriven left"))


# -- helpers ---------------------------------------------------------------------------------------


def _one_way(ids: tuple[str, ...], queue: str | None) -> None:
    if bool(ids) == (queue is not None):
        raise click.UsageError("Name IDs, or a --queue.")


def _show_payload(id: str, data: str) -> None:
    """Print a payload, also one that travels as an object."""
    with connected(data) as backend:
        row = _find(backend, id)
        run = run_of(backend, row)
        body = row.body if run is None else run.input or b"null"
        ticket = ticket_of(body)
        if ticket is not None:
            body = backend.content(payloads_bucket(row.queue), ticket.wherry_claim)
    show(body.decode("utf-8", "replace"))


def _find(backend: Backend, wanted: str) -> FailedWork:
    """Return failed work by its ID or the beginning of it."""
    exact: Failures = backend.ask(ListFailures(None, 1, None, wanted))
    if exact.rows:
        return exact.rows[0]
    newest: Failures = backend.ask(ListFailures(None, AT_ONCE, None))
    begun = [row for row in newest.rows if row.id.startswith(wanted)]
    if len(begun) == 1:
        return begun[0]
    known = [row.id for row in newest.rows]
    if begun:
        raise Refused(
            f"{len(begun)} failures begin with {wanted!r}.",
            advice=", ".join(row.id for row in begun[:5]),
        )
    raise Refused(
        f"There is no failure {wanted!r} in the inbox.{near(wanted, known)}",
        advice="`wherry failures` lists what is there."
        if known
        else "The inbox is empty: it was redriven, discarded, or kept for its 14 days.",
    )


def _check_queue(backend: Backend, queue: str | None) -> int:
    """Return how much has failed in a queue that there is (in all for None)."""
    depths: Depths = backend.ask(QueueDepths())
    failed = {row.queue: row.failed for row in depths.rows}
    if queue is None:
        return sum(failed.values())
    if queue not in failed:
        names = ", ".join(failed) or "none"
        raise Refused(
            f"There is no queue {queue!r}.{near(queue, failed)}", advice=f"There are: {names}."
        )
    return failed[queue]


def _all_of(backend: Backend, queue: str | None, request: Callable[[int], Request]) -> int:
    """Take what is in the inbox now, step by step; what fails meanwhile is left."""
    left = _check_queue(backend, queue)
    total = 0
    while left > 0:
        count = _count(backend.ask(request(min(AT_ONCE, left))))
        total += count
        left -= count
        if count == 0:
            break
    return total


def _count(answer: Count) -> int:
    return answer.count


def _json(body: bytes) -> bytes:
    try:
        msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(f"The payload is no JSON: {error}.") from None
    if len(body) > limits.MESSAGE_BYTES:
        raise Refused(f"A message has at most {limits.MESSAGE_BYTES} bytes.")
    return body.strip()


def _told(what: str, count: int, as_json: bool, new_id: str = "") -> None:
    if as_json:
        show_json({what: count, **({"new_id": new_id} if new_id else {})})
        return
    show(f"{count} {what}." + (f" Its new ID is {new_id}." if new_id else ""))
