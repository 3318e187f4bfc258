"""Blobs in S3: there when a seal returns, brought and compared when they are read."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.s3_kit import KEYS, S3, Proxy, remote
from wherry import limits
from wherry.errors import Passing, StoreFull
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.faults import BlobSealed, ObjectDamaged
from wherry.platforms.files.refs import BlobRef
from wherry.platforms.files.sweeping import OrphanSweep
from wherry.platforms.s3.blobs import S3Blobs
from wherry.platforms.s3.faults import ObjectsUnavailable
from wherry.platforms.s3.remote import Remote
from wherry.world import Clock, ManualClock, SystemClock

BLOB = "0123456789abcdef0123456789abcdef"
KEY = f"objects/assets/{BLOB}"
FUTURE_MS = 1 << 52
PART_BYTES = 5 << 20  # the smallest that S3 takes


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    """One attempt, unless a case says otherwise."""
    with pytest.MonkeyPatch.context() as changed:
        for name, text in KEYS.items():
            changed.setenv(name, text)
        changed.setattr(limits, "S3_ATTEMPTS", 1)
        yield


@pytest.fixture(scope="module")
def proxy(s3: S3) -> Iterator[Proxy]:
    """The way to S3, on which harm can be done."""
    made = Proxy(s3.endpoint)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def there(hasty: None, s3: S3, proxy: Proxy) -> Iterator[Remote]:
    """A bucket at the end of that way."""
    with remote(proxy.endpoint, s3.bucket()) as made:
        yield made


class Case:
    """One place in S3, a folder for its files, and the way between."""

    def __init__(self, s3: S3, bucket: str, proxy: Proxy, there: Remote, folder: Path) -> None:
        self.s3, self.bucket, self.proxy, self.there, self.folder = s3, bucket, proxy, there, folder
        self.blobs = S3Blobs(str(folder), there, SystemClock())

    @contextmanager
    def own(self, clock: Clock | None = None) -> Iterator[S3Blobs]:
        """Return blobs with a client of their own: bounds are read when one is made."""
        with remote(self.proxy.endpoint, self.bucket, clock=clock) as there:
            yield S3Blobs(str(self.folder), there, SystemClock())

    def stored(self) -> list[str]:
        """What lies in S3."""
        return self.s3.keys(self.bucket)

    def files(self) -> list[str]:
        """What lies in the folder."""
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())

    def forget(self) -> None:
        """Lose the files."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                path.unlink()

    def read(self, ref: BlobRef) -> bytes:
        with self.blobs.open("assets", ref) as reader:
            return reader.read()

    def replace(self, content: bytes) -> None:
        """Put something else under the key, as a stranger could."""
        self.s3.change(lambda one: one.put_object(Bucket=self.bucket, Key=KEY, Body=content))


@pytest.fixture
def case(s3: S3, proxy: Proxy, there: Remote, tmp_path: Path) -> Iterator[Case]:
    bucket = there.place.bucket
    proxy.heads.clear()
    yield Case(s3, bucket, proxy, there, tmp_path / "objects")
    proxy.harm = lambda head: ""
    there.silent = False

    def empty(one: Any) -> None:
        for found in one.list_objects_v2(Bucket=bucket).get("Contents", ()):
            one.delete_object(Bucket=bucket, Key=found["Key"])

    s3.change(empty)


def once(harm: str, verb: str = "put", times: int = 1) -> Callable[[str], str]:
    """Do harm to the first requests of this verb."""
    left = [times]

    def choose(head: str) -> str:
        if not head.startswith(verb) or not left[0]:
            return ""
        left[0] -= 1
        return harm

    return choose


# --- storing --------------------------------------------------------------------------------------


def test_a_sealed_blob_lies_in_s3_and_comes_back_without_its_file(case: Case) -> None:
    ref = case.blobs.put("assets", BLOB, b"content")
    assert case.stored() == [KEY]
    case.forget()
    assert case.read(ref) == b"content"
    assert case.files() == [BLOB]
    assert case.proxy.asked("get", BLOB) == 1
    assert case.read(ref) == b"content"
    assert case.proxy.asked("get", BLOB) == 1  # the file is there now


def test_its_checksum_is_sent_and_kept_with_it(case: Case) -> None:
    case.blobs.put("assets", BLOB, b"content")
    (head,) = [head for head in case.proxy.heads if head.startswith("put")]
    assert "x-amz-checksum-sha256: " in head
    found = case.s3.change(lambda one: one.head_object(Bucket=case.bucket, Key=KEY))
    assert found["Metadata"] == {"sha256": hashlib.sha256(b"content").hexdigest()}


@pytest.mark.parametrize("size_bytes", [PART_BYTES + 1, 2 * PART_BYTES])
def test_a_large_blob_goes_in_parts_and_comes_back_whole(
    case: Case, monkeypatch: pytest.MonkeyPatch, size_bytes: int
) -> None:
    monkeypatch.setattr(limits, "S3_PART_BYTES", PART_BYTES)
    content = os.urandom(size_bytes)
    ref = case.blobs.put("assets", BLOB, content)
    assert case.proxy.asked("put", "partnumber=2") == 1
    case.blobs.put("assets", BLOB, content)  # a repeat is harmless
    case.forget()
    assert case.read(ref) == content
    with pytest.raises(BlobSealed):
        case.there.put("assets", *other(bytes(size_bytes)))
    uploads = case.s3.change(lambda one: one.list_multipart_uploads(Bucket=case.bucket))
    assert "Uploads" not in uploads  # the one that was refused is ended


def other(content: bytes) -> tuple[BlobRef, BytesIO]:
    """Return a file with other content under the same id."""
    return BlobRef(BLOB, len(content), hashlib.sha256(content).hexdigest()), BytesIO(content)


@pytest.mark.parametrize("conditions", [True, False], ids=["if-none-match", "a store without it"])
def test_a_repeat_is_harmless_and_other_content_is_refused(case: Case, conditions: bool) -> None:
    if not conditions:
        case.proxy.harm = lambda head: "501 NotImplemented" if "if-none-match" in head else ""
    with case.own() as blobs:
        ref = blobs.put("assets", BLOB, b"content")
        case.forget()
        assert blobs.put("assets", BLOB, b"content") == ref
        case.forget()
        with pytest.raises(BlobSealed, match="never changes"):
            blobs.put("assets", BLOB, b"CONTENT")
    assert case.files() == []
    assert case.read(ref) == b"content"


def test_a_file_that_is_not_what_was_sealed_is_not_stored(case: Case) -> None:
    ref = Blobs(str(case.folder)).put("assets", BLOB, b"content")
    Path(Blobs(str(case.folder)).path("assets", ref)).write_bytes(b"c0ntent")
    with pytest.raises(ObjectDamaged, match="not what was sealed"):
        case.blobs.keep("assets", ref)
    assert case.stored() == []


def test_what_another_process_has_sealed_is_kept(case: Case) -> None:
    ref = Blobs(str(case.folder)).put("assets", BLOB, b"content")
    case.blobs.keep("assets", ref)
    assert case.stored() == [KEY]
    case.forget()
    with pytest.raises(Passing, match="went before it was stored"):
        case.blobs.keep("assets", BlobRef(BLOB, 7, ref.sha256))


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        ("503 SlowDown", ObjectsUnavailable),
        ("403 AccessDenied", ObjectsUnavailable),
        ("500 InternalError", ObjectsUnavailable),
        ("507 XMinioStorageFull", StoreFull),
        ("409 ConditionalRequestConflict", ObjectsUnavailable),
        ("reset", ObjectsUnavailable),
    ],
)
def test_what_s3_does_not_take_is_nowhere_and_may_be_tried_again(
    case: Case, harm: str, error: type[Passing]
) -> None:
    case.proxy.harm = lambda head: harm if head.startswith("put") else ""
    with pytest.raises(error) as caught:
        case.blobs.put("assets", BLOB, b"content" * 10_000)
    assert isinstance(caught.value, Passing)
    assert (case.stored(), case.files()) == ([], [])
    case.proxy.harm = lambda head: ""
    assert case.read(case.blobs.put("assets", BLOB, b"content")) == b"content"


def test_an_s3_that_does_not_answer_is_not_waited_for_long(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = case.blobs.put("assets", BLOB, b"content")
    case.forget()
    monkeypatch.setattr(limits, "S3_READ_S", 0.3)
    case.proxy.harm = lambda head: "hang"
    with case.own() as blobs:
        with pytest.raises(ObjectsUnavailable):
            blobs.open("assets", ref)
        with pytest.raises(ObjectsUnavailable):
            blobs.put("assets", BLOB[::-1], b"content")
    assert case.files() == []


def test_an_attempt_that_failed_is_tried_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that S3 carried out although its answer was lost."""
    monkeypatch.setattr(limits, "S3_ATTEMPTS", 2)
    with case.own() as blobs:
        case.proxy.harm = once("503 SlowDown")
        blobs.put("assets", BLOB, b"content")
        case.proxy.harm = once("deaf")
        blobs.put("assets", BLOB[::-1], b"another")
    assert len(case.stored()) == 2


def test_all_attempts_together_end_in_time(case: Case) -> None:
    """A clock that runs away stands for an S3 that takes a piece now and then."""

    class Hurrying(SystemClock):
        now_s = 0.0

        def steady_s(self) -> float:
            self.now_s += limits.S3_CALL_S / 3
            return self.now_s

    with case.own(Hurrying()) as blobs, pytest.raises(ObjectsUnavailable, match="took too long"):
        blobs.put("assets", BLOB, b"content" * 100_000)


def test_what_is_under_way_ends_when_the_engine_does(case: Case) -> None:
    ref = case.blobs.put("assets", BLOB, b"content")
    with remote(case.proxy.endpoint, case.bucket) as there:
        there.close()
        with pytest.raises(ObjectsUnavailable):
            there.get("assets", ref, lambda piece: None)


# --- reading --------------------------------------------------------------------------------------


def test_what_is_missing_is_damage(case: Case) -> None:
    ref = case.blobs.put("assets", BLOB, b"content")
    case.forget()
    case.s3.change(lambda one: one.delete_object(Bucket=case.bucket, Key=KEY))
    for read in (case.read, lambda ref: case.blobs.path("assets", ref)):
        with pytest.raises(ObjectDamaged, match=f"missing from s3://{case.bucket}/objects"):
            read(ref)
    assert case.files() == []


@pytest.mark.parametrize("content", [b"c0ntent", b"conten", b"", b"content and more"])
def test_what_was_changed_in_s3_is_damage_and_stays_out(case: Case, content: bytes) -> None:
    ref = case.blobs.put("assets", BLOB, b"content")
    case.forget()
    case.replace(content)
    with pytest.raises(ObjectDamaged, match=r"bytes there|checksum there"):
        case.read(ref)
    assert case.files() == []


def test_a_damaged_file_is_brought_again(case: Case) -> None:
    ref = case.blobs.put("assets", BLOB, b"content")
    path = Path(case.blobs.path("assets", ref))
    for damage in (b"c0ntent", b"conten", b""):
        path.write_bytes(damage)
        assert case.blobs.check("assets", ref) == str(path)
        assert case.read(ref) == b"content"
    path.write_bytes(b"c0ntent")
    with pytest.raises(ObjectDamaged):
        case.read(ref)  # its pieces may be in somebody's hands already
    assert case.read(ref) == b"content"


@pytest.mark.parametrize("harm", ["503 SlowDown", "reset", "cut"])
def test_an_s3_that_does_not_give_a_blob_is_no_damage(case: Case, harm: str) -> None:
    ref = case.blobs.put("assets", BLOB, b"content" * 10_000)
    case.forget()
    case.proxy.harm = lambda head: harm
    with pytest.raises(ObjectsUnavailable):
        case.read(ref)
    assert case.files() == []
    case.proxy.harm = lambda head: ""
    assert case.read(ref) == b"content" * 10_000


def test_a_download_that_was_cut_off_is_begun_again(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = case.blobs.put("assets", BLOB, b"content" * 10_000)
    case.forget()
    monkeypatch.setattr(limits, "S3_ATTEMPTS", 2)
    case.proxy.harm = once("cut", "get")
    assert case.read(ref) == b"content" * 10_000
    assert case.proxy.asked("get", BLOB) == 2


def test_many_readers_bring_a_blob_once(case: Case) -> None:
    ref = case.blobs.put("assets", BLOB, b"content")
    case.forget()
    found: list[bytes] = []
    gate = threading.Barrier(8)

    def read() -> None:
        gate.wait(30)
        found.append(case.read(ref))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [b"content"] * 8
    assert case.proxy.asked("get", BLOB) == 1


def test_nothing_is_asked_of_an_s3_that_is_silent(case: Case) -> None:
    """But for what is here, which is served."""
    ref = case.blobs.put("assets", BLOB, b"content")
    before = len(case.proxy.heads)
    case.there.silent = True
    assert case.read(ref) == b"content"
    with pytest.raises(ObjectsUnavailable, match="has not answered"):
        case.blobs.put("assets", BLOB[::-1], b"content")
    case.forget()
    with pytest.raises(ObjectsUnavailable, match="has not answered"):
        case.read(ref)
    assert len(case.proxy.heads) == before


# --- the cache ------------------------------------------------------------------------------------


def test_the_oldest_files_go_when_there_are_too_many(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OBJECT_CACHE_FRESH_S", -1.0)
    blobs = S3Blobs(str(case.folder), case.there, SystemClock(), cache_bytes=5_000)
    refs = []
    for number in range(8):
        ref = blobs.put("assets", f"{number:032x}", bytes([number]) * 1_000)
        refs.append(ref)
        os.utime(blobs.path("assets", ref), (number, number))
        blobs.put("assets", f"{number + 100:032x}", b"")  # what comes makes room
    assert sum(path.stat().st_size for path in case.folder.rglob("*") if path.is_file()) <= 5_000
    assert not set(case.files()) & {refs[0].blob, refs[1].blob}
    for number, ref in enumerate(refs):
        with blobs.open("assets", ref) as reader:
            assert reader.read() == bytes([number]) * 1_000


def test_what_has_just_come_stays(case: Case) -> None:
    blobs = S3Blobs(str(case.folder), case.there, SystemClock(), cache_bytes=1_000)
    for number in range(4):
        blobs.put("assets", f"{number:032x}", bytes(1_000))
    assert len(case.files()) == 4


# --- delete and sweep -----------------------------------------------------------------------------


def test_a_deleted_blob_is_gone_in_both_places(case: Case) -> None:
    case.blobs.put("assets", BLOB, b"content")
    case.blobs.delete("assets", BLOB)
    case.blobs.delete("assets", BLOB)
    assert (case.stored(), case.files()) == ([], [])


def test_what_could_not_be_deleted_is_deleted_by_the_next_sweep(case: Case) -> None:
    case.blobs.put("assets", BLOB, b"content")
    case.proxy.harm = lambda head: "503 SlowDown"
    with pytest.raises(ObjectsUnavailable):
        case.blobs.delete("assets", BLOB)
    case.proxy.harm = lambda head: ""
    assert case.stored() == [KEY]
    assert case.blobs.sweep("assets", OrphanSweep(0, lambda sealed: [])) == 1
    assert case.stored() == []


def test_a_sweep_removes_old_orphans_from_s3_and_nothing_else(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers' keys stay, and so does what was written since or is named by a row."""
    kept, orphan = "a" * 32, "b" * 32
    for blob in (kept, orphan):
        case.blobs.put("assets", blob, b"content")
    case.s3.change(
        lambda one: one.put_object(Bucket=case.bucket, Key="objects/assets/README", Body=b"")
    )
    case.forget()

    def orphans(sealed: list[str]) -> list[str]:
        return [blob for blob in sealed if blob != kept]

    assert case.blobs.sweep("assets", OrphanSweep(1_000, orphans)) == 0, "too young"
    assert case.blobs.sweep("assets", OrphanSweep(FUTURE_MS, orphans, FUTURE_MS - 1)) == 0, "seen"
    monkeypatch.setattr(limits, "SWEEP_BATCH", 1)  # a page each
    assert case.blobs.sweep("assets", OrphanSweep(FUTURE_MS, orphans)) == 1
    assert case.stored() == ["objects/assets/README", f"objects/assets/{kept}"]
    assert case.blobs.buckets() == ["assets"]


def test_a_machine_whose_clock_is_ahead_takes_nothing_that_is_young(case: Case) -> None:
    """What another one stores now, and commits in a moment, is no orphan."""
    ahead = ManualClock(SystemClock().now_ms() + 65 * 60 * 1000)
    case.blobs.put("assets", BLOB, b"content")
    case.forget()
    hour_ago_ms = ahead.now_ms() - limits.STAGING_S * 1000
    with case.own(ahead) as blobs:
        assert blobs.sweep("assets", OrphanSweep(hour_ago_ms, lambda sealed: sealed)) == 0
        soon_ms = ahead.now_ms() + 10_000
        assert blobs.sweep("assets", OrphanSweep(soon_ms, lambda sealed: sealed)) == 1


def test_what_another_engine_has_deleted_does_not_stay_in_the_cache(case: Case) -> None:
    ref = case.blobs.put("assets", BLOB, b"content")
    case.s3.change(lambda one: one.delete_object(Bucket=case.bucket, Key=KEY))
    seen = OrphanSweep(FUTURE_MS, lambda sealed: sealed, FUTURE_MS - 1)
    assert case.blobs.sweep("assets", seen) == 1
    with pytest.raises(ObjectDamaged, match="missing"):
        case.read(ref)


def test_a_sweep_ends_uploads_in_parts_that_nobody_finishes(case: Case) -> None:
    begun = {"Bucket": case.bucket, "Key": KEY}
    case.s3.change(lambda one: one.create_multipart_upload(**begun))
    assert case.blobs.sweep("assets", OrphanSweep(1_000, lambda sealed: [])) == 0
    assert case.blobs.sweep("assets", OrphanSweep(FUTURE_MS, lambda sealed: [])) == 1
    uploads = case.s3.change(lambda one: one.list_multipart_uploads(Bucket=case.bucket))
    assert "Uploads" not in uploads
