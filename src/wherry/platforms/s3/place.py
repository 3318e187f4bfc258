"""Where objects lie: `s3://bucket/prefix`, and how that is reached."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from wherry.errors import Refused

_SCHEME = "s3://"
_BUCKET = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")
_PREFIX = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!-_.*'()/=")


class Place(msgspec.Struct, frozen=True):
    """A bucket of S3, a prefix in it ("" or ending in `/`), and an endpoint ("": AWS's own)."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""

    @classmethod
    def of(cls, url: str, endpoint: str = "") -> Place:
        """Read `s3://bucket[/prefix]`.

        Raises:
            Refused: It, or the endpoint, is no such URL.
        """
        bucket, _, prefix = url.removeprefix(_SCHEME).partition("/")
        prefix = prefix.rstrip("/")
        fits = 3 <= len(bucket) <= 63 and _BUCKET.issuperset(bucket)  # AWS S3: names of buckets
        parts = prefix.split("/") if prefix else []
        fits &= len(prefix) <= 512 and _PREFIX.issuperset(prefix)
        fits &= not any(part in ("", ".", "..") for part in parts)
        if not (url.startswith(_SCHEME) and fits):
            raise Refused(
                f"{url!r} does not say where objects are to lie.",
                advice="Write s3://BUCKET or s3://BUCKET/PREFIX.",
            )
        if endpoint and not _is_endpoint(endpoint):
            raise Refused(
                f"{endpoint!r} is no endpoint.", advice="Write a URL like https://s3.example.com."
            )
        return cls(bucket, f"{prefix}/" if prefix else "", endpoint.rstrip("/"))

    def __str__(self) -> str:
        """The URL that it was read from."""
        return f"{_SCHEME}{self.bucket}/{self.prefix}".rstrip("/")


def endpoint_of(variables: Mapping[str, str]) -> str:
    """Return the endpoint that AWS's own variables name, or ""."""
    return variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL") or ""


def credential_files(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files from which boto3 may take credentials: no function is to read them."""
    home = os.path.join(os.path.expanduser("~"), ".aws")
    named = (
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_CONFIG_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    )
    found = [variables[name] for name in named if variables.get(name)]
    return (home, *(os.path.abspath(os.path.expanduser(path)) for path in found))


def _is_endpoint(url: str) -> bool:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        _ = parts.port  # reads it: raises where it is no number
    except ValueError:
        return False
    plain = not parts.query and not parts.fragment and "@" not in parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain
