"""Disks that hang, fail for a while or turn read-only under a running engine: it says so, bounds
what it holds, goes on by itself, and loses nothing that it has acknowledged."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .fault_kit import disk_image, mounted
from .server_kit import Engine, Reply, rss_mb, serving, until
from .stores_kit import sqlite_alone

pytestmark = sqlite_alone("the disk under a Postgres is not the engine's")

# Thaws what it has frozen when its input ends, and by itself if nobody lets it: whoever writes to
# a frozen file system cannot even be killed.
FREEZER = """
import fcntl, os, select, sys
disk = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(disk, 0xC0045877, 0)  # FIFREEZE
try:
    print("frozen", flush=True)
    select.select([sys.stdin], [], [], 25)
finally:
    fcntl.ioctl(disk, 0xC0045878, 0)  # FITHAW
"""
TIMEOUT_S = 3
LIMITS = {"ROUTE_TIMEOUT_S": TIMEOUT_S, "STORE_SILENT_S": 2.0}
WRITES = "pwrite64,fdatasync,fsync,ftruncate"


@contextmanager
def frozen(disk: Path) -> Iterator[Callable[[], None]]:
    """Freeze a file system, or skip; the caller gets what thaws it."""
    process = subprocess.Popen(
        [sys.executable, "-c", FREEZER, str(disk)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def thaw() -> None:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0

    try:
        if process.stdout.readline() != b"frozen\n":
            pytest.skip("this file system cannot be frozen here")
        yield thaw
    finally:
        thaw()
        process.stdout.close()


@contextmanager
def failing(pid: int, error: str) -> Iterator[None]:
    """Have every write and sync of a process fail, or skip."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid)]
    command += ["-e", f"trace={WRITES}", "-e", f"inject={WRITES}:error={error}"]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def attached() -> bool:
        if tracer.poll() is not None:
            pytest.skip("processes cannot be traced here")
        return f"TracerPid:\t{tracer.pid}\n" in Path(f"/proc/{pid}/status").read_text()

    try:
        until(attached, "the tracer")
        yield
    finally:
        tracer.send_signal(signal.SIGTERM)
        tracer.wait(20)


class Till:
    """Places orders and remembers which were acknowledged, and which may have been placed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.acknowledged: list[str] = []
        self.unknown: list[str] = []
        self._number = 0

    def place(self) -> Reply:
        """Place the next order."""
        self._number += 1
        order_id = f"o-{self._number}"
        reply = self.engine.once("POST", "/orders", {"order_id": order_id})
        if reply.status == 201:
            self.acknowledged.append(order_id)
        elif reply.code == "fate_unknown":
            self.unknown.append(order_id)
        return reply

    def place_now(self) -> bool:
        """Whether an order is taken."""
        return self.place().status == 201

    def check(self) -> None:
        """Every acknowledged order is there with the one effect of its job, and no refused one."""
        until(lambda: self.engine.drained("jobs"), "an empty queue")
        for order_id in self.acknowledged:
            assert self.engine.client("GET", f"/orders/{order_id}").json() == 1
        found = [self.engine.client("GET", f"/orders/{one}").status for one in self.unknown]
        total = self.engine.client("GET", "/total").json()
        placed = len(self.acknowledged) + found.count(200)
        assert (total["placed"], total["done"]) == (placed, placed)


def readiness(engine: Engine) -> Reply:
    """What a load balancer is told, on a connection of its own."""
    return engine.once("GET", "/readyz")


def not_ready(engine: Engine, said: str) -> Callable[[], bool]:
    """Look whether the engine says that it is not ready, and why."""

    def look() -> bool:
        reply = readiness(engine)
        return reply.status == 503 and said in reply.json()["detail"]

    return look


def test_a_hung_disk_is_told_bounded_and_forgotten(tmp_path: Path) -> None:
    """Not ready within seconds; every request ends with a code; it goes on when the disk does."""
    image = disk_image(tmp_path / "image")
    with (
        mounted(tmp_path / "disk", "mount", "-o", "loop", str(image)) as disk,
        serving("ledger", disk / "data", output=tmp_path / "log", limits=LIMITS) as engine,
        ThreadPoolExecutor(4) as clients,
    ):
        till = Till(engine)
        for _ in range(20):
            assert till.place_now()
        with frozen(disk) as thaw:
            begun = [clients.submit(till.place) for _ in range(4)]
            until(not_ready(engine, "has not answered"), "not ready")
            assert engine.once("GET", "/healthz").status == 200
            held = rss_mb(engine.pid)
            # Nothing more is begun: no deadline has to pass until a caller knows.
            answers = [till.place() for _ in range(200)]
            assert {(one.status, one.code) for one in answers} == {(503, "unavailable")}
            ends = [one.result(20) for one in begun]
            assert {one.code for one in ends} <= {"fate_unknown", "deadline_exceeded"}
            assert rss_mb(engine.pid) < held + 32
            thaw()
        until(lambda: readiness(engine).status == 200, "ready again")
        assert till.place_now()
        till.check()
        assert engine.stop() == 0


@pytest.mark.parametrize("error", ["EIO", "EROFS"])
def test_a_disk_that_fails_for_a_while_is_told_and_forgotten(tmp_path: Path, error: str) -> None:
    """Not ready within seconds; writes are refused, reads are served; it goes on by itself."""
    with serving("ledger", tmp_path / "data", limits=LIMITS) as engine:
        till = Till(engine)
        for _ in range(20):
            assert till.place_now()
        with failing(engine.store_pid(), error):
            held = rss_mb(engine.pid)

            def told() -> bool:
                reply = till.place()
                assert reply.status == 503, reply
                return not_ready(engine, "cannot write")()

            until(told, "not ready")
            for _ in range(20):
                assert till.place().status == 503
            assert engine.once("GET", "/healthz").status == 200
            assert rss_mb(engine.pid) < held + 32
        until(lambda: readiness(engine).status == 200, "ready again")
        until(till.place_now, "orders again")
        till.check()
        assert engine.stop() == 0


def test_a_disk_that_the_system_made_read_only_loses_nothing(tmp_path: Path) -> None:
    """What was acknowledged before is there when the disk is mounted anew."""
    image = disk_image(tmp_path / "image")
    options = ("mount", "-o", "loop,errors=remount-ro", str(image))
    with mounted(tmp_path / "disk", *options) as disk:
        engine = Engine("ledger", disk / "data", output=tmp_path / "log", limits=LIMITS)
        till = Till(engine)
        try:
            engine.start()
            for _ in range(20):
                assert till.place_now()
            _fail(disk)

            def told() -> bool:
                till.place()
                return not_ready(engine, "store")()

            until(told, "not ready")
            assert till.place().status == 503
            assert engine.once("GET", "/healthz").status == 200
        finally:
            engine.close()
    with (
        mounted(tmp_path / "again", "mount", "-o", "loop", str(image)) as disk,
        serving("ledger", disk / "data", output=tmp_path / "log-2") as engine,
    ):
        till.engine = engine
        assert till.place_now()
        till.check()


def _fail(disk: Path) -> None:
    """Have ext4 believe that it has found an error, upon which it turns read-only."""
    source = next(
        line.split()[0]
        for line in Path("/proc/mounts").read_text().splitlines()
        if line.split()[1] == str(disk)
    )
    try:
        Path(f"/sys/fs/ext4/{Path(source).name}/trigger_fs_error").write_text("test")
    except OSError as error:
        pytest.skip(f"this file system takes no such order: {error}")


def test_an_upload_to_a_hung_disk_holds_up_nobody(tmp_path: Path) -> None:
    """Others are answered meanwhile, and it is taken when the disk goes on."""
    image = disk_image(tmp_path / "image")
    content = b"x" * 90_000
    with (
        mounted(tmp_path / "disk", "mount", "-o", "loop", str(image)) as disk,
        serving("desk", disk / "data", output=tmp_path / "log") as engine,
        ThreadPoolExecutor(1) as clients,
    ):
        asked = {"key": "large", "size_bytes": len(content)}
        ticket = engine.client("POST", "/uploads", asked).json()
        url = urlsplit(ticket["url"])
        headers = {name: text for name, text in ticket["headers"].items() if "length" not in name}
        with frozen(disk) as thaw:
            target = f"{url.path}?{url.query}"
            put = clients.submit(engine.once, "PUT", target, content, headers)
            for _ in range(100):
                assert engine.once("GET", "/healthz").status == 200
            assert not put.done()
            thaw()
        assert put.result(30).status == 200
        assert engine.stop() == 0
