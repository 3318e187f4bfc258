"""Fetch a small public document over HTTPS: bounded in size and time, without redirects.

The address comes from the app's description or from the issuer's own configuration document.
A document that names `file:///etc/passwd` or an address of the inner network by plain HTTP
gets nothing (CVE-2026-48522 is what happens otherwise).
"""

from __future__ import annotations

from typing import Any

from wherry.errors import Passing, Refused
from wherry.world import SystemClock

_CHUNK_BYTES = 16_384


class FetchFailed(Passing):
    """The document could not be fetched now."""

    code = "fetch_failed"


def check_url(url: str, *, loopback: bool = True) -> str:
    """Return `url` if it may be fetched: https, or plain http to this machine where `loopback`.

    Raises:
        Refused: Another scheme, no host, user information, a fragment, or control characters.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise Refused(f"{url!r} is not a URL.", advice="Give an https:// address.") from None
    if not host or "@" in parts.netloc or parts.fragment or not url.isprintable() or " " in url:
        raise Refused(f"{url!r} is not an address to fetch.", advice="Give an https:// address.")
    if parts.scheme == "https" or (loopback and is_private(parts.scheme, host)):
        return url
    raise Refused(
        f"{url!r} is not fetched: only https, or http to this machine.",
        advice="Give an https:// address.",
    )


def is_private(scheme: str, host: str) -> bool:
    """Tell whether nobody on the way reads what is sent there: https, or http to this machine."""
    return scheme == "https" or (scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address always means this machine."""
    from ipaddress import ip_address

    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def fetch(url: str, timeout_s: float, max_bytes: int) -> bytes:
    """Return the body of a GET with status 200. Blocks: call it in a thread.

    Args:
        timeout_s: For all of it, from connecting to the last byte.
        max_bytes: A longer body is refused.

    Raises:
        FetchFailed: Whatever the network or the other side did.
        Refused: `check_url` does not allow the address.
    """
    from http.client import HTTPException
    from threading import Timer
    from urllib.request import Request

    check_url(url)
    sockets: list[Any] = []
    opener = _opener(url, sockets)
    request = Request(url, headers={"Accept": "application/json", "User-Agent": "wherry"})
    clock = SystemClock()
    deadline_s = clock.steady_s() + timeout_s
    # A socket's own timeout is for one read: a byte a second would pass it for ever.
    guard = Timer(timeout_s, _shut_down, (sockets,))
    guard.daemon = True
    guard.start()
    try:
        with opener.open(request, timeout=timeout_s) as reply:
            if reply.status != 200:
                raise FetchFailed(f"{url} answered with status {reply.status}.")
            body = bytearray()
            while chunk := reply.read1(_CHUNK_BYTES):
                body += chunk
                if len(body) > max_bytes:
                    raise FetchFailed(f"{url} answered with more than {max_bytes} bytes.")
            if clock.steady_s() >= deadline_s or (reply.length or 0) > 0:
                raise FetchFailed(f"{url} did not finish its answer within {timeout_s} s.")
            return bytes(body)
    except (OSError, HTTPException, ValueError) as error:
        if clock.steady_s() >= deadline_s:  # it was us who hung up
            raise FetchFailed(f"{url} did not answer within {timeout_s} s.") from error
        raise FetchFailed(f"{url} could not be fetched: {error}.") from error
    finally:
        guard.cancel()


def _opener(url: str, sockets: list[Any]) -> Any:
    """Build an opener that knows http and https only, follows nothing and notes its sockets."""
    from http.client import HTTPConnection, HTTPSConnection
    from urllib.parse import urlsplit
    from urllib.request import (
        HTTPHandler,
        HTTPSHandler,
        OpenerDirector,
        ProxyHandler,
        Request,
    )

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    class PlainHandler(HTTPHandler):
        def http_open(self, req: Request) -> Any:
            return self.do_open(Plain, req)

    class SecureHandler(HTTPSHandler):
        def https_open(self, req: Request) -> Any:
            return self.do_open(Secure, req)

    opener = OpenerDirector()
    proxies: dict[str, str] | None = {} if is_loopback(urlsplit(url).hostname or "") else None
    # Without a handler for errors a redirect is an answer like any other: not 200.
    for handler in (ProxyHandler(proxies), PlainHandler(), SecureHandler()):
        opener.add_handler(handler)
    return opener


def _shut_down(sockets: list[Any]) -> None:
    from contextlib import suppress
    from socket import SHUT_RDWR

    for sock in sockets:
        with suppress(OSError, ValueError):
            sock.shutdown(SHUT_RDWR)
