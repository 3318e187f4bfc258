"""An S3 for tests: moto's server in a process of its own, and a proxy that does harm on the way.

Moto takes a second to import: only who asks for `s3` pays for it, once for each worker.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from wherry.platforms.s3.place import Place
from wherry.platforms.s3.remote import Remote
from wherry.world import Clock, SystemClock

KEYS = {
    "AWS_ACCESS_KEY_ID": "test-key-id",
    "AWS_SECRET_ACCESS_KEY": "test-key-of-nobody",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

SLOW_S = 1.0

_SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class S3:
    """A running store, and what lies in it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._made = 0

    @cached_property
    def client(self) -> Any:
        """A client of boto3, as a stranger would use one: making it costs more than its calls."""
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="other",
            aws_secret_access_key="other",
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def bucket(self) -> str:
        """Make a new bucket; return its name."""
        self._made += 1
        name = f"test-{os.getpid()}-{self._made}"
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> list[str]:
        """What lies in a bucket, but for what wherry keeps for itself."""
        found = self.client.list_objects_v2(Bucket=bucket).get("Contents", ())
        return [one["Key"] for one in found if ".wherry/" not in one["Key"]]

    def change(self, act: Callable[[Any], Any]) -> Any:
        """Do something with a client of boto3."""
        return act(self.client)

    def close(self) -> None:
        """Let go of it."""
        if "client" in self.__dict__:
            self.client.close()


@contextmanager
def moto() -> Iterator[S3]:
    """Run moto's server."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        port = process.stdout.readline().decode().strip()
        assert port, "moto's server did not start"
        running = S3(f"http://127.0.0.1:{port}")
        yield running
        running.close()
    finally:
        process.stdin.close()
        process.stdout.close()
        process.terminate()
        process.wait(30)


@contextmanager
def remote(
    endpoint: str, bucket: str, prefix: str = "objects/", clock: Clock | None = None
) -> Iterator[Remote]:
    """Return a place in S3, as the engine uses one."""
    made = Remote(Place(bucket, prefix, endpoint), clock or SystemClock())
    try:
        yield made
    finally:
        made.close()


class Proxy:
    """Passes TCP on to S3, unless it is told to do harm.

    `harm` is asked for each request with its head, in lower case; it returns what is to happen:
    "" (nothing), "503 SlowDown" (that answer), "hang" (none), "slow" (a second later), "reset" (in
    the middle of the body, where there is one), "cut" (the answer ends after its head), "deaf" (S3
    does it, and nobody is told).
    """

    def __init__(self, endpoint: str) -> None:
        self._port = int(endpoint.rpartition(":")[2])
        self.harm: Callable[[str], str] = lambda head: ""
        self.heads: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more; what hangs is let go."""
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(ours,), daemon=True).start()

    def _serve(self, ours: socket.socket) -> None:
        with ours, suppress(OSError):
            ours.settimeout(30)
            head = b""
            while b"\r\n\r\n" not in head:
                piece = ours.recv(65_536)
                if not piece:
                    return
                head += piece
            text = head.decode("latin-1").lower()
            self.heads.append(text)
            match self.harm(text):
                case "hang":
                    self._ended.wait(30)
                case "reset":
                    if text.startswith("put"):
                        with suppress(TimeoutError):
                            ours.settimeout(2)
                            ours.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                            ours.recv(1024)
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                case "slow":
                    self._ended.wait(SLOW_S)
                    self._pass(ours, head, "")
                case "" | "cut" | "deaf" as harm:
                    self._pass(ours, head, harm)
                case answer:
                    self._answer(ours, *answer.split())

    def asked(self, verb: str, part: str = "") -> int:
        """How many requests there were of this verb whose head has this part."""
        return sum(head.startswith(verb.lower()) and part in head for head in list(self.heads))

    def _answer(self, ours: socket.socket, status: str, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>A test says so.</Message></Error>"
        head = f"HTTP/1.1 {status} No\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        ours.sendall((head + body).encode())
        ours.shutdown(socket.SHUT_WR)
        while ours.recv(65_536):
            pass

    def _pass(self, ours: socket.socket, head: bytes, harm: str) -> None:
        with socket.create_connection(("127.0.0.1", self._port), 30) as theirs:
            lines = head.split(b"\r\n")
            first = lines[0]
            # One request a connection: then each is asked about.
            others = [one for one in lines[1:] if not one.lower().startswith(b"connection:")]
            theirs.sendall(b"\r\n".join([first, b"connection: close", *others]))
            up = threading.Thread(target=_copy, args=(ours, theirs), daemon=True)
            up.start()
            if not harm:
                _copy(theirs, ours)
                return
            answer = b""
            while b"\r\n\r\n" not in answer or answer.startswith(b"HTTP/1.1 100"):
                answer = b"" if answer.endswith(b"\r\n\r\n") else answer + theirs.recv(1)
            if harm == "cut":
                ours.sendall(answer + theirs.recv(10))
            ours.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
