"""The body of an upload goes to its file by other threads; what fails there is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wherry import limits
from wherry.codec import digest
from wherry.engine.gateway.uploads import Upload
from wherry.engine.offload import attempt
from wherry.errors import Problem, StoreFull
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.refs import BlobRef
from wherry.platforms.files.writer import BlobWriter

BLOB = digest("one")
PIECE = b"x" * (limits.BLOB_PIECE_BYTES // 2)


class Disk:
    """An `Offload` whose work is done when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.blobs = Blobs(str(folder))
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self.gone: list[str] = []

    def __call__(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        self.jobs.append((work, then))

    def turn(self) -> None:
        """Do what is asked for now."""
        jobs, self.jobs = self.jobs, []
        for work, then in jobs:
            then(attempt(work))

    def upload(self, stage: Callable[[], BlobWriter] | None = None) -> Upload:
        """Begin an upload."""
        return Upload(
            stage or (lambda: self.blobs.stage("assets", BLOB)),
            self,
            lambda: self.gone.append(BLOB),
        )

    def files(self) -> list[str]:
        """What there is."""
        root = Path(self.blobs.path("assets", BlobRef(BLOB, 0, ""))).parent.parent
        return [path.name for path in root.rglob("*") if path.is_file()]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_nothing_is_written_by_who_reads_the_body(disk: Disk) -> None:
    """It is told to wait when much is unwritten, and when there is room again."""
    upload = disk.upload()
    room: list[bool] = []
    for _ in range(3):
        upload.write(PIECE)
    filled = [upload.full]
    upload.write(PIECE)
    filled.append(upload.full)  # one is on its way to the disk, three wait
    assert filled == [False, True]
    upload.on_room(lambda: room.append(True))
    assert disk.files() == []
    disk.turn()
    assert (upload.full, room) == (False, [True])
    upload.close(True)
    sealed: list[Any] = []
    upload.finish(BlobWriter.seal, sealed.append)
    assert sealed == []
    disk.turn()
    disk.turn()
    assert [ref.size_bytes for ref in sealed] == [4 * len(PIECE)]
    assert disk.files() == [BLOB]


def test_an_empty_body_is_an_empty_object(disk: Disk) -> None:
    upload = disk.upload()
    sealed: list[Any] = []
    upload.close(True)
    upload.finish(BlobWriter.seal, sealed.append)
    disk.turn()
    assert [ref.size_bytes for ref in sealed] == [0]


def test_a_disk_that_fails_ends_the_upload_with_its_fault(disk: Disk) -> None:
    """The next piece is refused; a body that was whole by then is refused at its end."""

    def stage() -> BlobWriter:
        raise StoreFull("no room")

    upload = disk.upload(stage)
    ended: list[Any] = []
    upload.write(PIECE)
    disk.turn()
    with pytest.raises(Problem) as refused:
        upload.write(PIECE)
    assert (refused.value.status, refused.value.code) == (507, "store_full")
    upload = disk.upload(stage)
    upload.write(PIECE)
    upload.close(True)
    upload.finish(BlobWriter.seal, ended.append)
    disk.turn()
    assert [type(one) for one in ended] == [StoreFull]


def test_what_was_sent_of_a_body_that_never_was_whole_is_removed(disk: Disk) -> None:
    """Also where a write of it was still under way."""
    upload = disk.upload()
    upload.write(PIECE)
    upload.write(PIECE)
    upload.close(False)
    assert disk.gone == [BLOB]
    disk.turn()
    disk.turn()
    assert disk.files() == []
    assert disk.jobs == []
