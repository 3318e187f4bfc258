"""Objects in S3 through the whole stack: an engine, its environments, and what can go wrong."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.postgres_kit import Server
from tests.s3_kit import KEYS, S3, Proxy
from wherry.ports import GetObject, Nothing, ObjectRow

from .server_kit import APPS, Engine, Reply, serving, tries, until


def options(bucket: str, endpoint: str, **more: Any) -> dict[str, Any]:
    """What an engine is started with, so that its objects lie there."""
    arguments = ["--objects", f"s3://{bucket}/deep/down", "--objects-endpoint", endpoint]
    return {"arguments": arguments, "variables": KEYS, **more}


@pytest.fixture(scope="module")
def bucket(s3: S3) -> str:
    """Where the objects of `shelf` lie."""
    return s3.bucket()


@pytest.fixture(scope="module")
def shelf(s3: S3, bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """`apps/shelf.py` in a folder of its own, with a file of credentials beside it."""
    folder = tmp_path_factory.mktemp("shelf")
    app = folder / "app"
    app.mkdir()
    shutil.copy(APPS / "shelf.py", app)
    secret = app / ".aws-credentials"
    secret.write_text("[default]\n")
    more = {**KEYS, "AWS_SHARED_CREDENTIALS_FILE": str(secret)}
    given = options(bucket, s3.endpoint, folder=app)
    with serving("shelf", folder / "data", **{**given, "variables": more}) as engine:
        yield engine


def upload(engine: Engine, key: str, content: bytes) -> Reply:
    asked = {"key": key, "size_bytes": len(content)}
    given = engine.client("POST", "/uploads", asked).json()
    url = urlsplit(given["url"])
    headers = {name: text for name, text in given["headers"].items() if name != "content-length"}
    return engine.client("PUT", f"{url.path}?{url.query}", content, headers)


def download(engine: Engine, key: str) -> Reply:
    url = urlsplit(engine.client("POST", "/downloads", {"key": key}).json())
    return engine.client("GET", f"{url.path}?{url.query}")


def forget_files(engine: Engine) -> None:
    """Lose what the data folder holds of objects."""
    for path in (engine.root / "objects").rglob("*"):
        if path.is_file():
            path.unlink()


def row(engine: Engine, key: str) -> Any:
    return engine.ask(GetObject("files", key))


def blob_key(engine: Engine, key: str) -> str:
    found = row(engine, key)
    assert isinstance(found, ObjectRow)
    return f"deep/down/files/{found.blob}"


def test_an_upload_lies_in_s3_when_it_is_acknowledged(shelf: Engine, s3: S3, bucket: str) -> None:
    """Its key is prefix, bucket and blob; it comes back although the data folder lost it."""
    content = os.urandom(300_000)
    assert upload(shelf, "a.bin", content).status == 200
    assert blob_key(shelf, "a.bin") in s3.keys(bucket)
    assert download(shelf, "a.bin").body == content
    forget_files(shelf)
    assert download(shelf, "a.bin").body == content


def test_a_handler_puts_and_gets_as_everywhere(shelf: Engine, s3: S3, bucket: str) -> None:
    """It writes and reads files; the engine takes them to S3 and brings them."""
    assert shelf.client("POST", "/texts", {"key": "b", "text": "hello"}).status == 204
    assert blob_key(shelf, "b") in s3.keys(bucket)
    assert shelf.client("GET", "/texts/b").json() == "hello"
    forget_files(shelf)
    assert shelf.client("GET", "/texts/b").json() == "hello"


def test_a_file_that_was_damaged_here_is_brought_again(shelf: Engine) -> None:
    """A download repairs it at once, a handler's read for the next attempt."""
    assert upload(shelf, "c", b"content").status == 200
    found = row(shelf, "c")
    (path,) = (shelf.root / "objects").rglob(found.blob)
    path.write_bytes(b"c0ntent")
    assert download(shelf, "c").body == b"content"
    path.write_bytes(b"c0ntent")
    assert shelf.client("GET", "/texts/c").status == 500
    assert shelf.client("GET", "/texts/c").json() == "content"


def test_what_is_missing_in_s3_is_damage_and_says_so(shelf: Engine, s3: S3, bucket: str) -> None:
    """For a download and for a handler; never something else."""
    assert upload(shelf, "d", b"content").status == 200
    s3.change(lambda one: one.delete_object(Bucket=bucket, Key=blob_key(shelf, "d")))
    forget_files(shelf)
    reply = download(shelf, "d")
    assert (reply.status, reply.code) == (500, "object_damaged")
    assert shelf.client("GET", "/texts/d").status == 500
    until(lambda: f"missing from s3://{bucket}/deep/down" in shelf.said(), "the cause in the log")


def test_no_function_has_what_the_engine_has(shelf: Engine) -> None:
    """No variable of AWS, and no file of credentials, although it lies in the app's folder."""
    assert shelf.client("GET", "/secrets-of-the-engine").json() == {"file": "PermissionError"}


def test_a_function_without_a_grant_gets_nothing_brought_or_taken(shelf: Engine) -> None:
    """Whatever it asks its socket for; a name that is none makes no path."""
    assert upload(shelf, "e", b"content").status == 200
    found = row(shelf, "e")
    (path,) = (shelf.root / "objects").rglob(found.blob)
    path.unlink()
    asked = {"bucket": "files", "blob": found.blob, "size": 7, "sha256": found.sha256}
    assert shelf.client("POST", "/nosy", asked).json() == ["Denied", "Denied"]
    assert shelf.client("POST", "/careless", asked).json() == ["Done", "Done"]
    asked["blob"] = "../" * 8 + "etc/passwd"
    assert shelf.client("POST", "/nosy", asked).json() == ["Denied", "Denied"]
    assert shelf.client("POST", "/careless", asked).json() == ["Broken", "Broken"]


def test_the_engine_says_where_objects_lie(shelf: Engine, bucket: str) -> None:
    """Once, when it serves."""
    until(lambda: f"objects lie in s3://{bucket}/deep/down" in shelf.said(), "the line")


def test_a_kill_between_upload_and_commit_leaves_an_orphan_that_is_swept(
    s3: S3, tmp_path: Path
) -> None:
    """No row names it, before and after; what was committed stays."""
    bucket = s3.bucket()
    soon = {"ORPHANS_FIRST_S": 0.2, "ORPHANS_EVERY_S": 0.2, "STAGING_S": 0}
    given = options(bucket, s3.endpoint)
    with serving("shelf", tmp_path / "data", **given) as engine:
        assert engine.client("POST", "/texts", {"key": "kept", "text": "kept"}).status == 204
        kept = blob_key(engine, "kept")
        sender = engine.http()
        held = {"key": "lost", "text": "lost", "hold": True}
        _post_without_waiting(sender, held)
        until(lambda: len(s3.keys(bucket)) == 2, "the upload of a run that goes on")
        engine.kill()
        assert len(s3.keys(bucket)) == 2
    with serving("shelf", tmp_path / "data", **given, limits=soon) as engine:
        until(lambda: s3.keys(bucket) == [kept], "the end of the orphan")
        assert isinstance(row(engine, "lost"), Nothing)
        assert engine.client("GET", "/texts/kept").json() == "kept"


def _post_without_waiting(client: Any, body: object) -> None:
    def post() -> None:
        with suppress(OSError):
            client("POST", "/texts", body)

    threading.Thread(target=post, daemon=True).start()


@pytest.fixture
def database() -> Iterator[Server]:
    """A Postgres of the test's own."""
    made = Server("shared_buffers=32MB", "max_connections=60")
    try:
        yield made
    finally:
        made.remove()


def test_engines_on_one_database_share_one_place(s3: S3, database: Server, tmp_path: Path) -> None:
    """Begun at once, on a place that is nobody's yet: what came in at one is had from the other."""
    bucket = s3.bucket()
    given = options(bucket, s3.endpoint)
    given["arguments"] += ["--store", database.dsn]
    made = [Engine("shelf", tmp_path / name, **given) for name in ("first", "second")]
    try:
        for engine in made:
            engine.launch()
        until(lambda: all(tries(partial(is_ready, engine)) for engine in made), "both ready")
        first, second = made
        assert upload(first, "a", b"content").status == 200
        assert download(second, "a").body == b"content"
        assert second.client("POST", "/texts", {"key": "b", "text": "hello"}).status == 204
        assert first.client("GET", "/texts/b").json() == "hello"
        assert len(s3.keys(bucket)) == 2
    except BaseException:
        print(*(f"--- {engine.root.name}\n{engine.said()[-6000:]}" for engine in made))
        raise
    finally:
        for engine in made:
            engine.close()


def is_ready(engine: Engine) -> bool:
    assert engine.alive(), "it has ended"
    return engine.client("GET", "/readyz").status == 200


# -- S3 in trouble ---------------------------------------------------------------------------------

HASTY = {"S3_ATTEMPTS": 1, "S3_READ_S": 2.0, "S3_SILENT_S": 1e9}


@pytest.fixture
def proxy(s3: S3) -> Iterator[Proxy]:
    """The way to S3, on which harm is done."""
    made = Proxy(s3.endpoint)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("harm", ["503 SlowDown", "hang", "reset"])
def test_an_s3_that_fails_leaves_rows_and_objects_agreeing(
    s3: S3, proxy: Proxy, tmp_path: Path, harm: str
) -> None:
    """503, silence, a reset in the middle of the PUT: 503 with a cause, no row; then it goes on."""
    bucket = s3.bucket()
    given = options(bucket, proxy.endpoint, limits=HASTY)
    with serving("shelf", tmp_path / "data", **given) as engine:
        assert upload(engine, "before", b"before").status == 200
        proxy.harm = lambda head: harm if head.startswith("put") else ""
        reply = upload(engine, "a", b"content")
        assert (reply.status, reply.code) == (503, "objects_unavailable")
        assert "retry-after" in reply.headers
        until(lambda: "could not be moved" in engine.said(), "the cause in the log")
        assert engine.client("POST", "/texts", {"key": "b", "text": "b"}).status == 503
        proxy.harm = lambda head: "503 SlowDown" if "/files/" in head else ""
        forget_files(engine)
        assert download(engine, "before").status == 503
        assert engine.client("GET", "/texts/before").status == 503
        proxy.harm = lambda head: ""
        assert [type(row(engine, key)) for key in "ab"] == [Nothing, Nothing]
        assert s3.keys(bucket) == [blob_key(engine, "before")]
        assert upload(engine, "a", b"content").status == 200
        assert download(engine, "a").body == b"content"
        assert engine.client("GET", "/texts/before").json() == "before"


def test_while_s3_is_silent_all_else_goes_on_and_it_is_said(
    s3: S3, proxy: Proxy, tmp_path: Path
) -> None:
    """Ready all the same: a load balancer would give up all machines. Uploads are refused at once;
    it goes on by itself."""
    bounds = {**HASTY, "S3_SILENT_S": 1.5, "S3_PROBE_S": 0.2}
    given = options(s3.bucket(), proxy.endpoint, limits=bounds)
    with serving("shelf", tmp_path / "data", **given) as engine:
        proxy.harm = lambda head: "hang"
        away = "where objects lie, has not answered"
        until(lambda: away in (engine.status()["objects_away"] or ""), "the status")
        assert is_ready(engine)
        assert upload(engine, "a", b"content").status == 503
        proxy.harm = lambda head: ""
        until(lambda: engine.status()["objects_away"] is None, "an S3 that answers")
        until(lambda: upload(engine, "a", b"content").status == 200, "an upload")
        until(lambda: "answers again" in engine.said(), "the log")
        assert away in engine.said()


# -- the start -------------------------------------------------------------------------------------


def refused(data: Path, **more: Any) -> str:
    """Start an engine that does not start; return what it said."""
    engine = Engine("shelf", data, **more)
    try:
        engine.launch()
        assert engine.wait() == 1
        return engine.said()
    finally:
        engine.close()


def test_an_engine_does_not_start_where_its_objects_cannot_lie(s3: S3, tmp_path: Path) -> None:
    """No such bucket, nobody there, no credentials: each with what to do."""
    missing = refused(tmp_path / "1", **options("no-such-bucket", s3.endpoint))
    assert "There is no bucket no-such-bucket. Create it" in missing
    nobody = refused(
        tmp_path / "2", **options("a-bucket", "http://127.0.0.1:9", limits={"S3_ATTEMPTS": 1})
    )
    assert "cannot be used: S3 did not list" in nobody
    keyless = {name: text for name, text in KEYS.items() if "KEY" not in name}
    given = options("a-bucket", s3.endpoint)
    said = refused(tmp_path / "3", **{**given, "variables": keyless})
    assert "boto3 finds no credentials" in said


def test_a_place_is_of_one_store_and_a_store_of_one_place(s3: S3, tmp_path: Path) -> None:
    """Who sweeps a place would take the objects of another store for orphans."""
    first, second = s3.bucket(), s3.bucket()
    mine = tmp_path / "mine"
    with serving("shelf", mine, **options(first, s3.endpoint)) as engine:
        assert upload(engine, "a", b"content").status == 200
        engine.stop()
    other = refused(tmp_path / "other", **options(first, s3.endpoint))
    assert "holds the objects of another store" in other
    assert f"lie in s3://{first}/deep/down. Start it with --objects" in refused(mine)
    elsewhere = refused(mine, **options(second, s3.endpoint))
    assert f"are not in s3://{second}/deep/down. Copy all of the old place" in elsewhere

    def copy(one: Any) -> None:
        for found in one.list_objects_v2(Bucket=first)["Contents"]:
            source = {"Bucket": first, "Key": found["Key"]}
            one.copy_object(Bucket=second, Key=found["Key"], CopySource=source)

    s3.change(copy)
    with serving("shelf", mine, **options(second, s3.endpoint)) as engine:
        forget_files(engine)
        assert download(engine, "a").body == b"content"


def test_a_store_whose_objects_are_files_is_not_taken_to_s3(s3: S3, tmp_path: Path) -> None:
    """Their files would count as a cache, and go."""
    with serving("shelf", tmp_path / "data") as engine:
        assert upload(engine, "a", b"content").status == 200
        engine.stop()
    said = refused(tmp_path / "data", **options(s3.bucket(), s3.endpoint))
    assert "The objects of this store lie in its data folder" in said
    with serving("shelf", tmp_path / "data") as engine:
        assert download(engine, "a").body == b"content"
