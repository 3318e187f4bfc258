"""Durable workflows, from the request that starts one until its end is in the store.

That it has ended is told by a handler that looks, and looking takes the machine's time from what is
measured. So of one that runs alone it is asked when it should be over, and the store says when it
was; of several at once a look is at those alone that run.
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
WARM_S = 1
ENDING_MS = 1  # the store tells an end to the millisecond: the end of that is meant
SLACK = 1.5  # of what the last ones took, until it is asked when one has ended
LAST = 20
PATIENCE_S = 300
SAMPLE_S = 0.2
MAPS = (100, 1_000, 10_000)


class Slot:
    """One connection, on which one request after the other is sent."""

    def __init__(self, server: Server) -> None:
        self.name = ""
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self._socket.fileno()

    def start(self, workflow: str, name: str, items: int = 0) -> None:
        """Ask for an execution; do not wait."""
        self.name = name
        self._send(f"POST /{workflow}", json.dumps({"name": name, "items": items}))

    def ask(self, path: str) -> None:
        """Ask how it stands with executions; do not wait."""
        self._send(f"GET {path}", "")

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


def _alone(server: Server, workflow: str, seconds: float, mark: str) -> list[float]:
    """How long each of those took in ms that ran one after the other."""
    taken: list[float] = []
    with _slots(server, 1) as (slot,):
        until = time.perf_counter() + seconds
        while not taken or time.perf_counter() < until:
            name, begun_ms = f"{mark}-{len(taken)}", time.time() * 1000
            slot.start(workflow, name)
            slot.read()
            if taken:
                over_ms = begun_ms + SLACK * percentile(taken[-LAST:], 50)
                time.sleep(max(0, over_ms - time.time() * 1000) / 1000)
            taken.append(_end_ms(slot, workflow, name) - begun_ms)
    return taken


def _end_ms(slot: Slot, workflow: str, name: str) -> float:
    """When an execution has ended, in ms since 1970; waits for it."""
    until = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < until:
        slot.ask(f"/end/{workflow}/{name}")
        ended_ms = json.loads(slot.read())
        if ended_ms:
            return float(ended_ms + ENDING_MS)
    raise BenchError(f"{workflow} {name} does not end")


def _many(server: Server, workflow: str, at_once: int, seconds: float, mark: str) -> float:
    """How many ended in a second where so many ran at a time."""
    count = number = 0
    with _slots(server, at_once + 1) as (looker, *idle):
        begun = time.perf_counter()
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
                looker.ask(f"/ended/{workflow}?names={','.join(running)}")
                looking = True
            if not (starting or running):
                break
            readable, _, _ = select.select([*starting, looker], [], [], PATIENCE_S)
            if not readable:
                raise BenchError(f"{workflow}: nothing ends")
            for slot in readable:
                said = slot.read()
                if slot is looker:
                    looking = False
                    ended = [running.pop(name) for name in json.loads(said)]
                    count += len(ended)
                    idle += ended
                else:
                    starting.remove(slot)
                    running[slot.name] = slot
        per_s = count / (time.perf_counter() - begun)
        looker.ask(f"/failed/{workflow}")
        if looker.read() != b"0":
            raise BenchError(f"{workflow}: some have failed")
    return per_s


def _ten(bench: Bench, workflow: str) -> dict[str, float]:
    with ours.serving(ours.WORKFLOWS, bench.folder, "--no-access-log") as server:
        _many(server, workflow, AT_ONCE, WARM_S, "warm")
        alone_ms = _alone(server, workflow, bench.seconds, "alone")
        per_s = _many(server, workflow, AT_ONCE, bench.seconds, "many")
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
        begun_ms, peak_mb = time.time() * 1000, 0.0
        slot.start("items", name, items)
        slot.read()
        while True:
            slot.ask(f"/end/items/{name}")
            while not select.select([slot], [], [], SAMPLE_S)[0]:
                peak_mb = max(peak_mb, tree_pss_mb(server.pid))
            ended_ms = json.loads(slot.read())
            if ended_ms:
                break
            if time.time() * 1000 - begun_ms > PATIENCE_S * 1000:
                raise BenchError(f"a map over {items} items does not end")
        taken_s = (ended_ms + ENDING_MS - begun_ms) / 1000
        return taken_s, max(peak_mb, tree_pss_mb(server.pid))


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
