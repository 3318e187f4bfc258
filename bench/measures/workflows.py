"""Durable workflows, from the request that starts one until its end is in the store.

That it has ended is told by a handler that looks again and again; each look is a read of the store,
which takes its time from what is measured. So nobody looks before the end is near.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator

from bench import ours
from bench.context import Bench, Measure
from bench.floors.commit import typical_ms
from bench.floors.f2 import SEND_JOB, open_store
from bench.load import BenchError
from bench.processes import Server, tree_pss_mb
from bench.stats import percentile

COMMITS = 12  # of a workflow of ten tasks: its start, its first step, ten ends of tasks
AT_ONCE = 8
PAUSE_S = 0.003  # between two looks whether one has ended
ALONE_PAUSE_S = 0.0003
UNSEEN = 0.5  # of the time that the quickest took, nobody looks ...
ASKING_MS = 2  # ... but for so much of it, which asking takes itself
PATIENCE_S = 300
SAMPLE_S = 0.2
MAPS = (100, 1_000, 10_000)


class Slot:
    """One connection, on which one request after the other is sent."""

    def __init__(self, server: Server) -> None:
        self.name = ""
        self.begun = 0.0
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self._socket.fileno()

    def start(self, workflow: str, name: str, items: int = 0) -> None:
        """Ask for an execution; do not wait."""
        self.name, self.begun = name, time.perf_counter()
        self._send(f"POST /{workflow}", json.dumps({"name": name, "items": items}))

    def ask(self, workflow: str, names: list[str], pause_s: float, after_s: float) -> None:
        """Ask which of these have ended; the answer comes when one has."""
        looks = f"pause_s={pause_s}&after_s={after_s:.6f}"
        self._send(f"GET /ended/{workflow}?names={','.join(names)}&{looks}", "")

    def _send(self, line: str, body: str) -> None:
        head = f"{line} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        self._socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def read(self) -> bytes:
        """Return the body of the answer."""
        said = self._socket.recv(65_536)
        if not said.startswith(b"HTTP/1.1 20"):
            raise BenchError(f"{said[:500]!r}")
        return said.partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def _slots(server: Server, count: int) -> Iterator[list[Slot]]:
    slots = [Slot(server) for _ in range(count)]
    try:
        yield slots
    finally:
        for slot in slots:
            slot.close()


def _run(
    server: Server, workflow: str, at_once: int, seconds: float, mark: str
) -> tuple[list[float], float]:
    """How long each workflow took in ms, and how many ended in a second."""
    taken: list[float] = []
    pause_s = ALONE_PAUSE_S if at_once == 1 else PAUSE_S
    with _slots(server, at_once + 1) as (looker, *idle):
        begun, number = time.perf_counter(), 0
        starting: list[Slot] = []
        running: dict[str, Slot] = {}
        looking = False
        while True:
            while idle and time.perf_counter() - begun < seconds:
                slot = idle.pop()
                slot.start(workflow, f"{mark}-{number}")
                starting.append(slot)
                number += 1
            if running and not looking:
                unseen_ms = UNSEEN * min(taken) - ASKING_MS if taken and at_once == 1 else 0
                looker.ask(workflow, list(running), pause_s, max(0, unseen_ms) / 1000)
                looking = True
            if not (starting or running):
                return taken, len(taken) / (time.perf_counter() - begun)
            readable, _, _ = select.select([*starting, looker], [], [], PATIENCE_S)
            if not readable:
                raise BenchError(f"{workflow}: nothing ends")
            for slot in readable:
                said = slot.read()
                if slot is looker:
                    looking = False
                    for name in json.loads(said):
                        ended = running.pop(name)
                        taken.append((time.perf_counter() - ended.begun) * 1000)
                        idle.append(ended)
                else:
                    starting.remove(slot)
                    running[slot.name] = slot


def _ten(bench: Bench, workflow: str) -> dict[str, float]:
    with ours.serving(ours.WORKFLOWS, bench.folder, "--no-access-log") as server:
        _run(server, workflow, AT_ONCE, 1, "warm")
        alone_ms, _ = _run(server, workflow, 1, bench.seconds, "alone")
        _, per_s = _run(server, workflow, AT_ONCE, bench.seconds, "many")
        return {
            f"workflow_ten_{workflow}_ms_p50": percentile(alone_ms, 50),
            f"workflow_ten_{workflow}_per_s": per_s,
        }


def _floor(bench: Bench) -> dict[str, float]:
    """The same commits with nothing around them: alone, and shared by as many as run at once."""
    store = open_store(bench.folder)
    body = b"x" * 500

    def commit() -> None:
        for _ in range(COMMITS):
            store.execute(SEND_JOB, (body,))

    def shared() -> None:
        for _ in range(COMMITS):
            with store:
                for _ in range(AT_ONCE):
                    store.execute(SEND_JOB, (body,))

    return {
        "workflow_ten_tasks_ms_p50": typical_ms(commit),
        "workflow_ten_tasks_per_s": AT_ONCE * 1000 / typical_ms(shared),
    }


def _maps(bench: Bench) -> dict[str, float]:
    """A distributed map over ever more items: the time of one, and the memory of all processes."""
    found: dict[str, float] = {}
    with ours.serving(ours.WORKFLOWS, bench.folder, "--no-access-log") as server:
        _map(server, MAPS[0], "warm")
        for items in MAPS[:-1] if bench.quick else MAPS:
            taken_s, peak_mb = _map(server, items, f"m{items}")
            found[f"workflow_map_ms_per_item_{items}"] = taken_s * 1000 / items
            found[f"workflow_map_mb_{items}"] = peak_mb
    return found


def _map(server: Server, items: int, name: str) -> tuple[float, float]:
    with _slots(server, 1) as (slot,):
        slot.start("items", name, items)
        begun, peak_mb, ended = slot.begun, 0.0, False
        slot.read()
        while not ended:
            slot.ask("items", [name], PAUSE_S, 0)
            while not select.select([slot], [], [], SAMPLE_S)[0]:
                peak_mb = max(peak_mb, tree_pss_mb(server.pid))
                if time.perf_counter() - begun > PATIENCE_S:
                    raise BenchError(f"a map over {items} items does not end")
            ended = slot.read() != b"[]"
        return time.perf_counter() - begun, max(peak_mb, tree_pss_mb(server.pid))


TASKS = Measure(
    name="workflow_tasks",
    about=f"ten tasks one after the other, alone and {AT_ONCE} workflows at a time",
    figures=("workflow_ten_tasks_ms_p50", "workflow_ten_tasks_per_s"),
    ours=lambda bench: _ten(bench, "tasks"),
    floor=_floor,
)
PASSES = Measure(
    name="workflow_passes",
    about=f"ten states that wait for nothing, alone and {AT_ONCE} workflows at a time",
    figures=("workflow_ten_passes_ms_p50", "workflow_ten_passes_per_s"),
    ours=lambda bench: _ten(bench, "passes"),
)
MAP = Measure(
    name="workflow_map",
    about="a distributed map, 40 items at a time: milliseconds an item, and peak memory",
    figures=tuple(
        f"workflow_map_{what}_{items}" for items in MAPS for what in ("ms_per_item", "mb")
    ),
    ours=_maps,
)
