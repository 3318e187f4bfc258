"""Which store an engine is on: the SQLite file of its data folder, or a Postgres that others share.

The address of a Postgres may hold a password. It is never shown, and never taken from a command
line, which everybody on the machine can read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import msgspec

from wherry.engine.datafolder import read_private, write_private
from wherry.errors import Refused
from wherry.platforms.postgres.hosts import SYSTEM_ROOTS

if TYPE_CHECKING:
    from wherry.engine.datafolder import DataFolder

VARIABLE = "WHERRY_STORE"
EXAMPLE = "postgres://wherry@db.internal:5432/shop"
_SECRET = ("password", "sslpassword")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# What libpq knows and asyncpg would take for a setting of the server. They are left out: how long
# is waited for what is wherry's own affair, and so is what is sent in which encoding.
_LEFT_OUT = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "client_encoding",
    "fallback_application_name",
    "channel_binding",
)


class StorePlace:
    """A Postgres database.

    Args:
        dsn: Its address, perhaps with a password.
        file: The file that it was read from; "" where it came another way.

    Raises:
        Refused: It is no address of a Postgres, or asks for what cannot be had.

    Attributes:
        dsn: The address as asyncpg takes it.
        shown: What may be seen of it.
    """

    def __init__(self, dsn: str, file: str = "") -> None:
        self.file = file
        try:
            parts = urlsplit(dsn)
            query = _fields(parts.query)
            before, at, host = parts.netloc.rpartition("@")
            for one in host.split(","):
                _ = urlsplit(f"//{one}").port
        except ValueError:  # whose text might show the password
            raise _no_address() from None
        if parts.scheme not in ("postgres", "postgresql") or parts.fragment:
            raise _no_address()
        if "@" in before + parts.path + parts.query:  # what is before it may be of a password
            raise _no_address()
        self._secrets = [text for name, text in query if name in _SECRET and text]
        user, colon, password = before.partition(":")
        if colon and password:
            self._secrets += [password, unquote(password)]
        _see_files(dict(query))
        _see_binding(dict(query))
        self.dsn = _for_asyncpg(dsn)
        shown = urlencode([one for one in query if one[0] not in _SECRET], safe="/")
        self.shown = urlunsplit((parts.scheme, f"{user}{at}{host}", parts.path, shown, ""))

    @property
    def has_password(self) -> bool:
        """Whether the address holds one."""
        return bool(self._secrets)

    def told(self, error: object) -> str:
        """Return what an error says, without a password."""
        text = str(error)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        return f"StorePlace({self.shown})"


class _Remembered(msgspec.Struct, frozen=True):
    """What a data folder remembers of the store of its engine; never a password."""

    store: str
    file: str = ""


def _fields(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []


def _for_asyncpg(dsn: str) -> str:
    address, _, query = dsn.partition("?")
    kept = "&".join(one for one in query.split("&") if one.partition("=")[0] not in _LEFT_OUT)
    return f"{address}?{kept}" if kept else address


def _see_files(fields: Mapping[str, str]) -> None:
    for name in _FILES:
        path = fields.get(name, "")
        if not path or (name, path) == SYSTEM_ROOTS:
            continue
        try:
            open(path, "rb").close()
        except OSError as error:
            raise Refused(
                f"The address of the store says {name}={path}, which cannot be read: "
                f"{error.strerror}.",
                advice="Put the file there, for the engine's user to read, or name another one.",
            ) from None


def _see_binding(fields: Mapping[str, str]) -> None:
    bound = fields.get("channel_binding") == "require"
    if bound and fields.get("sslmode") != "verify-full" and SYSTEM_ROOTS not in fields.items():
        raise Refused(
            "The address of the store says channel_binding=require, which asyncpg cannot do.",
            advice="Say sslmode=verify-full too: then the certificate tells who the database is.",
        )


def _no_address() -> Refused:
    return Refused(
        "This is no address of a Postgres database.",
        advice=f"Write it so: {EXAMPLE}; in a password write %2F for /, %3F for ?, %40 for @, "
        "%23 for #, %26 for &, %25 for %.",
    )


def chosen(store: str, file: str, variables: Mapping[str, str]) -> StorePlace | None:
    """Return which Postgres is meant, if any: of the command line first, then of WHERRY_STORE.

    Raises:
        Refused: Both are given, an address is none, or has a password where others can read it.
    """
    if store and file:
        raise Refused("--store and --store-file both say where the state is.", advice="Say one.")
    if file:
        return _read(file)
    if store:
        place = StorePlace(store)
        if place.has_password:
            raise Refused(
                "--store holds a password, which everybody on this machine sees in the list of "
                "processes.",
                advice=f"Set {VARIABLE}, or write it to a file of mode 0600 for --store-file.",
            )
        return place
    return StorePlace(variables[VARIABLE]) if variables.get(VARIABLE) else None


def _read(path: str) -> StorePlace:
    try:
        content = read_private(path)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from None
    if content is None:
        raise Refused(f"There is no file {path}.", advice=f"Its one line is like {EXAMPLE}")
    return StorePlace(content.decode("utf-8", "replace").strip(), os.path.abspath(path))


def settle(data: DataFolder, place: StorePlace | None) -> None:
    """See that an engine goes on where its folder's state is.

    Raises:
        Refused: The folder's state is elsewhere.
    """
    known = _remembered(data)
    if place is None:
        if known is not None:
            raise Refused(
                f"The state of {data.root} is in {known.store}.",
                advice=f"Start it with --store, --store-file or {VARIABLE}; or name another folder "
                "with --data.",
            )
        return
    if os.path.exists(data.store):
        raise Refused(
            f"{data.root} has state of its own (store.sqlite), which {place.shown} has not.",
            advice="Name another folder with --data.",
        )


def remember(data: DataFolder, place: StorePlace) -> None:
    """Remember that the state of this folder is there: an engine has begun on it."""
    write_private(data.elsewhere, msgspec.json.encode(_Remembered(place.shown, place.file)))


def place_without_engine(data: DataFolder, variables: Mapping[str, str]) -> StorePlace | None:
    """Return which Postgres holds the state of a folder whose engine does not run, if any does.

    Raises:
        Refused: The file with its address cannot be read any more.
    """
    known = _remembered(data)
    if known is None and os.path.exists(data.store):
        return None
    given = chosen("", "", variables)
    if given is not None or known is None:
        return given
    return _read(known.file) if known.file else StorePlace(known.store)


def _remembered(data: DataFolder) -> _Remembered | None:
    content = read_private(data.elsewhere)
    try:
        return None if content is None else msgspec.json.decode(content, type=_Remembered)
    except msgspec.MsgspecError:
        raise Refused(
            f"{data.elsewhere} is damaged.", advice="Remove it, and start the engine with --store."
        ) from None
