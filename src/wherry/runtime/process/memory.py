"""The memory and the processes of environments: watched by the engine, bounded by the kernel."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import msgspec

from wherry import limits
from wherry.runtime.process import trees
from wherry.runtime.process.confine import Guard

if TYPE_CHECKING:
    from queue import SimpleQueue
    from threading import Thread

    from wherry.runtime.process.cgroups import Groups

_STATUS_BYTES = 4_096
_FIELDS = re.compile(
    rb"\nRssAnon:\s*(\d+).*?\nRssShmem:\s*(\d+).*?\nVmSwap:\s*(\d+).*?\nThreads:\s*(\d+)", re.DOTALL
)


class Sample(msgspec.Struct, frozen=True):
    """What an environment, with all it started, uses now."""

    pid: int
    used_bytes: int
    tasks: int  # processes and threads
    over: str = ""  # which limit it is over, in words for the failure record


class _Bound(msgspec.Struct, frozen=True):
    memory_mb: int
    processes: int


class MemoryGuard:
    """Watches environments by sampling, and puts them into control groups where it may.

    What is counted is anonymous and shared memory and swap, of the environment and all that
    descends from it. Pages still shared with the zygote count too, as they would on AWS, where
    the function has imported its code by itself.

    For one thread (the engine's): `enter`, `sample` and `leave` take microseconds; what is
    slow about control groups is done by a thread of the guard.
    """

    def __init__(self, groups: Groups | None, why_none: str = "") -> None:
        self._groups = groups
        self._why_none = why_none
        self._bounds: dict[int, _Bound] = {}
        self._over: set[int] = set()
        self._faults: list[str] = []
        self._jobs: SimpleQueue[Callable[[], None] | None] | None = None
        self._worker = self._start() if groups is not None else None

    @classmethod
    def open(cls) -> Self:
        """Return a guard with the control groups of this system, if it lends any."""
        from wherry.runtime.process.cgroups import Groups, NoGroups

        try:
            return cls(Groups.find())
        except NoGroups as error:
            return cls(None, str(error))

    def enter(
        self, pid: int, memory_mb: int, processes: int = limits.ENVIRONMENT_PROCESSES
    ) -> None:
        """Watch environment `pid` from now on."""
        self._bounds[pid] = _Bound(memory_mb, processes)
        if (groups := self._groups) is not None:
            self._later(lambda: groups.put(pid, memory_mb, processes))

    def sample(self) -> list[Sample]:
        """Look at all environments; about 40 us for each. Those that have ended are left out.

        What is over a limit stays marked, so that `oom_killed` tells why it was killed.
        """
        samples = []
        for pid, bound in self._bounds.items():
            sample = _look(pid, bound)
            if sample is not None:
                samples.append(sample)
                if sample.used_bytes > bound.memory_mb * limits.MIB:
                    self._over.add(pid)
        return samples

    def kill(self, pid: int, parent_pid: int) -> None:
        """Kill an environment and all it started (`trees.kill_tree`)."""
        if self._groups is not None:
            self._groups.kill(pid)
        trees.kill_tree(pid, parent_pid)

    def oom_killed(self, pid: int) -> bool:
        """Tell whether an environment ended for its memory. Ask before `leave`."""
        if pid in self._over:
            return True
        return self._groups is not None and self._groups.oom_kills(pid) > 0

    def bound_mb(self, pid: int) -> int:
        """Return the memory limit of an environment in MiB. Ask before `leave`."""
        bound = self._bounds.get(pid)
        return 0 if bound is None else bound.memory_mb

    def leave(self, pid: int) -> None:
        """Forget an environment that has ended; what is left in its group is killed."""
        self._bounds.pop(pid, None)
        self._over.discard(pid)
        if (groups := self._groups) is not None:
            self._later(lambda: groups.remove(pid))

    def describe(self) -> tuple[Guard, ...]:
        """Say what holds here, for `wherry run` to print."""
        every = f"sampled every {limits.MEMORY_SAMPLE_S * 1000:.0f} ms"
        groups = self._groups
        if groups is None:
            why = f"no control group ({self._why_none})"
            return (
                Guard("memory", True, f"{every}; {why}"),
                Guard("processes of a tree", True, f"{every}; {why}"),
            )
        name = f"control group (version {groups.version}), some ms after the start"
        fault = f"; last fault: {self._faults[-1]}" if self._faults else ""
        return tuple(
            Guard(title, True, f"{every}; {name}{fault}" if kind in groups.controllers else every)
            for title, kind in (("memory", "memory"), ("processes of a tree", "pids"))
        )

    def settle(self) -> None:
        """Wait until the control groups are as the calls so far want them."""
        if self._jobs is not None:
            from threading import Event

            done = Event()
            self._jobs.put(done.set)
            done.wait()

    def close(self) -> None:
        """Give the control groups back; what is left in them is killed."""
        if self._worker is not None and self._jobs is not None and self._groups is not None:
            self._jobs.put(None)
            self._worker.join()
            self._groups.close()
            self._groups = self._jobs = self._worker = None

    def _start(self) -> Thread:
        from queue import SimpleQueue
        from threading import Thread

        self._jobs = SimpleQueue()
        worker = Thread(target=self._work, args=(self._jobs,), name="control groups", daemon=True)
        worker.start()
        return worker

    def _work(self, jobs: SimpleQueue[Callable[[], None] | None]) -> None:
        while (job := jobs.get()) is not None:
            try:
                job()
            except OSError as error:
                self._faults = [str(error)]

    def _later(self, job: Callable[[], None]) -> None:
        if self._jobs is not None:
            self._jobs.put(job)


def private_bytes(pid: int) -> int | None:
    """Return a process's anonymous and shared memory and swap in bytes; None when it is gone.

    From /proc/PID/status, which any user may read, also of a process that is not dumpable, in
    about 15 us. (smaps_rollup would know the shared pages' shares, in 0.5 ms.)
    """
    status = _status(pid)
    return None if status is None else _private(status)[0]


def _look(pid: int, bound: _Bound) -> Sample | None:
    status = _status(pid)
    if status is None:
        return None
    used, tasks = _private(status)
    biggest = used
    tree = trees.descendants(pid, bound.processes, single=tasks == 1)
    for one in tree:
        status = _status(one)
        if status is not None:
            private, threads = _private(status)
            biggest, used, tasks = max(biggest, private), used + private, tasks + threads
    if used > bound.memory_mb * limits.MIB and tree:
        # Forked processes share pages, and each was counted in full: ask precisely.
        precise = _proportional((pid, *tree))
        used = used if precise is None else max(biggest, precise)
    over = ""
    if used > bound.memory_mb * limits.MIB:
        over = f"over its memory limit of {bound.memory_mb} MiB"
    elif tasks > bound.processes:
        over = f"over its limit of {bound.processes} processes and threads"
    return Sample(pid, used, tasks, over)


def _status(pid: int) -> bytes | None:
    try:
        fd = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, _STATUS_BYTES)
    except OSError:
        return None
    finally:
        os.close(fd)


def _private(status: bytes) -> tuple[int, int]:
    """Return a process's own memory in bytes, and its threads."""
    found = _FIELDS.search(status)
    if found is None:  # a zombie has no memory; another kernel may leave out one of them
        names = (b"RssAnon:", b"RssShmem:", b"VmSwap:")
        kib = sum(_field(status, name) for name in names)
        return kib * limits.KIB, _field(status, b"Threads:")
    anonymous, shared, swapped, threads = found.groups()
    return (int(anonymous) + int(shared) + int(swapped)) * limits.KIB, int(threads)


def _field(text: bytes, name: bytes) -> int:
    start = text.find(b"\n" + name)
    if start < 0:
        return 0
    start += len(name) + 1
    return int(text[start : text.find(b"\n", start)].split()[0])


def _proportional(pids: tuple[int, ...]) -> int | None:
    """Return the memory of processes with shared pages counted once, or None if not allowed."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                text = file.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            return None
        names = (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")
        total += sum(_field(text, name) for name in names) * limits.KIB
    return total
