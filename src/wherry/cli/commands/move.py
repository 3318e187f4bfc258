"""`wherry move`: from the folder of one machine to a Postgres, and to S3."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from wherry.cli.groups import examples
from wherry.cli.options import data_option, json_option
from wherry.cli.output import paint, show, show_json
from wherry.errors import Refused
from wherry.observe.columns import Cell, columns

if TYPE_CHECKING:
    from wherry.cli.moving.move import Moved
    from wherry.engine.storeplace import StorePlace
    from wherry.platforms.s3.remote import Remote
    from wherry.world import Clock


@click.command(
    short_help="Move all data from the folder to Postgres and S3.",
    epilog=examples(
        "wherry move --to postgres://shop@db.internal/shop --objects s3://shop-objects/prod",
        "wherry move --to-file /etc/shop/store --data /var/lib/shop",
    ),
)
@click.option(
    "--to",
    default="",
    metavar="URL",
    help="The Postgres, without a password: postgres://USER@HOST/DATABASE (WHERRY_STORE).",
)
@click.option(
    "--to-file",
    default="",
    metavar="FILE",
    help="A file of mode 0600 with the URL of the Postgres, password and all.",
)
@click.option(
    "--objects",
    default="",
    metavar="URL",
    help="Where content of objects is to lie: s3://BUCKET/PREFIX.",
)
@click.option(
    "--objects-endpoint",
    default="",
    metavar="URL",
    help="Of an S3-compatible store (AWS_ENDPOINT_URL_S3, or AWS's own).",
)
@data_option
@json_option
def move(
    to: str, to_file: str, objects: str, objects_endpoint: str, data: str, as_json: bool
) -> None:
    """Move the data of a stopped engine to a Postgres, and content of objects to S3.

    Started again after anything that stopped it, it goes on where it was. At the end all is read
    again and compared; only then engines find it. The folder stays as it is.
    """
    from wherry.cli.moving.move import Move, run
    from wherry.cli.moving.source import Source
    from wherry.world import Chance, SystemClock

    place, clock = _place(to, to_file), SystemClock()
    if objects_endpoint and not objects:
        raise click.BadParameter("Say --objects s3://BUCKET too.", param_hint="--objects-endpoint")
    _need_asyncpg()
    with ExitStack() as stack:
        remote = _remote(objects, objects_endpoint, clock)
        if remote is not None:
            stack.callback(remote.close)
        source = stack.enter_context(Source(data))
        moved = run(Move(source, place, remote, clock, Chance(), _teller()))
    if as_json:
        show_json(moved)
    else:
        _show(moved, data)


def _place(to: str, file: str) -> StorePlace:
    from wherry.engine.storeplace import chosen

    try:
        place = chosen(to, file, os.environ)
    except Refused as error:
        raise click.UsageError(str(error).replace("--store", "--to")) from None
    if place is None:
        raise click.UsageError("Say where to: --to postgres://USER@HOST/DATABASE.")
    return place


def _remote(objects: str, endpoint: str, clock: Clock) -> Remote | None:
    if not objects:
        return None
    from wherry.platforms.s3.place import Place, endpoint_of
    from wherry.platforms.s3.remote import Remote

    try:
        place = Place.of(objects, endpoint or endpoint_of(os.environ))
    except Refused as error:
        raise click.BadParameter(str(error), param_hint="--objects") from None
    return Remote(place, clock)


def _need_asyncpg() -> None:
    from importlib.util import find_spec

    if find_spec("asyncpg") is None:
        raise Refused(
            "A store on Postgres needs asyncpg, which is not installed.",
            advice="pip install 'wherry[postgres]'",
        )


def _teller() -> Callable[[str, int, int], None]:
    """Return what shows on a terminal how far it is, in one line that is written over."""
    if not sys.stderr.isatty():
        return lambda kind, count, total: None

    def tell(kind: str, count: int, total: int) -> None:
        click.echo(f"\r\x1b[K{kind} {count:,} of {total:,}", nl=False, err=True, color=True)
        if kind == "stops verified":
            click.echo("\r\x1b[K", nl=False, err=True, color=True)

    return tell


def _show(moved: Moved, data: str) -> None:
    rows: list[list[Cell]] = [
        [one.kind, f"{one.rows:,}", one.checksum] for one in moved.kinds if one.rows
    ]
    show(columns(["kind", "rows", "checksum"], rows, paint(), right="rows"))
    done = "was moved here before" if moved.before else "is moved, read again and compared"
    show(f"All of {data} {done}: {moved.store}")
    if moved.objects:
        show(f"Content of objects lies in {moved.objects}.")
    show("Start engines with --store and a new --data folder; keep this one as it is, and stopped.")
