"""Processors are kept awake while runs begin, and no longer."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry import limits
from wherry.engine.awake import DEVICE, Awake, opened
from wherry.engine.numbers import Numbers
from wherry.engine.work import Work
from wherry.runtime.process import places
from wherry.world import Chance, ManualClock

SLEEPS = 2_000_000_000  # microseconds that a wake-up may take where nobody asks for less


class Engine:
    """What the device would be told, by an engine whose runs begin by hand."""

    def __init__(self, device: Path) -> None:
        self.clock = ManualClock()
        self.numbers = Numbers(self.clock)
        self._device = device
        device.touch()
        self._awake = Awake(os.open(device, os.O_WRONLY | os.O_APPEND), self.clock, self.numbers)

    def looks(self, seconds: float = 0.0) -> list[int]:
        """What has been said by now, after so long."""
        self.clock.advance(seconds)
        self._awake.look()
        return [found for (found,) in struct.iter_unpack("=i", self._device.read_bytes())]


class Alone:
    """An engine that is its store itself, as with Postgres."""

    def __init__(self) -> None:
        self.numbers = Numbers(ManualClock())
        self.running: dict[Work, None] = {}
        self.busy = False
        self.pid = os.getpid()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "device")


def test_nothing_is_said_while_nothing_runs(engine: Engine) -> None:
    assert engine.looks() == engine.looks(1000) == []


def test_processors_stay_awake_from_a_run_until_none_has_begun_for_a_while(engine: Engine) -> None:
    engine.numbers.next()
    assert engine.looks() == [0]
    assert engine.looks(limits.AWAKE_S - limits.AWAKE_LOOK_S) == [0]
    assert engine.looks(limits.AWAKE_LOOK_S) == [0, SLEEPS]
    assert engine.looks(1000) == [0, SLEEPS]


def test_as_long_as_runs_begin_it_is_said_once(engine: Engine) -> None:
    for _ in range(100):
        engine.numbers.next()
        assert engine.looks(limits.AWAKE_S / 2) == [0]
    engine.looks(limits.AWAKE_S)
    engine.numbers.next()
    assert engine.looks() == [0, SLEEPS, 0]


class Beside(Alone):
    """An engine whose store is another process."""

    def __init__(self) -> None:
        super().__init__()
        self.pid = os.getppid()


Missing = Callable[[Path], Path]


@pytest.fixture
def driver(tmp_path: Path) -> str:
    """Where the kernel names its driver of idle processors."""
    named = tmp_path / "current_driver"
    named.write_text("intel_idle\n")
    return str(named)


@pytest.mark.parametrize("missing", [lambda folder: folder / "none", lambda folder: folder])
def test_who_may_not_say_it_runs_as_before(tmp_path: Path, driver: str, missing: Missing) -> None:
    device = str(missing(tmp_path))
    assert opened(ManualClock(), Chance(7), Alone(), Alone(), device, driver) is None


@pytest.mark.parametrize("named", ["none\n", "", None])
def test_nothing_is_said_to_a_kernel_that_does_not_listen(
    tmp_path: Path, driver: str, named: str | None
) -> None:
    """Without a driver of idle processors Linux keeps what is asked of them, and does nothing."""
    (tmp_path / "device").touch()
    Path(driver).unlink()
    if named is not None:
        Path(driver).write_text(named)
    device = str(tmp_path / "device")
    assert opened(ManualClock(), Chance(7), Alone(), Alone(), device, driver) is None


@pytest.mark.skipif(sys.platform != "linux" or len(places.GIVEN) < 2, reason="needs two processors")
def test_the_store_has_a_processor_of_its_own_whoever_may_not_say_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: str
) -> None:
    monkeypatch.setattr(limits, "AWAKE_PROCESSORS", 1_000_000)
    bound: list[tuple[int, int]] = []
    monkeypatch.setattr(places, "bind", lambda pid, where: bound.append((pid, len(where))))
    monkeypatch.setattr(places, "let_go", lambda pid: bound.append((pid, 0)))
    engine = Beside()
    awake = opened(ManualClock(), Chance(7), engine, engine, str(tmp_path / "none"), driver)
    assert awake is not None
    assert not awake.heard
    engine.numbers.next()
    awake.look()
    awake.close()
    assert bound == [(0, 1), (engine.pid, 1), (0, 0), (engine.pid, 0)]


@pytest.mark.skipif(
    sys.platform != "linux" or not os.access(DEVICE, os.W_OK), reason="needs root and its device"
)
def test_the_kernel_takes_what_is_said(monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    monkeypatch.setattr(limits, "AWAKE_PROCESSORS", 1_000_000)
    engine = Alone()
    awake = opened(ManualClock(), Chance(7), engine, engine, driver=driver)
    assert awake is not None
    assert awake.heard
    engine.numbers.next()
    awake.look()
    with open(DEVICE, "rb", buffering=0) as device:
        assert device.read(4) == struct.pack("=i", 0)
    awake.close()
