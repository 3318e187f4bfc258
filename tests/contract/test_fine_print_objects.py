"""The fine print: an object is staged at once and becomes visible in the commit."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from tests.s3_kit import KEYS, remote
from wherry import UploadTicket
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.s3.blobs import S3Blobs
from wherry.platforms.s3.place import Place
from wherry.platforms.s3.remote import Remote
from wherry.testing import call, composing
from wherry.world import SystemClock

pytestmark = on_every_platform
numbers = itertools.count()


@pytest.fixture(scope="module")
def bucket(request: pytest.FixtureRequest) -> Iterator[Remote]:
    """A bucket of S3 for the cases of this file."""
    s3 = request.getfixturevalue("s3")
    with pytest.MonkeyPatch.context() as variables:
        for name, text in KEYS.items():
            variables.setenv(name, text)
        with remote(s3.endpoint, s3.bucket()) as made:
            yield made


@pytest.fixture(params=["files", "s3"], autouse=True)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the content of objects lies: every case holds in both places."""
    if request.param == "s3":
        there = request.getfixturevalue("bucket")
        # A place of its own for each case: all their clocks begin at once, and so do their ids.
        there.place = Place(there.place.bucket, f"{next(numbers)}/", there.place.endpoint)

        def blobs(folder: str) -> Blobs:
            return S3Blobs(folder, there, SystemClock())

        monkeypatch.setattr(composing, "Blobs", blobs)


class Drawer(Shelf):
    """A shelf with a bucket."""

    def __init__(self, **queue: Any) -> None:
        super().__init__(**queue)
        self.files = self.app.bucket("files", max_bytes=1_000_000)
        self.may = [*self.all, self.files.read, self.files.write, self.files.delete]


def test_a_put_is_visible_in_the_commit_with_all_that_is_written_beside_it(run: Any) -> None:
    case = Drawer()

    @case.app.post("/go", grants=case.may)
    def go() -> str:
        case.files.put("a.txt", b"hello", media_type="text/plain", metadata={"by": "me"})
        case.things.put(Thing("a"))
        assert backend.object(case.files, "a.txt") is None
        found = case.files.get("a.txt")
        return found.read().decode() if found else "nothing"

    with run(case.app) as backend:
        assert backend.post("/go").json() == "hello"  # its own put is read back
        stored = backend.object(case.files, "a.txt")
        assert (stored.read(), stored.media_type, stored.metadata) == (
            b"hello", "text/plain", {"by": "me"},
        )  # fmt: skip


@pytest.mark.parametrize("how", ["raise", "condition", "died"])
def test_a_put_of_a_run_that_does_not_commit_is_never_seen(run: Any, how: str) -> None:
    case = Drawer()

    @case.app.post("/go", grants=case.may)
    def go() -> None:
        case.files.put("a.txt", b"hello")
        case.things.put(Thing("a"), if_absent=True)
        if how == "raise":
            raise ValueError("no")

    with run(case.app) as backend:
        with backend.acting():
            case.files.put("old.txt", b"old")
            case.things.put(Thing("a" if how == "condition" else "b"))
        if how == "died":
            backend.crash_before_commit()
        assert backend.post("/go").status >= 400
        assert backend.object(case.files, "a.txt") is None
        assert backend.object(case.files, "old.txt").read() == b"old"


def test_a_put_replaces_and_a_delete_removes_with_the_commit(run: Any) -> None:
    case = Drawer()

    @case.app.post("/go", grants=case.may)
    def go() -> list[bool]:
        case.files.put("a.txt", b"new")
        case.files.delete("b.txt")
        return [case.files.head(name) is not None for name in ("a.txt", "b.txt")]

    with run(case.app) as backend:
        with backend.acting():
            case.files.put("a.txt", b"old")
            case.files.put("b.txt", b"old")
        assert backend.post("/go").json() == [True, False]
        assert backend.object(case.files, "a.txt").read() == b"new"
        assert backend.object(case.files, "b.txt") is None


def test_a_rerun_stages_again_and_one_object_is_seen(run: Any) -> None:
    case, runs = Drawer(), []

    @case.app.post("/go", grants=case.may)
    def go() -> None:
        runs.append(1)
        case.things.get("a")
        case.files.put("a.txt", f"run {len(runs)}".encode())
        case.things.put(Thing("a"))

    with run(case.app) as backend:
        backend.conflict_next(case.things, times=2)
        assert backend.post("/go").status == 204
        assert backend.object(case.files, "a.txt").read() == b"run 3"


def test_a_bucket_in_trouble_fails_the_attempt_and_the_next_one_succeeds(run: Any) -> None:
    case = Drawer(max_attempts=3)

    @case.app.consume(case.jobs, grants=case.may)
    def work(job: Job) -> None:
        case.files.put(job.name, b"exported")

    with run(case.app) as backend:
        with backend.acting():
            case.jobs.send(Job("a.txt"))
        with backend.fail(case.files, times=2):
            backend.drain()
        assert backend.object(case.files, "a.txt").read() == b"exported"


def test_objects_are_listed_by_prefix_in_key_order(run: Any) -> None:
    case = Drawer()

    @case.app.get("/list", grants=[case.files.read])
    def listed(prefix: str, cursor: str | None = None) -> dict[str, Any]:
        page = case.files.list(prefix, limit=2, cursor=cursor)
        return {"keys": [info.key for info in page], "cursor": page.cursor}

    with run(case.app) as backend:
        with backend.acting():
            for key in ("in/c", "in/a", "out/x", "in/b"):
                case.files.put(key, b"x")
        first = backend.get("/list", query={"prefix": "in/"}).json()
        again = backend.get("/list", query={"prefix": "in/", "cursor": first["cursor"]}).json()
        assert (first["keys"], again["keys"], again["cursor"]) == (["in/a", "in/b"], ["in/c"], None)
        other = backend.get("/list", query={"prefix": "out/", "cursor": first["cursor"]})
        assert other.status == 400
        no_text = first["cursor"][:8] + "____"
        assert backend.get("/list", query={"prefix": "in/", "cursor": no_text}).status == 400


def uploading(create_only: bool) -> Drawer:
    """Return an app that hands out tickets."""
    case = Drawer()
    grant = case.files.create if create_only else case.files.write

    @case.app.post("/tickets", grants=[grant])
    def ticket(size: int) -> UploadTicket:
        return case.files.presign_upload(
            "in/a b\u00e9.txt", size_bytes=size, media_type="text/plain", metadata={"by": "me"},
            expires_s=60,
        )  # fmt: skip

    @case.app.get("/url", grants=[case.files.read])
    def url() -> str:
        return case.files.presign_download("in/a b\u00e9.txt", expires_s=60, filename="a.txt")

    return case


def test_a_presigned_upload_and_download_take_the_content_through_the_gateway(run: Any) -> None:
    case = uploading(create_only=False)
    with run(case.app) as backend:
        ticket = backend.post("/tickets", query={"size": 5}).json()
        done = backend.put(ticket["url"], b"hello", headers=ticket["headers"])
        assert done.status == 200
        assert backend.object(case.files, ticket["key"]).metadata == {"by": "me"}
        url = backend.get("/url").json()
        got = backend.get(url)
        assert (got.status, got.body, got.headers["content-type"]) == (200, b"hello", "text/plain")
        assert "a.txt" in got.headers["content-disposition"]
        backend.advance(61)
        assert backend.get(url).status == 403
        assert backend.put(ticket["url"], b"hello", headers=ticket["headers"]).status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"content-type": "text/html"},
        {"content-length": "4"},
        {"x-amz-meta-by": "somebody"},
        {"host": "elsewhere.test"},
    ],
)
def test_what_was_signed_cannot_be_changed(run: Any, change: dict[str, str]) -> None:
    case = uploading(create_only=False)
    with run(case.app) as backend:
        ticket = backend.post("/tickets", query={"size": 5}).json()
        headers = {**ticket["headers"], **change}
        assert backend.put(ticket["url"], b"hello", headers=headers).status in (400, 403)
        assert backend.put(ticket["url"] + "x", b"hello", headers=ticket["headers"]).status == 403
        assert backend.object(case.files, ticket["key"]) is None


@pytest.mark.parametrize("content", [b"hell", b"hello!"])
def test_an_upload_of_another_size_is_refused(run: Any, content: bytes) -> None:
    case = uploading(create_only=False)
    with run(case.app) as backend:
        ticket = backend.post("/tickets", query={"size": 5}).json()
        assert backend.put(ticket["url"], content, headers=ticket["headers"]).status in (400, 413)
        assert backend.object(case.files, ticket["key"]) is None


@pytest.mark.parametrize(
    "sha256", ["", "ab", "0" * 63, "0" * 66, "g" * 64, "0 " * 32, "\u0660" * 64]
)
def test_a_ticket_is_for_a_whole_checksum(run: Any, sha256: str) -> None:
    """With another one it could never be used."""
    case = Drawer()

    @case.app.post("/tickets", grants=[case.files.write])
    def ticket(sha256: str) -> UploadTicket:
        return case.files.presign_upload("a.txt", size_bytes=5, sha256=sha256)

    with run(case.app) as backend:
        whole = hashlib.sha256(b"hello").hexdigest()
        for good in (whole, whole.upper()):
            given = backend.post("/tickets", query={"sha256": good}).json()
            assert backend.put(given["url"], b"hello", headers=given["headers"]).status == 200
        refused = backend.post("/tickets", query={"sha256": sha256})
        assert (refused.status, refused.json()["code"]) == (400, "bad_request")


def test_a_ticket_to_create_never_replaces(run: Any) -> None:
    case = uploading(create_only=True)
    with run(case.app) as backend:
        ticket = backend.post("/tickets", query={"size": 5}).json()
        put = [
            backend.put(ticket["url"], text, headers=ticket["headers"])
            for text in (b"first", b"again")
        ]
        assert [reply.status for reply in put] == [200, 412]
        assert backend.object(case.files, ticket["key"]).read() == b"first"


def test_a_commit_takes_90_objects_and_a_key_counts_once(run: Any) -> None:
    case = Drawer()

    @case.app.post("/go", grants=case.may)
    def go(count: int) -> None:
        for number in range(count):
            case.files.delete(f"{number}.txt")
        case.files.put("0.txt", b"again")

    with run(case.app) as backend:
        assert backend.post("/go", query={"count": 90}).status == 204
        assert backend.object(case.files, "0.txt").read() == b"again"
        assert backend.post("/go", query={"count": 91}).status == 500


@pytest.mark.parametrize("how", ["commit", "raise", "died"])
def test_a_put_that_asks_for_it_is_never_there_without_its_commit(run: Any, how: str) -> None:
    case = Drawer()

    @case.app.post("/go", grants=case.may)
    def go() -> None:
        case.files.put("a.txt", b"hello", commit=True)
        if how == "raise":
            raise ValueError("no")

    with run(case.app) as backend:
        backend.orphans(case.files)  # as on S3
        if how == "died":
            backend.crash_before_commit()
        backend.post("/go")
        assert (backend.object(case.files, "a.txt") is not None) is (how == "commit")


def test_the_effect_says_that_a_put_is_to_be_seen_from_its_commit_on(run: Any) -> None:
    case = Drawer()

    @case.app.post("/go", grants=case.may)
    def go() -> None:
        case.files.put("a.txt", b"hello", commit=True)
        case.files.put("b.txt", b"hello")

    effects = call(case.app, go).effects
    assert [put.commit for put in effects.objects(case.files)] == [True, False]
    with run(case.app):
        pass


def test_content_beyond_the_buckets_bound_is_read_no_further_than_that(run: Any) -> None:
    case, read = Drawer(), [0]

    def endless() -> Iterator[bytes]:
        while True:
            read[0] += 1
            yield bytes(100_000)

    @case.app.post("/go", grants=case.may)
    def go(how: str) -> None:
        contents: dict[str, Any] = {
            "pieces": endless(), "bytes": bytes(1_000_001), "fits": bytes(1_000_000),
            "file": BytesIO(bytes(2_000_000)),
        }  # fmt: skip
        case.files.put("a.bin", contents[how])

    with run(case.app) as backend:
        for how in ("pieces", "bytes", "file"):
            assert backend.post("/go", query={"how": how}).status == 500
        assert read == [11]
        assert "max_bytes of the bucket 'files'" in str(backend.logs)
        assert backend.object(case.files, "a.bin") is None
        assert backend.post("/go", query={"how": "fits"}).status == 204
