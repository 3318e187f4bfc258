"""Who may call, and what a signed URL opens: forged, changed and expired ones through the stack."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.faults import ObjectDamaged
from wherry.platforms.files.refs import BlobRef
from wherry.ports import GetObject, GetState, Nothing, ObjectRow

from .server_kit import Engine, Reply, serving, until


def _part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _read(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


# -- tokens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z"])
def test_without_a_token_nobody_gets_in(desk: Engine, value: str | None) -> None:
    """A missing or malformed token is 401, and says how to come in."""
    reply = desk.client(
        "GET", "/orders/x", headers={} if value is None else {"authorization": value}
    )
    assert (reply.status, reply.code) == (401, "unauthenticated")
    assert reply.headers["www-authenticate"].startswith("Bearer")


def test_an_issuer_that_is_away_is_told_and_waited_for(tmp_path: Path) -> None:
    """Nobody is let in unchecked; the log says why, and when its keys are there. Any issuer of
    OpenID Connect will do: here it is the development issuer of another engine."""
    outside = Engine("desk", tmp_path / "issuer")
    url = f"{outside.url}/_issuer/customers"
    (tmp_path / "outside.py").write_text(
        "from wherry import App, Caller\n"
        "app = App('outside')\n"
        f"people = app.auth('people', issuer={url!r}, audiences=['customers'])\n"
        "@app.get('/me', auth=people)\n"
        "def me(caller: Caller) -> str:\n"
        "    return caller.subject\n"
    )
    short = {"JWKS_RETRY_S": 0.05}
    with serving("outside", tmp_path / "data", folder=tmp_path, limits=short) as engine:
        signed = f"{_part({'alg': 'RS256', 'kid': 'a'})}.{_part({'iss': url})}.{_part(b'none')}"
        for _ in range(2):
            reply = engine.client("GET", "/me", token=signed)
            assert (reply.status, reply.code) == (503, "unavailable")
        told = "tokens of the auth 'people' cannot be checked, its requests are a 503"
        until(lambda: told in engine.said(), "why")
        assert f"{url}/.well-known/openid-configuration could not be fetched" in engine.said()
        try:
            token = outside.start().token("alice")
            until(lambda: engine.client("GET", "/me", token=token).status == 200, "its keys")
            assert engine.client("GET", "/me", token=signed).status == 401
        finally:
            outside.close()
        until(lambda: f"the keys of {url} are fetched again" in engine.said(), "a word of it")
        assert engine.client("GET", "/me", token=token).json() == "alice"
        assert engine.said().count(told) == 1


def test_forged_tokens_are_refused(desk: Engine) -> None:
    """Unsigned, signed with the public key, changed, of another key: 401 each; the true one 404."""
    token = desk.token("alice")
    head, claims, signature = token.split(".")
    header, said = _read(head), _read(claims)
    jwks = desk.client("GET", f"{urlsplit(said['iss']).path}/.well-known/jwks.json")
    secret = json.dumps(jwks.json()["keys"][0]).encode()
    confused = f"{_part(header | {'alg': 'HS256'})}.{claims}"
    mac = hmac.new(secret, confused.encode(), hashlib.sha256).digest()
    forged = [
        f"{_part({'alg': 'none', 'typ': 'JWT'})}.{claims}.",
        f"{_part(header | {'alg': 'nOnE'})}.{claims}.{signature}",
        f"{confused}.{_part(mac)}",
        f"{head}.{_part(said | {'sub': 'bob'})}.{signature}",
        f"{_part(header | {'kid': '../../dev/null'})}.{claims}.{signature}",
        f"{_part(header | {'crit': ['x'], 'x': 1})}.{claims}.{signature}",
        f"{head}.{claims}.{signature[:-2]}",
        f"{head}.{claims}",
        token + "=",
        "x" * 9000,
    ]
    for one in forged:
        assert desk.client("GET", "/orders/x", token=one).status == 401, one
    assert desk.client("GET", "/orders/x", token=token).status == 404


def test_a_token_is_refused_outside_its_time_and_place(desk: Engine) -> None:
    """Signed with the issuer's own key, and still 401: expired, too early, for others."""
    token = desk.token("alice")
    header, said = _read(token.split(".")[0]), _read(token.split(".")[1])
    stored = desk.ask(GetState("issuer/customers/signing-key"))
    key = RSAKey.import_key(stored.value)

    def signed(**changed: Any) -> int:
        claims = json.dumps(said | changed).encode()
        made = jws.serialize_compact(header, claims, key, algorithms=["RS256"])
        return desk.client("GET", "/orders/x", token=made).status

    late_s = int(said["iat"]) - 7200
    assert signed() == 404
    assert signed(exp=late_s + 60, iat=late_s) == 401
    assert signed(nbf=int(said["exp"]) + 600) == 401
    assert signed(aud="sellers", client_id="sellers") == 401
    assert signed(iss="https://evil.example") == 401
    assert signed(sub=7) == 401


def test_roles_are_held(desk: Engine) -> None:
    """A customer is no member of staff: 403, not 401."""
    assert desk.client("GET", "/books", token=desk.token("alice")).status == 403
    staff = desk.client("GET", "/books", token=desk.token("sue", "staff"))
    assert staff.json() == ["sue"]


def test_a_person_signs_up_and_logs_in(desk: Engine) -> None:
    """The development issuer serves sign-up and log-in over HTTP, and its token is accepted."""
    issuer = urlsplit(_read(desk.token("alice").split(".")[1])["iss"]).path
    account = {"username": "nina", "password": "correct horse battery"}
    assert desk.client("POST", f"{issuer}/sign-up", account).status in (200, 201)
    wrong = desk.client("POST", f"{issuer}/log-in", account | {"password": "incorrect horse"})
    assert wrong.status == 401
    reply = desk.client("POST", f"{issuer}/log-in", account)
    token = reply.json()["access_token"]
    assert desk.client("GET", "/orders/x", token=token).status == 404


def test_every_answer_of_the_issuer_has_a_correlation_id(desk: Engine) -> None:
    """In the header, the caller's own where it sent one, and in errors as a member too."""
    issuer = "/_issuer/customers"
    asked = {"x-correlation-id": "log-in-7"}
    account = {"username": "olga", "password": "correct horse battery"}
    refused = [
        desk.client("POST", f"{issuer}/log-in", account | {"password": "wrong"}, asked),
        desk.client("POST", f"{issuer}/sign-up", {"username": "olga"}, asked),
        desk.client("POST", f"{issuer}/log-in", b"{", asked),
        desk.client("POST", f"{issuer}/log-in", b"{}", asked | {"content-type": "text/plain"}),
        desk.client("GET", f"{issuer}/log-in", headers=asked),
        desk.client("GET", f"{issuer}/nothing", headers=asked),
    ]
    assert [reply.status for reply in refused] == [401, 422, 400, 415, 405, 404]
    assert [reply.json()["correlation_id"] for reply in refused] == ["log-in-7"] * 6
    keys = f"{issuer}/.well-known/jwks.json"
    done = [
        desk.client("POST", f"{issuer}/sign-up", account, asked),
        desk.client("GET", keys, headers=asked),
        desk.client("HEAD", keys, headers=asked),
    ]
    assert [reply.status for reply in done] == [201, 200, 200]
    for reply in refused + done:
        assert reply.headers["x-correlation-id"] == "log-in-7"
    without = desk.client("POST", f"{issuer}/log-in", b"{")
    assert without.json()["correlation_id"] == without.headers["x-correlation-id"] != ""


# -- objects ---------------------------------------------------------------------------------------


def ticket(desk: Engine, key: str, content: bytes, **more: Any) -> dict[str, Any]:
    asked = {"key": key, "size_bytes": len(content), **more}
    reply = desk.client("POST", "/uploads", asked)
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json()
    return found


def put(desk: Engine, given: dict[str, Any], content: bytes, **changed: str) -> Reply:
    url = urlsplit(given["url"])
    headers = {
        **given["headers"],
        **{name.replace("_", "-"): text for name, text in changed.items()},
    }
    headers.pop("content-length", None)
    return desk.client("PUT", f"{url.path}?{url.query}", content, headers)


def get(desk: Engine, key: str, method: str = "GET") -> Reply:
    url = urlsplit(desk.client("POST", "/downloads", {"key": key}).json())
    return desk.client(method, f"{url.path}?{url.query}")


def row(desk: Engine, key: str) -> Any:
    return desk.ask(GetObject("assets", key))


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_an_upload_is_downloaded_as_it_was(desk: Engine) -> None:
    """By presigned URLs, with type and checksum; it is in the store when it is acknowledged."""
    content = bytes(range(256)) * 64
    checksum = hashlib.sha256(content).hexdigest()
    given = ticket(desk, "a/picture ä.bin", content, media_type="image/png", sha256=checksum)
    done = put(desk, given, content)
    assert (done.status, done.headers["etag"]) == (200, f'"{checksum}"')
    found = get(desk, "a/picture ä.bin")
    assert (found.status, found.body) == (200, content)
    assert found.headers["content-type"] == "image/png"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert isinstance(row(desk, "a/picture ä.bin"), ObjectRow)


def test_a_second_upload_does_not_replace_the_first(desk: Engine) -> None:
    """With the grant to create only, a ticket is used once: 412, and the first content stays."""
    given = ticket(desk, "once", b"first")
    assert put(desk, given, b"first").status == 200
    again = put(desk, given, b"other")
    assert (again.status, again.code) == (412, "precondition_failed")
    assert get(desk, "once").body == b"first"


def test_a_changed_url_opens_nothing(desk: Engine) -> None:
    """Any change of path, query, method or signed header is 403, and nothing is stored."""
    content = b"hello"
    given = ticket(desk, "mine", content)
    url = urlsplit(given["url"])
    signature = url.query.rpartition("=")[2]
    other = "0" if signature[-1] != "0" else "1"
    changed = [
        url._replace(path=url.path.replace("mine", "yours")),
        url._replace(path=url.path.replace("/assets/", "/other/")),
        url._replace(query=url.query[:-1] + other),
        url._replace(query=url.query.replace("X-Amz-Expires=", "X-Amz-Expires=9")),
        url._replace(query=url.query + "&x=1"),
        url._replace(query=""),
    ]
    for one in changed:
        assert one != url
        reply = put(desk, {**given, "url": one.geturl()}, content)
        assert (reply.status, reply.code) == (403, "forbidden"), one
    assert put(desk, given, content, content_type="text/html").status == 403
    assert put(desk, given, content, if_none_match="other").status == 403
    assert desk.client("GET", f"{url.path}?{url.query}").status == 403
    assert desk.client("DELETE", f"{url.path}?{url.query}").status in (403, 405)
    for key in ("mine", "yours"):
        assert isinstance(row(desk, key), Nothing)
    assert put(desk, given, content).status == 200


def test_another_size_or_content_than_signed_is_refused(desk: Engine) -> None:
    """The ticket is for these bytes: neither more, nor fewer, nor others."""
    content = b"exactly this"
    checksum = hashlib.sha256(content).hexdigest()
    given = ticket(desk, "exact", content, sha256=checksum)
    for wrong in (content + b"!", content[:-1], b""):
        assert put(desk, given, wrong).status in (400, 403), wrong
    assert put(desk, given, b"exactly that").status == 400
    assert isinstance(row(desk, "exact"), Nothing)
    assert put(desk, given, content).status == 200


@pytest.mark.parametrize("key", ["../secret", "a/../../b", "/etc/passwd", "a\x00b", "", "x" * 1025])
def test_a_key_that_leads_elsewhere_gets_no_ticket(desk: Engine, key: str) -> None:
    """No key names a file outside its bucket; what cannot be a key is refused."""
    reply = desk.client("POST", "/uploads", {"key": key, "size_bytes": 1})
    if reply.status == 200:  # an odd name is stored under a hashed one, below the bucket
        assert put(desk, reply.json(), b"x").status == 200
        objects = desk.root / "objects" / "assets"
        assert all(path.resolve().is_relative_to(objects.resolve()) for path in objects.rglob("*"))
    else:
        assert reply.status in (400, 422)
    assert not (desk.root / "objects" / "secret").exists()


def test_a_path_cannot_climb_out_of_its_bucket(desk: Engine) -> None:
    """Dots in the URL's path are refused before any file is looked at."""
    url = urlsplit(desk.client("POST", "/downloads", {"key": "a"}).json())
    for path in ("/_objects/assets/../../lock", "/_objects/assets/%2e%2e/%2e%2e/lock"):
        assert desk.client("GET", f"{path}?{url.query}").status in (400, 403)


def test_an_object_that_is_not_there_is_404(desk: Engine) -> None:
    """A signed URL of nothing says so."""
    assert get(desk, "never").status == 404


def test_a_url_is_signed_for_one_method(desk: Engine) -> None:
    """A URL to GET an object serves no HEAD, as on S3; GET tells the length."""
    content = b"x" * 1000
    assert put(desk, ticket(desk, "head", content), content).status == 200
    refused = get(desk, "head", "HEAD")
    assert (refused.status, refused.body) == (403, b"")
    assert get(desk, "head").headers["content-length"] == "1000"


def test_damaged_content_is_never_served(desk: Engine) -> None:
    """A flipped bit on the disk is an error of ours, not somebody's wrong picture."""
    content = b"y" * 5000
    assert put(desk, ticket(desk, "rotten", content), content).status == 200
    objects = desk.root / "objects" / "assets"
    (blob,) = [path for path in files(objects) if content in path.read_bytes()]
    with blob.open("r+b") as file:
        file.seek(2500)
        file.write(b"z")
    assert get(desk, "rotten").status >= 500


def test_a_broken_off_upload_leaves_nothing(desk: Engine) -> None:
    """The staged part of an upload whose client went away is removed."""
    given = ticket(desk, "half", b"x" * 50_000)
    url = urlsplit(given["url"])
    objects = desk.root / "objects" / "assets"
    before = files(objects)
    lines = [f"PUT {url.path}?{url.query} HTTP/1.1", f"Host: {url.netloc}"]
    lines += [f"{name}: {text}" for name, text in given["headers"].items()]
    if "content-length" not in given["headers"]:
        lines.append("Content-Length: 50000")
    with socket.create_connection(("127.0.0.1", desk.port), 10) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + b"x" * 20_000)
        until(lambda: files(objects) - before, "staging")
    until(lambda: files(objects) == before, "its removal")
    assert isinstance(row(desk, "half"), Nothing)


def test_content_that_nobody_names_is_removed_and_what_an_object_names_stays(
    tmp_path: Path,
) -> None:
    """What a run staged that died before its commit does not lie on the disk for ever."""
    engine = Engine("desk", tmp_path / "data", limits={"ORPHANS_FIRST_S": 0.2})
    try:
        engine.start()
        ticket = engine.client("POST", "/uploads", {"key": "a", "size_bytes": 4}).json()
        path = urlsplit(ticket["url"])
        put = engine.client("PUT", f"{path.path}?{path.query}", b"kept", headers=ticket["headers"])
        assert put.status == 200
        engine.stop()
        orphan = Blobs(str(engine.root / "objects")).put("assets", "f" * 32, b"nobody's")
        for file in (engine.root / "objects").rglob("*"):
            os.utime(file, (1_000, 1_000))
        engine.start()
        until(lambda: engine.lines(message="1 orphaned files of objects were removed"), "the sweep")
        row = engine.ask(GetObject("assets", "a"))
        blobs = Blobs(str(engine.root / "objects"))
        assert blobs.open("assets", BlobRef(row.blob, row.size_bytes, row.sha256)).read() == b"kept"
        with pytest.raises(ObjectDamaged):
            blobs.open("assets", orphan)
    finally:
        engine.close()


def test_a_development_issuer_takes_no_passwords_in_the_clear(tmp_path: Path) -> None:
    """An engine whose public address is plain http does not start, and says what to do."""
    address = ["--public-url", "http://shop.example"]
    engine = Engine("desk", tmp_path / "data", arguments=address)
    try:
        engine.launch()
        assert engine.wait() != 0
        assert (
            "http://shop.example is not encrypted. Give --public-url an https://" in engine.said()
        )
        assert "Traceback" not in engine.said()
    finally:
        engine.close()
