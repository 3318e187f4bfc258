"""Processes the bench starts, and what a tree of them holds in memory (from /proc; Linux)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.load import BenchError

ROOT = Path(__file__).parent.parent
START_S = 20
STOP_S = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server under measurement, in a session of its own. Its output goes to files in `folder`."""

    def __init__(self, command: Sequence[str], folder: Path, port: int) -> None:
        self.port = port
        self.stdout = folder / f"{port}.out"
        self.stderr = folder / f"{port}.err"
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.begun = time.perf_counter()
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdout=out, stderr=err, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait_until_open(self) -> None:
        """Wait until the port takes connections."""
        until = time.perf_counter() + START_S
        while time.perf_counter() < until:
            if self.ended:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise BenchError(f"{self._process.args!r} did not start: {self.complaint()}")

    def complaint(self) -> str:
        said = self.stderr.read_text(errors="replace") + self.stdout.read_text(errors="replace")
        return said.strip()[-1500:] or "it said nothing"

    def stop(self) -> None:
        """Ask it to stop; kill what is left of its tree after STOP_S."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for pid in tree(self.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait(STOP_S)


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path, port: int) -> Iterator[Server]:
    """Start a server, wait until it listens, stop it at the end."""
    server = Server(command, folder, port)
    try:
        server.wait_until_open()
        yield server
    finally:
        server.stop()


def python(*arguments: str) -> list[str]:
    """The command that runs this interpreter with `arguments`."""
    return [sys.executable, *arguments]


def output_of(command: Sequence[str], seconds: float = 60) -> str:
    """Run a command to its end and return what it printed; raises BenchError where it failed."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1500:]
        raise BenchError(f"{' '.join(command)} failed: {said}")
    return done.stdout.strip()


def tree(root: int) -> list[int]:
    """`root` and all that descend from it, root first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(parent_of((entry / "stat").read_text()), []).append(
                    int(entry.name)
                )
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def parent_of(stat: str) -> int:
    """The parent in a line of /proc/PID/stat, whose second field may hold blanks and brackets."""
    return int(stat.rpartition(")")[2].split()[1])


def pss_kb(rollup: str) -> int:
    """The proportional set size in the text of a smaps_rollup, in kB."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError("no Pss in it")


def tree_pss_mb(root: int) -> float:
    """What a tree of processes holds: shared pages count in part, so that the sum is true."""
    kept = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            kept += pss_kb(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return kept / 1024
