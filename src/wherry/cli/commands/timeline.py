"""`wherry timeline`: a request and all that followed it."""

from __future__ import annotations

import click

from wherry.cli.backend import Backend, connected
from wherry.cli.groups import examples
from wherry.cli.options import data_option, json_option
from wherry.cli.output import near, paint, show, show_json
from wherry.errors import Refused
from wherry.ports import GetTimeline, RecentRecords, TimelineRows

RECORDS = 1_000  # looked through for an ID that was cut short
NAMED = 5  # of those that begin with what was given


@click.command(
    short_help="Show a request and all that followed it.",
    epilog=examples(
        "wherry timeline",
        "wherry timeline 019ac1f2",
    ),
)
@click.argument("correlation_id", required=False, default="")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="Without an ID."
)
@data_option
@json_option
def timeline(correlation_id: str, limit: int, data: str, as_json: bool) -> None:
    """Show the request CORRELATION_ID and all that followed it, on one page.

    The beginning of an ID is enough, if no other of the newest has it. Without one the newest
    requests are listed. Every reply names its ID in X-Correlation-Id. How long each commit took is
    in the log lines (`wherry logs --correlation ID`): a record is part of the commit that it tells
    of.
    """
    from wherry.observe.timeline import recent_text, timeline_text
    from wherry.world import SystemClock

    now_ms = SystemClock().now_ms()
    with connected(data) as backend:
        if not correlation_id:
            recent: TimelineRows = backend.ask(RecentRecords(None, RECORDS))
            if as_json:
                show_json(recent.records[:limit])
            else:
                show(recent_text(recent.records, now_ms, limit, paint()))
            return
        found, rows = find_timeline(backend, correlation_id)
    if as_json:
        show_json({"correlation_id": found, **_by_name(rows)})
    else:
        show(timeline_text(rows, found, now_ms, paint()))


def find_timeline(backend: Backend, wanted: str) -> tuple[str, TimelineRows]:
    """Return the whole correlation ID and its timeline.

    Raises:
        Refused: Nothing is known of it, or it is the beginning of several.
    """
    rows: TimelineRows = backend.ask(GetTimeline(wanted))
    if rows.records or rows.waiting or rows.failures:
        return wanted, rows
    recent: TimelineRows = backend.ask(RecentRecords(None, RECORDS))
    known = list(dict.fromkeys(record.correlation_id for record in recent.records))
    begun = [one for one in known if one.startswith(wanted)]
    if len(begun) == 1:
        return begun[0], backend.ask(GetTimeline(begun[0]))
    if begun:
        newest = ", ".join(begun[:NAMED])
        raise Refused(
            f"{len(begun)} correlation IDs begin with {wanted!r}.",
            advice=f"Give more of it. {'The newest are' if len(begun) > NAMED else 'They are'}: "
            f"{newest}.",
        )
    raise Refused(
        f"Nothing is known of {wanted!r}.{near(wanted, known)}",
        advice="A request that was refused before a function was called is in the log alone: "
        f"wherry logs --correlation {wanted}\n"
        "`wherry timeline` lists the newest requests; records are kept for 7 days.",
    )


def _by_name(rows: TimelineRows) -> dict[str, object]:
    return {"records": rows.records, "waiting": rows.waiting, "failures": rows.failures}
