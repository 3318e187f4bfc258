"""Keys of an issuer: which are read, when they are fetched, and what a fetch may not do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from wherry import limits
from wherry.codec import from_json, to_json
from wherry.errors import Refused
from wherry.identity.fetching import FetchFailed, check_url, fetch
from wherry.identity.keys import KeySource, parse_keys
from wherry.world import ManualClock

ISSUER = "https://id.example.com"
RSA: dict[str, Any] = RSAKey.generate_key(2048, {"kid": "rsa"}).as_dict(private=False)
EC: dict[str, Any] = ECKey.generate_key("P-256", {"kid": "ec"}).as_dict(private=False)


def key_set(*keys: object) -> bytes:
    return to_json({"keys": list(keys)})


class Site:
    """Documents by URL; fetched URLs are noted."""

    def __init__(self, **documents: Any) -> None:
        self.documents: dict[str, Any] = {
            f"{ISSUER}/.well-known/openid-configuration": to_json(
                {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
            ),
            f"{ISSUER}/keys": key_set(RSA),
        }
        self.fetched: list[str] = []

    def fetch(self, url: str, timeout_s: float, max_bytes: int) -> bytes:
        assert timeout_s == limits.JWKS_TIMEOUT_S
        assert max_bytes == limits.JWKS_BYTES
        self.fetched.append(url)
        found = self.documents[url]
        if isinstance(found, Exception):
            raise found
        return bytes(found)

    def configure(self, **members: Any) -> None:
        url = f"{ISSUER}/.well-known/openid-configuration"
        self.documents[url] = to_json(from_json(self.documents[url]) | members)


def make() -> tuple[Site, ManualClock, KeySource]:
    site, clock = Site(), ManualClock()
    return site, clock, KeySource(ISSUER, clock=clock, fetch=site.fetch)


def test_each_key_is_pinned_to_the_one_algorithm_of_its_type() -> None:
    keys = parse_keys(key_set(RSA, EC))
    assert {kid: key.algorithm for kid, key in keys.items()} == {"rsa": "RS256", "ec": "ES256"}


@pytest.mark.parametrize(
    "unusable",
    [
        OctKey.generate_key(256, {"kid": "oct"}).as_dict(private=True),
        {k: v for k, v in RSA.items() if k != "kid"},
        RSA | {"kid": ""},
        RSA | {"kid": 7},
        RSA | {"kid": "a" * 257},
        RSA | {"use": "enc"},
        RSA | {"use": None},
        RSA | {"key_ops": ["encrypt"]},
        RSA | {"key_ops": "verify"},
        RSA | {"alg": "RS512"},
        RSA | {"alg": "HS256"},
        RSA | {"alg": None},
        RSA | {"kty": ["RSA"]},
        RSA | {"n": RSA["n"][:100]},
        RSA | {"n": RSA["n"] * 5},
        RSA | {"n": "!"},
        RSA | {"n": 5},
        RSA | {"e": "AA"},
        RSA | {"e": ""},
        RSA | {"e": "AQ"},
        EC | {"crv": "P-521"},
        EC | {"x": EC["y"], "y": EC["x"]},
        EC | {"x": ""},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "okp"},
        None,
        [],
        "key",
    ],
)
def test_what_is_no_signature_key_is_passed_over_and_the_others_are_read(unusable: object) -> None:
    other = EC | {"kid": "other"}
    assert list(parse_keys(key_set(unusable, other))) == ["other"]


def test_private_members_and_certificates_of_a_key_are_not_read() -> None:
    strange = RSA | {"d": 5, "x5c": [1], "x5u": "file:///etc/passwd", "use": "sig"}
    assert list(parse_keys(key_set(strange))) == ["rsa"]


def test_of_two_keys_with_one_id_the_first_counts() -> None:
    assert parse_keys(key_set(RSA, EC | {"kid": "rsa"}))["rsa"].algorithm == "RS256"


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys":{}}', b"\xff", b"[" * 9000])
def test_what_is_no_key_set_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match="it"):
        parse_keys(text)


def test_a_flood_of_unknown_ids_fetches_once_a_minute() -> None:
    site, clock, source = make()
    source.refresh()
    for minute in range(1, 4):
        clock.advance(limits.JWKS_REFRESH_S)
        for _ in range(1000):
            if source.wanted(known=False):
                source.refresh()
        assert site.fetched.count(f"{ISSUER}/keys") == 1 + minute
    assert site.fetched.count(f"{ISSUER}/.well-known/openid-configuration") == 1


def test_a_known_id_fetches_again_after_two_hours_only() -> None:
    site, clock, source = make()
    source.refresh()
    clock.advance(limits.JWKS_KEPT_S - 1)
    assert not source.wanted(known=True)
    clock.advance(1)
    assert source.wanted(known=True)
    source.refresh()
    assert not source.wanted(known=True)
    assert len(site.fetched) == 4  # the configuration is read anew as well


def test_keys_stay_when_a_fetch_fails_or_brings_none() -> None:
    site, clock, source = make()
    source.refresh()
    for answer in (OSError("down"), b"oops", key_set(), key_set(OctKey.generate_key().as_dict())):
        site.documents[f"{ISSUER}/keys"] = answer
        clock.advance(limits.JWKS_KEPT_S)
        source.refresh()
        assert source.find("rsa") is not None
        assert source.fault
        assert not source.wanted(known=True)
    assert source.generation == 0


def test_without_any_key_the_next_try_is_soon() -> None:
    site, clock, source = make()
    site.documents[f"{ISSUER}/keys"] = OSError("not yet")
    source.refresh()
    source.refresh()
    assert site.fetched.count(f"{ISSUER}/keys") == 1
    clock.advance(limits.JWKS_RETRY_S)
    site.documents[f"{ISSUER}/keys"] = key_set(EC)
    source.refresh()
    assert source.find("ec") is not None


def test_a_replaced_key_starts_a_generation_and_an_added_one_does_not() -> None:
    site, clock, source = make()
    source.refresh()
    for keys, generation in [([RSA, EC], 0), ([EC | {"kid": "rsa"}, EC], 1), ([EC], 2)]:
        site.documents[f"{ISSUER}/keys"] = key_set(*keys)
        clock.advance(limits.JWKS_REFRESH_S)
        source.refresh()
        assert source.generation == generation


def test_who_comes_while_keys_are_fetched_waits_for_that_fetch() -> None:
    site, clock, source = make()
    begun, go = threading.Event(), threading.Event()
    plain = site.fetch

    def slow(url: str, timeout_s: float, max_bytes: int) -> bytes:
        begun.set()
        assert go.wait(10)
        return plain(url, timeout_s, max_bytes)

    source = KeySource(ISSUER, clock=clock, fetch=slow)
    callers = [threading.Thread(target=source.refresh) for _ in range(4)]
    callers[0].start()
    assert begun.wait(10)
    assert source.wanted(known=False)
    for caller in callers[1:]:
        caller.start()
    go.set()
    for caller in callers:
        caller.join(10)
    assert len(site.fetched) == 2
    assert source.find("rsa") is not None


@pytest.mark.parametrize(
    "members",
    [
        {"issuer": "https://other.example.com"},
        {"issuer": ISSUER + "/"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://id.example.com/keys"},
        {"jwks_uri": "http://127.0.0.1:9/keys"},
        {"jwks_uri": "http://169.254.169.254/latest"},
        {"jwks_uri": "https://user@id.example.com/keys"},
    ],
)
def test_a_configuration_that_leads_astray_is_not_followed(members: dict[str, Any]) -> None:
    site, _, source = make()
    site.configure(**members)
    source.refresh()
    assert len(site.fetched) == 1
    assert len(source) == 0
    assert source.fault


def test_a_document_beyond_the_bound_is_refused() -> None:
    site, _, source = make()
    site.documents[f"{ISSUER}/keys"] = key_set(RSA, "a" * limits.JWKS_BYTES)
    source.refresh()
    assert len(source) == 0


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/",
        "http://example.com/",
        "http://localhost.example.com/",
        "http://10.0.0.1/",
        "data:,x",
        "https://",
        "https://a b/",
        "https://a/\n",
        "https://a/#x",
        "https://[::1",
        "https://a:b/",
        "",
    ],
)
def test_addresses_that_are_not_fetched(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url)
    with pytest.raises(Refused):
        fetch(url, 1, 10)


@pytest.mark.parametrize("url", ["https://a.example/x?y", "http://127.0.0.2:8/", "http://[::1]/"])
def test_addresses_that_are_fetched(url: str) -> None:
    assert check_url(url) == url


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join(30)


def reply(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_a_document_is_fetched_whole() -> None:
    with server(reply(200, b"x" * 50_000)) as url:
        assert fetch(url, 10, 50_000) == b"x" * 50_000


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"x" * 101),
        reply(302, b"", Location="/other"),
        reply(302, b"", Location="file:///etc/passwd"),
        reply(404, b"{}"),
        reply(500, b""),
        reply(204, b""),
        reply(200, b"half", Content_Length="10"),
        reply(200, b"zz\r\nhalf", Transfer_Encoding="chunked"),
    ],
    ids=["long", "redirect", "to-file", "404", "500", "204", "half", "chunks"],
)
def test_an_answer_that_is_not_the_document_fails(
    answer: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    with server(answer) as url, pytest.raises(FetchFailed):
        fetch(url, 10, 100)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_drips_is_cut_off(start: bytes) -> None:
    done = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(start)
        while not done.wait(0.02):  # never silent for as long as the timeout
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    with server(drip) as url:
        with pytest.raises(FetchFailed):
            fetch(url, 0.2, 1_000_000)
        done.set()


def test_nobody_listening_fails() -> None:
    with server(reply(200, b"")) as url:
        pass
    with pytest.raises(FetchFailed):
        fetch(url, 1, 10)
