"""Tokens: what is accepted, what is refused and why, and for how long it is remembered."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from wherry import limits
from wherry.codec import to_json
from wherry.errors import Refused, Unauthenticated, Unavailable
from wherry.identity import Claims, NeedKeys, Verifier, bearer_token
from wherry.world import ManualClock

ISSUER = "https://id.example.com/pool"
AUDIENCE = "shop"
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1"})


class Network:
    """An issuer's two documents, and how often each was fetched."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys or (RSA, EC))
        self.fetched: list[str] = []
        self.down = False

    def fetch(self, url: str, timeout_s: float, max_bytes: int) -> bytes:
        self.fetched.append(url)
        if self.down:
            raise OSError("the network is down")
        if url.endswith("openid-configuration"):
            return to_json({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})
        return to_json({"keys": [key.as_dict(private=False) for key in self.keys]})

    @property
    def key_fetches(self) -> int:
        return self.fetched.count(f"{ISSUER}/keys")


class Bench:
    """A verifier with keys, a clock that stands still, and tokens to show it."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.network = Network()
        self.verifier = Verifier(
            ISSUER, [AUDIENCE], clock=self.clock, fetch=self.network.fetch, **options
        )
        self.verifier.refresh()

    @property
    def now_s(self) -> int:
        return self.clock.now_ms() // 1000

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims that are accepted, with changes; a change to `...` takes a claim away."""
        full = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "alice",
            "iat": self.now_s,
            "exp": self.now_s + 3600,
            "scope": "openid orders.read",
            "cognito:groups": ["customer"],
        } | changes
        return {name: value for name, value in full.items() if value is not ...}

    def token(self, header: dict[str, Any] | None = None, /, key: Any = RSA, **changes: Any) -> str:
        return sign(header or {}, to_json(self.claims(**changes)), key)

    def reason(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as caught:
            self.verifier.verify(token)
        assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")
        return str(caught.value.extra["reason"])


def sign(header: dict[str, Any], payload: bytes, key: Any = RSA) -> str:
    """Sign whatever is asked for: the library itself refuses to sign some of it."""
    algorithm = "RS256" if key.key_type == "RSA" else "ES256"
    full = {"alg": algorithm, "kid": key.kid, "typ": "JWT"} | header
    full = {name: value for name, value in full.items() if value is not ...}
    body = f"{base64(to_json(full))}.{base64(payload)}"
    signature = jws.JWSRegistry.algorithms[algorithm].sign(body.encode(), key)
    return f"{body}.{base64(signature)}"


def base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
def test_a_token_signed_by_the_issuer_is_accepted_and_says_who_calls(
    bench: Bench, key: Any
) -> None:
    claims = bench.verifier.verify(bench.token(key=key))
    assert claims == Claims(
        "alice",
        ("customer",),
        ("openid", "orders.read"),
        ISSUER,
        bench.now_s + 3600,
        bench.claims(),
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"iss": ...}, "issuer"),
        ({"aud": "other"}, "audience"),
        ({"aud": None, "client_id": AUDIENCE}, "audience"),
        ({"aud": [], "client_id": AUDIENCE}, "audience"),
        ({"aud": 7}, "claims"),
        ({"aud": ..., "client_id": "other"}, "audience"),
        ({"aud": ...}, "audience"),
        ({"sub": ...}, "claims"),
        ({"sub": ""}, "claims"),
        ({"sub": 1}, "claims"),
        ({"sub": "a" * 256}, "claims"),
        ({"exp": ...}, "claims"),
        ({"exp": "9999999999"}, "claims"),
        ({"exp": True}, "claims"),
        ({"exp": 1 << 70}, "claims"),
        ({"exp": -1}, "claims"),
        ({"nbf": "soon"}, "claims"),
        ({"iat": None}, "claims"),
        ({"cognito:groups": [1]}, "claims"),
        ({"cognito:groups": {"customer": True}}, "claims"),
        ({"huge": 1 << 70}, "claims"),
    ],
)
def test_claims_that_break_a_rule_are_refused_with_its_reason(
    bench: Bench, changes: dict[str, Any], reason: str
) -> None:
    assert bench.reason(bench.token(**changes)) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", AUDIENCE]},
        {"aud": ..., "client_id": AUDIENCE},
        {"iat": ...},
        {"scope": ..., "scp": ["orders.read"]},
    ],
)
def test_the_shapes_of_other_issuers_are_accepted(bench: Bench, changes: dict[str, Any]) -> None:
    assert bench.verifier.verify(bench.token(**changes)).subject == "alice"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"crit": ["exp"]}, "header"),
        ({"crit": []}, "header"),
        ({"b64": False}, "header"),
        ({"jwk": RSA.as_dict(private=False)}, "header"),
        ({"jku": "https://evil.example.com/keys"}, "header"),
        ({"x5u": "file:///etc/passwd"}, "header"),
        ({"x5c": ["MII"]}, "header"),
        ({"typ": "logout+jwt"}, "header"),
        ({"typ": "dpop+jwt"}, "header"),
        ({"kid": ...}, "key"),
        ({"kid": ""}, "key"),
        ({"kid": "a" * 257}, "key"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused_though_the_signature_holds(
    bench: Bench, header: dict[str, Any], reason: str
) -> None:
    assert bench.reason(bench.token(header)) == reason


@pytest.mark.parametrize("kind", [..., "JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_the_types_of_access_tokens_are_accepted(bench: Bench, kind: Any) -> None:
    assert bench.verifier.verify(bench.token({"typ": kind, "x5t": "abc"})).subject == "alice"


def test_duplicate_names_in_header_or_claims_are_refused(bench: Bench) -> None:
    text = to_json(bench.claims())
    assert bench.reason(sign({}, b'{"sub":"bob",' + text[1:])) == "claims"
    _, payload, signature = bench.token().split(".")
    twice = base64(b'{"alg":"none","alg":"RS256","kid":"rsa-1"}')
    assert bench.reason(f"{twice}.{payload}.{signature}") == "malformed"


def test_payloads_that_are_no_strict_json_object_are_refused(bench: Bench) -> None:
    for payload in (b"", b"[]", b"null", b'{"exp":NaN}', b"\xff", b'{"a":"\\ud800"}'):
        assert bench.reason(sign({}, payload)) == "claims"
    deep = b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"}"
    assert bench.reason(sign({}, deep)) in ("claims", "issuer")  # Python 3.12 on reads so deep


def test_leeway_is_sixty_seconds_at_both_ends(bench: Bench) -> None:
    now = bench.now_s
    accepted = {"exp": now - 59}, {"nbf": now + 60}, {"iat": now + 60}
    for changes in accepted:
        assert bench.verifier.verify(bench.token(**changes)).subject == "alice"
    assert bench.reason(bench.token(exp=now - 60)) == "expired"
    assert bench.reason(bench.token(nbf=now + 61)) == "not_yet_valid"
    assert bench.reason(bench.token(iat=now + 60.5)) == "not_yet_valid"


def test_a_remembered_token_is_forgotten_the_moment_it_would_be_refused(bench: Bench) -> None:
    token = bench.token(exp=bench.now_s + 100)
    claims = bench.verifier.verify(token)
    bench.clock.advance(159.9)
    assert bench.verifier.verify_cached(token) is claims
    bench.clock.advance(0.1)
    assert bench.verifier.verify_cached(token) is None
    assert bench.reason(token) == "expired"


def test_a_remembered_token_is_the_whole_token(bench: Bench) -> None:
    token = bench.token()
    bench.verifier.verify(token)
    for other in (token[:-1], token + "A", token.rpartition(".")[0] + ".", "\ud800", "a" * 9000):
        assert bench.verifier.verify_cached(other) is None


def test_the_least_recently_used_token_is_forgotten_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TOKEN_CACHE", 2)
    first, second, third = (bench.token(jti=str(number)) for number in range(3))
    bench.verifier.verify(first)
    bench.verifier.verify(second)
    bench.verifier.verify(first)
    bench.verifier.verify(third)
    kept = [bench.verifier.verify_cached(token) is not None for token in (first, second, third)]
    assert kept == [True, False, True]


def test_a_withdrawn_key_ends_what_it_signed_also_in_memory(bench: Bench) -> None:
    token = bench.token()
    bench.verifier.verify(token)
    bench.network.keys = [EC]
    bench.clock.advance(limits.JWKS_REFRESH_S)
    bench.verifier.refresh()
    assert bench.verifier.verify_cached(token) is None
    assert bench.reason(token) == "key"


def test_roles_come_from_the_first_known_claim_or_the_configured_one() -> None:
    bench = Bench()
    cases: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"cognito:groups": ["a"], "roles": ["b"]}, ("a",)),
        ({"cognito:groups": ..., "roles": ["b"], "groups": ["c"]}, ("b",)),
        ({"cognito:groups": ..., "groups": "c"}, ("c",)),
        ({"cognito:groups": ...}, ()),
    ]
    for changes, roles in cases:
        assert bench.verifier.verify(bench.token(**changes)).roles == roles
    nested = Bench(roles_claim="realm_access.roles")
    token = nested.token(realm_access={"roles": ["staff"]})
    assert nested.verifier.verify(token).roles == ("staff",)
    assert nested.verifier.verify(nested.token()).roles == ()
    named = Bench(roles_claim="https://example.com/roles")
    token = named.token(**{"https://example.com/roles": ["staff"]})
    assert named.verifier.verify(token).roles == ("staff",)


def test_one_of_the_configured_scopes_is_enough_and_none_is_refused() -> None:
    bench = Bench(scopes=("orders.read", "orders.write"))
    assert bench.verifier.verify(bench.token()).scopes == ("openid", "orders.read")
    assert bench.reason(bench.token(scope="openid")) == "scope"
    assert bench.reason(bench.token(scope=...)) == "scope"


def test_only_the_configured_algorithms_are_accepted() -> None:
    bench = Bench(algorithms=["RS256"])
    assert bench.verifier.verify(bench.token()).subject == "alice"
    assert bench.reason(bench.token(key=EC)) == "algorithm"


def test_a_token_beyond_the_bound_is_refused_before_anything_is_read(bench: Bench) -> None:
    assert bench.reason(bench.token(padding="a" * 8000)) == "too_large"
    assert bench.reason("a" * 10_000_000) == "too_large"


def test_a_refusal_quotes_nothing_of_the_token(bench: Bench) -> None:
    with pytest.raises(Unauthenticated) as caught:
        bench.verifier.verify(bench.token(iss="https://evil.example.com"))
    shown = json.dumps([str(caught.value), caught.value.extra, caught.value.headers])
    assert "evil" not in shown
    assert ISSUER not in shown
    assert caught.value.__cause__ is None


def test_a_verifier_that_would_accept_what_nobody_means_is_not_made() -> None:
    clock = ManualClock()
    for audiences in ((), [""], "shop"):
        with pytest.raises(Refused):
            Verifier(ISSUER, audiences, clock=clock)
    for algorithms in ((), ["none"], ["HS256"], ["RS256", "HS256"]):
        with pytest.raises(Refused):
            Verifier(ISSUER, ["shop"], clock=clock, algorithms=algorithms)
    for issuer in ("http://id.example.com", "file:///etc", "https://", "https://a@b/", "nonsense"):
        with pytest.raises(Refused):
            Verifier(issuer, ["shop"], clock=clock)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "abc"])
def test_a_request_without_a_bearer_token_is_told_so(header: str | None) -> None:
    with pytest.raises(Unauthenticated) as caught:
        bearer_token(header)
    assert caught.value.extra == {"reason": "missing"}
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


def test_the_scheme_of_a_bearer_token_is_read_without_case() -> None:
    assert bearer_token("bearer abc.def.ghi") == "abc.def.ghi"


def test_without_keys_a_token_is_neither_accepted_nor_blamed() -> None:
    bench = Bench()
    network = Network()
    network.down = True
    verifier = Verifier(ISSUER, [AUDIENCE], clock=bench.clock, fetch=network.fetch)
    token = bench.token()
    assert verifier.try_verify(token) == NeedKeys(ISSUER)
    with pytest.raises(Unavailable):
        verifier.verify(token)
    assert "down" in verifier.fault
    network.down = False
    bench.clock.advance(limits.JWKS_RETRY_S)
    assert verifier.verify(token).subject == "alice"
    assert verifier.fault == ""
