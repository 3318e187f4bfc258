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


@pytest.mark.parametrize("missing", [lambda folder: folder / "none", lambda folder: folder])
def test_who_may_not_say_it_runs_as_before(tmp_path: Path, missing: Callable[[Path], Path]) -> None:
    assert opened(ManualClock(), Chance(7), Alone(), Alone(), str(missing(tmp_path))) is None


@pytest.mark.skipif(
    sys.platform != "linux" or not os.access(DEVICE, os.W_OK), reason="needs root and its device"
)
def test_the_kernel_takes_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AWAKE_PROCESSORS", 1_000_000)
    engine = Alone()
    awake = opened(ManualClock(), Chance(7), engine, engine)
    assert awake is not None
    engine.numbers.next()
    awake.look()
    with open(DEVICE, "rb", buffering=0) as device:
        assert device.read(4) == struct.pack("=i", 0)
    awake.close()
