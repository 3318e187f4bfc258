"""A killed writer, a full disk, a broken disk: what was sealed is whole, the rest is not there."""

import errno
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry import codec
from wherry.errors import Passing, StoreFull
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.faults import StorageFault, disk
from wherry.platforms.files.refs import BlobRef
from wherry.platforms.files.sweeping import OrphanSweep

# Writes blobs whose content follows from their id, and tells each write (".") and each seal.
WRITER = """
import os, random, sys
from wherry import codec
from wherry.platforms.files.blobs import Blobs
root, seed = sys.argv[1], sys.argv[2]
blobs, number = Blobs(root), 0
while True:
    number += 1
    blob = codec.digest(seed, str(number))
    chance = random.Random(blob)
    with blobs.stage("assets", blob) as writer:
        for _ in range(chance.randrange(6)):
            writer.write(chance.randbytes(chance.randrange(200_000)))
            os.write(1, b".")
        os.write(1, b"-")
        ref = writer.seal()
    os.write(1, ref.blob.encode() + b"\\n")
"""


def content_of(blob: str) -> bytes:
    chance = random.Random(blob)
    return b"".join(chance.randbytes(chance.randrange(200_000)) for _ in range(chance.randrange(6)))


def ref_of(blob: str) -> BlobRef:
    content = content_of(blob)
    return BlobRef(blob, len(content), hashlib.sha256(content).hexdigest())


def test_after_kill_9_what_was_sealed_verifies_and_nothing_else_is_visible(tmp_path: Path) -> None:
    chance = random.Random(9)
    blobs = Blobs(str(tmp_path))
    told: list[str] = []
    parts = 0
    for seed in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(seed)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            output = child.stdout.read(chance.randrange(1, 400))
            child.kill()
            output += child.stdout.read()
        told += [
            line.strip(b".-").decode() for line in output.split(b"\n")[:-1] if line.strip(b".-")
        ]
        last = output.split(b"\n")[-1]
        parts += last.startswith((b".", b"-"))
    assert len(told) > 12
    assert parts > 0, "no writer was killed in the middle"

    visible = {path.name for path in tmp_path.rglob("*") if path.suffix == "" and path.is_file()}
    assert set(told) <= visible
    assert len(visible) <= len(told) + 12, "sealed and killed before it could say so"
    for blob in visible:  # told or not: a visible blob is whole
        with blobs.open("assets", ref_of(blob)) as reader:
            assert reader.read() == content_of(blob)

    left = [path.name.removesuffix(".part") for path in tmp_path.rglob("*.part")]
    for blob in left:  # and the repeat of what was cut off goes through
        assert blobs.put("assets", blob, content_of(blob)) == ref_of(blob)
    assert list(tmp_path.rglob("*.part")) == []


def test_the_sweeper_takes_what_killed_writers_left(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), "s"], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        while child.stdout.read(1) != b".":
            pass
        child.kill()
    Blobs(str(tmp_path)).sweep("assets", OrphanSweep(1 << 52, lambda sealed: sealed))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_part_of_another_living_process_is_left_alone(tmp_path: Path) -> None:
    blobs, blob = Blobs(str(tmp_path)), codec.digest("one")
    code = (
        "import sys; from wherry.platforms.files.blobs import Blobs\n"
        f"writer = Blobs(sys.argv[1]).stage('assets', '{blob}')\n"
        "print('staged', flush=True); sys.stdin.read(1); writer.seal()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(Passing, match="writing"):
            blobs.stage("assets", blob)
        assert blobs.sweep("assets", OrphanSweep(1 << 52, lambda sealed: sealed)) == 0
        child.communicate(b"x")
    assert child.returncode == 0
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [blob]


# --- the disk -----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_refuses_the_write_serves_reads_and_recovers(small_disk: Path) -> None:
    blobs = Blobs(str(small_disk / "objects"))
    kept = [blobs.put("assets", codec.digest(str(n)), bytes([n]) * 300_000) for n in range(3)]
    pieces = [b"x" * 50_000] * 6
    for content in (pieces, b"".join(pieces), pieces):  # one write that only half fits, too
        with pytest.raises(StoreFull, match="no room"):
            blobs.put("assets", codec.digest("more"), content)
    names = {path.name for path in small_disk.rglob("*") if path.is_file()}
    assert names == {ref.blob for ref in kept}, "what did not fit takes no room"
    for ref in kept:
        with blobs.open("assets", ref) as reader:
            assert len(reader.read()) == 300_000
    blobs.delete("assets", kept[0].blob)
    assert blobs.put("assets", codec.digest("more"), b"x" * 300_000).size_bytes == 300_000


def test_a_read_only_disk_refuses_the_write_and_serves_reads(small_disk: Path) -> None:
    blobs = Blobs(str(small_disk / "objects"))
    ref = blobs.put("assets", codec.digest("one"), b"content")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for call in (
        lambda: blobs.put("assets", codec.digest("two"), b"content"),
        lambda: Blobs(str(small_disk / "objects")).put("other", codec.digest("two"), b"content"),
        lambda: blobs.delete("assets", ref.blob),
    ):
        with pytest.raises(StorageFault, match="Read-only file system"):
            call()
    with blobs.open("assets", ref) as reader:
        assert reader.read() == b"content"


@pytest.mark.parametrize(
    ("number", "error", "says"),
    [
        (errno.ENOSPC, StoreFull, "no room on the disk to seal assets/1"),
        (errno.EDQUOT, StoreFull, "no room on the disk to seal assets/1"),
        (errno.EIO, StorageFault, "kernel's log"),
        (errno.EACCES, StorageFault, "Permission denied"),
    ],
)
def test_an_error_of_the_disk_says_what_failed(
    number: int, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught, disk("seal", "assets/1"):
        raise OSError(number, os.strerror(number))
    assert isinstance(caught.value.__cause__, OSError)
