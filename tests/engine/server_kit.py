"""An engine in processes of its own, and what a test needs to speak with it, to hurt it, to look.

Nothing here waits for a fixed time: `until` looks again and again, up to a deadline.
"""

from __future__ import annotations

import fcntl
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from wherry import limits
from wherry.codec import to_msgpack
from wherry.engine.controlwire import TokenAsked, call
from wherry.engine.datafolder import DataFolder
from wherry.errors import Passing
from wherry.ports import (
    Answer,
    Depth,
    Depths,
    Failures,
    GetTimeline,
    ListFailures,
    QueueDepths,
    Request,
    TimelineRows,
)
from wherry.runtime.process.trees import descendants

from . import stores_kit

T = TypeVar("T")

APPS = Path(__file__).parent / "apps"
WHERRY = [sys.executable, "-c", "from wherry.cli import main; main()"]
WAIT_S = 30.0  # a loaded machine with one core; who waits in vain waits so long
IDLE_S = limits.IDLE_CONNECTION_S / 2  # a connection of a test that is older is not used again
PORTS = 500  # of one worker of the suite
# The file stays mapped in what is forked and confined later: every process jumps at once.
MOVED_CLOCK = """
import mmap, time
with open({path!r}, "rb") as file:
    off_ns = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
real_ns = time.time_ns
time.time_ns = lambda: real_ns() + int.from_bytes(off_ns[:8], "little", signed=True)
time.time = lambda: time.time_ns() / 1e9
"""


def until(look: Callable[[], T | None], what: str, wait_s: float = WAIT_S) -> T:
    """Look until there is something true, and return it."""
    give_up_s = time.monotonic() + wait_s
    while not (found := look()):
        assert time.monotonic() < give_up_s, f"not within {wait_s:g} s: {what}"
        time.sleep(0.004)
    return found


_ports = itertools.count(os.getpid())
_own: dict[int, int] = {}  # ports of this process, with the files that say so until its end


def free_port() -> int:
    """Return a port that nobody listens on now, and that nobody is given meanwhile.

    It is below those that the system gives to clients, of which a suite makes thousands: an engine
    that starts again needs its port again. Each worker of the suite has a range of its own, and
    what another suite on this machine was given is locked: its engine may just be dead.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 32
    for number in itertools.islice(_ports, PORTS):
        port = 10_000 + PORTS * worker + number % PORTS
        if not _is_own(port):
            continue
        with socket.socket() as one, suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"{PORTS} ports from {10_000 + PORTS * worker} on are taken")


def _is_own(port: int) -> bool:
    """Whether this process has the lock of a port, or can have it."""
    if port not in _own:
        folder = Path(tempfile.gettempdir(), f"wherry-ports-{os.getuid()}")
        folder.mkdir(exist_ok=True)
        file = os.open(folder / str(port), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        _own[port] = file
    return True


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The `code` of a problem."""
        return str(self.json()["code"])


class Client:
    """One connection, kept alive, opened again where the engine closed it or soon would.

    Tests share engines, and minutes may lie between two that use one: a POST that meets the end
    of an idle connection cannot be sent again, as nobody knows whether it was taken.
    """

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self._used_s = 0.0

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        token: str = "",
    ) -> Reply:
        """Send a request; `body` is bytes as they are, or what is sent as JSON."""
        sent = dict(headers or {})
        if token:
            sent["authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None and "content-type" not in sent:
            sent["content-type"] = "application/json"
        if time.monotonic() - self._used_s > IDLE_S:
            self.close()
        fresh = self._connection is None
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=self._timeout_s
            )
        try:
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # Closed while idle, before anything of this request was read: it was not taken.
            closed = isinstance(error, http.client.RemoteDisconnected | BrokenPipeError)
            if fresh or not closed or method not in ("GET", "HEAD"):
                raise
            return self(method, path, body, headers, token)
        self._used_s = time.monotonic()
        if answer.will_close:
            self.close()
        return Reply(
            answer.status, {name.lower(): value for name, value in answer.getheaders()}, content
        )

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Engine:
    """`wherry run` of an app below `tests/engine/apps` (or of `folder`) on a data folder.

    Args:
        app: The module, `shop` for `shop:app`.
        arguments: More of the command line.
        limits: Bounds of `wherry.limits` that are other ones in all of its processes.
        output: Where it prints to (default: beside its data).
        stopped_clock: The wall's clock stands still at one moment of 2026.
        clock: A file of 8 bytes: by how many ns (signed, little-endian) the wall's clock is off.
        variables: More of its environment.
        verb: `run` or `dev`.
    """

    def __init__(
        self,
        app: str,
        data: Path,
        *,
        folder: Path = APPS,
        arguments: Iterable[str] = (),
        limits: dict[str, float] | None = None,
        stopped_clock: bool = False,
        clock: Path | None = None,
        output: Path | None = None,
        variables: Mapping[str, str] | None = None,
        verb: str = "run",
    ) -> None:
        self.app = app
        self.root = data
        self.output = output or data.parent / f"{data.name}.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [*WHERRY, verb, f"{app}:app", "--folder", str(folder)]
        arguments = list(arguments)
        self._command += ["--port", str(self.port), "--data", str(data), *arguments]
        self._command += stores_kit.arguments_for(data, arguments)
        if verb == "run" and "--leave-s" not in arguments:
            self._command += ["--leave-s", "0"]  # nobody is in front of it
        self._variables = {**os.environ, "PYTHONUNBUFFERED": "1", **(variables or {})}
        if limits or stopped_clock or clock:
            self._prepare(limits or {}, stopped_clock, clock)
        self._process: subprocess.Popen[bytes] | None = None
        self._tokens: dict[tuple[str, ...], str] = {}
        self._lines: list[dict[str, Any]] = []
        self._stray: list[str] = []
        self._read_bytes = 0
        self._reading = threading.Lock()
        self.client = Client(self.port)

    def _prepare(self, limits: dict[str, float], stopped_clock: bool, clock: Path | None) -> None:
        """Have every Python process of this engine begin with other bounds, or another clock."""
        folder = self.output.parent / f"{self.root.name}-site"
        folder.mkdir(exist_ok=True)
        lines = ["from wherry import limits"]
        lines += [f"limits.{name} = {value!r}" for name, value in limits.items()]
        if stopped_clock:
            lines.append("import time\ntime.time_ns = lambda: 1_790_000_000_000_000_000")
        if clock is not None:
            lines.append(MOVED_CLOCK.format(path=str(clock)))
        (folder / "sitecustomize.py").write_text("\n".join([*lines, ""]))
        others = os.environ.get("PYTHONPATH")
        path = [str(folder), *([others] if others else [])]
        self._variables["PYTHONPATH"] = os.pathsep.join(path)

    # -- its life ----------------------------------------------------------------------------------

    def launch(
        self, output_fd: int | None = None, under: Iterable[str] = ()
    ) -> subprocess.Popen[bytes]:
        """Start it and do not wait; it prints into its file, or to this file descriptor.

        `under`: the command that runs it, and leaves it the process ID.
        """
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*under, *self._command],
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=output if output_fd is None else output_fd,
                stderr=subprocess.STDOUT,
            )
        return self._process

    def start(self) -> Engine:
        """Start it and wait until it is ready."""
        process = self.launch()

        def ready() -> bool:
            assert process.poll() is None, f"it ended with {process.returncode}\n{self.said()}"
            try:
                return self.client("GET", "/readyz").status == 200
            except OSError:
                return False

        until(ready, "ready")
        return self

    @property
    def pid(self) -> int:
        """The process ID of the engine itself."""
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def wait(self, wait_s: float = 40.0) -> int:
        """Wait for its end; return its exit code."""
        assert self._process is not None
        code = self._process.wait(wait_s)
        self.client.close()
        return code

    def kill(self) -> None:
        """End the engine as a power switch would, and wait until its processes are gone."""
        below = descendants(self.pid)
        with suppress(ProcessLookupError):  # it has ended, and that was seen
            os.kill(self.pid, signal.SIGKILL)
        self.wait()
        until(lambda: not any(map(running, below)), "the end of its processes")

    def stop(self) -> int:
        """Stop it as a service manager would; return its exit code."""
        if not self.alive():
            return self.wait()
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        self.client.close()
        if self._process is None:
            return
        if self.alive():
            below = descendants(self.pid)
            with suppress(OSError):
                os.kill(self.pid, signal.SIGCONT)
            self._process.kill()
            self._process.wait(40)
            until(lambda: not any(map(running, below)), "the end of its processes")

    # -- speaking with it --------------------------------------------------------------------------

    def http(self) -> Client:
        """Return a connection of one's own, for a thread."""
        return Client(self.port)

    def once(self, method: str, path: str, *more: Any, **named: Any) -> Reply:
        """Send a request on a connection of its own: for threads."""
        client = self.http()
        try:
            return client(method, path, *more, **named)
        finally:
            client.close()

    def call(self, verb: str, payload: object = None) -> Any:
        """Ask over the control socket, as the command line does."""
        return call(DataFolder.at(str(self.root), missing_ok=True), verb, payload)

    def ask(self, request: Request) -> Any:
        """Ask the store through the engine."""
        answer = self.call("ask", to_msgpack(request))
        return msgspec.msgpack.decode(answer, type=Answer)

    def status(self) -> dict[str, Any]:
        """What the engine tells of itself."""
        found: dict[str, Any] = self.call("status")
        return found

    def token(self, subject: str = "alice", *roles: str, lifetime_s: int = 3600) -> str:
        """Return an access token of the development issuer; made once."""
        key = (subject, *roles, str(lifetime_s))
        if key not in self._tokens:
            asked = TokenAsked("", subject, list(roles or ("customer",)), lifetime_s)
            self._tokens[key] = str(self.call("token", asked))
        return self._tokens[key]

    # -- looking at it -----------------------------------------------------------------------------

    def said(self) -> str:
        """All that it has printed."""
        return self.output.read_text("utf-8", "replace")

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """Its log lines that have these fields."""
        self._read_on()
        items = wanted.items()
        return [line for line in self._lines if all(line.get(name) == it for name, it in items)]

    def stray(self) -> list[str]:
        """The lines that it has printed beside its log."""
        self._read_on()
        return list(self._stray)

    def _read_on(self) -> None:
        """Read the whole lines that came since: who looks again and again reads each once."""
        with self._reading, self.output.open("rb") as file:
            file.seek(self._read_bytes)
            found = file.read()
            whole = found[: found.rfind(b"\n") + 1]
            self._read_bytes += len(whole)
            for text in whole.decode("utf-8", "replace").split("\n")[:-1]:
                line = None
                with suppress(ValueError):
                    line = json.loads(text)
                if isinstance(line, dict):
                    self._lines.append(line)
                else:
                    self._stray.append(text)

    def pools(self) -> dict[str, dict[str, Any]]:
        """The environments of each function of the active release."""
        state = self.status()
        mark = f"@{state['release'][:8]}"
        found = state["functions"].items()
        return {name.removesuffix(mark): pool for name, pool in found if name.endswith(mark)}

    def environments(self, function: str) -> list[int]:
        """The process IDs of a function's environments."""
        pids: list[int] = self.pools()[function]["pids"]
        return [pid for pid in pids if pid]

    def store_pid(self) -> int:
        """The process ID of the store process."""
        return int(self.status()["store"]["pid"])

    def zygote_pid(self) -> int:
        """The process ID of the newest zygote."""
        return int(self.status()["zygotes"][-1])

    def depth(self, queue: str) -> Depth:
        """How much waits in a queue."""
        rows: Depths = self.ask(QueueDepths())
        found = [row for row in rows.rows if row.queue == queue]
        return found[0] if found else Depth(queue, 0, 0, 0, 0)

    def drained(self, queue: str) -> bool:
        """Whether nothing waits or runs."""
        depth = self.depth(queue)
        return depth.waiting == 0 and depth.leased == 0

    def failures(self, queue: str) -> Failures:
        """The failure inbox of a queue."""
        found: Failures = self.ask(ListFailures(queue, 100, None))
        return found

    def timeline(self, correlation_id: str) -> TimelineRows:
        """All that is known of a request and what followed."""
        found: TimelineRows = self.ask(GetTimeline(correlation_id))
        return found


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    with open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@contextmanager
def serving(app: str, data: Path, **more: Any) -> Iterator[Engine]:
    """Serve an app for a while; what it printed is shown if the test fails."""
    engine = Engine(app, data, **more)
    try:
        yield engine.start()
    except BaseException:
        print(f"--- {app} printed\n{engine.said()[-12_000:]}")
        raise
    finally:
        engine.close()


def tries(call: Callable[[], T]) -> T | None:
    """Return what `call` returns, or None while the engine cannot be asked."""
    try:
        return call()
    except (OSError, Passing, http.client.HTTPException):
        return None
