"""Hostile tokens: thousands made from valid ones, of every class known; none is accepted."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from itertools import chain
from random import Random
from string import ascii_letters, digits
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from wherry import limits
from wherry.codec import to_json
from wherry.errors import Unauthenticated
from wherry.identity import Claims, NeedKeys, Verifier
from wherry.world import ManualClock

ISSUER = "https://id.example.com"
NOW_S = ManualClock().now_ms() // 1000
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1"})
EVIL_RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EVIL_EC = ECKey.generate_key("P-256", {"kid": "ec-1"})
ALPHABET = ascii_letters + digits + "-_"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "shop",
    "sub": "alice",
    "iat": NOW_S,
    "exp": NOW_S + 3600,
    "cognito:groups": ["customer"],
}

Json = dict[str, Any]


def fetch(url: str, timeout_s: float, max_bytes: int) -> bytes:
    if url.endswith("openid-configuration"):
        return to_json({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})
    return to_json({"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]})


def make_verifier() -> Verifier:
    verifier = Verifier(ISSUER, ["shop"], clock=ManualClock(), fetch=fetch)
    verifier.refresh()
    return verifier


def base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def head(header: Json, claims: Json) -> str:
    return f"{base64(to_json(header))}.{base64(to_json(claims))}"


def sign(header: Json, claims: Json, key: Any, algorithm: str) -> str:
    text = head(header, claims)
    return f"{text}.{base64(jws.JWSRegistry.algorithms[algorithm].sign(text.encode(), key))}"


def valid(key: Any) -> str:
    algorithm = "RS256" if key is RSA else "ES256"
    return sign({"alg": algorithm, "kid": key.kid, "typ": "JWT"}, CLAIMS, key, algorithm)


def unsigned() -> Iterator[str]:
    """Tokens that say they need no signature."""
    for name in ("none", "None", "NONE", "nOnE", "", "null", None, 0, [], ["RS256"], "none "):
        text = head({"alg": name, "kid": "rsa-1", "typ": "JWT"}, CLAIMS)
        for signature in ("", "AA", valid(RSA).split(".")[2]):
            yield f"{text}.{signature}"
        yield text


def keyed_with_what_is_public() -> Iterator[str]:
    """HMAC with every form of the public keys as the secret."""
    for key in (RSA, EC):
        public = key.as_dict(private=False)
        secrets = [
            key.as_pem(private=False),
            key.as_pem(private=False).strip(),
            key.as_der(private=False),
            to_json(public),
            *(str(value).encode() for value in public.values()),
            b"",
        ]
        for secret in secrets:
            for bits in ("256", "384", "512"):
                text = head({"alg": f"HS{bits}", "kid": key.kid, "typ": "JWT"}, CLAIMS)
                seal = hmac.digest(secret, text.encode(), getattr(hashlib, f"sha{bits}"))
                yield f"{text}.{base64(seal)}"


def confused() -> Iterator[str]:
    """The wrong algorithm for a key, the wrong key for an algorithm, other signature forms."""
    for algorithm in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
        for claimed in ("ES256", "HS256", "RS384", "PS256", "rs256", "RS256 "):
            yield sign({"alg": claimed, "kid": "rsa-1"}, CLAIMS, RSA, algorithm)
        yield sign({"alg": "RS256", "kid": "ec-1"}, CLAIMS, RSA, algorithm)
        yield sign({"alg": algorithm, "kid": "rsa-1"}, CLAIMS, EVIL_RSA, algorithm)
    for claimed in ("RS256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519"):
        yield sign({"alg": claimed, "kid": "ec-1"}, CLAIMS, EC, "ES256")
    yield sign({"alg": "ES256", "kid": "rsa-1"}, CLAIMS, EC, "ES256")
    yield sign({"alg": "ES256", "kid": "ec-1"}, CLAIMS, EVIL_EC, "ES256")
    text, _, signature = valid(EC).rpartition(".")
    for length in (0, 1, 32, 63, 64, 65, 96, 128):
        for byte in (b"\0", b"\1", b"\xff"):
            yield f"{text}.{base64(byte * length)}"
            yield f"{text}.{base64(byte * (length + 1))}{signature}"


def with_strange_keys() -> Iterator[str]:
    """Key IDs that reach for files, tables and networks; keys in or named by the token."""
    kids: list[Any] = [
        "../../../dev/null",
        "/etc/passwd",
        "file:///dev/null",
        "rsa-1\0",
        "RSA-1",
        " rsa-1",
        "' OR '1'='1",
        "x' UNION SELECT 'secret'--",
        "https://evil.example.com/key",
        "http://169.254.169.254/latest/meta-data",
        "$(id)",
        "a" * 5000,
        "",
        None,
        0,
        ["rsa-1"],
        {"kid": "rsa-1"},
        True,
    ]
    for kid in kids:
        yield sign({"alg": "RS256", "kid": kid}, CLAIMS, EVIL_RSA, "RS256")
        yield sign({"alg": "RS256", "kid": kid}, CLAIMS, RSA, "RS256")
        text = head({"alg": "HS256", "kid": kid}, CLAIMS)
        yield f"{text}.{base64(hmac.digest(b'', text.encode(), 'sha256'))}"
    evil: list[Json] = [
        {"jwk": EVIL_RSA.as_dict(private=False)},
        {"jku": "https://evil.example.com/keys"},
        {"jku": f"{ISSUER}@evil.example.com/keys"},
        {"x5u": "https://evil.example.com/cert"},
        {"x5u": "file:///etc/ssl/cert.pem"},
        {"x5c": [base64(EVIL_RSA.as_der(private=False))]},
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"zip": "DEF", "enc": "A128GCM"},
        {"cty": "JWT"},
    ]
    for extra in evil:
        for kid in ("rsa-1", "evil"):
            header = {"alg": "RS256", "kid": kid, "typ": "JWT"} | extra
            yield sign(header, CLAIMS, EVIL_RSA, "RS256")


def with_bad_claims() -> Iterator[str]:
    """Well signed, and not for here or not for now."""
    changes: list[Json] = [
        {"exp": NOW_S - 61},
        {"exp": 0},
        {"exp": None},
        {"exp": str(NOW_S + 3600)},
        {"exp": [NOW_S + 3600]},
        {"exp": 10**30},
        {"nbf": NOW_S + 61},
        {"iat": NOW_S + 61},
        {"iss": "https://evil.example.com"},
        {"iss": [ISSUER]},
        {"iss": ISSUER.upper()},
        {"aud": "Shop"},
        {"aud": {"shop": 1}},
        {"aud": ["other"]},
        {"aud": "shop other"},
        {"sub": None},
        {"sub": {"$ne": ""}},
    ]
    for change in changes:
        yield sign({"alg": "RS256", "kid": "rsa-1"}, CLAIMS | change, RSA, "RS256")
    for kind in ("logout+jwt", "dpop+jwt", "JOSE", "", 1, None, ["JWT"]):
        yield sign({"alg": "RS256", "kid": "rsa-1", "typ": kind}, CLAIMS, RSA, "RS256")


def broken(random: Random, count: int) -> Iterator[str]:
    """Valid tokens with a letter changed, cut, doubled, swapped or dressed up."""
    tokens = [valid(RSA), valid(EC)]
    other = sign({"alg": "RS256", "kid": "rsa-1"}, CLAIMS | {"sub": "bob"}, RSA, "RS256")
    for token in tokens:
        first, second, third = token.split(".")
        yield from (f"{first}.{other.split('.')[1]}.{third}", f"{first}..{third}", f".{second}.")
        yield from (f"{token}.", f".{token}", f"{token}.{third}", f"{token}..", f"{first}.{second}")
        yield from (f" {token}", f"{token} ", f"{token}\n", f"{token}=", f"{token}\0", f"{token}é")
        yield from (f"Bearer {token}", f'"{token}"', "", ".", "..", "...", "a.b.c", "\ud800.a.b")
        yield json.dumps({"payload": second, "protected": first, "signature": third})
        yield from (token * 20, token + "A" * limits.TOKEN_BYTES, "." * 9000, "A" * 9_000_000)
        yield token.translate(str.maketrans("-_", "+/")) + "=="
    for _ in range(count):
        token = random.choice(tokens)
        place = random.randrange(len(token))
        kind = random.randrange(4)
        letter = random.choice(ALPHABET.replace(token[place], ""))
        if kind == 0:
            yield token[:place] + letter + token[place + 1 :]
        elif kind == 1:
            yield token[:place]
        elif kind == 2:
            yield token[:place] + token[place] + token[place:]
        else:
            yield token[:place] + token[place + 1 :]


def mutants() -> Iterator[str]:
    yield from unsigned()
    yield from keyed_with_what_is_public()
    yield from confused()
    yield from with_strange_keys()
    yield from with_bad_claims()
    yield from broken(Random(35), 8000)


def test_of_thousands_of_hostile_tokens_none_is_accepted() -> None:
    verifier = make_verifier()
    assert verifier.verify(valid(RSA)).subject == "alice"
    assert verifier.verify(valid(EC)).subject == "alice"
    verifier = make_verifier()  # one that remembers nothing
    count = 0
    for token in mutants():
        count += 1
        with pytest.raises(Unauthenticated):
            verifier.verify(token)
        assert verifier.verify_cached(token) is None
    assert count > 8000


def test_hostile_tokens_fetch_no_keys_but_once() -> None:
    fetched: list[str] = []

    def counting(url: str, timeout_s: float, max_bytes: int) -> bytes:
        fetched.append(url)
        return fetch(url, timeout_s, max_bytes)

    clock = ManualClock()
    verifier = Verifier(ISSUER, ["shop"], clock=clock, fetch=counting)
    verifier.refresh()
    clock.advance(limits.JWKS_REFRESH_S)
    for token in chain(with_strange_keys(), broken(Random(36), 1000)):
        with pytest.raises(Unauthenticated):
            verifier.verify(token)
    assert fetched.count(f"{ISSUER}/keys") == 2
    assert {url.removeprefix(ISSUER) for url in fetched} == {
        "/keys",
        "/.well-known/openid-configuration",
    }


VERIFIER = make_verifier()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["iss", "aud", "client_id", "sub", "exp", "nbf", "iat", "scope", "roles"])


def judge(token: str) -> None:
    """Only an `Unauthenticated` leaves, or claims."""
    try:
        found = VERIFIER.verify(token)
    except Unauthenticated:
        return
    assert isinstance(found, Claims)
    assert not isinstance(found, NeedKeys)


@settings(max_examples=150, deadline=None)
@given(st.text() | st.tuples(st.text(), st.text(), st.text()).map(".".join))
def test_any_text_is_refused_in_order(token: str) -> None:
    with pytest.raises(Unauthenticated):
        VERIFIER.verify(token)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "x5t", "cty"]), JSON),
    st.binary(max_size=64),
    st.binary(max_size=300),
    st.booleans(),
)
def test_any_header_is_refused_in_order(
    extra: Json, payload: bytes, signature: bytes, known: bool
) -> None:
    header = extra | ({"alg": "ES256", "kid": "ec-1"} if known else {})
    text = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with pytest.raises(Unauthenticated):
        VERIFIER.verify(f"{base64(text)}.{base64(payload)}.{base64(signature)}")


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, JSON), st.booleans())
def test_any_signed_claims_are_judged_in_order(changes: Json, complete: bool) -> None:
    text = head({"alg": "ES256", "kid": "ec-1"}, {})[:-3]
    claims = (CLAIMS if complete else {}) | changes
    body = text + "." + base64(json.dumps(claims).encode())
    signature = jws.JWSRegistry.algorithms["ES256"].sign(body.encode(), EC)
    judge(f"{body}.{base64(signature)}")
