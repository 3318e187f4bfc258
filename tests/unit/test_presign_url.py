"""A presigned URL is S3's, and permits exactly the request that it was signed for."""

import base64
import hashlib
import random
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry import limits
from wherry.errors import Invalid, Refused
from wherry.names import check_key
from wherry.platforms.files.presign import (
    Denied,
    Verified,
    expires_at_ms,
    sign,
    split_object_path,
    verify,
)
from wherry.platforms.files.sigv4 import SigningKey

NOW_MS = 1_795_262_400_000  # 2026-11-21T12:00:00Z
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = SigningKey("AKIDEXAMPLE", SECRET, "eu-central-1")
ORIGIN, HOST = "https://files.example.org:8443", "files.example.org:8443"
UPLOAD = {
    "content-length": "1234",
    "content-type": "image/png",
    "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"test").digest()).decode(),
    "if-none-match": "*",
    "x-amz-meta-owner": "alice b",
    "x-amz-meta-x": "1=2&3;4",
}

Headers = list[tuple[str, str]]


def cut(url: str, origin: str = ORIGIN) -> tuple[str, str]:
    """The path and the query as they are sent."""
    assert url.startswith(origin)
    path, _, query = url.removeprefix(origin).partition("?")
    return path, query


def attached(disposition: str | None) -> dict[str, str]:
    return {} if disposition is None else {"response-content-disposition": disposition}


def upload() -> tuple[str, str, str, Headers]:
    url = sign("PUT", ORIGIN, "/assets/a b/é+.png", KEY, NOW_MS, 900, UPLOAD)
    return ("PUT", *cut(url), [("host", HOST), *UPLOAD.items()])


def download() -> tuple[str, str, str, Headers]:
    url = sign(
        "GET", ORIGIN, "/assets/a", KEY, NOW_MS, 900, query=attached('attachment; filename="a b"')
    )
    return ("GET", *cut(url), [("host", HOST)])


def check(
    method: str, path: str, query: str, headers: Headers, *, now_ms: int = NOW_MS
) -> Verified | Denied:
    return verify(method, path, query, headers, [KEY], now_ms)


def reason(verdict: Verified | Denied) -> str:
    assert isinstance(verdict, Denied)
    return verdict.reason


# --- it is S3's ---------------------------------------------------------------------------------


def test_the_example_that_aws_publishes_has_the_signature_that_aws_publishes() -> None:
    """Amazon S3 API reference, "Authenticating Requests: Using Query Parameters"."""
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # not quite SECRET
    key = SigningKey("AKIAIOSFODNN7EXAMPLE", secret, "us-east-1")
    origin = "https://examplebucket.s3.amazonaws.com"
    moment_ms = 1_369_353_600_000
    url = sign("GET", origin, "/test.txt", key, moment_ms, 86_400)
    assert url == (
        "https://examplebucket.s3.amazonaws.com/test.txt"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    headers = [("Host", "examplebucket.s3.amazonaws.com"), ("User-Agent", "curl")]
    verdict = verify("GET", *cut(url, origin), headers, [key], moment_ms)
    assert isinstance(verdict, Verified)


# Computed with botocore 1.44.5 (S3SigV4QueryAuth) from the same input, with SECRET.
BOTOCORE = [
    (
        "PUT",
        "/assets/a b/é+.png",
        NOW_MS,
        900,
        SigningKey("AKIDEXAMPLE", SECRET, "eu-central-1"),
        UPLOAD,
        None,
        "d56ec77df7eae09472445b8be50087fe30030f7b61ac95fb2128fc464c8a707a",
    ),
    (
        "PUT",
        "/bucket/k.^_><b; }a_ _]\\-`A@😀>>`]9`A&/?z9",
        1_752_963_712_506,
        464_780,
        SigningKey("AKIDEXAMPLE11", SECRET, "eu-central-1"),
        {
            "content-length": "485520203",
            "content-type": "text/plain; charset=utf-8",
            "x-amz-checksum-sha256": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        },
        None,
        "42f6d3a5f36f3bf93ba7a5fd65abb0186d59d08f2780cedc7813ca63168bda96",
    ),
    (
        "GET",
        "/bucket/k,<)!*/$@0'",
        1_587_992_115_034,
        480_952,
        SigningKey("AKIDEXAMPLE14", SECRET, "us-east-1"),
        {},
        'attachment; filename="a b.txt"',
        "22b9c7c583d069b4791b6364a321946815b4fa23f6c9b775be1126354a7601f8",
    ),
    (
        "HEAD",
        "/bucket/k?&()ß",
        1_874_202_778_614,
        327_173,
        SigningKey("AKIDEXAMPLE30", SECRET, "us-east-1"),
        {},
        'attachment; filename="a b.txt"',
        "d8595d6ab6ad999287508bd901b8dae7efe016e53cd1ee62f6d99db78ba7b600",
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "now_ms", "expires_s", "key", "headers", "disposition", "signature"),
    BOTOCORE,
)
def test_an_aws_sdk_makes_the_same_signature(
    method: str,
    path: str,
    now_ms: int,
    expires_s: int,
    key: SigningKey,
    headers: dict[str, str],
    disposition: str | None,
    signature: str,
) -> None:
    url = sign(method, ORIGIN, path, key, now_ms, expires_s, headers, attached(disposition))
    assert url.endswith(f"&X-Amz-Signature={signature}")
    verdict = verify(method, *cut(url), [("host", HOST), *headers.items()], [key], now_ms)
    assert isinstance(verdict, Verified)
    assert verdict.path == path


# --- what was signed is permitted ---------------------------------------------------------------


def test_a_verified_upload_says_what_was_signed() -> None:
    verdict = check(*upload())
    assert isinstance(verdict, Verified)
    assert (verdict.method, verdict.path, verdict.key_id) == (
        "PUT",
        "/assets/a b/é+.png",
        "AKIDEXAMPLE",
    )
    assert verdict.expires_at_ms == NOW_MS + 900_000 == expires_at_ms(NOW_MS + 999, 900)
    assert verdict.size_bytes == 1234
    assert verdict.content_type == "image/png"
    assert verdict.checksum_sha256 == UPLOAD["x-amz-checksum-sha256"]
    assert verdict.create_only
    assert verdict.metadata == {"owner": "alice b", "x": "1=2&3;4"}
    assert verdict.disposition is None


def test_a_verified_download_says_how_to_send_it() -> None:
    verdict = check(*download())
    assert isinstance(verdict, Verified)
    assert verdict.disposition == 'attachment; filename="a b"'
    assert (verdict.size_bytes, verdict.metadata, verdict.create_only) == (0, {}, False)
    assert verdict.checksum_sha256 is None


def test_order_of_parameters_and_case_of_header_names_are_free() -> None:
    method, path, query, headers = upload()
    turned = "&".join(reversed(query.split("&")))
    assert isinstance(
        check(method, path, turned, [(name.title(), value) for name, value in headers[::-1]]),
        Verified,
    )


def test_headers_that_mean_nothing_here_may_come_along() -> None:
    method, path, query, headers = download()
    more = [
        ("User-Agent", "x"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", '"tag"'),
        ("Accept", "é"),
    ]
    assert isinstance(check(method, path, query, [*headers, *more]), Verified)


def test_during_a_rotation_both_keys_are_valid() -> None:
    method, path, query, headers = upload()
    new = SigningKey("NEW", "another secret of some length", "eu-central-1")
    assert isinstance(verify(method, path, query, headers, [new, KEY], NOW_MS), Verified)
    assert "no key" in reason(verify(method, path, query, headers, [new], NOW_MS))
    assert "no key" in reason(verify(method, path, query, headers, [], NOW_MS))
    for other in (
        SigningKey("AKIDEXAMPLE", SECRET + "x", "eu-central-1"),
        SigningKey("AKIDEXAMPLE", SECRET, "us-east-1"),
    ):
        assert isinstance(verify(method, path, query, headers, [other], NOW_MS), Denied)


def test_every_key_that_is_taken_survives_the_way_through_a_url() -> None:
    @given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40))
    def one(key: str) -> None:
        try:
            path = "/assets/" + check_key(key)
        except Invalid:
            return
        url = sign("GET", ORIGIN, path, KEY, NOW_MS, 1)
        assert url.isascii()
        assert urlsplit(url).geturl() == url
        verdict = check("GET", *cut(url), [("host", HOST)])
        assert isinstance(verdict, Verified)
        assert verdict.path == path

    one()


# --- nothing else is ----------------------------------------------------------------------------


def changes(text: str, chance: random.Random) -> list[str]:
    """Every single bit flipped, every byte left out, doubled and replaced, bytes put in."""
    raw = text.encode("latin-1")
    found = []
    for at in range(len(raw)):
        found += [raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :] for bit in range(8)]
        found.append(raw[:at] + raw[at + 1 :])
        found.append(raw[:at] + raw[at : at + 1] + raw[at:])
        found.append(raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :])
        found += [
            raw[:at] + mark + raw[at:] for mark in (b" ", b"%", b"&", b"=", b";", b"/", b"\n")
        ]
    found += [raw + mark for mark in (b" ", b"&", b"=", b"/", b"\0", b"%20", b"&a=b")]
    return [change.decode("latin-1") for change in found if change != raw]


@pytest.mark.parametrize("make", [upload, download])
def test_every_single_byte_change_is_refused(
    make: Callable[[], tuple[str, str, str, Headers]],
) -> None:
    method, path, query, headers = make()
    assert isinstance(check(method, path, query, headers), Verified)
    chance = random.Random(36)
    tried = 0
    for other in changes(method, chance):
        assert isinstance(check(other, path, query, headers), Denied), other
        tried += 1
    for other in changes(path, chance):
        assert isinstance(check(method, other, query, headers), Denied), other
        tried += 1
    for other in changes(query, chance):
        assert isinstance(check(method, path, other, headers), Denied), other
        tried += 1
    for at, (name, value) in enumerate(headers):
        for other in changes(value, chance):
            changed = [*headers[:at], (name, other), *headers[at + 1 :]]
            assert isinstance(check(method, path, query, changed), Denied), changed
            tried += 1
        for other in changes(name, chance):
            if other.lower() != name:  # their case is free in HTTP
                changed = [*headers[:at], (other, value), *headers[at + 1 :]]
                assert isinstance(check(method, path, query, changed), Denied), changed
                tried += 1
    assert tried > 5_000


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "put", "PUT "])
def test_another_method_is_refused(method: str) -> None:
    _, path, query, headers = upload()
    assert isinstance(check(method, path, query, headers), Denied)


@pytest.mark.parametrize(
    "path",
    [
        "/other/a%20b/%C3%A9%2B.png",
        "/assets/a b/%C3%A9%2B.png",
        "/assets/a+b/%C3%A9%2B.png",
        "/assets/a%20b/%c3%a9%2b.png",
        "/assets/a%20b/é%2B.png",
        "/assets/a%20b%2F%C3%A9%2B.png",
        "/assets/./a%20b/%C3%A9%2B.png",
        "/assets/x/../a%20b/%C3%A9%2B.png",
        "//assets/a%20b/%C3%A9%2B.png",
        "/assets/a%20b/%C3%A9%2B.png/",
        "/assets/a%20b/e%CC%81%2B.png",
        "/assets/a%20b/%C3%A9%2B.png%00",
        "/assets/a%20b/%FF",
        "/assets/a%20b/\ud800",
        "",
    ],
)
def test_another_path_or_another_spelling_of_it_is_refused(path: str) -> None:
    method, _, query, headers = upload()
    assert isinstance(check(method, path, query, headers), Denied)


def test_each_parameter_is_needed_and_none_may_be_there_twice() -> None:
    method, path, query, headers = upload()
    pairs = query.split("&")
    for at, pair in enumerate(pairs):
        name = pair.partition("=")[0]
        without = "&".join(pairs[:at] + pairs[at + 1 :])
        assert f"{name} is missing" in reason(check(method, path, without, headers))
        for twice in (f"{query}&{pair}", f"{pair}&{query}", f"{query}&{name}=x"):
            assert f"{name} is there twice" in reason(check(method, path, twice, headers))
    assert isinstance(check(method, path, "", headers), Denied)


def test_another_spelling_of_the_signature_or_of_a_name_is_refused() -> None:
    method, path, query, headers = upload()
    for good, other in (
        ("X-Amz-Signature=d5", "X-Amz-Signature=%645"),
        ("X-Amz-Signature=", "X%2DAmz-Signature="),
        ("X-Amz-Signature=", "x-amz-signature="),
        ("X-Amz-Date=", "X%2DAmz-Date="),
    ):
        assert good in query
        assert isinstance(check(method, path, query.replace(good, other), headers), Denied)


@pytest.mark.parametrize(
    "more",
    [
        "x-amz-security-token=x",
        "X-Amz-Security-Token=x",
        "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD",
        "x-amz-meta-owner=mallory",
        "x-amz-date=20261121T120000Z",
        "response-content-disposition=attachment",
        "response-content-type=text%2Fhtml",
        "versionId=1",
        "uploads",
        "a=b",
        "=",
    ],
)
def test_a_parameter_more_is_refused(more: str) -> None:
    method, path, query, headers = upload()
    for longer in (f"{query}&{more}", f"{more}&{query}"):
        assert isinstance(check(method, path, longer, headers), Denied)


@pytest.mark.parametrize(
    "more",
    [
        ("x-amz-meta-role", "admin"),
        ("X-Amz-Meta-Role", "admin"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-acl", "public-read"),
        ("x-amz-date", "20261121T120000Z"),
        ("content-encoding", "aws-chunked"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("authorization", "Bearer x"),
    ],
)
def test_a_header_that_says_more_than_was_signed_is_refused(more: tuple[str, str]) -> None:
    for make in (upload, download):
        method, path, query, headers = make()
        assert "would have to be signed" in reason(check(method, path, query, [*headers, more]))


def test_each_signed_header_is_needed_and_none_may_be_there_twice() -> None:
    method, path, query, headers = upload()
    for at, (name, value) in enumerate(headers):
        without = headers[:at] + headers[at + 1 :]
        assert f"{name} is missing" in reason(check(method, path, query, without))
        for twice in ([*headers, (name.upper(), value)], [(name, "x"), *headers]):
            assert f"{name} is there twice" in reason(check(method, path, query, twice))


def test_an_upload_without_signed_size_and_type_is_neither_signed_nor_verified() -> None:
    for name in ("content-length", "content-type"):
        headers = {other: value for other, value in UPLOAD.items() if other != name}
        with pytest.raises(Refused, match=name):
            sign("PUT", ORIGIN, "/a/b", KEY, NOW_MS, 900, headers)
    url = sign("GET", ORIGIN, "/a/b", KEY, NOW_MS, 900)
    path, query = cut(url)
    for more in ([], [("content-length", "5"), ("content-type", "text/plain")]):
        assert isinstance(check("PUT", path, query, [("host", HOST), *more]), Denied)


def test_it_is_valid_from_a_quarter_of_an_hour_before_to_its_expiry() -> None:
    request = upload()
    for at_ms in (NOW_MS - 900_000, NOW_MS, NOW_MS + 899_999):
        assert isinstance(check(*request, now_ms=at_ms), Verified)
    assert "later time" in reason(check(*request, now_ms=NOW_MS - 900_001))
    assert "expired" in reason(check(*request, now_ms=NOW_MS + 900_000))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X-Amz-Expires", ["0", "-1", "0900", "%2B900", "900.0", "604801", "9" * 400, "9%20", "٩"]),
        ("X-Amz-Date", ["20261121T120000", "20261321T120000Z", "19600101T000000Z", "2026", "x"]),
        ("X-Amz-Algorithm", ["AWS4-HMAC-SHA1", "none", "AWS4-ECDSA-P256-SHA256"]),
        ("X-Amz-SignedHeaders", ["host", "content-type%3Bhost", "host%3Bhost", "%3Bhost", "date"]),
        ("X-Amz-Credential", ["AKIDEXAMPLE", "%2F", "AKIDEXAMPLE%2F20261121%2Feu-central-1%2Fs3"]),
        ("X-Amz-Signature", ["0" * 64, "D" * 64, "%E2%98%83"]),
    ],
)
def test_a_parameter_out_of_its_form_is_refused(name: str, values: list[str]) -> None:
    method, path, query, headers = upload()
    for value in values:
        pairs = [
            f"{name}={value}" if pair.startswith(name + "=") else pair for pair in query.split("&")
        ]
        assert isinstance(check(method, path, "&".join(pairs), headers), Denied)


ANY = st.text(st.characters(), max_size=60)


@given(ANY, ANY, st.lists(st.tuples(ANY, ANY), max_size=4))
def test_whatever_comes_in_is_denied_and_never_raises(
    path: str, query: str, headers: Headers
) -> None:
    method, good_path, good_query, good_headers = upload()
    assert isinstance(check(method, path, query, headers), Denied)
    assert isinstance(check(method, good_path, good_query + query[:1] + "&", headers), Denied)
    changed = [(name, value[:1] + "\ud800") for name, value in good_headers]
    assert isinstance(check(method, good_path, good_query, changed), Denied)


# --- what cannot be signed ----------------------------------------------------------------------


def test_what_cannot_be_signed_is_refused_with_the_reason() -> None:
    def attempt(
        method: str = "PUT",
        origin: str = ORIGIN,
        path: str = "/a/b",
        expires_s: int = 900,
        disposition: str | None = None,
        **headers: str,
    ) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return sign(
            method,
            origin,
            path,
            KEY,
            NOW_MS,
            expires_s,
            {**UPLOAD, **named},
            attached(disposition),
        )

    attempt()
    cases: list[tuple[Callable[[], str], str]] = [
        (lambda: attempt(method="DELETE"), "DELETE"),
        (lambda: attempt(path="a/b"), "begin"),
        (lambda: attempt(expires_s=0), "valid for"),
        (lambda: attempt(expires_s=limits.PRESIGN_MAX_S + 1), "valid for"),
        (lambda: attempt(origin="https://host/path"), "origin"),
        (lambda: attempt(origin="https://user@host"), "origin"),
        (lambda: attempt(origin="ftp://host"), "origin"),
        (lambda: attempt(host="other"), "host"),
        (lambda: attempt(Content_Type="a/b"), "twice"),
        (lambda: attempt(x_amz_acl="public-read"), "x-amz-acl"),
        (lambda: attempt(if_none_match='"tag"'), "if-none-match"),
        (lambda: attempt(content_length="-1"), "content-length"),
        (lambda: attempt(content_length=str(limits.OBJECT_BYTES + 1)), "content-length"),
        (lambda: attempt(disposition="inline"), "response-content-disposition"),
    ]
    for call, says in cases:
        with pytest.raises(Refused, match=says):
            call()
    with pytest.raises(Refused, match="response-content-type"):
        sign("GET", ORIGIN, "/a/b", KEY, NOW_MS, 900, {}, {"response-content-type": "text/html"})
    for value in ("a\r\nb", " a", "a ", "a  b", "é", "a\0", "\x7f"):
        with pytest.raises(Invalid, match="x-amz-meta-owner"):
            attempt(x_amz_meta_owner=value)
        with pytest.raises(Invalid, match="disposition"):
            sign("GET", ORIGIN, "/a/b", KEY, NOW_MS, 900, None, attached(value))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("HTTPS://Files.Example.ORG", "files.example.org"),
        ("https://files.example.org:443", "files.example.org"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://localhost:443", "localhost:443"),
    ],
)
def test_the_host_is_signed_as_clients_send_it(origin: str, host: str) -> None:
    url = sign("GET", origin, "/a/b", KEY, NOW_MS, 900)
    path, query = cut(url, f"{origin.partition('://')[0].lower()}://{host}")
    assert isinstance(check("GET", path, query, [("host", host)]), Verified)


def test_a_key_hides_its_secret_and_has_to_be_one() -> None:
    assert SECRET not in repr(KEY)
    assert SECRET not in f"{KEY}"
    for wrong in (("", SECRET, "x"), ("a/b", SECRET, "x"), ("a", "short", "x"), ("a", SECRET, "/")):
        with pytest.raises(ValueError, match="ASCII"):
            SigningKey(*wrong)


def test_the_path_of_an_object_names_bucket_and_key() -> None:
    assert split_object_path("/assets/a/b c") == ("assets", "a/b c")
    for path in ("", "/", "/assets", "/assets/", "assets/a", "/../a", "/assets//a", "/assets/../a"):
        with pytest.raises(Invalid):
            split_object_path(path)
