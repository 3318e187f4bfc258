"""Versions, scale and ends: reload under load, many at once, none when idle, a graceful stop."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from wherry.engine.controlwire import EngineSaid

from .server_kit import Engine, Reply, running, serving, tries, until
from .stores_kit import both_stores

APP = """
import os, time
from wherry import App, Struct

app = App("steps")

class Job(Struct):
    number: int

class Done(Struct):
    number: int
    version: int

jobs = app.queue(Job)
dones = app.table(Done, key="number")

@app.get("/")
def version() -> int:
    return VERSION

def held() -> None:
    "As long as there is the file that a test has made."
    while os.path.exists("HELD"):
        time.sleep(0.01)

@app.get("/slow")
def slow() -> int:
    held()
    return VERSION

@app.get("/waits")
def waits() -> int:
    held()
    return os.getpid()

@app.post("/jobs/{number}", grants=[jobs.send])
def send(number: int) -> None:
    jobs.send(Job(number))

@app.consume(jobs, concurrency=2, grants=[dones.write])
def work(job: Job) -> None:
    held()
    dones.put(Done(job.number, VERSION), if_absent=True)

@app.get("/jobs/{number}", grants=[dones.read])
def look(number: int) -> int:
    done = dones.get(number)
    return done.version if done else 0
"""


def write(folder: Path, version: int, text: str = APP) -> None:
    folder.mkdir(exist_ok=True)
    text = text.replace("VERSION", str(version)).replace("HELD", str(folder.parent / "held"))
    (folder / "steps.py").write_text(text)


@contextmanager
def holding(engine: Engine) -> Iterator[Callable[[], None]]:
    """Have handlers wait; the caller gets what lets them go on."""
    file = engine.root.parent / "held"
    file.touch()

    def go() -> None:
        file.unlink(missing_ok=True)

    try:
        yield go
    finally:
        go()


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[Engine]:
    write(tmp_path / "code", 1)
    with serving("steps", tmp_path / "data", folder=tmp_path / "code") as engine:
        yield engine


@contextmanager
def asking(engine: Engine, clients: int = 4) -> Iterator[list[Reply]]:
    """Clients that ask for `/` all the while; the list gets every answer."""
    found: list[Reply] = []
    stop = threading.Event()

    def ask() -> None:
        client = engine.http()
        while not stop.is_set():
            found.append(client("GET", "/"))
        client.close()

    with ThreadPoolExecutor(clients) as threads:
        asked = [threads.submit(ask) for _ in range(clients)]
        try:
            yield found
        finally:
            stop.set()
    for one in asked:
        one.result(60)


def test_a_new_version_is_taken_over_under_load_without_a_failed_request(steps: Engine) -> None:
    """First only the old answers, then only the new; no request is refused or lost."""
    code = steps.root.parent / "code"
    with asking(steps) as found:
        for version in (2, 3):
            write(code, version)
            steps.call("reload")
            mark = len(found)
            until(lambda: len(found) > mark + 40, "answers")  # noqa: B023
            assert {reply.body for reply in found[mark + 8 :]} == {str(version).encode()}
    assert {reply.status for reply in found} == {200}
    until(lambda: len(steps.status()["zygotes"]) == 1, "the end of the old versions")


HELD = """
import os, time
from wherry import App, Struct, log

app = App("steps")

class Job(Struct):
    number: int

class Run(Struct):
    number: int
    runs: int = 0

runs = app.table(Run, key="number")

@app.get("/runs/{number}", grants=[runs.read])
def look(number: int) -> int:
    found = runs.get(number)
    return found.runs if found else 0
"""
QUEUE = """
jobs = app.queue(Job)

@app.post("/jobs/{number}", grants=[jobs.send])
def send(number: int) -> None:
    jobs.send(Job(number), delay_s=0 if number == 1 else 2.5)

@app.consume(jobs, concurrency=2, grants=[runs.write])
def work(job: Job) -> None:
    if job.number == 1:
        log.info("the first began")
        while not os.path.exists("GATE"):
            time.sleep(0.01)
    runs.add(job.number, runs=1)
"""


@both_stores
def test_what_a_run_reads_is_judged_by_the_version_that_it_is_of(tmp_path: Path) -> None:
    """Also when the next one serves already, and has no function of its name."""
    code = APP.replace("    done = dones.get", "    held()\n    done = dones.get")
    write(tmp_path / "code", 1, code)
    with (
        serving("steps", tmp_path / "data", folder=tmp_path / "code") as engine,
        holding(engine) as go,
        ThreadPoolExecutor(1) as thread,
    ):
        reply = thread.submit(engine.once, "GET", "/jobs/1")
        until(lambda: engine.pools()["look"]["busy"] > 0, "the run")
        write(tmp_path / "code", 2, code.replace("def look(", "def fetch("))
        engine.call("reload")
        go()
        assert (reply.result().status, reply.result().json()) == (200, 0)


@both_stores
def test_what_a_queue_of_an_older_version_has_in_hand_stays_leased(tmp_path: Path) -> None:
    """It is not run beside itself when the queue is declared anew, and its effect is there."""
    code, gate = tmp_path / "code", tmp_path / "gate"
    whole = HELD + QUEUE.replace("GATE", str(gate))
    bounds = {"LEASE_S": 1.0, "LEASE_RENEW_S": 0.2, "POLL_S": 0.2}
    write(code, 1, whole)
    with serving("steps", tmp_path / "data", folder=code, limits=bounds) as engine:
        assert engine.client("POST", "/jobs/1").status == 204
        until(lambda: engine.lines(message="the first began"), "the beginning")
        write(code, 2, HELD)
        engine.call("reload")
        assert engine.client("POST", "/jobs/2").status == 404
        write(code, 3, whole)
        engine.call("reload")
        assert engine.client("POST", "/jobs/2").status == 204
        # This one is due only when a lease that nobody extends would have run out.
        until(lambda: engine.client("GET", "/runs/2").json() == 1, "the later message")
        gate.touch()
        until(lambda: engine.client("GET", "/runs/1").json() == 1, "the first message")
        until(lambda: engine.drained("jobs"), "an empty queue")
        assert len(engine.lines(message="the first began")) == 1
        assert engine.client("GET", "/runs/1").json() == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("raise RuntimeError('no')\n", "RuntimeError: no"),
        (APP + "\n@app.get('/')\ndef twice() -> int:\n    return 1\n", "twice"),
        ("import os\nos._exit(1)\n", "ended"),
    ],
    ids=["syntax", "raises", "findings", "exits"],
)
def test_a_broken_version_is_refused_and_the_old_one_goes_on(
    steps: Engine, text: str, says: str
) -> None:
    """Who asked for the reload is told why; nobody else notices."""
    write(steps.root.parent / "code", 2, text)
    with asking(steps) as found:
        with pytest.raises(EngineSaid, match=says):
            steps.call("reload")
        mark = len(found)
        until(lambda: len(found) > mark + 10, "answers")
    assert {(reply.status, reply.body) for reply in found} == {(200, b"1")}
    assert steps.client("GET", "/readyz").status == 200


def test_a_version_that_gives_a_table_with_items_another_key_is_refused(steps: Engine) -> None:
    """It would not find what is there; the old version goes on and does."""
    assert steps.client("POST", "/jobs/1", b"").status == 204
    until(lambda: steps.client("GET", "/jobs/1").json() == 1, "the item")
    text = APP.replace('key="number"', 'key="version"')
    write(steps.root.parent / "code", 2, text)
    with pytest.raises(EngineSaid, match=r"stored by key=number \(number\); .* key=version"):
        steps.call("reload")
    assert steps.client("GET", "/jobs/1").json() == 1
    assert steps.client("GET", "/").json() == 1


def test_what_a_new_version_leaves_behind_is_told_with_what_to_do(steps: Engine) -> None:
    """Classes were renamed, and with them a table with an item and a queue with messages."""
    assert steps.client("POST", "/jobs/1", b"").status == 204
    until(lambda: steps.client("GET", "/jobs/1").json() == 1, "the item")
    with holding(steps) as go:
        for number in range(2, 7):
            assert steps.client("POST", f"/jobs/{number}", b"").status == 204
        renamed = APP.replace("app.queue(Job)", 'app.queue(Job, name="tasks")')
        renamed = renamed.replace('key="number"', 'key="number", name="ends"')
        write(steps.root.parent / "code", 2, renamed)
        steps.call("reload")
        until(lambda: "in the queue 'jobs' for nobody" in steps.said(), "the queue's warning")
        assert "1 item(s) of the table 'dones' are out of reach" in steps.said()
        assert "give it its old name: name='jobs'" in steps.said()
        go()


def test_work_that_runs_finishes_on_its_own_version(steps: Engine) -> None:
    """A request that began before the switch is answered by the version that began it."""
    with ThreadPoolExecutor(2) as threads, holding(steps) as go:
        old = threads.submit(steps.once, "GET", "/slow")
        until(lambda: steps.pools()["slow"]["busy"], "its beginning")
        write(steps.root.parent / "code", 2)
        steps.call("reload")
        assert steps.client("GET", "/").json() == 2
        assert not old.done()
        go()
        assert old.result(30).json() == 1


def test_messages_that_wait_are_run_by_the_new_version(steps: Engine) -> None:
    """Each is done once, by one version or the other."""
    with holding(steps) as go:
        for number in range(1, 9):
            assert steps.client("POST", f"/jobs/{number}", b"").status == 204
        until(lambda: steps.pools()["work"]["busy"], "the first job")
        write(steps.root.parent / "code", 2)
        steps.call("reload")
        go()
    until(lambda: steps.drained("jobs"), "an empty queue")
    done = [steps.client("GET", f"/jobs/{number}").json() for number in range(1, 9)]
    assert set(done) == {1, 2}
    assert done[-1] == 2
    assert not steps.failures("jobs").rows


def test_a_stop_finishes_what_runs_and_gives_back_what_waits(steps: Engine) -> None:
    """The running request is answered, running jobs commit, waiting ones are there afterwards."""
    with ThreadPoolExecutor(1) as threads, holding(steps) as go:
        for number in range(1, 9):
            assert steps.client("POST", f"/jobs/{number}", b"").status == 204
        slow = threads.submit(steps.once, "GET", "/slow")
        until(lambda: steps.pools()["slow"]["busy"], "its beginning")
        until(lambda: steps.pools()["work"]["busy"], "the first job")
        os.kill(steps.pid, signal.SIGTERM)
        until(lambda: "stopping: finishing" in steps.said(), "the stop")
        go()
        assert steps.wait() == 0
        assert slow.result(30).json() == 1
    assert "Traceback" not in steps.said()
    steps.start()
    until(lambda: steps.drained("jobs"), "an empty queue")
    done = [steps.client("GET", f"/jobs/{number}").json() for number in range(1, 9)]
    assert done == [1] * 8
    assert not steps.failures("jobs").rows


def test_many_waiting_handlers_scale_out_to_the_cap_and_end_when_idle(tmp_path: Path) -> None:
    """64 requests that wait for an outside service run in 32 processes; then there are none."""
    write(tmp_path / "code", 1)
    bounds = {"IDLE_ENVIRONMENT_S": 0.4, "FREE_MEMORY_MB": 0}
    with serving("steps", tmp_path / "data", folder=tmp_path / "code", limits=bounds) as engine:
        with ThreadPoolExecutor(64) as threads:
            with holding(engine) as go:
                asked = [threads.submit(engine.once, "GET", "/waits") for _ in range(64)]
                until(lambda: engine.pools()["waits"]["busy"] == 32, "as many as may be", 22.0)
                go()
            replies = [one.result(30) for one in asked]
        assert {reply.status for reply in replies} == {200}
        pids = {int(reply.body) for reply in replies}
        assert len(pids) <= 32
        until(lambda: not engine.environments("waits"), "none when idle")
        until(lambda: not any(map(running, pids)), "their end")
        assert engine.client("GET", "/waits").status == 200


def test_a_hangup_reloads(steps: Engine) -> None:
    """SIGHUP is the reload of who has only a process ID."""
    write(steps.root.parent / "code", 2)
    os.kill(steps.pid, signal.SIGHUP)
    until(lambda: steps.client("GET", "/").json() == 2, "the new version")


def write_slow(folder: Path, version: int) -> Path:
    """Write a version that says that it is being imported, and then waits to be let go on."""
    importing = folder.parent / "importing"
    write(folder, version, f"{APP}\nopen({str(importing)!r}, 'w').close()\nheld()\n")
    return importing


def test_a_reload_while_another_version_is_being_loaded_takes_its_turn(steps: Engine) -> None:
    """What is being loaded may have been read before the last change was made."""
    code = steps.root.parent / "code"
    with ThreadPoolExecutor(1) as threads, holding(steps) as go:
        importing = write_slow(code, 2)
        os.kill(steps.pid, signal.SIGHUP)
        until(importing.exists, "the import of the second version")
        write(code, 3)
        asked = threads.submit(steps.call, "reload")
        go()
        asked.result(40)
        assert steps.client("GET", "/").json() == 3


def test_what_is_written_while_it_is_being_imported_is_loaded_again(tmp_path: Path) -> None:
    """An editor that formats what it has just saved writes twice within a few milliseconds."""
    code = tmp_path / "code"
    write(code, 1)
    engine = Engine("steps", tmp_path / "data", folder=code, verb="dev")
    try:
        engine.start()
        with holding(engine) as go:
            importing = write_slow(code, 2)
            until(importing.exists, "the import of the second version")
            write(code, 3)
            go()
            until(lambda: engine.client("GET", "/").json() == 3, "the third version")
    finally:
        engine.close()


def test_an_edit_ends_an_import_that_hangs(tmp_path: Path) -> None:
    """`wherry dev` serves what is saved last, long before such an import would be given up."""
    code = tmp_path / "code"
    write(code, 1)
    engine = Engine("steps", tmp_path / "data", folder=code, verb="dev")
    try:
        engine.start()
        began = tmp_path / "began"
        (code / "steps.py").write_text(
            f"import time\nopen({str(began)!r}, 'w').close()\ntime.sleep(1000)\n"
        )
        until(began.exists, "an import that hangs")
        write(code, 3)
        until(lambda: engine.client("GET", "/").json() == 3, "the third version")
    finally:
        engine.close()


def test_an_engine_that_is_stopped_at_once_ends_at_once(tmp_path: Path) -> None:
    """Also while a thread of it still makes the issuer's key and wants to keep it."""
    for number in range(3):
        engine = Engine("desk", tmp_path / f"data-{number}")
        engine.launch()
        try:
            until(lambda: "is served at" in engine.said(), "its start")  # noqa: B023
            os.kill(engine.pid, signal.SIGTERM)
            assert engine.wait(25) == 0  # before the 30 s that what runs would get
        finally:
            engine.close()


def test_an_engine_whose_output_nobody_reads_goes_on(tmp_path: Path) -> None:
    """A reader that stalls loses lines, which are in the log files all the same; nobody waits."""
    engine = Engine("desk", tmp_path / "data", limits={"TERMINAL_BYTES": 20_000})
    read, write = os.pipe()
    try:
        engine.launch(write)
        os.close(write)
        until(lambda: tries(lambda: engine.client("GET", "/readyz").status == 200), "ready")
        for number in range(600):
            assert engine.client("POST", "/echo", number).status == 200
        shown = b""

        def told() -> bool:
            nonlocal shown
            if select.select([read], [], [], 0)[0]:
                shown += os.read(read, 1 << 20)
            return b"were not shown: nobody read them" in shown

        until(told, "the count of lost lines")
        logs = engine.root / "logs" / "app.jsonl"
        line = b'"message":"POST /echo"'
        until(lambda: logs.read_bytes().count(line) == 600, "all lines in the file")
        assert 0 < shown.count(line) < 600
        assert engine.stop() == 0
    finally:
        engine.close()
        os.close(read)


def test_another_app_on_a_store_is_refused_unless_it_is_a_new_name(tmp_path: Path) -> None:
    """As where a data folder, or a file with an address, was copied by mistake."""
    code, data = tmp_path / "code", tmp_path / "data"
    write(code, 1)
    with serving("steps", data, folder=code) as engine:
        engine.client("POST", "/jobs/1")
        until(lambda: engine.client("GET", "/jobs/1").json() == 1, "the job")
        assert engine.stop() == 0
    write(code, 2, APP.replace('App("steps")', 'App("stairs")'))
    refused = Engine("steps", data, folder=code, output=tmp_path / "refused")
    refused.launch()
    assert refused.wait() == 1
    assert "This store is that of the app 'steps'" in refused.said()
    assert "--renamed" in refused.said()
    with serving("steps", data, folder=code, arguments=["--renamed"]) as engine:
        assert engine.client("GET", "/jobs/1").json() == 1
        assert engine.stop() == 0
    with serving("steps", data, folder=code) as engine:
        assert engine.client("GET", "/").json() == 2
