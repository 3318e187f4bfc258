"""What a freshly forked environment does to itself before it runs a team's code."""

from __future__ import annotations

import os
import signal
import sys
from functools import cache
from typing import NamedTuple

import msgspec

from wherry import limits
from wherry.runtime.process import kernel as linux
from wherry.runtime.process import landlock


class Shared(msgspec.Struct, frozen=True):
    """What bounds all environments of a version alike.

    Paths are absolute; a path covers all that is below it. They are complete: besides
    `landlock.system_paths()` and the app's folder nothing is to be read.
    """

    read_paths: tuple[str, ...] = ()
    list_paths: tuple[str, ...] = ()  # only the names in them: the second result of `carve`
    files: int = limits.ENVIRONMENT_FILES
    processes: int = limits.ENVIRONMENT_PROCESSES
    allow_network: bool = True


class Confinement(msgspec.Struct, frozen=True):
    """What bounds the environments of one function besides."""

    memory_mb: int
    tmp_dir: str  # made with mode 0700 if missing; its maker removes it
    read_paths: tuple[str, ...] = ()
    write_paths: tuple[str, ...] = ()  # besides `tmp_dir`


class Guard(msgspec.Struct, frozen=True):
    """One guard: whether it holds here, and what it does, or why it does not hold."""

    name: str
    holds: bool
    why: str


class Holds(msgspec.Struct, frozen=True):
    """All guards of one environment, in the order in which they were set."""

    guards: tuple[Guard, ...]

    def missing(self) -> tuple[Guard, ...]:
        """Return the guards that do not hold."""
        return tuple(guard for guard in self.guards if not guard.holds)


def prepare() -> None:
    """Do once, in the zygote, what every child would pay for: imports, probes, counts."""
    import resource  # noqa: F401

    if sys.platform == "linux":
        linux.kernel()
        _abi()
        _tasks_of_user()


class Begun(NamedTuple):
    """A process that is confined as far as that does not depend on its function.

    Attributes:
        guards: What holds and what does not.
        rules: What it may open so far; None: this system has no such rules, or refused them.
    """

    guards: list[Guard]
    rules: landlock.Ruleset | None


def begin(shared: Shared, parent_pid: int) -> Begun:
    """Confine this process for good, as far as its function does not matter; `finish` follows.

    Call it right after the fork, in the child's main thread.

    Args:
        shared: The bounds.
        parent_pid: The process ID of the zygote, taken before the fork.

    Raises:
        WherryError: The parent ended meanwhile (on Linux the process is killed before that).
    """
    guards = [_session(), *_limits(shared)]
    if sys.platform != "linux":
        guards += [Guard(name, False, f"{sys.platform} has no such guard") for name in _LINUX_ONLY]
        return Begun(guards, None)
    kernel = linux.kernel()
    guards += [
        _prctl("orphans", linux.PR_SET_CHILD_SUBREAPER, 1, "its orphans stay in its tree"),
        _prctl("no new privileges", linux.PR_SET_NO_NEW_PRIVS, 1, "setuid programs stay harmless"),
    ]
    rules = _rules(kernel, shared, guards)
    guards += [
        _capabilities(kernel),
        # After the capabilities: changed credentials would reset these two.
        _prctl("memory is private", linux.PR_SET_DUMPABLE, 0, "others cannot trace or read it"),
    ]
    linux.die_with_parent(parent_pid, signal.SIGKILL)
    guards.append(Guard("dies with its zygote", True, "SIGKILL from the kernel"))
    return Begun(guards, rules)


def finish(begun: Begun, confinement: Confinement) -> Holds:
    """Add what depends on the function: its memory, its folders. From then on all holds.

    Returns:
        What holds and what does not. A guard that the system lacks is reported, not raised.

    Raises:
        OSError: `tmp_dir` cannot be made.
    """
    os.makedirs(confinement.tmp_dir, mode=0o700, exist_ok=True)
    guards = [*begun.guards, _memory(confinement)]
    if begun.rules is not None:
        guards += _landlock(begun.rules, confinement)
    return Holds(tuple(guards))


_LINUX_ONLY = (
    "dies with its zygote",
    "orphans",
    "no new privileges",
    "files",
    "network",
    "signals",
    "capabilities",
    "memory is private",
)


def _session() -> Guard:
    """A session of its own: `killpg` reaches the whole tree, the terminal's Ctrl-C does not."""
    try:
        os.setsid()
    except PermissionError:
        if os.getpgid(0) != os.getpid():
            return Guard("process group", False, "setsid was refused")
    return Guard("process group", True, "the environment leads a session of its own")


def _limits(shared: Shared) -> list[Guard]:
    import resource

    found = [
        _limit(resource.RLIMIT_CORE, 0, "core dumps", "none are written"),
        _limit(
            resource.RLIMIT_NOFILE,
            shared.files,
            "open files",
            f"at most {shared.files} per process",
        ),
    ]
    if sys.platform != "linux":
        return found
    if os.getuid() == 0:
        # The kernel exempts user ID 0 from RLIMIT_NPROC, whatever its capabilities.
        why = "RLIMIT_NPROC does not bind root: a control group or the sampler has to"
        return [*found, Guard("processes", False, why)]
    # The limit counts all tasks of the user, not those of this process: without the tasks
    # that were there before, a busy account could not start a single thread.
    bound = _tasks_of_user() + shared.processes
    text = f"about {shared.processes} more than this user had at the start"
    return [*found, _limit(resource.RLIMIT_NPROC, bound, "processes", text)]


def _memory(confinement: Confinement) -> Guard:
    import resource

    if sys.platform != "linux":
        return Guard("memory stop", False, f"{sys.platform} does not enforce RLIMIT_DATA")
    data_mb = confinement.memory_mb + confinement.memory_mb // 4 + limits.DATA_HEADROOM_MB
    # RLIMIT_DATA, not RLIMIT_AS: address space that is only reserved (arenas, mapped files)
    # is not memory used. Thread stacks do count in full, hence the headroom.
    text = f"allocation fails at {data_mb} MiB per process"
    return _limit(resource.RLIMIT_DATA, data_mb * limits.MIB, "memory stop", text)


def _limit(kind: int, value: int, name: str, why: str) -> Guard:
    import resource

    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(kind, (value, value))
    except (OSError, ValueError) as error:
        return Guard(name, False, str(error))
    return Guard(name, True, why)


def _prctl(name: str, option: int, value: int, why: str) -> Guard:
    try:
        linux.kernel().prctl(option, value)
    except OSError as error:
        return Guard(name, False, str(error))
    return Guard(name, True, why)


def _rules(kernel: linux.Kernel, shared: Shared, guards: list[Guard]) -> landlock.Ruleset | None:
    """Return rules with what may be read and listed; where there are none, the guards say why."""
    abi = _abi()
    if abi == 0:
        why = "this kernel has no Landlock (Linux 5.13 or later, and in its list of modules)"
        guards += _no_landlock(why)
        return None
    try:
        rules = landlock.Ruleset(kernel, abi, allow_network=shared.allow_network)
        rules.allow(read=shared.read_paths, listed=shared.list_paths)
    except OSError as error:
        guards += _no_landlock(str(error))
        return None
    return rules


def _no_landlock(why: str) -> list[Guard]:
    return [Guard(name, False, why) for name in ("files", "network", "signals")]


def _landlock(rules: landlock.Ruleset, confinement: Confinement) -> list[Guard]:
    abi = _abi()
    try:
        rules.allow(
            read=confinement.read_paths,
            write=(*confinement.write_paths, confinement.tmp_dir),
        )
        rules.restrict()
    except OSError as error:
        return _no_landlock(str(error))
    return [
        Guard("files", True, f"Landlock ABI {abi}: reads and writes only below its own paths"),
        _network(rules.allow_network, abi),
        Guard("signals", True, "none to processes outside its tree")
        if abi >= landlock.ABI_SCOPES
        else Guard("signals", False, f"Landlock ABI {abi} < 6 (Linux 6.12): may signal its user's"),
    ]


def _network(allowed: bool, abi: int) -> Guard:
    if allowed:
        return Guard("network", True, "allowed")
    if abi >= landlock.ABI_TCP:
        return Guard("network", True, "no TCP; the kernel has no rule for UDP")
    return Guard("network", False, f"Landlock ABI {abi} < 4 (Linux 6.7): TCP cannot be refused")


def _capabilities(kernel: linux.Kernel) -> Guard:
    """Give up root's powers, and with them the one to raise limits again.

    Opening files of other users is kept where it was held, or a container's root could not
    read a mounted app folder; Landlock bounds it.
    """
    for mask in (linux.CAP_DAC_OVERRIDE, 0) if os.geteuid() == 0 else (0,):
        try:
            kernel.keep_capabilities(mask)
        except OSError:
            continue
        return Guard("capabilities", True, "file access only" if mask else "none")
    return Guard("capabilities", False, "capset was refused")


@cache
def _abi() -> int:
    return linux.kernel().landlock_abi()


@cache
def _tasks_of_user() -> int:
    """Return how many tasks (threads) this user has on the machine now; 0 for root."""
    user = os.getuid()
    if user == 0:
        return 0
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == user:
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue
    return count
