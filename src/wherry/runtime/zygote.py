"""The zygote: imports one version of the app once, then forks its environments in milliseconds.

Single-threaded, without an event loop. It speaks with the engine over one socket: frames of
4 bytes length and a msgpack array. The engine never imports the team's code; what it needs to
know of it comes from here, as JSON.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from wherry.codec import to_msgpack
from wherry.runtime.process.trees import children

if TYPE_CHECKING:
    from wherry.app import App
    from wherry.runtime.spare import Become, Spare


class Setup(msgspec.Struct, frozen=True):
    """What the engine tells a zygote when it starts it."""

    target: str
    folder: str
    objects: str
    tmp: str
    engine_pid: int
    hidden: tuple[str, ...] = ()  # paths no environment may read, though below the app's folder
    brought: bool = False  # objects stay elsewhere; the engine takes them there, and brings them


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """The app is loaded. `blueprint` is canonical JSON; `unsafe` says why forking is not.

    `breaks` are forms in `schemas/` that its types do not read; `unrecorded` is what else is to be
    said of them.
    """

    blueprint: bytes
    code_digest: str
    warnings: list[str]
    files: list[str]
    unsafe: str | None
    breaks: list[str] = []
    unrecorded: list[str] = []


class Invalid(msgspec.Struct, frozen=True, array_like=True, tag="invalid"):
    """The app cannot be loaded: what is wrong with it, for the developer."""

    message: str
    findings: list[str]


class Started(msgspec.Struct, frozen=True, array_like=True, tag="started"):
    """An environment was started. `missing` are the guards that do not hold (first time only)."""

    ticket: int
    pid: int


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """An environment's process has ended."""

    pid: int
    text: str


Said = Hello | Invalid | Started | Ended


class Start(msgspec.Struct, frozen=True, array_like=True):
    """Start an environment. The pipe for its output comes with the message, and `count` others:
    its socket, and its mailbox where the machine has such.
    """

    ticket: int
    function: str
    count: int


def main(fd: int, setup: Setup) -> None:
    """Serve the engine on socket `fd` until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    engine = socket.socket(fileno=fd)
    said = _load(setup)
    if isinstance(said, Invalid):
        _say(engine, said)
        return
    app, hello = said
    _say(engine, hello)
    Zygote(engine, app, setup, hello).serve()


def _say(engine: socket.socket, message: Said) -> None:
    payload = to_msgpack(message)
    try:
        engine.sendall(len(payload).to_bytes(4, "big") + payload)
    except (BrokenPipeError, ConnectionResetError):
        _leave(0, None)  # the engine is gone


def _load(setup: Setup) -> tuple[App, Hello] | Invalid:
    from wherry.blueprint import canonical
    from wherry.errors import AppInvalid, WherryError
    from wherry.runtime.loading import code_digest, code_files, load_app, team_trace
    from wherry.runtime.process.forking import why_unsafe

    # Python tells compiled files from their source by its second and size: an edit within a second
    # would run the old code. What is not written cannot be stale.
    sys.dont_write_bytecode = True
    try:
        app = load_app(setup.target, setup.folder)
        blueprint = app.freeze()
        breaks, unrecorded = _of_the_schemas(app, setup.folder)
    except AppInvalid as error:
        return Invalid(f"{setup.target} has faults.", [str(finding) for finding in error.findings])
    except WherryError as error:
        return Invalid(str(error), [])
    except BaseException as error:
        return Invalid(f"{setup.target} cannot be imported:", [team_trace(error)])
    warnings = [str(finding) for finding in app.warnings]
    digest, files = code_digest(setup.folder), [*code_files(setup.folder), *app.files]
    described = canonical(blueprint)
    return app, Hello(described, digest, warnings, files, why_unsafe(), breaks, unrecorded)


def _of_the_schemas(app: App, folder: str) -> tuple[list[str], list[str]]:
    """Return what of `schemas/` the app does not read, and what else is to be said of it."""
    if not os.path.isdir(os.path.join(folder, "schemas")):  # who has none is not made to import it
        return [], []
    from wherry.runtime.stored import compared

    found = compared(app, folder)
    breaks = [str(one) for one in found if one.severity == "error"]
    return breaks, [str(one) for one in found if one.severity != "error"]


class Zygote:
    """Forks environments of one version, and tells how each ended."""

    def __init__(self, engine: socket.socket, app: App, setup: Setup, hello: Hello) -> None:
        self._engine = engine
        self._app = app
        self._setup = setup
        self._unsafe = hello.unsafe
        self._pid = os.getpid()
        self._alive: set[int] = set()
        self._own = set(children(self._pid))  # what the app started when it was imported
        self._spare: Spare | None = None
        self._wants_spare = hello.unsafe is None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)

    def serve(self) -> None:
        """Serve until the engine is gone; then all environments end with this process."""
        from wherry.runtime.environment import preload
        from wherry.runtime.process import confine
        from wherry.runtime.process.kernel import adopt_orphans, die_with_parent

        preload(self._app, self._setup)
        confine.prepare()
        # A supervisor may send it to the whole group: a stop is the engine's, which ends us when
        # what runs is done. Without the engine, it leaves the time to end what our children left.
        engine_pid = self._setup.engine_pid
        signal.signal(signal.SIGTERM, lambda *_: os.getppid() == engine_pid or _leave(0, None))
        if sys.platform == "linux":
            die_with_parent(self._setup.engine_pid, signal.SIGTERM)
            adopt_orphans()
        signal.signal(signal.SIGCHLD, lambda number, stack: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        buffer = bytearray()
        fds: list[int] = []
        while True:
            wait_s = 0 if self._wants_spare else None  # who asks comes first
            ready, _, _ = select.select([self._engine.fileno(), self._wake_read], [], [], wait_s)
            if not ready:
                self._keep_spare()
            if self._wake_read in ready:
                self._reap()
            if self._engine.fileno() not in ready:
                continue
            try:
                data, received, _, _ = socket.recv_fds(self._engine, 65_536, 64)
            except ConnectionResetError:  # it was killed, with something of ours unread
                data, received = b"", []
            if not data:
                _leave(0, None)
            buffer += data
            fds += received
            while len(buffer) >= 4:
                end = 4 + int.from_bytes(buffer[:4], "big")
                if len(buffer) < end:
                    break
                start = msgspec.msgpack.decode(buffer[4:end], type=Start)
                if len(fds) <= start.count:
                    break
                del buffer[:end]
                output_fd, *others = fds[: start.count + 1]
                del fds[: start.count + 1]
                self._start(start, others, output_fd)

    def _reap(self) -> None:
        from wherry.runtime.process.forking import reap
        from wherry.runtime.process.trees import kill_orphans

        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        for ended in reap():
            if ended.pid in self._alive:
                self._alive.discard(ended.pid)
                _say(self._engine, Ended(ended.pid, ended.text))
            elif self._spare is not None and ended.pid == self._spare.pid:
                self._spare.forget()
                self._spare = None  # the next one comes after the next start: it may end, too
        kill_orphans(self._alive | self._own | ({self._spare.pid} if self._spare else set()))

    def _keep_spare(self) -> None:
        """Fork what the next start needs, where nothing else is to be done."""
        from wherry.runtime.spare import Spare

        self._wants_spare = False
        self._spare = Spare.fork(self._setup.folder, self._setup.tmp, self._prepare)

    def _prepare(self) -> Become:
        """In a child: do what does not depend on the function; return what does the rest."""
        from wherry.runtime.environment import Prepared

        self._engine.detach()  # its number is closed already; the object must not close another
        return Prepared(self._app, self._setup, self._pid).run

    def _start(self, start: Start, fds: list[int], output_fd: int) -> None:
        if self._unsafe is not None:
            pid = self._spawn(start, fds, output_fd)
        else:
            pid = self._fork(start, fds, output_fd)
        self._alive.add(pid)
        for fd in (*fds, output_fd):
            os.close(fd)
        _say(self._engine, Started(start.ticket, pid))

    def _fork(self, start: Start, fds: list[int], output_fd: int) -> int:
        from wherry.runtime.process.forking import fork_child, give_up

        tmp = os.path.join(self._setup.tmp, f"{start.function}-{start.ticket}")
        spare, self._spare, self._wants_spare = self._spare, None, True
        if spare is not None and spare.become(start.function, tmp, output_fd, fds):
            return spare.pid
        pid = fork_child(fds, tmp_dir=tmp, folder=self._setup.folder, output_fd=output_fd)
        if pid == 0:
            try:
                self._prepare()(start.function, fds, tmp)
            except BaseException:
                give_up()
        return pid

    def _spawn(self, start: Start, fds: list[int], output_fd: int) -> int:
        import subprocess

        from wherry.runtime.process.forking import allowed_environment

        tmp = os.path.join(self._setup.tmp, f"{start.function}-{start.ticket}")
        os.makedirs(tmp, mode=0o700, exist_ok=True)
        numbers = ",".join(map(str, fds))
        command = [sys.executable, "-m", "wherry.runtime.spawned", numbers, start.function]
        command += [tmp, str(os.getpid()), msgspec.json.encode(self._setup).decode()]
        child = subprocess.Popen(
            command,
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=output_fd,
            stderr=output_fd,
            cwd=self._setup.folder,
            env=allowed_environment(os.environ, tmp, {}),
        )
        child.returncode = 0  # `reap` waits for it, not this object
        return child.pid


def _leave(number: int, stack: Any) -> NoReturn:
    """End this process, its environments with it, and what they may have left behind."""
    from wherry.runtime.process.trees import kill_orphans

    kill_orphans(())
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Setup))
