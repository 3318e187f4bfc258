"""Idle processors wait awake while there is work.

A run passes through the engine, an environment and the store, and each hand-over wakes a process.
A processor that had gone to sleep meanwhile takes tens of microseconds to wake, and then its caches
are cold: in a virtual machine a step of a workflow took a quarter longer. Linux lets a program say
how long a wake-up may take (PM QoS): as long as `/dev/cpu_dma_latency` is open with a 0 in it, no
processor sleeps. That costs power, and on a shared host somebody's processor time, so it is said
only while runs begin. Root alone may say it; who may not runs as before.

https://docs.kernel.org/power/pm_qos_interface.html
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wherry import limits
from wherry.engine.apart import Apart
from wherry.runtime.process import places

if TYPE_CHECKING:
    from wherry.engine.apart import Dispatching, StoreBeside
    from wherry.engine.numbers import Numbers
    from wherry.world import Chance, Clock

DEVICE = "/dev/cpu_dma_latency"
DRIVER = "/sys/devices/system/cpu/cpuidle/current_driver"
AT_ONCE = struct.pack("=i", 0)
ANY_TIME = struct.pack("=i", 2_000_000_000)  # microseconds: what holds where nobody asks


class Awake:
    """Says so while runs begin; the kernel forgets it with our process.

    Args:
        fd: Of the device; None where nobody listens to what we say.
        numbers: Of the runs.
        apart: What else is done for quick hand-overs; it looks when this does.
    """

    def __init__(
        self, fd: int | None, clock: Clock, numbers: Numbers, apart: Apart | None = None
    ) -> None:
        self._apart = apart
        self._fd = fd
        self._clock = clock
        self._numbers = numbers
        self._given = numbers.given
        self._until_s: float | None = None  # None: processors may sleep

    @property
    def heard(self) -> bool:
        """Whether the kernel listens to what is said."""
        return self._fd is not None

    def look(self) -> None:
        """See whether runs have begun since the last look, or none for a while."""
        given, now_s = self._numbers.given, self._clock.steady_s()
        if given != self._given:
            self._given = given
            if self._until_s is None:
                self._tell(AT_ONCE)
            self._until_s = now_s + limits.AWAKE_S
        elif self._until_s is not None and now_s >= self._until_s:
            self._tell(ANY_TIME)
            self._until_s = None
        if self._apart is not None:
            self._apart.look(runs=self._until_s is not None)

    def close(self) -> None:
        """Say nothing any more."""
        if self._apart is not None:
            self._apart.let_go()
        if self._fd is not None:
            os.close(self._fd)

    def _tell(self, latency: bytes) -> None:
        if self._fd is not None:
            os.write(self._fd, latency)


def opened(
    clock: Clock,
    chance: Chance,
    dispatcher: Dispatching,
    store: StoreBeside,
    device: str = DEVICE,
    driver: str = DRIVER,
) -> Awake | None:
    """Return who does what makes hand-overs quick; None where nothing can be done, or is worth it.

    It concerns all processors of a machine: on a large one most of them would wait for nothing.

    Args:
        store: It gets a processor of its own, if it is another process than this.
    """
    if sys.platform != "linux" or (os.cpu_count() or 1) > limits.AWAKE_PROCESSORS:
        return None
    fd = _device(device) if _has_driver(driver) else None
    alone = store.pid == os.getpid() or len(places.GIVEN) < 2
    if fd is None and alone:
        return None
    apart = None if alone else Apart(clock, chance, dispatcher, store)
    return Awake(fd, clock, dispatcher.numbers, apart)


def _has_driver(driver: str) -> bool:
    try:
        return Path(driver).read_text().strip() not in ("", "none")
    except OSError:  # a kernel without CONFIG_CPU_IDLE
        return False


def _device(device: str) -> int | None:
    try:
        return os.open(device, os.O_WRONLY)
    except OSError:  # not root, or a container that has no such device
        return None
