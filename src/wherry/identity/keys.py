"""An issuer's public keys: read strictly, one algorithm for each, fetched seldom."""

from __future__ import annotations

import binascii
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from wherry import limits
from wherry.codec import from_json
from wherry.errors import Refused, WherryError
from wherry.identity.fetching import FetchFailed, check_url, is_loopback
from wherry.world import Clock

Fetch: TypeAlias = Callable[[str, float, int], bytes]
"""`fetch(url, timeout_s, max_bytes)` returns a body, or raises."""

ALGORITHMS = ("RS256", "ES256")
"""What a token may be signed with. AWS's HTTP API takes RSA only."""


class VerificationKey(msgspec.Struct, frozen=True):
    """A public key and the one algorithm it is used with (RFC 8725, section 3.1).

    `jose` is the library's key; `material` is what the key is, to see that it was replaced.
    """

    kid: str
    algorithm: str
    material: tuple[str, ...]
    jose: Any


def parse_keys(document: bytes) -> dict[str, VerificationKey]:
    """Return the usable keys of a JWK set (RFC 7517) by key ID.

    What is no signature key of RS256 or ES256 is passed over, as section 5 demands: other types
    and uses, no key ID, RSA below 2,048 or above 8,192 bits. Of two keys with one ID the first
    counts. Private members are not read.

    Raises:
        ValueError: It is no JWK set.
    """
    try:
        found = from_json(document)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise ValueError("it has no list of keys")
    keys: dict[str, VerificationKey] = {}
    for one in found["keys"]:
        key = _parse_key(one) if isinstance(one, dict) else None
        if key is not None:
            keys.setdefault(key.kid, key)
    return keys


def _parse_key(jwk: dict[str, Any]) -> VerificationKey | None:
    kid, uses = jwk.get("kid"), jwk.get("key_ops", ["verify"])
    if not isinstance(kid, str) or not 0 < len(kid) <= limits.KEY_ID_LENGTH:
        return None
    if jwk.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
        return None
    kind = jwk.get("kty")
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(kind if isinstance(kind, str) else "")
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        return None
    names = ("n", "e") if kind == "RSA" else ("crv", "x", "y")
    material = tuple(part for name in names if isinstance(part := jwk.get(name), str))
    if len(material) != len(names):
        return None
    try:
        jose = _import(str(kind), dict(zip(names, material, strict=True)))
    except Exception:  # whatever the libraries say of a broken key: it is no key
        return None
    return None if jose is None else VerificationKey(kid, algorithm, material, jose)


def _import(kind: str, members: dict[str, Any]) -> Any:
    from joserfc.jwk import ECKey, RSAKey

    if kind == "EC":
        return ECKey.import_key({"kty": kind, **members}) if members["crv"] == "P-256" else None
    modulus = binascii.a2b_base64(
        members["n"].replace("-", "+").replace("_", "/") + "=" * (-len(members["n"]) % 4)
    )
    bits = int.from_bytes(modulus, "big").bit_length()
    if not limits.RSA_MIN_BITS <= bits <= limits.RSA_MAX_BITS:
        return None
    return RSAKey.import_key({"kty": kind, **members})


class KeySource:
    """The keys of one issuer, found by its configuration document (OpenID Connect Discovery 1.0).

    Kept for two hours; an unknown key ID fetches at most once a minute; what is there stays
    when a fetch fails or brings no usable key. `find` and `wanted` never block, `refresh` does.
    """

    def __init__(self, issuer: str, *, clock: Clock, fetch: Fetch) -> None:
        self.issuer = check_url(issuer)
        self.generation = 0
        """Grows when a key is withdrawn or replaced: what it signed must be verified again."""
        self.fault = ""
        """Why the last fetch failed; empty when it did not."""
        self._clock = clock
        self._fetch = fetch
        self._keys: dict[str, VerificationKey] = {}
        self._set_url: str | None = None
        self._tried_s: float | None = None
        self._fetched_s = 0.0
        self._busy = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this ID."""
        return self._keys.get(kid)

    def wanted(self, *, known: bool) -> bool:
        """Tell whether `refresh` should come first, for a key ID that is `known` or not."""
        if not known and self._busy:
            return True  # a key just published must not be refused while it is being fetched
        if not self._due():
            return False
        return not known or self._clock.steady_s() - self._fetched_s >= limits.JWKS_KEPT_S

    def refresh(self) -> None:
        """Fetch the keys if a fetch is due. Never raises: see `fault`. Thread-safe, blocks."""
        with self._lock:
            if not self._due():
                return
            self._busy = True
            try:
                self._replace(self._clock.steady_s())
                self.fault = ""
            except Exception as error:  # a fetch is the caller's code: the old keys must survive it
                self._set_url = None
                self.fault = error.message if isinstance(error, WherryError) else str(error)
            finally:
                self._busy = False

    def _replace(self, now_s: float) -> None:
        self._tried_s = now_s
        if now_s - self._fetched_s >= limits.JWKS_KEPT_S:
            self._set_url = None
        keys = self._fetch_keys()
        old, self._keys = self._keys, keys
        # After the keys: who has read the new generation has the new keys.
        if any(kid not in keys or keys[kid].material != old[kid].material for kid in old):
            self.generation += 1
        self._fetched_s = now_s

    def _due(self) -> bool:
        if self._tried_s is None:
            return True
        pause_s = limits.JWKS_REFRESH_S if self._keys else limits.JWKS_RETRY_S
        return self._clock.steady_s() - self._tried_s >= pause_s

    def _fetch_keys(self) -> dict[str, VerificationKey]:
        if self._set_url is None:
            self._set_url = self._discover()
        try:
            keys = parse_keys(self._get(self._set_url))
        except ValueError as error:
            raise FetchFailed(f"The keys at {self._set_url} cannot be read: {error}.") from error
        if not keys:
            raise FetchFailed(f"{self._set_url} has no key for {' or '.join(ALGORITHMS)}.")
        return keys

    def _discover(self) -> str:
        from urllib.parse import urlsplit

        url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            document = from_json(self._get(url))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise FetchFailed(f"{url} is not JSON.") from error
        if not isinstance(document, dict) or document.get("issuer") != self.issuer:
            raise FetchFailed(
                f"{url} does not say that it is of the issuer {self.issuer}.",
                advice="Write the issuer exactly as its own configuration does.",
            )
        found = document.get("jwks_uri")
        if not isinstance(found, str):
            raise Refused(f"{url} has no jwks_uri.")
        return check_url(found, loopback=is_loopback(urlsplit(self.issuer).hostname or ""))

    def _get(self, url: str) -> bytes:
        body = self._fetch(url, limits.JWKS_TIMEOUT_S, limits.JWKS_BYTES)
        if len(body) > limits.JWKS_BYTES:
            raise FetchFailed(f"{url} answered with more than {limits.JWKS_BYTES} bytes.")
        return body
