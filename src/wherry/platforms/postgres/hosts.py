"""What asyncpg does not read in an address as libpq does: whom the machine trusts, and several
hosts, a primary and its standbys, of which any may be the next primary.

Each host is tried by itself, within a time of its own: a machine that is gone says nothing at all,
and would take all the time there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

SYSTEM_ROOTS = ("sslrootcert", "system")  # whom the machine trusts, and no file of that name


def trusts_system(dsn: str) -> bool:
    """Whether an address says that the machine's own list tells who may sign for its hosts."""
    return SYSTEM_ROOTS in parse_qsl(urlsplit(dsn).query)


def hosts_of(dsn: str) -> list[tuple[str, str]]:
    """Return for each host of an address its name, and an address with it alone, in their order.

    Hosts are named as libpq names them: `postgres://user@a:5432,b:5433/db`, or `?host=a,b`.
    """
    parts = urlsplit(dsn)
    before, at, hosts = parts.netloc.rpartition("@")
    if hosts:
        return [
            (host, urlunsplit(parts._replace(netloc=f"{before}{at}{host}")))
            for host in hosts.split(",")
        ]
    query = parse_qsl(parts.query, keep_blank_values=True)
    named = [text for name, text in query if name == "host"]
    if not named or "," not in named[-1]:
        return [(named[-1] if named else "localhost", dsn)]
    others = [one for one in query if one[0] not in ("host", "port")]
    ports = _each([text for name, text in query if name == "port"])
    found = []
    for host, port in zip(named[-1].split(","), ports, strict=False):
        alone = [*others, ("host", host), *([("port", port)] if port else [])]
        found.append((host, urlunsplit(parts._replace(query=urlencode(alone, safe="/")))))
    return found


def _each(ports: list[str]) -> Iterator[str]:
    """Return the port of each host: one for all, or as many as there are hosts, or none is said."""
    given = ports[-1].split(",") if ports else [""]
    return repeat(given[0]) if len(given) == 1 else chain(given, repeat(""))
