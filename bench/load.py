"""Load from outside: what to send, and what came of it.

Throughput and latencies come from `wrk` where it is installed, else from the generator of our own
(`bench/generator.py`), always a process apart from the server's and from the runner's. A result
says which one it was; a floor and its counterpart always get the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
WRK_LUA = HERE / "wrk.lua"
SLACK_S = 30


class BenchError(Exception):
    """A figure cannot be measured honestly; the text says why."""


class Request(msgspec.Struct, frozen=True):
    """What every connection sends again and again."""

    path: str
    body: str
    port: int
    headers: dict[str, str] = {}

    def fields(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **self.headers}


class Plan(msgspec.Struct, frozen=True):
    """A load. With a rate it is open-loop: requests leave on time, whatever became of the last."""

    request: Request
    connections: int
    seconds: float
    rate_per_s: float = 0


class Load(msgspec.Struct, frozen=True):
    """What came of it. Latencies are those of good answers, in milliseconds."""

    generator: str
    good: int
    bad: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    first_bad: str = ""

    @property
    def per_s(self) -> float:
        return self.good / self.seconds


def have_wrk() -> bool:
    return shutil.which("wrk") is not None


def drive(plan: Plan, generator: str = "") -> Load:
    """Run the load and return its result; `generator` is `wrk`, `own`, or empty to choose.

    Raises BenchError where an answer was not a 2xx: a rate of refusals is not a rate.
    """
    chosen = generator or ("wrk" if have_wrk() and not plan.rate_per_s else "own")
    if chosen == "wrk" and plan.rate_per_s:
        raise BenchError("wrk cannot keep a rate; use the generator of our own")
    load = _wrk(plan) if chosen == "wrk" else _own(plan)
    if load.bad or not load.good:
        raise BenchError(
            f"{load.bad} of {load.good + load.bad} answers from {plan.request.path} were not 2xx"
            + (f"; the first: {load.first_bad}" if load.first_bad else "")
        )
    return load


def _own(plan: Plan) -> Load:
    done = subprocess.run(
        [sys.executable, "-m", "bench.generator"],
        input=msgspec.json.encode(plan),
        stdout=subprocess.PIPE,
        cwd=HERE.parent,
        timeout=plan.seconds + SLACK_S,
        check=False,
    )
    if done.returncode:
        raise BenchError("the load generator failed; its error is above")
    return msgspec.json.decode(done.stdout, type=Load)


def _wrk(plan: Plan) -> Load:
    request = plan.request
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        script.write_text(wrk_script(request))
        command = ["wrk", "-t1", f"-c{plan.connections}", f"-d{max(1, round(plan.seconds))}s"]
        command += ["--timeout", "10s", "-s", str(script)]
        command += [f"http://127.0.0.1:{request.port}{request.path}"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=plan.seconds + SLACK_S, check=False
        )
    if done.returncode:
        raise BenchError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    return read_wrk(done.stdout)


def wrk_script(request: Request) -> str:
    """The Lua which makes wrk send `request` and end with one line of JSON."""
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(request.body)}"]
    for name, value in request.fields().items():
        lines.append(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}")
    return "\n".join([*lines, WRK_LUA.read_text()])


def read_wrk(output: str) -> Load:
    """Read the last line of what wrk printed. wrk counts in microseconds."""
    said = json.loads(output.strip().rpartition("\n")[2])
    return Load(
        generator="wrk",
        good=said["requests"] - said["status"],
        bad=said["status"] + said["socket"],
        seconds=said["duration_us"] / 1e6,
        p50_ms=said["p50_us"] / 1000,
        p99_ms=said["p99_us"] / 1000,
        max_ms=said["max_us"] / 1000,
    )
