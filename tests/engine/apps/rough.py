"""Handlers that behave as badly as they can, each a function of its own."""

import asyncio
import contextvars
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from wherry import App, Struct, log

app = App("rough")


class Mark(Struct):
    name: str
    count: int = 0


class Told(Struct):
    name: str = ""
    number: int = 0


marks = app.table(Mark, key="name")
mine = app.bucket("mine")
others = app.bucket("others")
secret = app.secret("payment-key")
broken = app.secret("broken-key")


@app.get("/fine")
def fine() -> str:
    return "fine"


@app.get("/marks/{name}", grants=[marks.read])
def mark(name: str) -> Mark:
    return marks.get(name) or Mark(name)


def note(name: str) -> int:
    marks.add(name, count=1)
    return 7


@app.after_commit(grants=[marks.write])
def mark_later(name: str, count: int = 1) -> None:
    marks.add(name, count=count)


@app.post("/steps", grants=[marks.write, mark_later.send])
def steps(told: Told) -> int:
    held = app.atomic("note", note, told.name)
    mark_later.queue.cancel(mark_later.send(f"{told.name}-cancelled"))
    mark_later.send(f"{told.name}-later", count=2)
    if told.number:
        raise ValueError("the step stays, and nothing else")
    return held


# -- ends ------------------------------------------------------------------------------------------


@app.post("/raises", grants=[marks.write])
def raises(told: Told) -> None:
    marks.put(Mark("raises"))
    raise {
        "value": ValueError("sku x-1 is unknown"),
        "exit": SystemExit(3),
        "cancelled": asyncio.CancelledError("gave up"),
        "keyboard": KeyboardInterrupt(),
        "base": BaseException("odd"),
    }[told.name]


@app.post("/raises-async", grants=[marks.write])
async def raises_async(told: Told) -> None:
    marks.put(Mark("raises"))
    await asyncio.sleep(0)
    raise asyncio.CancelledError


@app.post("/exits", grants=[marks.write])
def exits() -> None:
    marks.put(Mark("exits"))
    os._exit(7)


@app.post("/crashes", grants=[marks.write])
def crashes() -> None:
    marks.put(Mark("crashes"))
    ctypes.string_at(0)


@app.post("/recurses", grants=[marks.write])
def recurses() -> None:
    marks.put(Mark("recurses"))
    recurses()


@app.post("/hangs", timeout_s=1, grants=[marks.write])
def hangs() -> dict[str, list[int]]:
    """Starts a child and a grandchild, tells who they are, and never returns."""
    marks.put(Mark("hangs"))
    inner = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    child = subprocess.Popen(
        [sys.executable, "-c", outer], stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    log.info("tree", pids=[os.getpid(), child.pid, grandchild])
    while True:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
        except BaseException:
            pass


@app.post("/catches-all", timeout_s=1, grants=[marks.write])
def catches_all() -> None:
    while True:
        try:
            marks.put(Mark("catches"))
            sys.exit()
        except BaseException:
            pass


# -- resources -------------------------------------------------------------------------------------


@app.post("/eats", memory_mb=128, grants=[marks.write])
def eats(told: Told) -> int:
    marks.put(Mark("eats"))
    if told.name == "at once":
        return len(bytearray(2 << 30))
    held = []
    while True:
        held.append(bytearray(b"x") * (4 << 20))


@app.post("/leaks-files")
def leaks_files() -> int:
    held = []
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))


@app.post("/forks", timeout_s=5, memory_mb=256, grants=[marks.write])
def forks() -> None:
    marks.put(Mark("forks"))
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)


# -- words -----------------------------------------------------------------------------------------


@app.post("/returns")
def returns(told: Told) -> Any:
    return {
        "object": object(),
        "set": {1, "a", (2,)},
        "surrogate": "\ud800",
        "nan": float("nan"),
        "loop": _loop(),
        "huge": "x" * (7 << 20),
        "generator": (number for number in range(3)),
    }[told.name]


def _loop() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@app.post("/prints")
def prints(told: Told) -> str:
    match told.name:
        case "binary":
            os.write(1, bytes(range(256)) * 8 + b"\n")
        case "surrogate":
            print("\ud800 and ä")
        case "forged":
            print('{"level":"ERROR","message":"forged"')
            print('x\n{"level":"INFO"}garbage\n\r\x1b[31mred')
        case "long":
            print("y" * 300_000)
        case "quiet":
            pass
    return "printed"


@app.post("/floods", timeout_s=2)
def floods(told: Told) -> str:
    text = b"z" * 1023 + b"\n" if told.name == "long" else b"z\n" * 512
    for _ in range(100 * 1024):
        os.write(1, text)
    return "flooded"


@app.post("/talks")
def talks() -> str:
    """Says a megabyte, as a chatty handler does."""
    for number in range(1000):
        log.info("talk", number=number, text="w" * 1000)
    return "talked"


@app.post("/closes-stdout", grants=[marks.write])
def closes_stdout(told: Told) -> str:
    marks.put(Mark("closes"))
    if told.name == "stream":
        sys.stdout.close()
    elif told.name == "number":
        print("unfinished", end="")
        os.close(1)
        os.close(2)
    return "closed"


@app.post("/closes-all", timeout_s=20, grants=[marks.write])
def closes_all(told: Told) -> str:
    marks.put(Mark("closes-all"))
    os.closerange(3, 100)
    if told.name == "waits":
        signal.pause()
    return "closed"


# -- what belongs to others ------------------------------------------------------------------------


@app.post("/signals")
def signals(told: Told) -> str:
    pid = os.getppid() if told.name == "parent" else told.number
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError as error:
        return type(error).__name__
    return "sent"


@app.post("/reads")
def reads(told: Told) -> str:
    try:
        with open(told.name, "rb") as file:
            return repr(file.read(100))
    except OSError as error:
        return type(error).__name__


@app.post("/writes")
def writes(told: Told) -> str:
    try:
        with open(told.name, "wb") as file:
            file.write(b"mine now")
    except OSError as error:
        return type(error).__name__
    return "written"


@app.post("/connects")
def connects(told: Told) -> str:
    """Speaks with the control socket as well as it can."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(told.name)
            payload = b"\x93\xc4\x01x\xa4stop\xc0"
            sock.sendall(len(payload).to_bytes(4, "big") + payload)
            return repr(sock.recv(200))
    except OSError as error:
        return type(error).__name__


@app.post("/tells-secret", grants=[secret.read])
def tells_secret(told: Told) -> int:
    value = secret.get()
    os.write(1, b"-" * told.number + value.encode() + b"\n")
    print("printed", value)
    sys.stderr.write(f"stderr {value!r}\n")
    os.write(1, b"written " + value.encode() + b"\n")
    print('{"level":"INFO","message":"looks like a line ' + value + '"}')
    return len(value)


@app.post("/broken-secret", grants=[broken.read])
def broken_secret() -> str:
    return broken.get()


@app.post("/secret")
def secret_without_grant() -> str:
    return secret.get()


@app.post("/lists", grants=[mine.read])
def lists(told: Told) -> int:
    return len(mine.list(told.number).items)  # type: ignore[arg-type]


@app.post("/bucket", grants=[mine.write])
def other_bucket() -> None:
    mine.put("a", b"x")
    others.put("a", b"x")


# -- its own socket --------------------------------------------------------------------------------


@app.post("/speaks", timeout_s=1)
def speaks(told: Told) -> str:
    """Writes into the socket to the engine itself."""
    fd = next(fd for fd in range(3, 64) if _is_socket(fd))
    frames = {
        "huge": (1 << 31).to_bytes(4, "big") + b"O" + b"x" * 4096,
        "random": bytes(range(256)) * 16,
        "outcome": _frame(b"O", b"garbage"),
        "printed": _frame(b"P", b"\xc1"),
        "outcome text": _frame(b"O", b"\x95\xc0\x90\x00\x90\x91\xa2\xff\xff"),  # no UTF-8
        "outcome nested": _frame(b"O", b"\x91" * 100_000 + b"\xc0"),
        "read": _frame(b"R", b"garbage"),
        "read text": _frame(b"R", b"\x92\xa9getobject\xa2\xff\xff"),
        "read nested": _frame(b"R", b"\x91" * 100_000 + b"\xc0"),
        "broker": _frame(b"B", b"garbage"),
        "step": _frame(b"S", b"garbage"),
        "ready": _frame(b"H", b"garbage"),
        "ready again": _frame(b"H", b"\x90"),
        "unknown": _frame(b"?", b""),
        "empty": (0).to_bytes(4, "big"),
    }
    if told.name == "close":
        os.close(fd)
    else:
        os.write(fd, frames[told.name])
    time.sleep(0.05)
    return "spoke"


def _frame(kind: bytes, payload: bytes) -> bytes:
    return (len(payload) + 1).to_bytes(4, "big") + kind + payload


def _is_socket(fd: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    except OSError:
        return False


# -- what outlives a run ---------------------------------------------------------------------------

_said: list[str] = []


@app.post("/thread", timeout_s=3, grants=[marks.write, marks.read])
def thread(told: Told) -> list[str]:
    """`start` leaves a thread behind that works in this run's name; later runs see what it got."""
    if told.name == "start":
        inside = contextvars.copy_context()
        threading.Thread(target=inside.run, args=(_later, current_scope()), daemon=True).start()
        marks.get("warm")
    return _said


def current_scope() -> Any:
    """What no handler is meant to have: the way to the engine itself is in it."""
    from wherry.handles.scope import maybe_scope

    return maybe_scope()


def _later(scope: Any) -> None:
    from wherry.ports import ListObjects

    while scope.link._running:  # until its handler has returned, and that is told
        time.sleep(0.001)
    for call in (
        lambda: marks.put(Mark("thread")),
        lambda: marks.get("thread"),
        lambda: scope.link.ask(ListObjects("mine", "", 1, None)),
    ):
        try:
            call()
            _said.append("nothing")
        except BaseException as error:
            _said.append(type(error).__name__)
    os.write(1, b"asked\n")


@app.post("/changes")
def changes() -> list[str]:
    before = [os.getcwd(), os.environ.get("ROUGH", "")]
    os.chdir("/usr")
    os.environ["ROUGH"] = "changed"
    sys.path.insert(0, "/nowhere")
    return before


@app.get("/unchanged")
def unchanged() -> list[str]:
    return [os.getcwd(), os.environ.get("ROUGH", ""), sys.path[0]]
