"""AWS Signature Version 4, for service `s3` and a payload that is not signed: the arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wherry.names import is_word

ALGORITHM = "AWS4-HMAC-SHA256"


class SigningKey(msgspec.Struct, frozen=True):
    """A key to sign with. Its `repr` hides the secret.

    Args:
        key_id: Public, in every URL: ASCII letters, digits, `-` and `_`, at most 128.
        secret: At least 16 characters, ASCII.
        region: Part of every signature; AWS's name where the bucket is there.
    """

    key_id: str
    secret: str
    region: str = "local"

    def __post_init__(self) -> None:
        for name, text in (("key_id", self.key_id), ("region", self.region)):
            if not (0 < len(text) <= 128 and is_word(text)):
                raise ValueError(f"{name}: 1 to 128 ASCII letters, digits, '-' or '_'")
        if not (len(self.secret) >= 16 and self.secret.isascii()):
            raise ValueError("secret: at least 16 ASCII characters")

    def __repr__(self) -> str:
        return f"SigningKey(key_id={self.key_id!r}, region={self.region!r})"


def scope(date: str, key: SigningKey) -> str:
    """Return the day, region and service that a signature is for, as Credential names them."""
    return f"{date[:8]}/{key.region}/s3/aws4_request"


def signature(
    method: str,
    raw_path: str,
    pairs: list[str],
    signed: Mapping[str, str],
    key: SigningKey,
    date: str,
) -> str:
    """Return the signature, 64 hexadecimal digits.

    Args:
        method: The HTTP method.
        raw_path: Percent-encoded, as it is sent.
        pairs: The parameters of the query, `name=value`, percent-encoded, without the signature.
        signed: The signed headers, with lower-case names; values as they are sent.
        key: The key.
        date: As `amz_date` says.
    """
    import hmac
    from hashlib import sha256

    names = sorted(signed)
    # By encoded name, then value: '=' must not take part in the order.
    ordered = sorted(pairs, key=lambda pair: tuple(pair.split("=", 1)))
    lines = [method, raw_path, "&".join(ordered)]
    lines += [f"{name}:{signed[name]}" for name in names]
    lines += ["", ";".join(names), "UNSIGNED-PAYLOAD"]
    request = sha256("\n".join(lines).encode()).hexdigest()
    secret = b"AWS4" + key.secret.encode()
    for part in scope(date, key).split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    text = "\n".join((ALGORITHM, date, scope(date, key), request))
    return hmac.digest(secret, text.encode(), "sha256").hex()


def encode(text: str, keep: str = "") -> str:
    """Percent-encode all but letters, digits, `-._~` and what is in `keep` (AWS: UriEncode)."""
    from urllib.parse import quote

    return quote(text, safe=keep)


def amz_date(now_ms: int) -> str:
    """Return a moment as signatures have it: 20130524T000000Z."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
