"""Verify bearer tokens: signed JWTs of one issuer, by the rules of AWS's HTTP API and RFC 8725.

A token is accepted if all of this holds; the first rule that does not gives the reason.

1. It is a JWS of three parts in canonical base64url, at most 8,192 bytes; header and claims are
   strict JSON objects without duplicate names.
2. `alg` is one of the configured algorithms, and the one that belongs to the type of the key with
   the header's `kid` in the issuer's key set. No `none`, no HMAC. A key in or named by the token
   (`jwk`, `jku`, `x5u`, `x5c`) refuses it, as do `crit`, `b64` and a foreign `typ`.
3. The signature holds.
4. `iss` is the issuer; `aud` (or, where there is no `aud`, `client_id`) is one of the audiences;
   `exp` is ahead, `nbf` and `iat` are not, each with 60 s of leeway; `sub` is there; one of the
   configured scopes is in `scope` or `scp`.

An ID token of the same issuer and audience passes, as it does at AWS's HTTP API.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from wherry import limits
from wherry.codec import DuplicateKey, from_json, refuse_duplicate_keys, to_msgpack
from wherry.errors import Refused, Unauthenticated, Unavailable
from wherry.identity.fetching import fetch as fetch_over_https
from wherry.identity.keys import ALGORITHMS, Fetch, KeySource
from wherry.world import Clock

REASONS = {
    "missing": "The request carries no bearer token.",
    "too_large": "The token is too large.",
    "malformed": "The token is malformed.",
    "algorithm": "The token's algorithm is not accepted.",
    "header": "The token's header is not accepted.",
    "key": "The token's key is not one of the issuer's.",
    "signature": "The token's signature is not valid.",
    "claims": "The token's claims are malformed.",
    "issuer": "The token is of another issuer.",
    "audience": "The token is for another audience.",
    "expired": "The token has expired.",
    "not_yet_valid": "The token is not valid yet.",
    "scope": "The token lacks the scope.",
}
"""Every reason code, with the sentence that goes with it. Neither quotes the token."""

_FOREIGN_KEYS = ("jwk", "jku", "x5u", "x5c")
_TYPES = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")
_ROLE_CLAIMS = ("cognito:groups", "roles", "groups")


class Claims(msgspec.Struct, frozen=True):
    """Who a verified token speaks for. `claims` holds everything the token says: do not change it.

    `roles` come from the first of `cognito:groups`, `roles`, `groups` that is there, or from the
    configured claim alone.
    """

    subject: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    issuer: str
    expires_at_s: int
    claims: dict[str, Any]


class NeedKeys(msgspec.Struct, frozen=True):
    """The token cannot be judged before `Verifier.refresh()` has run, where blocking is allowed.

    One refresh serves every token that waits for one.
    """

    issuer: str


def refusal(reason: str) -> Unauthenticated:
    """Return the error for a reason of `REASONS`, with the challenge of RFC 6750."""
    text = REASONS[reason]
    challenge = "Bearer"
    if reason != "missing":
        challenge += f' error="invalid_token", error_description="{text}"'
    return Unauthenticated(text, extra={"reason": reason}, headers={"WWW-Authenticate": challenge})


def bearer_token(authorization: str | None) -> str:
    """Return the token of an `Authorization` header.

    Raises:
        Unauthenticated: (`missing`) There is none, or it is not of the scheme Bearer.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip(" "):
        raise refusal("missing")
    return token.strip(" ")


class Verifier:
    """Verifies tokens of one issuer for one API. Safe to share between threads.

    Args:
        issuer: Its URL, exactly as in `iss`. https, or http to this machine.
        audiences: At least one; a token must name one of them.
        fetch: Gets the issuer's documents; blocks.
        algorithms: Of RS256 and ES256.
        scopes: If given, a token must have at least one of them.
        roles_claim: The claim that holds the roles: a name, or names joined by dots
            (`realm_access.roles`). Empty: see `Claims`.

    Raises:
        Refused: The configuration would accept what nobody means.
    """

    def __init__(
        self,
        issuer: str,
        audiences: Sequence[str],
        *,
        clock: Clock,
        fetch: Fetch = fetch_over_https,
        algorithms: Sequence[str] = ALGORITHMS,
        scopes: Sequence[str] = (),
        roles_claim: str = "",
    ) -> None:
        if isinstance(audiences, str) or not audiences or not all(audiences):
            raise Refused(
                f"The tokens of {issuer} are for no named audience.",
                advice="Name at least one: the client ID, or the API's identifier at the issuer.",
            )
        if not algorithms or not set(algorithms) <= set(ALGORITHMS):
            raise Refused(
                f"The algorithms {list(algorithms)} are not all supported.",
                advice=f"Choose of {', '.join(ALGORITHMS)}.",
            )
        self.issuer = issuer
        self._audiences = frozenset(audiences)
        self._algorithms = frozenset(algorithms)
        self._scopes = frozenset(scopes)
        self._roles_claim = roles_claim
        self._clock = clock
        self._keys = KeySource(issuer, clock=clock, fetch=fetch)
        self._remembered: OrderedDict[bytes, tuple[int, int, Claims]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def fault(self) -> str:
        """Why the last fetch of keys failed; empty when it did not."""
        return self._keys.fault

    @property
    def has_keys(self) -> bool:
        """Whether there are keys of the issuer, perhaps of an earlier fetch."""
        return bool(len(self._keys))

    def verify_cached(self, token: str) -> Claims | None:
        """Return the claims of a token that was verified before; below 2 us, never raises.

        It is forgotten at its end (`exp` and the leeway), when a key of the issuer is withdrawn,
        and when 10,000 others were used since.
        """
        if len(token) > limits.TOKEN_BYTES:
            return None
        name = _fingerprint(token)
        with self._lock:
            found = self._remembered.get(name)
            if found is None:
                return None
            until_ms, generation, claims = found
            if generation == self._keys.generation and self._clock.now_ms() < until_ms:
                self._remembered.move_to_end(name)
                return claims
            del self._remembered[name]
            return None

    def try_verify(self, token: str) -> Claims | NeedKeys:
        """Judge a token without blocking.

        Returns:
            Its claims, or `NeedKeys`: run `refresh()` in a thread, then try again.

        Raises:
            Unauthenticated: It is not valid; `extra["reason"]` is one of `REASONS`.
            Unavailable: No key of the issuer could be fetched yet.
        """
        remembered = self.verify_cached(token)
        if remembered is not None:
            return remembered
        algorithm, kid = _read_header(token)
        if algorithm not in self._algorithms:
            raise refusal("algorithm")
        generation = self._keys.generation
        key = self._keys.find(kid)
        if self._keys.wanted(known=key is not None):
            return NeedKeys(self.issuer)
        if key is None:
            self._refuse_key()
        if key.algorithm != algorithm:
            raise refusal("algorithm")
        claims = self._judge(_read_payload(token, key.jose, algorithm))
        self._remember(token, generation, claims)
        return claims

    def verify(self, token: str) -> Claims:
        """Judge a token, fetching keys where needed (then it blocks). Errors as `try_verify`."""
        found = self.try_verify(token)
        if isinstance(found, NeedKeys):
            self.refresh()
            found = self.try_verify(token)
        if isinstance(found, NeedKeys):  # another second passed meanwhile: say so, do not loop
            self._refuse_key()
        return found

    def refresh(self) -> None:
        """Fetch the issuer's keys if that is due. Blocks for up to 3 s; never raises.

        Callers at the same time wait for one fetch. The libraries load here too, so that
        the first verification after it is as quick as the others.
        """
        import joserfc.jws  # noqa: F401

        self._keys.refresh()

    def _refuse_key(self) -> NoReturn:
        if len(self._keys):
            raise refusal("key")
        raise Unavailable(
            "Tokens cannot be checked now: the issuer's keys could not be fetched.",
            headers={"Retry-After": str(limits.JWKS_RETRY_S)},
        )

    def _remember(self, token: str, generation: int, claims: Claims) -> None:
        until_ms = (claims.expires_at_s + limits.TOKEN_LEEWAY_S) * 1000
        with self._lock:
            self._remembered[_fingerprint(token)] = (until_ms, generation, claims)
            while len(self._remembered) > limits.TOKEN_CACHE:
                self._remembered.popitem(last=False)

    def _judge(self, claims: dict[str, Any]) -> Claims:
        if claims.get("iss") != self.issuer:
            raise refusal("issuer")
        # As AWS does it: a token of Cognito has no `aud`, its client stands for the audience.
        audience = claims["aud"] if "aud" in claims else claims.get("client_id")
        if self._audiences.isdisjoint(_texts(audience)):
            raise refusal("audience")
        expires_s = self._check_times(claims)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= limits.SUBJECT_LENGTH:
            raise refusal("claims")
        scopes = tuple(
            scope
            for name in ("scope", "scp")
            for text in _texts(claims.get(name, ()))
            for scope in text.split()
        )
        if self._scopes and self._scopes.isdisjoint(scopes):
            raise refusal("scope")
        roles = _texts(_find_roles(claims, self._roles_claim))
        return Claims(subject, roles, scopes, self.issuer, expires_s, claims)

    def _check_times(self, claims: dict[str, Any]) -> int:
        now_s = self._clock.now_ms() / 1000
        expires_s = _moment(claims.get("exp"))
        if now_s >= expires_s + limits.TOKEN_LEEWAY_S:
            raise refusal("expired")
        for name in ("nbf", "iat"):
            if name in claims and _moment(claims[name]) > now_s + limits.TOKEN_LEEWAY_S:
                raise refusal("not_yet_valid")
        return int(expires_s)


def _fingerprint(token: str) -> bytes:
    """Stand for a token in memory, so that none can be read out of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _read_header(token: str) -> tuple[str, str]:
    """Return algorithm and key ID of a token whose header may be believed so far."""
    if len(token) > limits.TOKEN_BYTES:
        raise refusal("too_large")
    if not token.isascii() or token.count(".") != 2:
        raise refusal("malformed")
    header = _read_object(_from_base64(token[: token.index(".")]), "malformed")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str):
        raise refusal("algorithm")
    if any(name in header for name in (*_FOREIGN_KEYS, "crit", "b64")):
        raise refusal("header")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise refusal("header")
    if not isinstance(kid, str) or not 0 < len(kid) <= limits.KEY_ID_LENGTH:
        raise refusal("key")
    return algorithm, kid


def _read_payload(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    """Return the claims of a token whose signature holds."""
    from joserfc import jws

    # Members of a header that nobody knows are ignored (RFC 7515, section 4); those that
    # matter were looked at already.
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    try:
        found = jws.deserialize_compact(token, key, registry=registry)
    except Exception:  # whatever the libraries say of hostile bytes: it is not signed
        raise refusal("signature") from None
    claims = _read_object(found.payload, "claims")
    try:
        to_msgpack(claims)  # it travels to the function like this
    except OverflowError:
        raise refusal("claims") from None
    return claims


def _from_base64(text: str) -> bytes:
    try:
        found = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise refusal("malformed") from None
    if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != text:
        raise refusal("malformed")
    return found


def _read_object(text: bytes, reason: str) -> dict[str, Any]:
    try:
        found = from_json(text)
        refuse_duplicate_keys(text)
    except (msgspec.MsgspecError, DuplicateKey, RecursionError, ValueError):
        raise refusal(reason) from None
    if not isinstance(found, dict):
        raise refusal(reason)
    return found


def _moment(value: object) -> float:
    """Return a NumericDate in seconds since the epoch."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refusal("claims")
    if not 0 <= value <= limits.NUMERIC_DATE_MAX_S:
        raise refusal("claims")
    return value


def _texts(value: object) -> tuple[str, ...]:
    """Return a text or a list of texts as a tuple."""
    if isinstance(value, str):
        return (value,)
    if value is None:
        return ()
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise refusal("claims")


def _find_roles(claims: dict[str, Any], name: str) -> object:
    if not name:
        return next((claims[one] for one in _ROLE_CLAIMS if one in claims), None)
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found
