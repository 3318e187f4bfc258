"""How a zygote forks an environment, what of itself it leaves there, and how it reaps."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NoReturn

import msgspec

from wherry import limits
from wherry.errors import Refused

SETUP_FAILED_EXIT = 70  # sysexits.h: EX_SOFTWARE

_ALLOWED = frozenset(("PATH", "LANG", "LANGUAGE", "TZ"))
_ALLOWED_PREFIXES = ("LC_", "PYTHON")
_CAUSES: dict[int, str] = {
    signal.SIGKILL: "by the kernel's memory killer, by somebody's hand, or by the engine, whose "
    "socket it had closed",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGBUS: "a crash in native code, or a mapped file that shrank",
    signal.SIGABRT: "native code gave up",
    signal.SIGILL: "a crash in native code",
    signal.SIGFPE: "a crash in native code",
    signal.SIGSYS: "a forbidden system call",
    signal.SIGXCPU: "its limit of processor time",
    signal.SIGXFSZ: "its limit of file size",
}
_frozen = False
_handled_signals: tuple[int, ...] = ()


class Ended(msgspec.Struct, frozen=True):
    """A child that ended."""

    pid: int
    status: int  # as waitpid gives it
    text: str  # `describe_end(status)`


def fork_child(
    keep_fds: Collection[int],
    *,
    tmp_dir: str,
    folder: str,
    output_fd: int | None = None,
    variables: Mapping[str, str] | None = None,
) -> int:
    """Fork, and strip the child of what is the zygote's. Then `confine` confines it.

    The child has stdin from /dev/null, standard signals, a umask of 077, the file descriptors
    `keep_fds` and no others, chance seeded anew, and of the environment variables only the
    harmless ones. Call it in the main thread of a process with no other (`why_unsafe`).

    The zygote sets its signal handlers before the first call, and holds raw file
    descriptors only: the child's copy of a socket *object* would, when it is collected, close a
    number that by then belongs to the function.

    Args:
        keep_fds: What stays open besides 0, 1 and 2.
        tmp_dir: The child's HOME and TMPDIR. It need not exist yet.
        folder: The child's working directory.
        output_fd: Where stdout and stderr go; None leaves them as they are.
        variables: More environment variables, for example the function's own.

    Returns:
        The child's process ID in the zygote, 0 in the child. A child whose setup fails says so
        on its stderr and exits with `SETUP_FAILED_EXIT`; it never comes back here.
    """
    _freeze()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # Blocked meanwhile, so that no handler of the zygote ever runs in the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            try:
                _become_child(keep_fds, tmp_dir, folder, output_fd, variables or {})
            except BaseException:
                give_up()
            before = set()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def adopt(tmp_dir: str, output_fd: int) -> None:
    """Give a child that was forked without them its folder and its output. Exits if that fails.

    Args:
        tmp_dir: Its HOME and TMPDIR, as of `fork_child`.
        output_fd: Where stdout and stderr go; it is closed.
    """
    try:
        os.dup2(output_fd, 1)
        os.dup2(output_fd, 2)
        os.close(output_fd)
        os.environ.update(_folder(tmp_dir))
    except BaseException:
        give_up()


def _folder(tmp_dir: str) -> dict[str, str]:
    return {"HOME": tmp_dir, "TMPDIR": tmp_dir}


def allowed_environment(
    source: Mapping[str, str], tmp_dir: str, variables: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables an environment starts with: nothing ambient but language and paths.

    The engine execs the zygote with such a set as well: what a process was *executed* with
    stays in its /proc/PID/environ, and in that of its forks, whatever it unsets later.
    """
    kept = {
        name: value
        for name, value in source.items()
        if name in _ALLOWED or name.startswith(_ALLOWED_PREFIXES)
    }
    return {**kept, **_folder(tmp_dir), **variables}


def open_fds() -> frozenset[int]:
    """Return the open file descriptors of this process (Linux and macOS).

    Compared before and after the import of an app they tell what the app opened: it is closed
    in every environment, so a handler has to open it itself.
    """
    with os.scandir("/dev/fd") as entries:
        found = {int(entry.name) for entry in entries}
    return frozenset(fd for fd in found if _is_open(fd))


def why_unsafe(platform: str = sys.platform) -> str | None:
    """Return why this process must not fork, or None if it may. Call it after the app's import.

    Raises:
        Refused: on Windows, which cannot fork.
    """
    if platform == "win32":
        raise Refused(
            "wherry does not run on Windows itself.",
            advice="Run it in WSL: https://learn.microsoft.com/windows/wsl/install",
        )
    if platform == "darwin":
        return "macOS: its system libraries do not survive a fork; environments are spawned"
    if names := _python_threads():
        return (
            f"the app started {len(names)} thread(s) when it was imported ({', '.join(names)}); "
            "start them at the first call instead, to have cold starts of milliseconds"
        )
    if _native_threads_stay():
        return (
            "a library of the app started native threads when it was imported, and keeps them "
            "across a fork; import it in the handler instead"
        )
    return None


def reap() -> list[Ended]:
    """Return the children of this process that have ended since; never waits."""
    ended: list[Ended] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append(Ended(pid, status, describe_end(status)))


def describe_end(status: int, cause: str = "") -> str:
    """Say how a process ended.

    Args:
        status: As `os.waitpid` gives it.
        cause: What the caller knows, for example "over its memory limit of 256 MiB".
    """
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        cause = cause or _CAUSES.get(-code, "")
        text = f"killed by signal {-code} ({_signal_name(-code)})"
    elif code == SETUP_FAILED_EXIT:
        text = f"exited with code {code}"
        cause = cause or "its setup failed, see its log"
    elif code == 0:
        text = "ended by itself with code 0"
    else:
        text = f"exited with code {code}"
    return f"{text}: {cause}" if cause else text


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a real-time signal"


def _freeze() -> None:
    """Once: what is alive before the first fork is never looked at by a collection again.

    A collection in a child would write to every object's header and so copy the pages that
    all environments share.
    """
    global _frozen, _handled_signals
    if not _frozen:
        _handled_signals = tuple(_handled())  # 0.2 ms: not in every child
        gc.collect()
        gc.freeze()
        _frozen = True


def _become_child(
    keep_fds: Collection[int],
    tmp_dir: str,
    folder: str,
    output_fd: int | None,
    variables: Mapping[str, str],
) -> None:
    for number in _handled_signals:
        signal.signal(number, signal.SIG_DFL)
    # A stop of the whole group is the engine's, which lets runs finish. What a handler starts has
    # the default again: a program, since no handled signal is handed down, and a fork.
    signal.signal(signal.SIGTERM, _spare)
    os.register_at_fork(
        before=_hold_stops, after_in_parent=_take_stops, after_in_child=_end_by_default
    )
    signal.set_wakeup_fd(-1)
    if output_fd is not None:
        os.dup2(output_fd, 1)
        os.dup2(output_fd, 2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for first, end in _gaps(keep_fds):
        os.closerange(first, end)
    _replace_environment(allowed_environment(os.environ, tmp_dir, variables))
    os.umask(0o077)
    os.chdir(folder)
    _forget()


def _spare(number: int, stack: Any) -> None:
    """Go on."""


def _hold_stops() -> None:
    """Before a handler forks: the new process is to take what it is sent in its own way."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _take_stops() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _end_by_default() -> None:
    """In a process that a handler has forked: nobody waits for its runs."""
    if signal.getsignal(signal.SIGTERM) is _spare:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _take_stops()


def _handled() -> Iterator[int]:
    """Yield the signals that are not at their default; SIGPIPE and SIGXFSZ stay as Python has them.

    Both are ignored by Python so that a write fails with an exception; `subprocess` restores
    them for the programs that it runs.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            yield int(number)


def _gaps(keep_fds: Collection[int]) -> Iterator[tuple[int, int]]:
    first = 3
    for fd in sorted(keep_fds):
        if fd > first:
            yield first, fd
        first = max(first, fd + 1)
    yield first, max(first, os.sysconf("SC_OPEN_MAX"))


def _replace_environment(wanted: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name not in wanted]:
        del os.environ[name]
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _forget() -> None:
    """Drop what modules remember of the zygote and must not be the same in every child."""
    modules: Mapping[str, Any] = sys.modules
    for name in ("random", "numpy.random"):
        if (module := modules.get(name)) is not None:
            module.seed()
    if (module := modules.get("tempfile")) is not None:
        module.tempdir = None
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(line_buffering=True)  # a killed child has printed what it printed


def _python_threads() -> list[str]:
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    main = threading.main_thread()
    return [thread.name for thread in threading.enumerate() if thread is not main]


def _native_threads_stay() -> bool:
    """Tell whether threads of libraries would be cut off in the middle of something by a fork.

    Libraries that take part in forking (OpenBLAS, below numpy) end theirs before it and
    start them again when needed: one fork on trial tells.
    """
    tasks = "/proc/self/task"
    if not os.path.isdir(tasks) or len(os.listdir(tasks)) == 1:
        return False
    import select

    pid = os.fork()
    if pid == 0:
        os._exit(0)
    handle = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        ended = bool(poll.poll(limits.FORK_TRIAL_S * 1000))
        if not ended:  # a library's own handler hangs in the child
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return not ended or len(os.listdir(tasks)) > 1
    finally:
        os.close(handle)
        os.waitpid(pid, 0)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def give_up() -> NoReturn:
    """End a child whose setup failed, and say why on its stderr."""
    import traceback

    try:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(SETUP_FAILED_EXIT)
