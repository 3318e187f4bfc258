"""The data folder: one owner, closed to others, with the keys that belong to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.engine.datafolder import DataFolder, FolderInUse
from wherry.errors import Refused
from wherry.world import Chance


def mode_of(path: str | Path) -> int:
    return os.stat(path).st_mode & 0o777


def test_a_new_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    """The folder and all below it are made with mode 0700, and git ignores it."""
    with DataFolder.open(str(tmp_path / "deep" / "data")) as data:
        for folder in (data.root, data.objects, data.logs, data.tmp, data.secrets):
            assert mode_of(folder) == 0o700
        assert Path(data.root, ".gitignore").read_text() == "*\n"


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    """An empty folder that others may enter is closed to them before state goes into it."""
    tmp_path.chmod(0o755)
    DataFolder.open(str(tmp_path)).close()
    assert mode_of(tmp_path) == 0o700


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """A project's folder named by mistake is refused, its mode unchanged."""
    tmp_path.chmod(0o755)
    (tmp_path / "shop.py").write_text("")
    with pytest.raises(Refused, match=r"shop\.py"):
        DataFolder.open(str(tmp_path))
    assert mode_of(tmp_path) == 0o755


def test_secrets_may_be_there_first(tmp_path: Path) -> None:
    """A folder that holds nothing but secrets is taken: they are often put there first."""
    (tmp_path / "secrets").mkdir()
    DataFolder.open(str(tmp_path)).close()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """A file in the place of the folder is named as what it is."""
    (tmp_path / "data").write_text("")
    with pytest.raises(Refused, match="is a file"):
        DataFolder.open(str(tmp_path / "data"))


def test_a_second_owner_is_told_who_holds_it(tmp_path: Path) -> None:
    """The lock's refusal names the process that holds it."""
    with DataFolder.open(str(tmp_path)), pytest.raises(FolderInUse) as caught:
        DataFolder.open(str(tmp_path))
    assert caught.value.pid == os.getpid()
    assert f"process {os.getpid()}" in str(caught.value)
    DataFolder.open(str(tmp_path)).close()


def test_who_looks_sees_whether_it_is_owned(tmp_path: Path) -> None:
    """Somebody who waits for an engine to end can see when it has, and takes nothing away."""
    with DataFolder.open(str(tmp_path)) as data:
        assert data.owned()
    assert not data.owned()
    DataFolder.open(str(tmp_path)).close()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    """However an owner ends, a child of it included, the next one is not kept out."""
    code = (
        "import os, subprocess, sys, signal\n"
        "from wherry.engine.datafolder import DataFolder\n"
        f"data = DataFolder.open({str(tmp_path)!r})\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "print('owned', flush=True)\n"
        "sys.stdin.read()\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    assert owner.stdout.readline() == b"owned\n"
    with pytest.raises(FolderInUse) as caught:
        DataFolder.open(str(tmp_path))
    assert caught.value.pid == owner.pid
    owner.kill()
    owner.wait(30)
    DataFolder.open(str(tmp_path)).close()
    owner.stdin.close()
    owner.stdout.close()


def test_what_environments_left_is_removed(tmp_path: Path) -> None:
    """Temporary files of an engine that was killed are gone when the next one begins."""
    with DataFolder.open(str(tmp_path)) as data:
        Path(data.tmp, "create_order-7").mkdir()
        Path(data.tmp, "create_order-7", "big").write_bytes(b"x")
    with DataFolder.open(str(tmp_path)) as data:
        assert os.listdir(data.tmp) == []


def test_the_signing_key_is_made_once(tmp_path: Path) -> None:
    """The same folder has the same key, another folder another; nobody else may read it."""
    with DataFolder.open(str(tmp_path / "one")) as data:
        key = data.signing_key()
        assert mode_of(os.path.join(data.root, "signing.key")) == 0o600
    with DataFolder.open(str(tmp_path / "one")) as data:
        assert data.signing_key() == key
    with DataFolder.open(str(tmp_path / "two"), Chance(7)) as data:
        assert data.signing_key().secret != key.secret


def test_a_signing_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """A key with mode 0644 is not used, and the refusal says what to run."""
    with DataFolder.open(str(tmp_path)) as data:
        data.signing_key()
        path = os.path.join(data.root, "signing.key")
        os.chmod(path, 0o644)
        with pytest.raises(Refused, match="chmod 600"):
            data.signing_key()
        os.chmod(path, 0o600)
        Path(path).write_text("{}")
        with pytest.raises(Refused, match="damaged"):
            data.signing_key()


def test_the_address_is_there_while_the_engine_is(tmp_path: Path) -> None:
    """The public URL is written for others to find, and forgotten at the end."""
    with DataFolder.open(str(tmp_path)) as data:
        assert data.address() is None
        data.write_address("http://127.0.0.1:8000")
        assert data.address() == "http://127.0.0.1:8000"
        data.forget_address()
        data.forget_address()
        assert data.address() is None


def test_looking_at_nothing_says_so(tmp_path: Path) -> None:
    """Who looks at a folder where no app ever ran is told what to do."""
    with pytest.raises(Refused, match="wherry run"):
        DataFolder.at(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
