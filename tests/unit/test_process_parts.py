"""The smaller promises of process handling: words, refusals, variables, what is unsafe."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from wherry.errors import Refused
from wherry.handles import logs
from wherry.runtime.process import cgroups, confine, forking, kernel, landlock, memory

from .process_zygote import ends, in_zygote, read, result, start

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


@pytest.mark.parametrize(
    ("status", "cause", "text"),
    [
        (0, "", "ended by itself with code 0"),
        (3 << 8, "", "exited with code 3"),
        (11, "", "killed by signal 11 (SIGSEGV): a crash in native code"),
        (9, "over its deadline of 30 s", "killed by signal 9 (SIGKILL): over its deadline of 30 s"),
        (15, "", "killed by signal 15 (SIGTERM)"),
        (40, "", "killed by signal 40 (a real-time signal)"),
    ],
)
def test_an_end_is_told_in_words(status: int, cause: str, text: str) -> None:
    """The failure record says how a process ended, and why when the engine knows."""
    assert forking.describe_end(status, cause) == text


def test_only_harmless_variables_pass() -> None:
    """Keys and wherry's own settings stay with the engine; the function's own are added."""
    ambient = {
        "PATH": "/bin",
        "LC_TIME": "C",
        "PYTHONPATH": "/x",
        "HOME": "/root",
        "AWS_SECRET_ACCESS_KEY": "x",
        "WHERRY_STORE": "x",
        "DATABASE_URL": "x",
    }
    kept = {"PATH": "/bin", "LC_TIME": "C", "PYTHONPATH": "/x", "HOME": "/t", "TMPDIR": "/t"}
    assert forking.allowed_environment(ambient, "/t", {"COLOUR": "red"}) == {
        **kept,
        "COLOUR": "red",
    }


def test_windows_is_refused_with_the_way_out() -> None:
    """Nothing half works on Windows: the error names WSL."""
    with pytest.raises(Refused, match="WSL"):
        forking.why_unsafe("win32")


def test_macos_spawns_and_says_why() -> None:
    """Forking on macOS is not tried."""
    assert "spawned" in (forking.why_unsafe("darwin") or "")


@linux
def test_an_app_that_starts_threads_is_not_forked() -> None:
    """The reason names the threads, and what to change."""

    def zygote() -> list[str | None]:
        before = forking.why_unsafe()
        gate = threading.Event()
        thread = threading.Thread(target=gate.wait, name="metrics", daemon=True)
        thread.start()
        during = forking.why_unsafe()
        gate.set()
        thread.join(30)
        return [before, during]

    before, during = in_zygote(zygote)
    assert before is None
    assert "metrics" in during


@linux
def test_native_threads_that_stay_are_noticed() -> None:
    """A thread that Python knows nothing of makes forking unsafe, too."""

    def zygote() -> str | None:
        import _thread

        lock = _thread.allocate_lock()
        lock.acquire()
        _thread.start_new_thread(lock.acquire, ())  # not registered with `threading`
        return forking.why_unsafe()

    assert "native" in in_zygote(zygote)


@linux
def test_a_file_opened_at_import_is_found() -> None:
    """The difference of two `open_fds` is what an app opened."""
    before = forking.open_fds()
    fd = os.open("/dev/null", os.O_RDONLY)
    found = forking.open_fds() - before
    os.close(fd)
    assert found == {fd}


@linux
def test_a_child_that_is_too_late_for_its_parent_ends_itself() -> None:
    """A parent that died before the kernel was told of it is noticed: no orphan runs on."""

    def zygote() -> list[Any]:
        pid = os.fork()
        if pid == 0:
            kernel.die_with_parent(os.getpid())  # never its own parent
            os._exit(0)
        assert ends(pid)
        return [ended.text.split(":")[0] for ended in forking.reap()]

    assert in_zygote(zygote) == ["killed by signal 9 (SIGKILL)"]


@linux
def test_every_guard_is_reported(tmp_path: Path) -> None:
    """`Holds` names each guard once, with its reason, and what does not hold."""

    def zygote() -> Any:
        me = os.getpid()
        out, into = os.pipe()
        home = str(tmp_path / "home")
        if forking.fork_child({into}, tmp_dir=home, folder="/") == 0:
            begun = confine.begin(confine.Shared(read_paths=("/usr",)), me)
            holds = confine.finish(begun, confine.Confinement(memory_mb=128, tmp_dir=home))
            names = [guard.name for guard in holds.guards]
            missing = [guard.name for guard in holds.missing()]
            text = json.dumps(
                [len(names) - len(set(names)), all(g.why for g in holds.guards), missing]
            )
            os.write(into, text.encode())
            os._exit(0)
        return read(out).decode()

    doubles, reasons, missing = json.loads(in_zygote(zygote))
    assert (doubles, reasons) == (0, True)
    expected = {"processes"} if os.getuid() == 0 else set()
    if kernel.kernel().landlock_abi() >= landlock.ABI_SCOPES:
        assert set(missing) == expected


@linux
def test_programs_that_an_environment_starts_are_confined_like_it(tmp_path: Path) -> None:
    """A subprocess gets no new rights by exec: still no foreign file, still no capabilities."""
    if kernel.kernel().landlock_abi() < 1:
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "store.db").write_text("all orders")

    def work() -> list[Any]:
        cat = subprocess.run(["cat", str(tmp_path / "store.db")], capture_output=True)
        status = subprocess.run(["cat", "/proc/self/status"], capture_output=True).stdout.decode()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        return [cat.stdout.decode(), int(fields["CapEff"], 16) & ~kernel.CAP_DAC_OVERRIDE]

    assert in_zygote(lambda: result(start(tmp_path, work)[1])) == ["", 0]


@linux
def test_memory_counts_what_a_process_wrote_also_shared(tmp_path: Path) -> None:
    """Anonymous and shared memory both count; a process that is gone has none."""
    import mmap

    before = memory.private_bytes(os.getpid())
    size = 32 << 20
    shared = mmap.mmap(-1, size)
    shared.write(b"x" * size)
    after = memory.private_bytes(os.getpid())
    shared.close()
    assert before is not None
    assert after is not None
    assert after - before >= size
    assert memory.private_bytes(1 << 22) is None


@linux
def test_groups_of_version_2_hold_a_tree_and_are_given_back() -> None:
    """The engine moves into a leaf, an environment into its own; closing undoes both."""
    mount = next(
        (
            line.split()[4]
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if " - cgroup2 " in line
        ),
        None,
    )
    base = f"{mount}/test-of-wherry-{os.getpid()}"
    try:
        os.mkdir(base)
    except OSError as error:
        pytest.skip(f"no control group of version 2 may be made: {error}")

    def engine() -> Any:
        Path(base, "cgroup.procs").write_text(str(os.getpid()))
        groups = cgroups.Groups(base, 2, ())
        pid = os.fork()
        if pid == 0:
            signal.pause()
        groups.put(pid, 128, 10)
        where = Path(f"/proc/{pid}/cgroup").read_text()
        groups.kill(pid)
        died = ends(pid)
        groups.remove(pid)
        gone = not os.path.exists(f"{groups.folder}/e{pid}")
        groups.close()
        back = int(Path(base, "cgroup.procs").read_text()) == os.getpid()
        return [f"/e{pid}" in where, died, gone, back, os.path.exists(groups.folder)]

    try:
        assert in_zygote(engine) == [True, True, True, True, False]
    finally:
        os.rmdir(base)


@pytest.mark.parametrize("secret", ["s3cret", "ab-ab", "--key--\nab\n\ncd\n--key--"])
@pytest.mark.parametrize("printed", ["{}", "a line\nwith {}\n", "{0}{0} --ke {0}\n", "s3cre\n"])
def test_a_secret_is_masked_wherever_what_is_printed_is_read_in_two(
    secret: str, printed: str
) -> None:
    """And nothing is lost by it, nor held back without need."""
    before = logs.masked()
    try:
        logs.mask(secret)
        text = printed.format(secret).encode()
        assert logs.whole(b"a line\n", more=False) == 7
        for at in range(len(text) + 1):
            end = logs.whole(text[:at], more=False)
            told = [logs.hide(part) for part in (text[:end], text[end:])]
            assert b"".join(told) == logs.hide(text)
    finally:
        logs.mask_only(before)
