"""The process that imports an app: one whose import never ends, and one whose engine is gone."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from wherry import limits
from wherry.engine.zygotes import ZygoteProcess
from wherry.runtime.process.memory import MemoryGuard
from wherry.runtime.zygote import Hello, Invalid, Setup

from .server_kit import Engine, running, until

ENDLESS = """
import time
open({sign!r}, "w").close()
while True:
    time.sleep(60)
"""


def write_endless(folder: Path) -> Path:
    """Write such an app; return the file by which its import says that it has begun."""
    sign = folder / "importing"
    (folder / "endless.py").write_text(ENDLESS.format(sign=str(sign)))
    return sign


def test_an_engine_stops_while_its_app_is_being_imported(tmp_path: Path) -> None:
    """And leaves no process behind."""
    sign = write_endless(tmp_path)
    engine = Engine("endless", tmp_path / "data", folder=tmp_path)
    engine.launch()
    try:
        until(sign.exists, "the import")
        os.kill(engine.pid, signal.SIGTERM)
        assert engine.wait(25) == 0
    finally:
        engine.close()


def test_a_version_whose_import_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for its reload is told why, and the next reload has its turn."""
    monkeypatch.setattr(limits, "IMPORT_S", 0.2)
    write_endless(tmp_path)

    async def load() -> tuple[int, Hello | Invalid]:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Hello | Invalid] = loop.create_future()
        setup = Setup(
            "endless:app", str(tmp_path), str(tmp_path), str(tmp_path), os.getpid(), (), False
        )
        zygote = ZygoteProcess(loop, setup, MemoryGuard.open(), told.set_result, lambda _: None)
        return zygote.pid, await told

    pid, said = asyncio.run(load())
    assert said == Invalid("The app was still being imported after 0.2 s.", [])
    assert not running(pid)


def test_a_zygote_whose_engine_was_killed_goes_without_a_word(tmp_path: Path) -> None:
    """Also where the engine has not read what it said: the socket is reset then, not closed."""
    (tmp_path / "small.py").write_text("from wherry import App\napp = App('small')\n")
    place = str(tmp_path)
    setup = Setup("small:app", place, place, place, os.getpid(), (), False)
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "wherry.runtime.zygote", str(theirs.fileno())]
    zygote = subprocess.Popen(
        [*command, msgspec.json.encode(setup).decode()],
        pass_fds=[theirs.fileno()],
        stderr=subprocess.PIPE,
        text=True,
    )
    theirs.close()
    select.select([ours], [], [])  # it has said that the app is loaded
    ours.close()
    assert (zygote.communicate(timeout=30)[1], zygote.returncode) == ("", 0)
