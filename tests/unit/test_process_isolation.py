"""Real forks: what an environment can no longer do once it has confined itself."""

import os
import random
import resource
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wherry import limits
from wherry.runtime.process import forking, kernel, landlock, trees

from .process_zygote import (
    daemon_below,
    ends,
    in_zygote,
    read,
    refusal,
    result,
    start,
    wait_forever,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guards are Linux's")
ABI = kernel.kernel().landlock_abi() if sys.platform == "linux" else 0
needs_files = pytest.mark.skipif(ABI < 1, reason="this kernel has no Landlock")
needs_scopes = pytest.mark.skipif(ABI < landlock.ABI_SCOPES, reason=f"Landlock ABI {ABI} < 6")


@needs_files
def test_only_its_own_paths_can_be_read_and_only_its_home_written(tmp_path: Path) -> None:
    """A function reads its app and writes its home; a neighbour's file is closed to it."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "code.txt").write_text("code")
    (tmp_path / "store.db").write_text("all orders")
    (tmp_path / "home-b").mkdir()

    def work() -> dict[str, str]:
        home = Path(os.environ["HOME"])
        return {
            "app": refusal((tmp_path / "app" / "code.txt").read_text),
            "store": refusal((tmp_path / "store.db").read_text),
            "list": refusal(lambda: os.listdir(tmp_path)),
            "neighbour": refusal(lambda: (tmp_path / "home-b" / "x").write_text("")),
            "edit": refusal(lambda: (tmp_path / "app" / "code.txt").write_text("")),
            "home": refusal(lambda: (home / "x").write_text("")),
            "null": refusal(lambda: Path("/dev/null").write_text("x")),
            "program": refusal(lambda: subprocess.run(["true"], check=True)),
            "name": refusal(lambda: socket.getaddrinfo("localhost", 80)),
        }

    denied = {"store", "list", "neighbour", "edit"}
    found = in_zygote(lambda: result(start(tmp_path, work)[1]))
    assert found == {name: "PermissionError" if name in denied else "" for name in found}


@needs_files
def test_a_hidden_folder_inside_the_apps_folder_is_closed(tmp_path: Path) -> None:
    """The data folder may lie in the app's folder: `carve` leaves it out, and import works."""
    app = tmp_path / "app"
    (app / ".wherry").mkdir(parents=True)
    (app / ".wherry" / "store.db").write_text("all orders")
    (app / "late_part.py").write_text("VALUE = 7\n")
    (app / "loop").symlink_to(app)
    read_paths, list_paths = landlock.carve(
        (*landlock.system_paths(), str(app)), (str(app / ".wherry"),)
    )

    def work() -> list[str]:
        sys.path.insert(0, str(app))
        return [
            refusal(lambda: __import__("late_part")),
            refusal((app / ".wherry" / "store.db").read_text),
            refusal((app / "loop" / ".wherry" / "store.db").read_text),
        ]

    found = in_zygote(
        lambda: result(start(tmp_path, work, read_paths=read_paths, list_paths=list_paths)[1])
    )
    assert found == ["", "PermissionError", "PermissionError"]


@needs_scopes
def test_neither_the_zygote_nor_a_sibling_can_be_signalled(tmp_path: Path) -> None:
    """kill() of the zygote and of a sibling is refused, of an own child it works."""

    def zygote() -> Any:
        out, into = os.pipe()
        sibling, _ = start(tmp_path, lambda: wait_forever(into), keep=(into,), name="b")
        read(out)

        def work() -> list[str]:
            child = subprocess.Popen(["sleep", "600"])
            targets = (os.getppid(), sibling, child.pid)
            return [refusal(partial(os.kill, pid, signal.SIGKILL)) for pid in targets]

        return result(start(tmp_path, work)[1])

    assert in_zygote(zygote) == ["PermissionError", "PermissionError", ""]


def test_a_siblings_variables_and_memory_cannot_be_read(tmp_path: Path) -> None:
    """/proc/PID/environ, mem and fd of a sibling are refused, also to root."""

    def zygote() -> Any:
        out, into = os.pipe()
        sibling, _ = start(tmp_path, lambda: wait_forever(into), keep=(into,), name="b")
        read(out)

        def work() -> list[str]:
            folder = Path(f"/proc/{sibling}")
            own = refusal(Path("/proc/self/status").read_text)
            reads = [(folder / name).read_bytes for name in ("environ", "mem")]
            return [own, *map(refusal, reads), refusal(lambda: os.readlink(folder / "fd" / "0"))]

        return result(start(tmp_path, work)[1])

    assert in_zygote(zygote) == ["", *["PermissionError"] * 3]


@pytest.mark.skipif(ABI < landlock.ABI_TCP, reason=f"Landlock ABI {ABI} < 4")
def test_tcp_is_refused_without_the_network(tmp_path: Path) -> None:
    """With `allow_network=False` neither connecting nor listening is possible."""

    def work() -> list[str]:
        return [
            refusal(lambda: socket.create_connection(("127.0.0.1", 9))),
            refusal(lambda: socket.create_server(("127.0.0.1", 0))),
        ]

    found = in_zygote(lambda: result(start(tmp_path, work, allow_network=False)[1]))
    assert found == ["PermissionError", "PermissionError"]


def test_limits_cannot_be_raised_again_even_by_root(tmp_path: Path) -> None:
    """The capability to raise a hard limit is gone, and a leak of files ends at the limit."""

    def work() -> list[Any]:
        higher = (10_000, 10_000)
        raised = refusal(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, higher))
        files = []
        try:
            while True:
                files.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            return [raised, error.strerror, files[-1]]

    found = in_zygote(lambda: result(start(tmp_path, work, files=64)[1]))
    assert found == ["ValueError", "Too many open files", 63]


def test_one_huge_allocation_fails_in_python(tmp_path: Path) -> None:
    """What passes memory by far meets RLIMIT_DATA: a MemoryError, with nobody killed."""
    huge = (128 + limits.DATA_HEADROOM_MB * 2) * limits.MIB

    def zygote() -> Any:
        return result(start(tmp_path, lambda: refusal(lambda: bytearray(huge)), memory_mb=128)[1])

    assert in_zygote(zygote) == "MemoryError"


def test_two_children_draw_different_numbers(tmp_path: Path) -> None:
    """A generator seeded before the fork does not repeat itself in every environment."""

    def zygote() -> Any:
        random.seed(1)
        pair = [start(tmp_path, random.random, name=name)[1] for name in "ab"]
        return [result(out) for out in pair]

    first, second = in_zygote(zygote)
    assert first != second


def test_nothing_of_the_zygote_is_left_in_a_child(tmp_path: Path) -> None:
    """Files, variables, handlers, stdin, folder and mask are those of a fresh process."""

    def zygote() -> Any:
        os.environ.update(AWS_SECRET_ACCESS_KEY="x", WHERRY_STORE="y", LC_ALL="C.UTF-8")
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        leaked = os.open("/dev/null", os.O_RDONLY)
        log, into = os.pipe()

        def work() -> list[Any]:
            print("a line of the log")
            names = sorted(set(os.environ) - {"PATH", "LANG", "LC_CTYPE", "TZ"})  # PEP 538
            return [
                [name for name in names if not name.startswith("PYTHON")],
                refusal(lambda: os.fstat(leaked)),
                len(forking.open_fds()),
                sys.stdin.read() if sys.stdin else "",
                signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
                signal.getsignal(signal.SIGTERM) is forking._spare,  # a stop is the engine's
                os.umask(0),
                os.getcwd(),
                os.environ["HOME"] == os.environ["TMPDIR"],
            ]

        saved = os.dup(1), os.dup(2)
        os.dup2(into, 1)
        _, out = start(tmp_path, work)
        os.dup2(saved[0], 1)
        return [result(out), read(log).decode()]

    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - pytest replaces it
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    found, log = in_zygote(zygote)
    variables = ["HOME", "LC_ALL", "SECRET_OF", "TMPDIR"]
    assert found == [variables, "OSError", 4, "", True, True, 0o077, "/", True]
    assert log == "a line of the log\n"


def test_a_child_that_cannot_be_set_up_says_why_and_ends() -> None:
    """Its zygote's code never runs in it; the cause is on its stderr."""

    def zygote() -> Any:
        out, into = os.pipe()
        pid = forking.fork_child((), tmp_dir="/tmp", folder="/does/not/exist", output_fd=into)
        text = read(out).decode()
        assert ends(pid)
        return [text.splitlines()[-1], [ended.text for ended in forking.reap()]]

    last, ended = in_zygote(zygote)
    assert last.startswith("FileNotFoundError")
    assert ended == ["exited with code 70: its setup failed, see its log"]


def test_environments_die_with_a_killed_zygote_and_so_does_what_they_left(tmp_path: Path) -> None:
    """kill -9 of the zygote ends its environments; their daemons fall to the engine."""

    def engine() -> Any:
        out, into = os.pipe()

        def zygote() -> None:
            kernel.die_with_parent(os.getppid())
            kernel.adopt_orphans()

            def work() -> None:
                daemon_below(into)
                wait_forever(into)

            start(tmp_path, work, keep=(into,))
            signal.pause()

        pid = os.fork()
        if pid == 0:
            zygote()
        told = b""
        while told.count(b"\n") < 2:
            told += read(out)
        os.kill(pid, signal.SIGKILL)
        environment, daemon = (int(line) for line in told.split())
        if os.getpgid(environment) != environment:
            environment, daemon = daemon, environment
        assert ends(pid)
        died = ends(environment)
        os.waitpid(pid, 0)
        while trees.kill_orphans(()) == 0:
            pass
        return [died, ends(daemon), forking.reap() != []]

    assert in_zygote(engine)[:2] == [True, True]


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_orphans_of_an_environment_die_after_it(tmp_path: Path, how: str) -> None:
    """A daemon in a session of its own is ended, whether its environment exits or is killed."""

    def zygote() -> Any:
        out, into = os.pipe()

        def work() -> None:
            daemon_below(into)
            if how == "is killed":
                signal.pause()

        pid, _ = start(tmp_path, work, keep=(into,))
        daemon = int(read(out))
        if how == "is killed":
            assert not trees.kill_tree(pid, 1), "it is not a child of process 1"
            assert trees.kill_tree(pid, os.getpid())
        assert ends(pid)
        ended = {one.pid: one.text for one in forking.reap()}
        trees.kill_orphans(())
        return [ended[pid], ends(daemon)]

    text, gone = in_zygote(zygote)
    assert gone
    assert text.startswith("ended by itself" if how == "ends" else "killed by signal 9 (SIGKILL)")
