"""Real forks: memory eaters and fork bombs are seen, stopped, and named."""

import json
import os
import signal
import sys
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import pytest

from wherry import limits
from wherry.runtime.process import cgroups, confine, forking, kernel, memory, trees

from .process_zygote import ends, in_zygote, read, result, start, wait_forever

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guards are Linux's")


def test_a_memory_eater_dies_alone_and_is_told_as_such(tmp_path: Path) -> None:
    """The sampler sees it, its tree is killed, its sibling goes on, the record has the limit."""

    def zygote() -> Any:
        out, into = os.pipe()
        guard = memory.MemoryGuard(None, "not in this test")

        def eat() -> None:
            eaten = b"x" * (640 * limits.MIB)
            os.write(into, b"full")
            signal.pause()
            del eaten

        # Pages shared with this test's process, which may have grown, count as well.
        eater, _ = start(tmp_path, eat, keep=(into,), memory_mb=600)
        sibling, _ = start(tmp_path, signal.pause, name="b", memory_mb=600)
        guard.enter(eater, 600)
        guard.enter(sibling, 600)
        read(out)
        over = {sample.pid: sample.over for sample in guard.sample()}
        guard.kill(eater, os.getpid())
        assert ends(eater)
        ended = [forking.describe_end(one.status, over[one.pid]) for one in forking.reap()]
        return [ended, over[sibling], guard.oom_killed(eater), guard.oom_killed(sibling)]

    text = "killed by signal 9 (SIGKILL): over its memory limit of 600 MiB"
    assert in_zygote(zygote) == [[text], "", True, False]


def bomb(tell: int) -> int:
    """Fork until it is refused, at most 500 times; return how often it worked."""
    for count in range(500):
        try:
            if os.fork() == 0:
                wait_forever(tell)
        except BlockingIOError:
            return count
    return 500


def test_a_fork_bomb_is_seen_by_the_sampler_and_its_tree_killed(tmp_path: Path) -> None:
    """Where nothing else counts processes (root without control groups), the sampler does."""

    def zygote() -> Any:
        _, into = os.pipe()
        told, telling = os.pipe()
        guard = memory.MemoryGuard(None, "not in this test")

        def work() -> None:
            for _ in range(20):
                if os.fork() == 0:
                    wait_forever(into)
            os.write(telling, b"done")
            signal.pause()

        pid, _ = start(tmp_path, work, keep=(into, telling))
        guard.enter(pid, 100_000, processes=10)  # what it has of this worker is much, too
        read(told)
        over = [sample.over for sample in guard.sample()]
        tree = trees.descendants(pid)
        guard.kill(pid, os.getpid())
        return [over, len(tree), all(ends(one) for one in (pid, *tree))]

    assert in_zygote(zygote) == [["over its limit of 10 processes and threads"], 20, True]


def test_a_fork_bomb_of_an_ordinary_user_meets_its_limit() -> None:
    """RLIMIT_NPROC counts from what the user had; root, whom it does not bind, becomes nobody."""
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    home = Path(mkdtemp())  # below pytest's own folder another user could not reach it
    os.chown(home, 54_321, 54_321)

    def zygote() -> Any:
        confine.prepare()  # its imports, while Python's own folder can be read
        os.setgroups([])
        os.setresgid(54_321, 54_321, 54_321)
        os.setresuid(54_321, 54_321, 54_321)
        kernel.kernel().prctl(kernel.PR_SET_DUMPABLE, 1)
        confine.prepare()
        _, into = os.pipe()
        _, out = start(home, lambda: bomb(into), keep=(into,), processes=25)
        return result(out)

    try:
        count = in_zygote(zygote)
    finally:
        rmtree(home)
    assert 20 <= count <= 25


def pids_group() -> cgroups.Groups:
    try:
        return cgroups.Groups.find()
    except cgroups.NoGroups as error:
        pytest.skip(f"no control groups: {error}")


def test_a_fork_bomb_meets_its_control_group_and_ends_with_it(tmp_path: Path) -> None:
    """The kernel refuses the fork beyond the limit; one call kills all; no group is left."""
    pids_group().close()

    def zygote() -> Any:
        groups = cgroups.Groups.find()
        guard = memory.MemoryGuard(groups)
        go, start_it = os.pipe()
        _, into = os.pipe()

        def work() -> int:
            os.read(go, 1)
            return bomb(into)

        pid, out = start(tmp_path, work, keep=(go, into))
        guard.enter(pid, 256, processes=25)
        guard.settle()
        os.write(start_it, b"x")
        count = result(out)
        assert ends(pid)
        guard.leave(pid)
        guard.settle()
        left = trees.children(os.getpid())
        ended = [ends(one) for one in left]
        described = [one.why for one in guard.describe()]
        guard.close()
        return [count, all(ended), os.path.exists(groups.folder), described[-1]]

    count, ended, folder_left, described = in_zygote(zygote)
    assert (count, ended, folder_left) == (24, True, False)
    assert "control group" in described
    assert "fault" not in described


def test_groups_of_a_killed_engine_are_swept_at_the_next_start() -> None:
    """What ran in them is killed and the folders are removed, though nobody closed them."""
    pids_group().close()

    def second_engine() -> Any:
        out, into = os.pipe()
        first = os.fork()
        if first == 0:
            groups = cgroups.Groups.find()
            stray = os.fork()
            if stray == 0:
                signal.pause()
            groups.put(stray, 128, 10)
            os.write(into, json.dumps([stray, groups.folder]).encode())
            signal.pause()
        stray, folder = json.loads(read(out))
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        before = os.path.isdir(folder)
        cgroups.Groups.find().close()
        return [before, os.path.exists(folder), ends(stray)]

    assert in_zygote(second_engine) == [True, False, True]
