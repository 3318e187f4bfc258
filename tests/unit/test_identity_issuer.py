"""The development issuer: accounts, tokens, sessions, and its face over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import pytest

from wherry import limits
from wherry.errors import Conflict, Forbidden, Invalid, Passing, Refused, Unauthenticated
from wherry.identity import DevelopmentIssuer, MemoryState, Tokens, Verifier, handle
from wherry.identity.endpoints import Answer
from wherry.identity.passwords import Hasher
from wherry.world import Chance, ManualClock

URL = "http://127.0.0.1:8080/_issuer"
GOOD = "correct horse battery"
JSON = {"content-type": "application/json; charset=utf-8"}


class Desk:
    """An issuer with cheap hashes, a verifier of its tokens, and a clock that stands still."""

    def __init__(self, state: MemoryState | None = None) -> None:
        self.clock = ManualClock()
        self.state = state or MemoryState(self.clock)
        chance = Chance()
        self.issuer = DevelopmentIssuer(
            URL,
            "shop",
            ["customer", "staff"],
            self.state,
            clock=self.clock,
            chance=chance,
            hasher=Hasher(chance, memory_kib=64, passes=1),
        )
        self.verifier = Verifier(URL, ["shop"], clock=self.clock, fetch=self.issuer.fetch)

    def call(self, method: str, path: str, body: Any = b"", headers: Any = JSON) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return handle(self.issuer, method, "/_issuer" + path, headers, data, "asked-1")

    def faults(self, path: str, body: Any) -> dict[str, str]:
        status, headers, answer = self.call("POST", path, body)
        assert status == 422
        assert headers["Content-Type"] == "application/problem+json"
        return {one["at"]: one["fault"] for one in json.loads(answer)["faults"]}


@pytest.fixture(scope="module")
def keyed() -> MemoryState:
    """A state that has its key: making one takes a tenth of a second."""
    desk = Desk()
    desk.issuer.jwks()
    return desk.state


@pytest.fixture
def desk(keyed: MemoryState) -> Desk:
    fresh = Desk()
    fresh.state.put("signing-key", keyed.get("signing-key") or b"")
    return fresh


def test_who_signs_up_gets_tokens_shaped_like_those_of_cognito(desk: Desk) -> None:
    tokens = desk.issuer.sign_up("Alice@Example.com", GOOD)
    claims = desk.verifier.verify(tokens.access_token)
    now_s = desk.clock.now_ms() // 1000
    assert claims.roles == ("customer",)
    assert claims.scopes == ("openid",)
    assert claims.claims == {
        "sub": claims.subject,
        "iss": URL,
        "aud": "shop",
        "client_id": "shop",
        "token_use": "access",
        "scope": "openid",
        "cognito:groups": ["customer"],
        "username": "alice@example.com",
        "auth_time": now_s,
        "iat": now_s,
        "exp": now_s + 3600,
        "jti": claims.claims["jti"],
        "version": 2,
    }
    identity = desk.verifier.verify(tokens.id_token)
    assert identity.subject == claims.subject
    assert identity.claims["token_use"] == "id"
    assert identity.claims["email"] == "alice@example.com"
    assert (tokens.token_type, tokens.expires_in) == ("Bearer", 3600)


def test_log_in_finds_the_same_subject_by_another_writing_of_the_name(desk: Desk) -> None:
    first = desk.verifier.verify(desk.issuer.sign_up("Alice", GOOD).access_token)
    again = desk.verifier.verify(desk.issuer.log_in(" aLiCe ", GOOD).access_token)
    assert again.subject == first.subject
    with pytest.raises(Unauthenticated):
        desk.issuer.log_in("alice", GOOD + "!")
    with pytest.raises(Invalid):
        desk.issuer.log_in("alice", "x" * 300)


def test_the_device_of_a_log_in_is_known_at_the_next(desk: Desk) -> None:
    device = desk.issuer.sign_up("alice", GOOD).device
    for _ in range(6):
        with pytest.raises(Unauthenticated):
            desk.issuer.log_in("alice", "a stranger's guess")
    assert desk.issuer.log_in("alice", GOOD, device).device not in ("", device)


def test_a_name_is_taken_once_also_by_two_at_the_same_time(desk: Desk) -> None:
    results: list[str] = []

    def sign_up() -> None:
        try:
            desk.issuer.sign_up("alice", GOOD)
            results.append("made")
        except Conflict:
            results.append("taken")

    threads = [threading.Thread(target=sign_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == ["made"] + ["taken"] * 7


def test_a_newcomer_takes_self_assignable_roles_only_and_the_operator_gives_any(desk: Desk) -> None:
    with pytest.raises(Forbidden):
        desk.issuer.sign_up("alice", GOOD, ["staff"])
    with pytest.raises(Forbidden):
        desk.issuer.sign_up("alice", GOOD, ["customer", "staff"])
    with pytest.raises(Invalid):
        desk.issuer.sign_up("alice", GOOD, ["root"])
    assert desk.verifier.verify(desk.issuer.sign_up("bob", GOOD, []).access_token).roles == ()
    subject = desk.issuer.create_account("alice", GOOD, ["staff"])
    claims = desk.verifier.verify(desk.issuer.log_in("alice", GOOD).access_token)
    assert (claims.subject, claims.roles) == (subject, ("staff",))


def test_everything_wrong_with_an_account_is_listed_at_once(desk: Desk) -> None:
    with pytest.raises(Invalid) as caught:
        desk.issuer.sign_up("a b", "short", ["root"])
    assert [fault["at"] for fault in caught.value.faults] == ["$.username", "$.password", "$.roles"]


def test_a_token_for_the_command_line_needs_no_account(desk: Desk) -> None:
    claims = desk.verifier.verify(desk.issuer.token_for("alice", ["customer"], 60))
    assert (claims.subject, claims.roles) == ("alice", ("customer",))
    assert claims.expires_at_s == desk.clock.now_ms() // 1000 + 60
    for wrong in [("alice", ["root"], 60), ("alice", [], 0), ("alice", [], 86_401), ("", [], 60)]:
        with pytest.raises(Refused):
            desk.issuer.token_for(*wrong)


def test_a_refresh_token_is_good_once_and_the_new_one_after_it(desk: Desk) -> None:
    first = desk.issuer.sign_up("alice", GOOD)
    desk.clock.advance(3600)
    second = desk.issuer.refresh(first.refresh_token)
    third = desk.issuer.refresh(second.refresh_token)
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    claims = desk.verifier.verify(third.access_token).claims
    assert claims["iat"] - claims["auth_time"] == 3600


def test_a_refresh_token_that_comes_back_ends_its_session_and_no_other(desk: Desk) -> None:
    first = desk.issuer.sign_up("alice", GOOD)
    other = desk.issuer.log_in("alice", GOOD)
    second = desk.issuer.refresh(first.refresh_token)
    for token in (first, first, second):
        with pytest.raises(Unauthenticated):
            desk.issuer.refresh(token.refresh_token)
    assert desk.issuer.refresh(other.refresh_token).token_type == "Bearer"


def test_of_many_who_show_one_refresh_token_at_once_one_gets_tokens(desk: Desk) -> None:
    token = desk.issuer.sign_up("alice", GOOD).refresh_token
    results: list[Tokens | None] = []

    def refresh() -> None:
        try:
            results.append(desk.issuer.refresh(token))
        except Unauthenticated:
            results.append(None)

    threads = [threading.Thread(target=refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len([one for one in results if one]) == 1


def test_log_out_ends_the_session_with_its_current_or_an_old_token(desk: Desk) -> None:
    for old in (False, True):
        first = desk.issuer.log_in("alice", GOOD) if old else desk.issuer.sign_up("alice", GOOD)
        second = desk.issuer.refresh(first.refresh_token)
        desk.issuer.log_out(first.refresh_token if old else second.refresh_token)
        desk.issuer.log_out(second.refresh_token)
        with pytest.raises(Unauthenticated):
            desk.issuer.refresh(second.refresh_token)
    for nonsense in ("", ".", "a.b", "é.é", "a" * 10_000):
        desk.issuer.log_out(nonsense)
        with pytest.raises(Unauthenticated):
            desk.issuer.refresh(nonsense)


def test_a_session_ends_thirty_days_after_its_log_in_however_often_refreshed(desk: Desk) -> None:
    token = desk.issuer.sign_up("alice", GOOD).refresh_token
    desk.clock.advance(limits.REFRESH_TOKEN_S - 1)
    token = desk.issuer.refresh(token).refresh_token
    desk.clock.advance(1)
    with pytest.raises(Unauthenticated):
        desk.issuer.refresh(token)


def test_the_state_holds_neither_passwords_nor_refresh_tokens(desk: Desk) -> None:
    token = desk.issuer.sign_up("alice", GOOD).refresh_token
    kept = b"".join(value for value, _ in desk.state._rows.values())
    assert GOOD.encode() not in kept
    assert token.partition(".")[2].encode() not in kept


def test_the_key_is_made_once_and_outlives_the_issuer() -> None:
    first = Desk()
    threads = [threading.Thread(target=first.issuer.jwks) for _ in range(4)]
    first.issuer.prepare()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    token = first.issuer.token_for("alice")
    second = Desk(first.state)
    assert second.issuer.jwks() == first.issuer.jwks()
    assert second.verifier.verify(token).subject == "alice"


def test_the_published_key_holds_nothing_private(desk: Desk) -> None:
    (key,) = desk.issuer.jwks()["keys"]
    assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}


def test_an_issuer_that_cannot_be_is_refused() -> None:
    clock = ManualClock()
    state = MemoryState(clock)
    with pytest.raises(Refused):
        DevelopmentIssuer("http://shop.example.com", "a", [], state, clock=clock, chance=Chance())
    with pytest.raises(Refused):
        DevelopmentIssuer(
            URL, "a", ["b"], state, clock=clock, chance=Chance(), self_assignable=["c"]
        )


def test_the_endpoints_take_a_person_from_sign_up_to_log_out(desk: Desk) -> None:
    person = {"username": "alice", "password": GOOD}
    status, headers, body = desk.call("POST", "/sign-up", person)
    assert (status, headers["Cache-Control"]) == (201, "no-store")
    device = json.loads(body)["device"]
    status, _, body = desk.call("POST", "/log-in", person | {"device": device})
    assert status == 200
    status, _, body = desk.call(
        "POST", "/refresh", {"refresh_token": json.loads(body)["refresh_token"]}
    )
    tokens = json.loads(body)
    assert desk.verifier.verify(tokens["access_token"]).roles == ("customer",)
    last = {"refresh_token": tokens["refresh_token"]}
    assert desk.call("POST", "/log-out", last)[0] == 204
    status, headers, body = desk.call("POST", "/refresh", last)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert json.loads(body)["reason"] == "session"


def test_the_documents_are_found_where_openid_says(desk: Desk) -> None:
    status, headers, body = desk.call("GET", "/.well-known/openid-configuration")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["jwks_uri"] == URL + "/.well-known/jwks.json"
    assert json.loads(desk.call("GET", "/.well-known/jwks.json")[2]) == desk.issuer.jwks()
    assert desk.call("HEAD", "/.well-known/jwks.json")[0] == 200
    status, headers, _ = desk.call("POST", "/.well-known/jwks.json")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_every_fault_of_a_body_is_listed(desk: Desk) -> None:
    body = b'{"username":1,"username":"a","role":1,"roles":["a",2],"x":{"x":1,"x":2}}'
    assert desk.faults("/sign-up", body) == {
        "$.username": "is there twice",
        "$.role": "is unknown",
        "$.x": "is unknown",
        "$.password": "is missing",
        "$.roles": "must be a list of texts",
    }
    assert desk.faults("/refresh", {"refresh_token": None}) == {"$.refresh_token": "must be a text"}
    assert desk.faults("/log-in", []) == {"$": "must be an object"}
    assert set(desk.faults("/sign-up", {"username": "", "password": "short"})) == {
        "$.username",
        "$.password",
    }


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"username":NaN}', b'{"username":"\\ud800"}', b"\xff", b"[" * 5000]
)
def test_a_body_that_cannot_be_read_is_a_bad_request(desk: Desk, body: bytes) -> None:
    assert desk.call("POST", "/log-in", body)[0] == 400


def test_what_is_no_endpoint_is_told_as_a_problem(desk: Desk) -> None:
    body = {"username": "alice", "password": GOOD}
    assert desk.call("POST", "/log-in", body, {"content-type": "text/plain"})[0] == 415
    assert desk.call("POST", "/log-in", body, {})[0] == 415
    assert desk.call("POST", "/log-in", b" " * 9000)[0] == 413
    status, headers, _ = desk.call("GET", "/log-in")
    assert (status, headers["allow"]) == (405, "POST")
    assert desk.call("POST", "/.well-known/jwks.json")[0] == 405
    for path in ("", "/", "/log-in/", "x/log-in", "/../log-in"):
        assert desk.call("POST", path, body)[0] == 404
    assert handle(desk.issuer, "POST", "/log-in", JSON, b"{}", "asked-1")[0] == 404


def test_the_throttle_and_a_wrong_password_are_answered_with_their_headers(desk: Desk) -> None:
    guess = {"username": "alice", "password": "a stranger's guess"}
    for _ in range(6):
        status, headers, body = desk.call("POST", "/log-in", guess)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert json.loads(body)["code"] == "unauthenticated"
    status, headers, _ = desk.call("POST", "/log-in", guess)
    assert (status, headers["Retry-After"]) == (429, "1")


def test_a_state_that_is_away_for_a_moment_is_a_503() -> None:
    class Away(MemoryState):
        def get(self, key: str) -> bytes | None:
            raise Passing("the store is restarting")

    desk = Desk(Away(ManualClock()))
    desk.issuer.prepare()
    status, headers, _ = desk.call("POST", "/log-in", {"username": "a", "password": GOOD})
    assert (status, headers["retry-after"]) == (503, "1")


def test_importing_the_room_loads_nothing_heavy() -> None:
    heavy = "joserfc argon2 cryptography urllib asyncio http ssl socket email dataclasses inspect"
    code = (
        "import sys, msgspec\n"
        "before = set(sys.modules)\n"
        "import wherry.identity.endpoints, wherry.identity.tokens\n"
        f"print([name for name in {heavy.split()} if name in set(sys.modules) - before])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
