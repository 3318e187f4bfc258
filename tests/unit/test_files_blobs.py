"""Blobs on disk: sealed or not there, never changed, never damaged in silence."""

import hashlib
import io
import os
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_kit import KEYS, remote
from wherry import codec, limits
from wherry.errors import Passing, TooLarge
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.faults import BlobSealed, ObjectDamaged, StorageFault
from wherry.platforms.files.refs import BlobRef
from wherry.platforms.files.sweeping import OrphanSweep
from wherry.platforms.s3.blobs import S3Blobs
from wherry.platforms.s3.place import Place
from wherry.platforms.s3.remote import Remote
from wherry.world import SystemClock

BLOB = "0123456789abcdef0123456789abcdef"
FUTURE_MS = 1 << 52


in_both_places = pytest.mark.parametrize("blobs", ["files", "s3"], indirect=True)
"""What holds for files holds for S3 with files before it."""


@pytest.fixture(scope="module")
def bucket(request: pytest.FixtureRequest) -> Iterator[Remote]:
    s3 = request.getfixturevalue("s3")
    with pytest.MonkeyPatch.context() as variables:
        for name, text in KEYS.items():
            variables.setenv(name, text)
        with remote(s3.endpoint, s3.bucket()) as made:
            yield made


@pytest.fixture
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    folder = str(tmp_path / "data" / "objects")
    if getattr(request, "param", "files") == "files":
        return Blobs(folder)
    there = request.getfixturevalue("bucket")
    there.place = Place(there.place.bucket, f"{tmp_path.name}/", there.place.endpoint)
    return S3Blobs(folder, there, SystemClock())


def files(blobs: Blobs) -> list[str]:
    # Not its own, which brings what is asked for.
    root = Path(Blobs.path(blobs, "a", BlobRef(BLOB, 0, ""))).parents[2]
    return sorted(path.name for path in root.rglob("*") if not path.is_dir())


def everything(sealed: list[str]) -> list[str]:
    """No row names any of them."""
    return sealed


def read(blobs: Blobs, ref: BlobRef, *, verify: bool = True) -> bytes:
    with blobs.open("assets", ref, verify=verify) as reader:
        return reader.read()


# --- put, open ----------------------------------------------------------------------------------


def test_two_hundred_random_objects_come_back_as_they_were(blobs: Blobs) -> None:
    chance = random.Random(1)
    stored = {}
    for number in range(200):
        content = chance.randbytes(chance.choice([0, 1, 100, 5_000, 300_000]))
        ref = blobs.put("assets", codec.digest(str(number)), content)
        assert ref.size_bytes == len(content)
        assert ref.sha256 == hashlib.sha256(content).hexdigest()
        stored[ref] = content
    for ref, content in stored.items():
        assert read(blobs, ref) == content
        assert b"".join(blobs.open("assets", ref)) == content
    assert files(blobs) == sorted(ref.blob for ref in stored)


@in_both_places
@pytest.mark.parametrize(
    "content",
    [b"abc" * 200_000, bytearray(b"abc" * 200_000), memoryview(b"abc" * 200_000)],
    ids=["bytes", "bytearray", "memoryview"],
)
def test_content_may_be_any_bytes(blobs: Blobs, content: bytes) -> None:
    assert read(blobs, blobs.put("assets", BLOB, content)) == b"abc" * 200_000


@in_both_places
def test_content_may_be_pieces_or_a_file(blobs: Blobs) -> None:
    pieces = (b"piece %d;" % number for number in range(1000))
    first = blobs.put("assets", BLOB, pieces)
    with io.BytesIO(b"".join(b"piece %d;" % number for number in range(1000))) as file:
        second = blobs.put("assets", "f" * 32, file)
    assert first.sha256 == second.sha256
    with pytest.raises(TypeError):
        blobs.put("assets", "e" * 32, "text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        blobs.put("assets", "e" * 32, io.StringIO("text"))  # type: ignore[arg-type]
    assert len(files(blobs)) == 2


@in_both_places
def test_a_reader_hands_out_what_is_asked_for_and_then_nothing(blobs: Blobs) -> None:
    ref = blobs.put("assets", BLOB, b"0123456789")
    with blobs.open("assets", ref) as reader:
        assert reader.size_bytes == 10
        assert [reader.read(4), reader.read(0), reader.read(4)] == [b"0123", b"", b"4567"]
        assert [reader.read(4), reader.read(4), reader.read()] == [b"89", b"", b""]
    with pytest.raises(ValueError, match="closed"):
        reader.read()


@in_both_places
def test_iteration_holds_a_quarter_of_a_mebibyte_at_once(blobs: Blobs) -> None:
    ref = blobs.put("assets", BLOB, bytes(600 * 1024))
    sizes = [len(piece) for piece in blobs.open("assets", ref)]
    assert sizes == [262_144, 262_144, 90_112]


@in_both_places
def test_files_and_folders_are_their_owners_only(blobs: Blobs) -> None:
    path = Path(blobs.path("assets", blobs.put("assets", BLOB, b"secret")))
    assert path.parts[-3:] == ("assets", f"{int(BLOB, 16) % 251:02x}", BLOB)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in list(path.parents)[:4]:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("form", ["{:016x}0001", "0000{:016x}", "{:016x}" + "0" * 16])
def test_ids_that_count_spread_over_the_folders(blobs: Blobs, form: str) -> None:
    paths = (blobs.path("a", BlobRef(form.format(number), 0, "")) for number in range(2510))
    folders = [path.rpartition("/")[0] for path in paths]
    assert {folders.count(folder) for folder in set(folders)} == {10}


def test_no_file_stays_open(blobs: Blobs) -> None:
    blobs.put("assets", BLOB, b"first")
    before = sorted(os.listdir("/proc/self/fd"))
    for number in range(20):
        ref = blobs.put("assets", codec.digest(str(number)), b"x" * 600_000)
        read(blobs, ref)
        list(blobs.open("assets", ref))
        next(iter(blobs.open("assets", ref)))
        blobs.stage("assets", "d" * 32)  # forgotten
        with pytest.raises(BlobSealed):
            blobs.put("assets", BLOB, b"other")
        with pytest.raises(ObjectDamaged):
            blobs.open("assets", BlobRef(BLOB, 1, ref.sha256))
        with pytest.raises(ObjectDamaged):
            blobs.open("assets", BlobRef("c" * 32, 1, ref.sha256))
        assert blobs.sweep("assets", OrphanSweep(0, everything)) == 0
    assert sorted(os.listdir("/proc/self/fd")) == before


# --- a part is not visible ----------------------------------------------------------------------


def test_nothing_is_visible_before_it_is_sealed(blobs: Blobs) -> None:
    with blobs.stage("assets", BLOB) as writer:
        writer.write(b"half")
        assert writer.size_bytes == 4
        assert files(blobs) == [BLOB + ".part"]
        with pytest.raises(ObjectDamaged, match="missing"):
            blobs.open("assets", BlobRef(BLOB, 4, ""))
        ref = writer.seal()
    assert files(blobs) == [BLOB]
    assert read(blobs, ref) == b"half"


@in_both_places
def test_leaving_without_a_seal_drops_the_part(blobs: Blobs) -> None:
    with blobs.stage("assets", BLOB) as writer:
        writer.write(b"half")
    assert files(blobs) == []
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"more")
    with pytest.raises(ValueError, match="closed"):
        writer.seal()
    writer.abandon()


@in_both_places
def test_content_that_raises_halfway_leaves_nothing(blobs: Blobs) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the client went away")

    with pytest.raises(RuntimeError, match="went away"):
        blobs.put("assets", BLOB, pieces())
    assert files(blobs) == []


@in_both_places
def test_a_blob_beyond_its_bound_is_dropped_at_once(blobs: Blobs) -> None:
    with blobs.stage("assets", BLOB, limit_bytes=10) as writer:
        writer.write(b"0123456789")
        with pytest.raises(TooLarge, match="at most 10 bytes"):
            writer.write(b"x")
        assert files(blobs) == []
        with pytest.raises(ValueError, match="closed"):
            writer.seal()


@in_both_places
def test_a_leftover_part_is_replaced(blobs: Blobs) -> None:
    writer = blobs.stage("assets", BLOB)
    writer.write(b"of a dead writer")
    del writer
    assert files(blobs) == [BLOB + ".part"]
    assert read(blobs, blobs.put("assets", BLOB, b"new")) == b"new"
    assert files(blobs) == [BLOB]


@in_both_places
def test_a_part_that_is_being_written_is_not_taken_away(blobs: Blobs) -> None:
    with blobs.stage("assets", BLOB) as writer:
        writer.write(b"mine")
        with pytest.raises(Passing, match="writing"):
            blobs.put("assets", BLOB, b"yours")
        ref = writer.seal()
    assert read(blobs, ref) == b"mine"


# --- a sealed blob never changes ----------------------------------------------------------------


@in_both_places
def test_the_same_content_may_be_put_again(blobs: Blobs) -> None:
    first = blobs.put("assets", BLOB, b"content")
    assert blobs.put("assets", BLOB, b"content") == first
    assert files(blobs) == [BLOB]


@in_both_places
@pytest.mark.parametrize("other", [b"", b"CONTENT", b"content and more"])
def test_other_content_under_a_sealed_id_is_refused(blobs: Blobs, other: bytes) -> None:
    ref = blobs.put("assets", BLOB, b"content")
    with pytest.raises(BlobSealed, match="never changes"):
        blobs.put("assets", BLOB, other)
    assert read(blobs, ref) == b"content"
    assert files(blobs) == [BLOB]


def test_of_many_writers_of_one_id_one_content_wins_and_stays(blobs: Blobs) -> None:
    refs: list[BlobRef] = []
    gate = threading.Barrier(8)

    def write(number: int) -> None:
        gate.wait(30)
        for _ in range(20):
            try:
                refs.append(blobs.put("assets", BLOB, [b"%d" % number] * 100))
            except (Passing, BlobSealed):
                continue

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(refs)) == 1
    assert read(blobs, refs[0]) == read(blobs, refs[0])[:1] * 100
    assert files(blobs) == [BLOB]


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [1, 1000, 262_144, 600_000])
def test_a_flipped_bit_is_found_before_the_last_piece_is_handed_out(
    blobs: Blobs, size_bytes: int
) -> None:
    chance = random.Random(size_bytes)
    content = chance.randbytes(size_bytes)
    ref = blobs.put("assets", BLOB, content)
    path = Path(blobs.path("assets", ref))
    for _ in range(50):
        damaged = bytearray(content)
        damaged[chance.randrange(size_bytes)] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        handed_out = 0
        with pytest.raises(ObjectDamaged, match="checksum"):  # noqa: PT012
            for piece in blobs.open("assets", ref):
                handed_out += len(piece)
        assert handed_out < size_bytes
        with pytest.raises(ObjectDamaged, match=f"assets/{BLOB}"):
            read(blobs, ref)
        assert read(blobs, ref, verify=False) == damaged
    path.write_bytes(content)
    assert read(blobs, ref) == content


def test_a_damaged_reader_stays_damaged(blobs: Blobs) -> None:
    ref = blobs.put("assets", BLOB, b"content")
    Path(blobs.path("assets", ref)).write_bytes(b"cOntent")
    with blobs.open("assets", ref) as reader:
        for _ in range(2):
            with pytest.raises(ObjectDamaged):
                reader.read()


@pytest.mark.parametrize("damage", [b"", b"conten", b"content!"])
def test_another_size_is_found_when_it_is_opened(blobs: Blobs, damage: bytes) -> None:
    ref = blobs.put("assets", BLOB, b"content")
    Path(blobs.path("assets", ref)).write_bytes(damage)
    for verify in (True, False):
        with pytest.raises(ObjectDamaged, match="bytes instead of 7"):
            blobs.open("assets", ref, verify=verify)


def test_a_file_cut_off_while_it_is_read_is_damaged(blobs: Blobs) -> None:
    ref = blobs.put("assets", BLOB, bytes(1000))
    for verify in (True, False):
        with blobs.open("assets", ref, verify=verify) as reader:
            reader.read(400)
            os.truncate(blobs.path("assets", ref), 500)
            with pytest.raises(ObjectDamaged, match="500 bytes early"):
                reader.read()
        os.truncate(blobs.path("assets", ref), 1000)


# --- the file system is not trusted -------------------------------------------------------------


def test_a_link_in_place_of_a_blob_is_not_followed(blobs: Blobs, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"content")
    ref = blobs.put("assets", BLOB, b"content")
    path = Path(blobs.path("assets", ref))
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(StorageFault, match="symbolic link"):
        blobs.open("assets", ref)
    with pytest.raises(StorageFault, match="symbolic link"):
        blobs.put("assets", BLOB, b"content")
    blobs.delete("assets", BLOB)
    Path(str(path) + ".part").symlink_to(secret)
    assert read(blobs, blobs.put("assets", BLOB, b"new")) == b"new"
    assert secret.read_bytes() == b"content"


@pytest.mark.parametrize("height", [0, 1])
def test_a_link_in_place_of_a_folder_is_not_followed(
    blobs: Blobs, tmp_path: Path, height: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = Path(blobs.path("assets", blobs.put("assets", BLOB, b"content"))).parents[height]
    folder.rename(tmp_path / "away")
    folder.symlink_to(outside)
    for fresh in (blobs, Blobs(str(tmp_path / "data" / "objects"))):
        with pytest.raises(StorageFault, match="symbolic link"):
            fresh.put("assets", BLOB, b"content")
        with pytest.raises(StorageFault, match="symbolic link"):
            fresh.sweep("assets", OrphanSweep(FUTURE_MS, everything))
    assert list(outside.iterdir()) == []


def test_a_fifo_or_a_folder_in_place_of_a_blob_is_damage(blobs: Blobs) -> None:
    ref = blobs.put("assets", BLOB, b"")
    path = blobs.path("assets", ref)
    os.unlink(path)
    os.mkfifo(path)
    with pytest.raises(ObjectDamaged, match="not a file"):
        blobs.open("assets", ref)


@in_both_places
@pytest.mark.parametrize("name", ["..", "a/b", ""])
def test_no_path_is_made_of_a_name_that_was_not_checked(blobs: Blobs, name: str) -> None:
    ref = BlobRef(BLOB, 0, "")
    for call in (
        lambda: blobs.stage(name, BLOB),
        lambda: blobs.open(name, ref),
        lambda: blobs.path(name, ref),
        lambda: blobs.delete(name, BLOB),
        lambda: blobs.sweep(name, OrphanSweep(0, everything)),
        lambda: blobs.stage("assets", f"../{BLOB}"),
        lambda: blobs.open("assets", BlobRef(f"../{BLOB}", 0, "")),
        lambda: blobs.path("assets", BlobRef(f"../{BLOB}", 0, "")),
        lambda: blobs.delete("assets", f"../{BLOB}"),
    ):
        with pytest.raises(ValueError, match=r"name of a bucket|id of a blob"):
            call()
    assert files(blobs) == []


# --- delete and sweep ---------------------------------------------------------------------------


@in_both_places
def test_a_deleted_blob_is_gone_and_deleting_it_again_is_harmless(blobs: Blobs) -> None:
    ref = blobs.put("assets", BLOB, b"content")
    with blobs.open("assets", ref) as reader:
        blobs.delete("assets", BLOB)
        blobs.delete("assets", BLOB)
        blobs.delete("other", BLOB)
        assert reader.read() == b"content"
    with pytest.raises(ObjectDamaged, match="missing"):
        blobs.open("assets", ref)


def test_a_sweep_removes_old_orphans_and_leftovers_and_nothing_else(blobs: Blobs) -> None:
    kept = blobs.put("assets", "a" * 32, b"kept").blob
    blobs.put("assets", "b" * 32, b"orphan")
    young = blobs.put("assets", "c" * 32, b"young").blob
    blobs.stage("assets", "d" * 32)  # left over
    living = blobs.stage("assets", "e" * 32)
    folder = Path(blobs.path("assets", BlobRef(young, 0, ""))).parent
    (folder / "README").write_text("a stranger's")
    for path in folder.parent.rglob("*"):
        if path.name != young:
            os.utime(path, (1_000, 1_000))
    asked: list[str] = []

    def orphans(sealed: list[str]) -> list[str]:
        asked.extend(sealed)
        return [blob for blob in sealed if blob != kept]

    assert blobs.sweep("assets", OrphanSweep(1_000_001, orphans, newer_than_ms=1_000_001)) == 0, (
        "seen before"
    )
    assert blobs.sweep("assets", OrphanSweep(1_000_001, orphans)) == 2
    assert files(blobs) == sorted([kept, young, "e" * 32 + ".part", "README"])
    assert sorted(asked) == ["a" * 32, "b" * 32]
    living.seal()
    assert blobs.sweep("assets", OrphanSweep(1_000_001, orphans)) == 0, "a seal counts as new"
    assert blobs.sweep("nothing", OrphanSweep(FUTURE_MS, orphans)) == 0
    (folder.parent.parent / "not a bucket").mkdir()
    assert blobs.buckets() == ["assets"]


def test_what_is_sealed_again_during_a_sweep_survives_it(blobs: Blobs) -> None:
    ref = blobs.put("assets", BLOB, b"content")
    os.utime(blobs.path("assets", ref), (1_000, 1_000))

    def orphans(sealed: list[str]) -> list[str]:  # no row yet: the repeat seals, and will commit
        blobs.put("assets", BLOB, b"content")
        return sealed

    assert blobs.sweep("assets", OrphanSweep(1_000_001, orphans)) == 0
    assert read(blobs, ref) == b"content"


def test_a_sweep_goes_in_bounded_steps(blobs: Blobs) -> None:
    folder = Path(blobs.path("assets", blobs.put("assets", BLOB, b""))).parent
    for number in range(2 * limits.SWEEP_BATCH):
        (folder / f"{number * 251 + int(BLOB, 16) % 251:032x}").touch()
    steps = blobs.sweep_steps("assets", OrphanSweep(FUTURE_MS, everything))
    assert next(steps) == limits.SWEEP_BATCH
    assert len(files(blobs)) == limits.SWEEP_BATCH + 1
    steps.close()  # type: ignore[attr-defined]
    assert blobs.sweep("assets", OrphanSweep(FUTURE_MS, everything)) == limits.SWEEP_BATCH + 1
    assert files(blobs) == []


@in_both_places
def test_an_error_of_who_is_asked_passes_and_removes_nothing(blobs: Blobs) -> None:
    blobs.put("assets", BLOB, b"content")

    def orphans(sealed: list[str]) -> list[str]:
        raise OSError(5, "the database is away")

    with pytest.raises(OSError, match="the database is away"):
        blobs.sweep("assets", OrphanSweep(FUTURE_MS, orphans))
    assert files(blobs) == [BLOB]


def test_importing_the_room_loads_no_crypto_and_no_network() -> None:
    code = (
        "import msgspec, sys; before = set(sys.modules)\n"
        "import wherry.platforms.files.blobs, wherry.platforms.files.presign\n"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith('wherry')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) <= {"errno"}
