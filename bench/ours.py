"""The wherry side: start `wherry run` on an app, get a token, talk to it, read its log."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.load import BenchError
from bench.processes import START_S, Server, free_port, output_of

WHERRY = str(Path(sys.executable).parent / "wherry")
SHOP = "examples/shop/shop.py:app"
ORDERS = "bench.apps.orders:app"
PLAIN = "bench.apps.plain:app"
TRIGGERS = "bench.apps.triggers:app"
WORKFLOWS = "bench.apps.workflows:app"
COLD = "bench.apps.cold:app"


def start(app: str, folder: Path, *options: str) -> Server:
    """Start `wherry run`, without waiting for it."""
    if not Path(WHERRY).exists():
        raise BenchError(f"{WHERRY} is missing: install the project in this environment first")
    port = free_port()
    command = [WHERRY, "run", app, "--data", str(data_of(folder)), "--port", str(port)]
    command += options
    return Server(command, folder, port)


@contextlib.contextmanager
def serving(app: str, folder: Path, *options: str) -> Iterator[Server]:
    """A wherry that is ready, and is stopped at the end."""
    server = start(app, folder, *options)
    try:
        first_200(server, "GET", "/readyz")
        yield server
    finally:
        server.stop()


def data_of(folder: Path) -> Path:
    return folder / "data"


def token(app: str, folder: Path, subject: str = "alice") -> dict[str, str]:
    """The header that makes a request that customer's."""
    command = [WHERRY, "token", app, "--data", str(data_of(folder))]
    said = output_of([*command, "--role", "customer", "--subject", subject])
    return {"Authorization": f"Bearer {said.splitlines()[-1]}"}


def pause(function: str, folder: Path) -> None:
    """Have an engine begin no run of this function."""
    output_of([WHERRY, "pause", function, "--data", str(data_of(folder))])


def first_200(server: Server, method: str, path: str, body: str = "") -> float:
    """Milliseconds from the start of the process to the first 200, asked for densely."""
    until = server.begun + START_S
    while time.perf_counter() < until and not server.ended:
        with contextlib.suppress(OSError, http.client.HTTPException):
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            with contextlib.closing(client):
                client.request(method, path, body or None, {"Content-Type": "application/json"})
                if client.getresponse().status == 200:
                    return (time.perf_counter() - server.begun) * 1000
        time.sleep(0.002)
    why = "it ended" if server.ended else f"none within {START_S} s"
    raise BenchError(f"no 200 from {path}, {why}: {server.complaint()}")


class Caller:
    """One keep-alive connection for calls that are timed or counted one by one."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self._client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._client.connect()
        self._headers = {"Content-Type": "application/json", **(headers or {})}

    def post(self, path: str, body: str) -> bytes:
        """The body of a 2xx answer; raises BenchError on any other."""
        self._client.request("POST", path, body, self._headers)
        answer = self._client.getresponse()
        said = answer.read()
        if not 200 <= answer.status < 300:
            raise BenchError(f"POST {path}: {answer.status} {said[:300]!r}")
        return said

    def post_ms(self, path: str, body: str) -> float:
        """How long a call takes, in milliseconds."""
        begun = time.perf_counter()
        self.post(path, body)
        return (time.perf_counter() - begun) * 1000


class Log:
    """The log of a running wherry, read from where the last reading ended."""

    def __init__(self, server: Server) -> None:
        self._file = server.stdout
        self._at = self._file.stat().st_size

    def count(self, needle: bytes) -> int:
        """How many whole lines with `needle` were written since the last reading."""
        return sum(needle in line for line in self._lines())

    def numbers(self, field: str) -> list[float]:
        """The values of `field` in the lines written since the last reading."""
        needle = json.dumps(field).encode()
        found = (json.loads(line) for line in self._lines() if needle in line)
        return [float(each[field]) for each in found]

    def _lines(self) -> list[bytes]:
        with self._file.open("rb") as file:
            file.seek(self._at)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.splitlines()
