"""`wherry logs`: log lines of a data folder, and those that come."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

import click

from wherry import limits
from wherry.cli.groups import examples
from wherry.cli.options import data_option, json_option
from wherry.cli.output import note, paint
from wherry.observe.loglines import LEVELS, Wanted, read_line, readable

LOOK_AGAIN_S = 0.2


@click.command(
    short_help="Show log lines, and follow them.",
    epilog=examples(
        "wherry logs --follow",
        "wherry logs --function create_order --level warning --since 10m",
    ),
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--function", default="", help="Only of this function.")
@click.option("--correlation", default="", metavar="ID", help="Only of this correlation ID.")
@click.option(
    "--level",
    type=click.Choice([level.lower() for level in LEVELS], case_sensitive=False),
    default="debug",
    help="Only from this level on.",
)
@click.option("--since", default="", metavar="TIME", help="10m, 2h, 1d or 2026-11-21T12:00 (UTC).")
@data_option
@json_option
def logs(
    follow: bool,
    function: str,
    correlation: str,
    level: str,
    since: str,
    data: str,
    as_json: bool,
) -> None:
    """Show the log lines of a data folder, the oldest first.

    A line says when, level, function, message, fields and the beginning of the correlation ID;
    with --json lines are as they were written. Times are UTC.
    """
    from wherry.engine.datafolder import DataFolder
    from wherry.observe.durations import read_since
    from wherry.world import SystemClock, pause

    since_ms = read_since(since, SystemClock().now_ms()) if since else 0
    wanted = Wanted(function, correlation, level.upper(), since_ms)
    colours = paint()
    filtered = wanted != Wanted()
    wait = (lambda: pause(LOOK_AGAIN_S)) if follow else None
    empty = True
    try:
        for line in lines_of(DataFolder.at(data).logs, wait):
            if filtered:
                record = read_line(line)
                if record is None or not wanted.fits(record):
                    continue
            shown = line.decode("utf-8", "replace") if as_json else readable(line, colours) + "\n"
            sys.stdout.write(shown)
            empty = False
            if follow:
                sys.stdout.flush()
        sys.stdout.flush()
        if empty:
            note("No line is like that." if filtered else "Nothing has been logged yet.")
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # `wherry logs | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def lines_of(folder: str, wait: Callable[[], None] | None) -> Iterator[bytes]:
    """Yield whole lines of all files, the oldest first; with `wait` also those that come.

    A file that is rotated is read to its end before the one after it, so that no line is lost.

    Args:
        wait: Called when nothing is there to read. None: that is the end.
    """
    newest = os.path.join(folder, "app.jsonl")
    paths = [newest, *(f"{newest}.{number}" for number in range(1, limits.LOG_FILES))]
    file = _first(paths)
    while file is None:
        if wait is None:
            return
        wait()
        file = _first(paths)
    rest = b""
    try:
        while True:
            place = _place(file, paths)  # looked at before reading: nothing comes after it then
            for line in file:
                rest += line
                if rest.endswith(b"\n"):
                    yield rest
                    rest = b""
            after = _first(paths[:place])
            if after is None:
                if wait is None:
                    return
                wait()
            elif _place(file, paths) == place:
                file.close()
                file = after
            else:
                after.close()  # it was rotated meanwhile: the next one is another now
    finally:
        file.close()


def _first(paths: list[str]) -> BinaryIO | None:
    """Open the oldest file."""
    return next((file for path in reversed(paths) if (file := _opened(path)) is not None), None)


def _opened(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        return None


def _place(file: BinaryIO, paths: list[str]) -> int:
    """Return where an open file stands now; beyond the end where it has been dropped."""
    own = os.fstat(file.fileno()).st_ino
    for place, path in enumerate(paths):
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == own:
                return place
    return len(paths)
