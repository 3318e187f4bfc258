"""The head of a request: its request line and headers, read strictly.

The bytes are checked as a whole, then llhttp reads them; both must find the same message.
"""

from __future__ import annotations

import re

from .messages import Request
from .refusals import Refusal, malformed
from .target import is_host, read_target

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# What is above 0x7e or below 0x21 is no part of a target.
_REQUEST_LINE = re.compile(
    rb"(%s) ([\x21-\x7e]+) HTTP/(1\.[01])\r\n" % b"|".join(map(str.encode, sorted(METHODS)))
)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")
_LENGTH_DIGITS = 15
_NAMES_KEPT = 512
_PERMITTED = bytes({0x09, 0x0A, 0x0D, *range(0x20, 0x7F), *range(0x80, 0x100)})


class _Names(dict[bytes, str]):
    """Names of headers in lower case, as they were sent."""

    def __missing__(self, name: bytes) -> str:
        key = name.decode("latin-1").lower()
        if len(self) < _NAMES_KEPT:
            self[name] = key
        return key


_names = _Names()


class Collector:
    """What llhttp reports of one message. It only collects: nothing here may raise."""

    __slots__ = ("complete", "head_done", "headers", "pieces")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the last message."""
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.head_done = self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        key = _names[name]
        text = value.strip(b" \t").decode("latin-1")
        headers = self.headers
        if key in headers:
            text = headers[key] + ("; " if key == "cookie" else ", ") + text
        headers[key] = text

    def on_headers_complete(self) -> None:
        self.head_done = True

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.complete = True


def has_forbidden_bytes(data: bytes) -> bool:
    """Say whether a control character is in what should be a head or a part of one."""
    return bool(data.translate(None, _PERMITTED))


def check_lines(head: bytes, header_count: int) -> tuple[str, str, str]:
    """Return method, target and version of a head that ends in an empty line.

    Raises:
        Refusal: 400, 431, 501 or 505.
    """
    lines = head.count(b"\r\n")
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise malformed("A line does not end in CR LF.")
    if has_forbidden_bytes(head):
        raise malformed("The headers hold a control character.")
    if lines - 2 > header_count:
        raise Refusal(431, "headers_too_large", f"There are more than {header_count} headers.")
    if b"\n " in head or b"\n\t" in head:
        raise malformed("A header is folded over two lines.")
    found = _REQUEST_LINE.match(head)
    if found is None:
        raise _bad_line(head[: head.index(b"\r\n")].decode("latin-1"))
    method, target, version = found.groups()
    return method.decode(), target.decode(), version.decode()


def _bad_line(line: str) -> Refusal:
    """Return what is wrong with a request line that is not taken."""
    parts = line.split(" ")
    if len(parts) != 3 or not line.isascii() or "\t" in line or not parts[1]:
        return malformed("The request line must be a method, a target and a version.")
    method, _, version = parts
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        if _VERSION.fullmatch(version):
            return Refusal(505, "version_not_supported", "Only HTTP/1.1 and HTTP/1.0 are spoken.")
        return malformed("The request line must end in an HTTP version.")
    if _TOKEN.fullmatch(method):
        return Refusal(501, "method_not_implemented", "This method is not implemented.")
    return malformed("The method is not a token.")


def read_request(
    method: str, target: str, version: str, headers: dict[str, str], client: str
) -> tuple[Request, int | None]:
    """Return the request and the length of its body in bytes (None: it comes in chunks).

    Raises:
        Refusal: 400, 417 or 501.
    """
    host = headers.get("host")
    if host is None:
        if version == "1.1":
            raise malformed("A Host header is missing.")
    elif not is_host(host):
        raise malformed("There must be one Host header, with a host and perhaps a port.")
    if "upgrade" in headers:
        raise upgrade_refused()
    path, segments, query = read_target(method, target, host or "")
    keep_alive = version == "1.1"
    connection = headers.get("connection")
    if connection is not None:
        options = {option.strip() for option in connection.lower().split(",")}
        keep_alive = "close" not in options and (keep_alive or "keep-alive" in options)
    if "expect" in headers and headers["expect"].lower() != "100-continue":
        raise Refusal(417, "expectation_failed", "Only 'Expect: 100-continue' is understood.")
    request = Request(
        method, target, path, segments, query, headers, b"", client, version, keep_alive
    )
    return request, _length(headers, version)


def upgrade_refused() -> Refusal:
    """Return the refusal of every change of protocol."""
    return Refusal(501, "upgrade_refused", "No other protocol is spoken; leave Upgrade out.")


def _length(headers: dict[str, str], version: str) -> int | None:
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None:
        if length is not None:
            raise malformed("There are a Content-Length and a Transfer-Encoding.")
        if version != "1.1":
            raise malformed("HTTP/1.0 knows no Transfer-Encoding.")
        if coding.lower() != "chunked":
            raise malformed("The Transfer-Encoding must be 'chunked'.")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit() and len(length) <= _LENGTH_DIGITS):
        raise malformed("There must be one Content-Length, a decimal number.")
    return int(length)
