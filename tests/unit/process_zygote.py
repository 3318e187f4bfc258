"""Real forks for tests: a zygote of one's own, its environments, and waiting without clocks."""

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wherry.runtime.process import confine, forking, kernel, landlock, trees

PATIENCE_MS = 20_000


def in_zygote(body: Callable[[], Any]) -> Any:
    """Run `body` in a process of its own, which adopts orphans, and return what it returns."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        try:
            kernel.adopt_orphans()
            answer = {"value": body()}
        except BaseException:
            answer = {"fault": traceback.format_exc()}
        while trees.kill_orphans(()):  # what a test leaves behind, daemons as well
            os.wait()
        with open(into, "w") as file:
            json.dump(answer, file)
        os._exit(0)
    os.close(into)
    try:
        text = b""
        while piece := read(out):
            text += piece
        answer = json.loads(text)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(out)
    if "fault" in answer:
        pytest.fail(answer["fault"])
    return answer["value"]


def start(
    tmp: Path,
    work: Callable[[], Any],
    *,
    keep: tuple[int, ...] = (),
    name: str = "a",
    **bounds: Any,
) -> tuple[int, int]:
    """Fork and confine an environment that runs `work`; return its ID and the end of its pipe."""
    home = str(tmp / f"home-{name}")
    read_paths, list_paths = landlock.carve((*landlock.system_paths(), str(tmp / "app")), ())
    own = {name: bounds.pop(name) for name in ("memory_mb", "write_paths") if name in bounds}
    bound = confine.Confinement(tmp_dir=home, **{"memory_mb": 256, **own})
    shared = confine.Shared(**{"read_paths": read_paths, "list_paths": list_paths, **bounds})
    me = os.getpid()
    out, into = os.pipe()
    pid = forking.fork_child({into, *keep}, tmp_dir=home, folder="/", variables={"SECRET_OF": name})
    if pid == 0:
        try:
            confine.finish(confine.begin(shared, me), bound)
            text = json.dumps({"value": work()})
        except BaseException:
            text = json.dumps({"fault": traceback.format_exc()})
        os.write(into, text.encode() + b"\n")
        os._exit(0)
    os.close(into)
    return pid, out


def result(out: int) -> Any:
    """Return what an environment's `work` returned."""
    answer = json.loads(read(out))
    assert "fault" not in answer, answer["fault"]
    return answer["value"]


def read(fd: int) -> bytes:
    """Read what comes next; fail when nothing does."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(PATIENCE_MS), "nothing came"
    return os.read(fd, 65_536)


def ends(pid: int) -> bool:
    """Wait for the end of any process; False when it lives on."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    ended = bool(poll.poll(PATIENCE_MS))
    os.close(handle)
    return ended


def refusal(action: Callable[[], Any]) -> str:
    """Return the name of the error that an action ends with, or "" when it succeeds."""
    try:
        action()
    except Exception as error:
        return type(error).__name__
    return ""


def wait_forever(into: int) -> None:
    os.write(into, b"%d\n" % os.getpid())
    while True:
        signal.pause()


def daemon_below(tell: int) -> None:
    """Leave a process behind that is in another session and has lost its parent."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            wait_forever(tell)
        os._exit(0)
