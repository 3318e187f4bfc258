"""URLs that carry their own permission: S3's presigned URLs, signed and verified. Pure.

The scheme is AWS Signature Version 4 with query parameters, service `s3`, payload unsigned;
a URL of ours is what an AWS SDK makes of the same input, so clients need not know which it is.
(AWS: "Authenticating Requests: Using Query Parameters", API reference of Amazon S3.)

The verifier is stricter than S3's, because it only meets URLs of our own signer: there is one
way to write a URL (no other percent-encoding, no collapsed spaces), only known parameters,
nothing twice, and an upload has its size and type signed. So every byte that means anything
is covered; only the order of parameters and the case of header names are free.

A signature does not cover the body: whoever takes it in counts it against the signed size,
and hashes it against the signed checksum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from wherry import limits
from wherry.errors import Invalid, Refused
from wherry.names import PLAIN, check_bucket, check_key, is_plain, is_word

from .sigv4 import ALGORITHM, SigningKey, amz_date, encode, scope, signature

METHODS = ("GET", "HEAD", "PUT")
DISPOSITION = "response-content-disposition"
_SIGNED = frozenset(
    {"host", "content-length", "content-type", "if-none-match", "x-amz-checksum-sha256"}
)
_META = "x-amz-meta-"
_UPLOAD_NEEDS = ("content-length", "content-type")
# Headers that say something else about the body, or who is asking, than the signature does.
_CLASHING = frozenset({"authorization", "content-encoding", "trailer", "transfer-encoding"})
_PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)


class Verified(msgspec.Struct, frozen=True):
    """A request that was signed by one of the keys, and is in its time.

    Args:
        method: `GET`, `HEAD` or `PUT`.
        path: Decoded.
        key_id: Of the key that signed it.
        expires_at_ms: Unix time in milliseconds.
        headers: The signed ones, with lower-case names; all others mean nothing.
        disposition: What a download is to send as Content-Disposition.
    """

    method: str
    path: str
    key_id: str
    expires_at_ms: int
    headers: dict[str, str]
    disposition: str | None = None

    @property
    def size_bytes(self) -> int:
        """The signed Content-Length; 0 without."""
        return int(self.headers.get("content-length", "0"))

    @property
    def content_type(self) -> str:
        """The signed Content-Type; empty without."""
        return self.headers.get("content-type", "")

    @property
    def checksum_sha256(self) -> str | None:
        """SHA-256 that the body is to have, base64."""
        return self.headers.get("x-amz-checksum-sha256")

    @property
    def create_only(self) -> bool:
        """Whether an object that is there already must stay (If-None-Match: *)."""
        return "if-none-match" in self.headers

    @property
    def metadata(self) -> dict[str, str]:
        """The signed `x-amz-meta-` headers, without that prefix."""
        return {
            name.removeprefix(_META): value
            for name, value in self.headers.items()
            if name.startswith(_META)
        }


class Denied(msgspec.Struct, frozen=True):
    """Why a request was not verified: one sentence for the caller, without secrets. HTTP 403."""

    reason: str


Verdict: TypeAlias = Verified | Denied


def sign(
    method: str,
    origin: str,
    path: str,
    key: SigningKey,
    now_ms: int,
    expires_s: int,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> str:
    """Return a URL that permits one kind of request until it expires, as often as it is sent.

    Args:
        method: `GET`, `HEAD` or `PUT`.
        origin: `http://host`, `https://host:port`: nothing after it.
        path: Not encoded, from `/` on: "/assets/a b.png".
        key: The key to sign with.
        now_ms: Unix time in milliseconds; the validity begins with its second.
        expires_s: 1 to `limits.PRESIGN_MAX_S`.
        headers: What the client has to send just so: content-length and content-type (both
            needed for PUT), x-amz-checksum-sha256, if-none-match (`*`), x-amz-meta-*. `host` is
            added.
        query: For a download `response-content-disposition`: the Content-Disposition that it is
            to be sent with.

    Raises:
        Refused: A method, origin, path, expiry, parameter or header that cannot be signed.
        Invalid: A value of a header that HTTP would not carry unchanged.
    """
    if method not in METHODS:
        raise Refused(f"The method {method!r} cannot be presigned; use one of {METHODS}.")
    if not 1 <= expires_s <= limits.PRESIGN_MAX_S:
        raise Refused(f"A URL is valid for 1 to {limits.PRESIGN_MAX_S} s, not {expires_s}.")
    if not path.startswith("/"):
        raise Refused(f"The path {path!r} does not begin with '/'.")
    origin, host = _origin(origin)
    signed = _headers_to_sign(method, host, headers or {})
    date = amz_date(now_ms)
    fields = list((query or {}).items())
    for name, value in fields:
        if name != DISPOSITION or method == "PUT":
            raise Refused(f"The parameter {name!r} cannot be signed for {method}.")
        _check_value(name, value)
    names = ";".join(sorted(signed))
    credential = f"{key.key_id}/{scope(date, key)}"
    values = (ALGORITHM, credential, date, str(expires_s), names)
    fields += zip(_PARAMETERS, values, strict=False)
    pairs = [f"{encode(name)}={encode(value)}" for name, value in fields]
    raw_path = encode(path, "/")
    mark = signature(method, raw_path, pairs, signed, key, date)
    return f"{origin}{raw_path}?{'&'.join(pairs)}&{_PARAMETERS[-1]}={mark}"


def expires_at_ms(now_ms: int, expires_s: int) -> int:
    """Return when a URL ends that is signed now: Unix time in milliseconds, a whole second."""
    return (now_ms // 1000 + expires_s) * 1000


def verify(
    method: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, str]],
    keys: Iterable[SigningKey],
    now_ms: int,
) -> Verdict:
    """Say whether a request was signed, every byte of it that counts, and is in its time.

    Args:
        method: As received.
        path: As received, still percent-encoded, without the query.
        query: As received, without the `?`.
        headers: As received, every one; bytes beyond ASCII as Latin-1.
        keys: All that are valid now: during a rotation the old one too.
        now_ms: Unix time in milliseconds.
    """
    try:
        return _verify(method, path, query, headers, keys, now_ms)
    except _Deny as error:
        return Denied(str(error))


def split_object_path(path: str) -> tuple[str, str]:
    """Return bucket and key of a decoded path.

    Raises:
        Invalid: There is no object of such a path.
    """
    before, _, rest = path.partition("/")
    bucket, _, key = rest.partition("/")
    try:
        check_bucket(bucket)
    except ValueError as error:
        raise Invalid(f"There is no bucket in the path: {error}.") from error
    if before:
        raise Invalid("The path of an object begins with '/'.")
    return bucket, check_key(key)


class _Deny(Exception):
    pass


def _verify(
    method: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, str]],
    keys: Iterable[SigningKey],
    now_ms: int,
) -> Verified:
    from hmac import compare_digest

    if method not in METHODS:
        raise _Deny("The method is not GET, HEAD or PUT.")
    fields, pairs = _split_query(query)
    plain_path = _decode(path, "/")
    date, expires_s = fields["X-Amz-Date"], fields["X-Amz-Expires"]
    if fields["X-Amz-Algorithm"] != ALGORITHM:
        raise _Deny(f"X-Amz-Algorithm is not {ALGORITHM}.")
    signed_at_ms = _parse_date(date)
    if not (_is_count(expires_s) and 1 <= int(expires_s) <= limits.PRESIGN_MAX_S):
        raise _Deny(f"X-Amz-Expires is not 1 to {limits.PRESIGN_MAX_S}.")
    key = _find_key(fields["X-Amz-Credential"], date, keys)
    signed = _signed_headers(method, fields["X-Amz-SignedHeaders"], headers)
    wanted = signature(method, path, pairs, signed, key, date)
    if not compare_digest(wanted.encode(), fields["X-Amz-Signature"].encode()):
        raise _Deny("The signature does not match the request: something of it was changed.")
    if now_ms < signed_at_ms - limits.PRESIGN_SKEW_S * 1000:
        raise _Deny("The request is signed for a later time.")
    ends_ms = expires_at_ms(signed_at_ms, int(expires_s))
    if now_ms >= ends_ms:
        raise _Deny("The URL has expired.")
    return Verified(method, plain_path, key.key_id, ends_ms, signed, fields.get(DISPOSITION))


def _split_query(query: str) -> tuple[dict[str, str], list[str]]:
    """Return the parameters by name, and as received without the signature."""
    fields: dict[str, str] = {}
    pairs = []
    for pair in query.split("&"):
        raw_name, equals, raw_value = pair.partition("=")
        name, value = _decode(raw_name), _decode(raw_value)
        if not equals or (name not in _PARAMETERS and name != DISPOSITION):
            raise _Deny("The query has a parameter that is not part of a presigned URL.")
        if name in fields:
            raise _Deny(f"{name} is there twice.")
        fields[name] = value
        if name != "X-Amz-Signature":
            pairs.append(pair)
    for name in _PARAMETERS:
        if not fields.get(name):
            raise _Deny(f"{name} is missing.")
    return fields, pairs


def _find_key(credential: str, date: str, keys: Iterable[SigningKey]) -> SigningKey:
    key_id, _, rest = credential.partition("/")
    for key in keys:
        if key.key_id == key_id and scope(date, key) == rest:
            return key
    raise _Deny("X-Amz-Credential names no key, day and region that are valid here.")


def _signed_headers(method: str, names: str, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    listed = names.split(";")
    if listed != sorted(set(listed)) or "host" not in listed:
        raise _Deny("X-Amz-SignedHeaders is not sorted, or without host.")
    for name in listed:
        if not _may_sign(name):
            raise _Deny("X-Amz-SignedHeaders names a header that is not signed here.")
    signed: dict[str, str] = {}
    for any_name, value in headers:
        name = any_name.lower()
        if name in listed:
            if name in signed:
                raise _Deny(f"The header {name} is there twice.")
            if not value.isascii():
                raise _Deny(f"The header {name} is not ASCII.")
            signed[name] = value
        elif name.startswith("x-amz-") or name in _CLASHING:
            raise _Deny("A header is sent that would have to be signed and is not.")
        elif method == "PUT" and name in _SIGNED:
            raise _Deny(f"The header {name} is sent and not signed.")
    missing = [name for name in listed if name not in signed]
    if method == "PUT":
        missing += [name for name in _UPLOAD_NEEDS if name not in signed]
    if missing:
        raise _Deny(f"The header {missing[0]} is missing.")
    if not _is_count(signed.get("content-length", "0")):
        raise _Deny("The header content-length is not a number.")
    return signed


def _headers_to_sign(method: str, host: str, headers: Mapping[str, str]) -> dict[str, str]:
    signed = {"host": host}
    for any_name, value in headers.items():
        name = any_name.lower()
        if name in signed or not _may_sign(name):
            raise Refused(f"The header {any_name!r} cannot be signed, or is there twice.")
        _check_value(name, value)
        signed[name] = value
    for name in _UPLOAD_NEEDS if method == "PUT" else ():
        if not signed.get(name):
            raise Refused(f"An upload needs the header {name} signed.")
    length = signed.get("content-length", "0")
    if not (_is_count(length) and int(length) <= limits.OBJECT_BYTES):
        raise Refused(f"content-length is 0 to {limits.OBJECT_BYTES} bytes, not {length!r}.")
    if signed.get("if-none-match", "*") != "*":
        raise Refused("if-none-match can only be '*': refuse to replace an object.")
    return signed


def _check_value(name: str, value: str) -> None:
    if not is_plain(value):
        raise Invalid(
            f"The value of {name} cannot be signed. It has to be {PLAIN}.",
            faults=[{"at": name, "fault": PLAIN}],
        )


def _may_sign(name: str) -> bool:
    if name in _SIGNED:
        return True
    return name.startswith(_META) and len(name) > len(_META) and is_word(name)


def _is_count(text: str) -> bool:
    """A whole number, written in the one way."""
    return text.isascii() and text.isdigit() and len(text) <= 15 and str(int(text)) == text


def _origin(origin: str) -> tuple[str, str]:
    """Return the origin as clients will write it, and the Host header that they will send."""
    scheme, _, host = origin.lower().partition("://")
    if scheme not in ("http", "https") or not host or set("/?#@ ") & set(host):
        raise Refused(f"{origin!r} is not an origin such as https://files.example.org.")
    default = ":80" if scheme == "http" else ":443"
    host = host.removesuffix(default)
    _check_value("host", host)
    return f"{scheme}://{host}", host


def _decode(text: str, keep: str = "") -> str:
    """Decode what `_encode` made; any other way to write the same is refused."""
    from urllib.parse import unquote_to_bytes

    try:
        plain = unquote_to_bytes(text).decode()
    except UnicodeError:
        raise _Deny("The URL does not hold UTF-8.") from None
    if encode(plain, keep) != text:
        raise _Deny("The URL is not percent-encoded as it was signed.")
    return plain


def _parse_date(date: str) -> int:
    """Return Unix time in milliseconds."""
    from datetime import UTC, datetime

    try:
        day = datetime(int(date[:4]), int(date[4:6]), int(date[6:8]), tzinfo=UTC)
        moment = day.replace(hour=int(date[9:11]), minute=int(date[11:13]), second=int(date[13:15]))
        found_ms = int(moment.timestamp()) * 1000
    except ValueError:
        found_ms = -1
    if found_ms < 0 or amz_date(found_ms) != date:
        raise _Deny("X-Amz-Date is not a time such as 20261121T120000Z.")
    return found_ms
