"""`wherry run` and `wherry dev`: the same engine, for a server and for somebody who writes code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wherry import limits
from wherry.cli.groups import examples
from wherry.cli.options import data_option, target_argument
from wherry.cli.output import paint
from wherry.cli.target import find_target

if TYPE_CHECKING:
    from wherry.blueprint import Blueprint
    from wherry.engine.storeplace import StorePlace

F = TypeVar("F", bound=Callable[..., Any])
PREFIX = "WHERRY_"
SECRET_PREFIX = "WHERRY_SECRET_"
KNOWN = (*limits.SETTINGS, "WHERRY_STORE")
TYPING_ERROR = 0.8  # how much alike (`difflib`) a name is that was meant


def serving(fn: F) -> F:
    """Add what both verbs take."""
    for option in (
        click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen."),
        click.option(
            "--port",
            default=8000,
            show_default=True,
            type=click.IntRange(0, 65_535),
            help="0 takes a free one.",
        ),
        click.option(
            "--public-url", default="", metavar="URL", help="How others reach it, behind a proxy."
        ),
        click.option(
            "--trusted-proxies",
            default="",
            metavar="NETWORKS",
            help="Whose X-Forwarded-For is believed: 10.0.0.0/8,::1",
        ),
        click.option(
            "--store",
            default="",
            metavar="URL",
            help="A Postgres that several machines share, without a password: "
            "postgres://USER@HOST/DATABASE (WHERRY_STORE, or a file of the data folder).",
        ),
        click.option(
            "--store-file",
            default="",
            metavar="FILE",
            help="A file of mode 0600 with the URL of the store, password and all.",
        ),
        click.option(
            "--objects-local",
            is_flag=True,
            help="With a Postgres store: content of objects lies in this machine's data folder, "
            "for it is the only one, or the app keeps none.",
        ),
        click.option(
            "--objects",
            default="",
            metavar="URL",
            help="Where content of objects lies: s3://BUCKET/PREFIX (the data folder).",
        ),
        click.option(
            "--objects-endpoint",
            default="",
            metavar="URL",
            help="Of an S3-compatible store (AWS_ENDPOINT_URL_S3, or AWS's own).",
        ),
        click.option(
            "--renamed",
            is_flag=True,
            help="The app has a new name since it ran on this store; once, at the first start.",
        ),
        click.option("--no-access-log", is_flag=True, help="No line for each request and attempt."),
        data_option,
    ):
        fn = option(fn)
    return target_argument(fn)


@click.command(
    short_help="Run an app as a server.",
    epilog=examples(
        "wherry run",
        "wherry run shop:app --data /var/lib/shop --port 8080",
        "wherry run --store postgres://shop@db.internal/shop --objects s3://shop-objects",
    ),
)
@serving
@click.option(
    "--leave-s",
    type=click.FloatRange(0, limits.LEAVE_MAX_S),
    help="From a stop until no request is taken any more; meanwhile /readyz says that the engine "
    "stops, so that a load balancer goes elsewhere "
    f"(with a Postgres store {limits.LEAVE_S:g}, else 0; a second signal, or Ctrl-C: at once).",
)
@click.option(
    "--no-keep-awake",
    is_flag=True,
    help="Let processors sleep while there is work: less power, longer answers.",
)
def run(**given: Any) -> None:
    """Run TARGET (module:app) as a server, until SIGTERM or Ctrl-C.

    Log lines are JSON, readable ones on a terminal. All state is in the data folder, or in a
    Postgres and an S3 that several machines share. SIGHUP or `wherry reload` loads the code again
    without a pause.
    """
    _serve(dev=False, inline=False, **given)


@click.command(
    short_help="Run an app while you write it.",
    epilog=examples(
        "wherry dev",
        "wherry dev shop:app --inline",
    ),
)
@serving
@click.option("--inline", is_flag=True, help="Handlers run in one process, for a debugger.")
def dev(inline: bool, **given: Any) -> None:
    """Run TARGET (module:app) while you write it.

    An edit is served as soon as it is saved; a version that does not load changes nothing.
    With --inline breakpoint() works in handlers; they are not isolated then, and an edit is served
    when it is started again.
    """
    _serve(dev=True, inline=inline, **given)


def _serve(
    *,
    target: str,
    folder: str,
    data: str,
    host: str,
    port: int,
    public_url: str,
    trusted_proxies: str,
    objects: str,
    objects_endpoint: str,
    objects_local: bool,
    store: str,
    store_file: str,
    no_access_log: bool,
    renamed: bool,
    dev: bool,
    inline: bool,
    no_keep_awake: bool = False,
    leave_s: float | None = 0.0,
) -> None:
    proxies = _networks(trusted_proxies)
    _check_url(public_url)
    _check_objects(objects, objects_endpoint)
    place = _place(store, store_file, objects, objects_local, inline)
    if leave_s is None:  # not said
        leave_s = limits.LEAVE_S if place else 0.0
    found = find_target(target, folder)
    from wherry.engine.options import Options
    from wherry.engine.server import serve

    write = _writer(readable=dev or sys.stdout.isatty())
    options = Options(
        target=found,
        folder=folder,
        data=data,
        host=host,
        port=port,
        public_url=public_url,
        proxies=proxies,
        renamed=renamed,
        dev=dev,
        inline=inline,
        access_log=not no_access_log,
        leave_s=leave_s,
        keep_awake=not (dev or no_keep_awake),
        objects=objects,
        objects_endpoint=objects_endpoint,
        store=place,
    )
    say = _teller(write)
    for name, meant in mistyped_settings(os.environ).items():
        say("warning", f"{name} is set, and nothing of wherry's is called so: {meant}, perhaps?")
    code = serve(options, pages=_pages, write=write, say=say)
    raise click.exceptions.Exit(code)


def mistyped_settings(variables: Iterable[str]) -> dict[str, str]:
    """Return which variables are nearly settings of wherry's, and which."""
    import difflib

    found: dict[str, str] = {}
    known = {name.removeprefix(PREFIX): name for name in KNOWN}
    for name in sorted(set(variables) - set(KNOWN)):
        if name.startswith(PREFIX) and not name.startswith(SECRET_PREFIX):
            rest = name.removeprefix(PREFIX)
            for near in difflib.get_close_matches(rest, known, n=1, cutoff=TYPING_ERROR):
                found[name] = known[near]
    return found


def _pages(blueprint: Blueprint) -> dict[str, tuple[str, bytes]]:
    """Make the API's pages; imported when somebody looks at them, not at the start."""
    from wherry.openapi import pages

    return pages(blueprint)


def _networks(text: str) -> tuple[str, ...]:
    from ipaddress import ip_network

    found = tuple(filter(None, text.replace(",", " ").split()))
    for one in found:
        try:
            ip_network(one, strict=False)
        except ValueError:
            raise click.BadParameter(
                f"{one!r} is neither an address nor a network.", param_hint="--trusted-proxies"
            ) from None
    return found


def _check_url(url: str) -> None:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query):
        raise click.BadParameter(
            f"{url!r} is no URL like https://api.example.com.", param_hint="--public-url"
        )


def _check_objects(objects: str, endpoint: str) -> None:
    from wherry.errors import Refused
    from wherry.platforms.s3.place import Place

    if endpoint and not objects:
        raise click.BadParameter("Say --objects s3://BUCKET too.", param_hint="--objects-endpoint")
    if objects:
        try:
            Place.of(objects, endpoint)
        except Refused as error:
            raise click.BadParameter(str(error), param_hint="--objects") from None


def _place(
    store: str, file: str, objects: str, objects_local: bool, inline: bool
) -> StorePlace | None:
    from wherry.engine.storeplace import chosen
    from wherry.errors import Refused

    try:
        place = chosen(store, file, os.environ)
    except Refused as error:
        raise click.UsageError(str(error)) from None
    if place is None:
        if objects_local:
            raise click.BadParameter("Say --store too.", param_hint="--objects-local")
        return None
    if inline:
        raise click.UsageError(
            "With --inline handlers run in the engine's process and would wait there for the "
            "database, and the engine with them. Leave out --inline, or the store."
        )
    if objects_local and objects:
        raise click.BadParameter(f"The objects lie in {objects}.", param_hint="--objects-local")
    if not objects and not objects_local:
        raise click.UsageError(
            "With a Postgres store any machine may be asked for any object, and its own data "
            "folder has only what came in there. Say --objects s3://BUCKET; or --objects-local "
            "where this machine is the only one, or the app keeps no objects."
        )
    return place


def _writer(readable: bool, fd: int = 1) -> Callable[[bytes], None]:
    """Return what writes log lines to standard output, past Python's buffer.

    Nothing that happens to the terminal may stop the engine: a reader that has gone is no fault.
    """

    def write(lines: bytes) -> None:
        with suppress(OSError):
            view = memoryview(lines)
            while view:
                view = view[os.write(fd, view) :]

    if not readable:
        return write
    from wherry.observe.loglines import readable as rendered

    colours = paint()

    def render(lines: bytes) -> None:
        text = "".join(f"{rendered(line, colours)}\n" for line in lines.splitlines())
        write(text.encode("utf-8", "replace"))

    return render


def _teller(write: Callable[[bytes], None]) -> Callable[..., None]:
    """Return what tells the engine's own news: as log lines, so that one stream holds all.

    News of several lines, such as the findings of a version that is not taken over, is a log line
    for each of them: nobody finds the third fault in one long line.
    """
    from wherry.engine.journal import stamp
    from wherry.handles.logs import finish
    from wherry.world import SystemClock

    clock = SystemClock()

    def say(level: str, message: str) -> None:
        now = stamp(clock.now_ms())
        head = {"level": level.upper(), "timestamp": now}
        lines = filter(str.strip, message.splitlines())
        write(b"".join(finish({**head, "message": one, "service": "wherry"}) for one in lines))

    return say
