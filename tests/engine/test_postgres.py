"""Engines on one Postgres, in processes of their own: they share the work, take over from each
other, and wait together for a database that is away.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.postgres_kit import Server
from tests.s3_kit import KEYS, S3
from wherry.ports import ExecutionRow, FindExecution, Redrive
from wherry.runtime.process.trees import descendants

from .server_kit import APPS, WHERRY, Engine, serving, tries, until
from .shared_kit import ALONE, Wire, asked, engines

_numbers = itertools.count(1)
# What is said here of the store is all that an engine is told, whatever the suite runs on.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def safe() -> Iterator[Server]:
    """A server that keeps what it has acknowledged."""
    made = Server("shared_buffers=32MB", "max_connections=100")
    yield made
    made.remove()


@pytest.fixture
def dsn(safe: Server) -> str:
    """A database of the test's own."""
    name = f"test_{next(_numbers)}"
    asked(safe.dsn, f"CREATE DATABASE {name}")
    return f"postgres://wherry@/{name}?host={safe.folder}"


def place(engine: Engine, order_id: str, work_s: float = 0.0) -> int:
    """Place an order under its key; 0: the connection broke."""
    body = {"order_id": order_id, "work_s": work_s}
    headers = {"idempotency-key": order_id}
    with suppress(OSError):
        return engine.once("POST", "/orders", body, headers).status
    return 0


def runs(engine: Engine, trigger: str) -> int:
    """How many messages this engine has done."""
    return len(engine.lines(message=trigger, ending="ok"))


def test_an_engine_serves_an_app_over_postgres(dsn: str, tmp_path: Path) -> None:
    """Requests, tokens, stored answers, objects; it says where its state is, and so do verbs."""
    with engines("desk", dsn, tmp_path, 1) as (engine,):
        token = engine.token("alice", "customer")
        body = {"lines": [{"sku": "a", "count": 2}]}
        key = {"idempotency-key": "once"}
        made = engine.client("POST", "/orders", body, key, token)
        again = engine.client("POST", "/orders", body, key, token)
        assert (made.status, again.body) == (201, made.body)
        order_id = made.json()["order_id"]
        assert engine.client("GET", f"/orders/{order_id}", token=token).json() == made.json()
        assert engine.client("GET", "/totals/alice").json()["orders"] == 1
        upload(engine, engine, "note", b"text")
        given = urlsplit(engine.client("POST", "/downloads", {"key": "note"}).json())
        assert engine.client("GET", f"{given.path}?{given.query}").body == b"text"
        assert dsn in engine.said()
        assert engine.status()["store"]["where"] == dsn
    assert not (engine.root / "store.sqlite").exists()
    # Without an engine the folder knows which database to ask.
    found = verb("releases", engine, "--json")
    assert [row["digest"] for row in json.loads(found.stdout)] != []


def upload(signer: Engine, taker: Engine, key: str, content: bytes) -> None:
    """Let one engine sign, and upload to another."""
    asked_for = {"key": key, "size_bytes": len(content)}
    ticket = signer.client("POST", "/uploads", asked_for).json()
    url = urlsplit(ticket["url"])
    headers = {name: text for name, text in ticket["headers"].items() if name != "content-length"}
    headers["host"] = url.netloc
    assert taker.client("PUT", f"{url.path}?{url.query}", content, headers).status == 200


def verb(
    name: str, engine: Engine, *more: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a verb on an engine's data folder."""
    return subprocess.run(
        [*WHERRY, name, "--data", str(engine.root), *more],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )


def test_engines_share_a_queue_and_each_message_has_its_effect_once(
    dsn: str, tmp_path: Path
) -> None:
    """Orders come in at both, and jobs of both are in one queue."""
    count = 60
    with engines("ledger", dsn, tmp_path, 2) as both:
        first, second = both
        assert {engine.status()["store"]["node"] for engine in both} == {0, 1}
        with ThreadPoolExecutor(12) as threads:
            sent = [threads.submit(place, both[one % 2], f"o-{one}", 0.1) for one in range(count)]
            assert {one.result() for one in sent} == {201}
        until(lambda: second.drained("jobs"), "an empty queue")
        for engine in both:
            total = engine.client("GET", "/total").json()
            assert (total["placed"], total["done"]) == (count, count)
        looked = [first.client("GET", f"/orders/o-{one}").json() for one in range(count)]
        assert looked == [1] * count
        until(lambda: runs(first, "queue jobs") + runs(second, "queue jobs") == count, "all lines")
        assert min(runs(engine, "queue jobs") for engine in both) > 0


def test_a_url_that_one_engine_signed_is_taken_by_another(dsn: str, tmp_path: Path) -> None:
    """And so is a token: what a load balancer sends to another machine is no stranger there."""
    same = ["--public-url", "https://desk.example"]
    given = ["--store", dsn, ALONE, *same]
    with engines("desk", dsn, tmp_path, 2, arguments=given) as (first, second):
        upload(first, second, "note", b"text")
        body = {"lines": [{"sku": "a", "count": 1}]}
        made = first.client("POST", "/orders", body, token=first.token())
        found = second.client("GET", f"/orders/{made.json()['order_id']}", token=first.token())
        assert found.json() == made.json()
        assert "others do not find it" in second.said()


def test_what_a_killed_engine_held_is_done_by_another(dsn: str, tmp_path: Path) -> None:
    """Its messages in hand are delivered again when their leases end, without anybody's help."""
    short = {"LEASE_S": 3.0, "LEASE_RENEW_S": 1.0}
    with engines("ledger", dsn, tmp_path, 2, limits=short) as (first, second):
        names = [f"t-{one}" for one in range(12)]
        tasks = [{"name": name, "work_s": 0.5} for name in names]
        assert first.client("POST", "/tasks", {"tasks": tasks}).status == 200
        until(lambda: len(first.environments("task")) > 0, "messages in hand")
        first.kill()
        until(lambda: second.drained("tasks"), "all done by the other one", 60.0)
        done = [second.client("GET", f"/dones/{name}").json()["runs"] for name in names]
        assert done == [1] * len(names)
        assert second.failures("tasks").total == 0


def test_a_job_goes_on_beyond_its_lease_while_its_engine_stops(dsn: str, tmp_path: Path) -> None:
    """As at every new version: another one does not begin it again beside it."""
    short = {"LEASE_S": 1.5, "LEASE_RENEW_S": 0.3}
    with engines("ledger", dsn, tmp_path, 2, limits=short) as both:
        assert place(both[0], "long", work_s=3.0) == 201
        until(lambda: any(one.pools()["work"]["busy"] for one in both), "its job")
        stopping, other = sorted(both, key=lambda one: not one.pools()["work"]["busy"])
        assert stopping.stop() == 0
        assert other.client("GET", "/orders/long").json() == 1
        assert other.environments("work") == []


def test_a_postgres_that_dies_under_load_loses_and_repeats_nothing(
    safe: Server, dsn: str, tmp_path: Path
) -> None:
    """Away, it makes the engines not ready and their requests 503; back, all goes on by itself."""
    with engines("ledger", dsn, tmp_path, 2) as both, ThreadPoolExecutor(16) as threads:
        number = itertools.count()
        accepted: list[str] = []
        enough = False

        def customer(nth: int) -> None:
            while not enough:
                name = f"o-{next(number)}"
                until(lambda: place(both[nth % 2], name) == 201, f"an answer to {name}", 60.0)  # noqa: B023
                accepted.append(name)

        customers = [threads.submit(customer, nth) for nth in range(4)]
        try:
            for _ in range(2):
                before = len(accepted)
                until(lambda: len(accepted) > before + 30, "some orders")  # noqa: B023
                safe.stop()
                safe.start()
            safe.stop()
            for engine in both:
                until(lambda: engine.once("GET", "/readyz").status == 503, "not ready")  # noqa: B023
                refused = engine.once("POST", "/orders", {"order_id": "never"})
                assert refused.status == 503
                assert "retry-after" in refused.headers
            safe.start()
            for engine in both:
                until(lambda: engine.once("GET", "/readyz").status == 200, "ready")  # noqa: B023
            before = len(accepted)
            until(lambda: len(accepted) > before + 30, "orders again")
        finally:
            enough = True
        for one in customers:
            one.result()
        until(lambda: tries(lambda: both[0].drained("jobs")), "an empty queue", 60.0)
        until(lambda: both[1].client("GET", "/total").json()["done"] == len(accepted), "the jobs")
        assert both[0].client("GET", "/total").json()["placed"] == len(accepted)
        assert len(set(accepted)) == len(accepted)


def test_an_execution_goes_on_at_another_engine_when_its_own_is_killed(
    dsn: str, tmp_path: Path
) -> None:
    """Its steps are taken by whoever is there; the effects of each are there once."""
    quick = {"LEASE_S": 1.5, "LEASE_RENEW_S": 0.5}
    with engines("flows", dsn, tmp_path, 2, limits=quick) as (first, second):
        names = [f"e-{one}" for one in range(4)]
        for name in names:
            asked_for = {"name": name, "work_s": 0.3}
            assert first.client("POST", "/start/chain", asked_for).status == 204
        until(lambda: first.environments("work"), "a task that runs")
        first.kill()
        for name in names:
            found = until(lambda: ended(second, name), f"the end of {name}", 90.0)  # noqa: B023
            assert found.status == "SUCCEEDED"
            steps = [f"{name}.{step}" for step in ("one", "two", "three", "four")]
            assert [second.client("GET", f"/marks/{one}").json() for one in steps] == [1] * 4


def ended(engine: Engine, name: str) -> ExecutionRow | None:
    """Return an execution that has ended."""
    found = engine.ask(FindExecution("chain", name))
    assert isinstance(found, ExecutionRow)
    return None if found.status == "RUNNING" else found


def test_a_network_that_swallows_everything_is_seen_and_survived(
    safe: Server, dsn: str, tmp_path: Path
) -> None:
    """One engine is cut off: it says so and refuses, the other goes on; what the first had begun
    is there once, whoever did it."""
    wire = Wire(safe)
    name = dsn.partition("@/")[2].partition("?")[0]
    far = ["--store", f"postgres://wherry@{wire.address}/{name}", ALONE]
    short = {"POSTGRES_ANSWER_S": 2.0, "POSTGRES_RETRY_S": 2.0, "POSTGRES_PROBE_S": 0.2}
    near = Engine("ledger", tmp_path / "near", arguments=["--store", dsn, ALONE])
    with serving("ledger", tmp_path / "far", arguments=far, limits=short) as cut:
        try:
            near.start()
            assert place(cut, "before") == 201
            wire.cut(late=True)
            assert place(cut, "during") == 503
            until(lambda: cut.once("GET", "/readyz").status == 503, "not ready")
            refused = cut.once("POST", "/orders", {"order_id": "never"})
            assert (refused.status, "retry-after" in refused.headers) == (503, True)
            assert place(near, "meanwhile") == 201
            wire.mend()
            until(lambda: cut.once("GET", "/readyz").status == 200, "ready")
            (told,) = [
                one for one in cut.lines(level="ERROR") if "has not answered" in one["message"]
            ]
            assert told["message"].partition(" s: ")[2]  # and why
            until(lambda: cut.lines(message="the store answers again"), "a word that it is over")
            assert place(cut, "during") == 201
            assert place(cut, "after") == 201
            until(lambda: near.drained("jobs"), "an empty queue", 60.0)
            total = near.client("GET", "/total").json()
            assert (total["placed"], total["done"]) == (4, 4)
        finally:
            near.close()
            wire.close()


@pytest.mark.parametrize(
    ("shut", "opened", "why"),
    [
        ("NOLOGIN", "LOGIN", "not permitted to log in"),
        ("CONNECTION LIMIT 0", "CONNECTION LIMIT -1", "too many connections for role"),
    ],
)
def test_why_a_database_refuses_us_is_in_the_log_and_in_the_status(
    dsn: str, tmp_path: Path, shut: str, opened: str, why: str
) -> None:
    """Once, however long that lasts; it goes on by itself when it lets us in again."""
    role = f"role_{next(_numbers)}"
    asked(dsn, f"CREATE ROLE {role} LOGIN")
    asked(dsn, f"GRANT CREATE ON DATABASE {dsn.partition('@/')[2].partition('?')[0]} TO {role}")
    ours = dsn.replace("wherry@", f"{role}@")
    with serving("ledger", tmp_path / "data", arguments=["--store", ours, ALONE]) as engine:
        assert place(engine, "before") == 201
        asked(dsn, f"ALTER ROLE {role} {shut}")
        asked(
            dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE usename = '{role}' AND pid <> pg_backend_pid()",
        )

        def told() -> list[str]:
            return [
                one["message"]
                for one in engine.lines(level="ERROR")
                if "has not answered" in one["message"]
            ]

        until(lambda: [one for one in told() if why in one], "the reason")
        assert why in verb("status", engine).stdout
        asked(dsn, f"ALTER ROLE {role} {opened}")
        until(lambda: engine.lines(message="the store answers again"), "a word that it is over")
        assert "does not answer" not in verb("status", engine).stdout
        assert place(engine, "after") == 201
        assert [why in one for one in told()].count(True) == 1
        assert len(told()) <= 2  # without the reason first, where that was not known yet


def test_a_commit_that_never_succeeds_is_bounded_by_the_attempts(dsn: str, tmp_path: Path) -> None:
    """Each attempt is one run, however often its commit is made again; then a person has it."""
    quick = {"COMMIT_AGAIN_S": 0.01, "COMMIT_AGAIN_MAX_S": 0.02, "POSTGRES_TRIES": 1}
    body = "BEGIN RAISE 'not now' USING ERRCODE = '40001'; END"
    with engines("ledger", dsn, tmp_path, 1, limits=quick) as (engine,):
        asked(dsn, f"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
        asked(dsn, "CREATE TRIGGER t BEFORE INSERT ON wherry.items EXECUTE FUNCTION no()")
        assert engine.client("POST", "/tasks", {"tasks": [{"name": "t"}]}).status == 200
        until(lambda: engine.failures("tasks").total, "the inbox")
        (failure,) = engine.failures("tasks").rows
        assert failure.attempts == 3
        assert "not now" in failure.error
        until(lambda: len(engine.lines(message="queue tasks")) >= 3, "a line for each run")
        assert len(engine.lines(message="queue tasks", ending="failed")) == 3
        asked(dsn, "DROP FUNCTION no() CASCADE")
        engine.ask(Redrive([failure.id], None, "the test", None, "", 1))
        until(lambda: engine.client("GET", "/dones/t").json()["runs"] == 1, "its effect")


def test_engines_that_share_s3_find_each_others_objects(dsn: str, s3: S3, tmp_path: Path) -> None:
    """What came in at one machine is read at another, whose data folder never had it."""
    objects = ["--objects", f"s3://{s3.bucket()}/desk", "--objects-endpoint", s3.endpoint]
    given = {"arguments": ["--store", dsn, *objects], "variables": KEYS}
    with engines("desk", dsn, tmp_path, 2, **given) as (first, second):
        upload(first, first, "note", b"text")
        url = urlsplit(second.client("POST", "/downloads", {"key": "note"}).json())
        assert second.client("GET", f"{url.path}?{url.query}").body == b"text"
        assert "others do not find it" not in first.said() + second.said()


def test_no_two_engines_have_one_number(dsn: str, tmp_path: Path) -> None:
    """Who was away for longer than its lease takes another; who stops gives its own back."""
    short = {"NODE_LEASE_S": 1.0, "LEASE_RENEW_S": 0.2, "POSTGRES_PROBE_S": 0.1}
    held = "SELECT 1 FROM wherry.state WHERE starts_with(key, 'engine/node/')"

    def node(engine: Engine) -> int:
        return int(engine.status()["store"]["node"])

    with engines("ledger", dsn, tmp_path, 1, limits=short) as (first,):
        assert node(first) == 0
        os.kill(first.pid, signal.SIGSTOP)
        until(lambda: not asked(dsn, f"{held} AND expires_ms > wherry.now_ms()"), "its lease's end")
        with engines("ledger", dsn, tmp_path / "other", 1) as (second,):
            assert node(second) == 0
            os.kill(first.pid, signal.SIGCONT)
            until(lambda: node(first) == 1, "another number")
            assert place(first, "a") == place(second, "b") == 201
            assert second.stop() == 0
            assert len(asked(dsn, held)) == 1


PLACED = """
from wherry import App, Struct, publish

app = App("placed")

@app.event("placed", version=1)
class Placed(Struct):
    number: int

class Heard(Struct):
    number: int

heard = app.table(Heard, key="number")

@app.post("/placed/{number}", grants=[publish[Placed]])
def place(number: int) -> None:
    publish(Placed(number))

@app.get("/heard/{number}", grants=[heard.read])
def was_heard(number: int) -> bool:
    return heard.get(number) is not None
"""
HEARD = """
@app.on(Placed, grants=[heard.write])
def hear(event: Placed) -> None:
    heard.put(Heard(event.number))
"""


def told(engine: Engine) -> str:
    """What `wherry status` shows."""
    command = [*WHERRY, "status", "--data", str(engine.root)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_old_code_that_starts_again_amid_a_deploy_takes_nothing_from_the_new(
    dsn: str, tmp_path: Path
) -> None:
    """What the new one alone listens to goes on, until no engine serves it any more."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, text in ((old, PLACED), (new, PLACED + HEARD)):
        folder.mkdir()
        (folder / "placed.py").write_text(text)
    given: dict[str, Any] = {"arguments": ["--store", dsn, ALONE]}
    given["limits"] = {"NODE_LEASE_S": 3.0, "LEASE_RENEW_S": 0.5, "POSTGRES_PROBE_S": 0.1}
    with serving("placed", tmp_path / "first", folder=old, **given) as first:
        with serving("placed", tmp_path / "second", folder=new, **given) as second:
            newer = second.status()["release"]
            until(lambda: first.status()["beside"] == newer, "it to see the new one")
            first.kill()
            first.start()
            until(lambda: "serves here beside" in first.said(), "a word of it")
            assert first.status()["beside"] == newer
            assert f"beside {newer[:8]}, which triggers follow" in told(first)
            assert first.client("POST", "/placed/1").status == 204
            until(lambda: second.client("GET", "/heard/1").json() is True, "the event")
        until(lambda: "is the active one now" in first.said(), "the end of the new one's lease")
        assert first.status()["beside"] is None
        assert first.client("POST", "/placed/2").status == 204
        first.call("reload")
        assert first.client("POST", "/placed/3").status == 204


def test_the_password_is_shown_nowhere(dsn: str, tmp_path: Path) -> None:
    """Neither in what the engine prints and tells nor in its folder nor in processes of the app."""
    secret = "hush-hush"
    url = dsn.replace("wherry@", f"wherry:{secret}@")
    file = tmp_path / "store.url"
    file.write_text(f"{url}\n")
    file.chmod(0o600)
    for number, given in enumerate((["--store-file", str(file)], [])):
        variables = {} if given else {"WHERRY_STORE": url}
        more = {"arguments": [*given, ALONE], "variables": variables}
        with serving("ledger", tmp_path / f"kept-{number}", **more) as engine:
            assert place(engine, f"o-{number}") == 201
            below = [pid for pid in descendants(engine.pid) if running_app(pid)]
            assert below
            for pid in below:
                assert secret.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
            told = json.dumps(engine.status()) + verb("status", engine).stdout
            assert secret not in told + engine.said()
            assert dsn in told
        for path in engine.root.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes()
        assert "jobs" in verb("queues", engine, **variables).stdout


def test_a_function_cannot_read_the_file_of_the_address(dsn: str, tmp_path: Path) -> None:
    """Although it lies in the app's own folder, whose other files it reads."""
    folder = tmp_path / "app"
    folder.mkdir()
    shutil.copy(APPS / "rough.py", folder)
    file = folder / "store.url"
    file.write_text(dsn)
    file.chmod(0o600)
    arguments = ["--store-file", str(file), ALONE]
    with serving("rough", tmp_path / "data", folder=folder, arguments=arguments) as engine:

        def reads(path: Path) -> str:
            told = {"name": str(path), "number": 0}
            return str(engine.client("POST", "/reads", told).json())

        assert reads(folder / "rough.py").startswith("b'")
        if not any(
            "holds here" in line["message"] and "files" in line["message"]
            for line in engine.lines()
        ):
            pytest.skip("this machine has no guard of files")
        assert reads(file) == "PermissionError"
        assert reads(engine.root / "store.elsewhere") == "PermissionError"


def running_app(pid: int) -> bool:
    """Whether a process runs the app's code."""
    with suppress(OSError):
        return b"wherry.runtime.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def refused(app: str, data: Path, *arguments: str) -> str:
    """Start an engine that must not start; return what it said."""
    engine = Engine(app, data, arguments=arguments)
    try:
        engine.launch()
        assert engine.wait() != 0
        return engine.said()
    finally:
        engine.close()


def test_what_cannot_be_is_refused_at_the_start(dsn: str, tmp_path: Path) -> None:
    """A database that is not there; a folder whose state is elsewhere."""
    said = refused("ledger", tmp_path / "a", "--store", dsn.replace("/test_", "/none_"), ALONE)
    assert "cannot be used" in said
    assert "does not exist" in said
    with serving("ledger", tmp_path / "own") as engine:
        place(engine, "a")
    assert "state of its own" in refused("ledger", tmp_path / "own", "--store", dsn, ALONE)
    with engines("ledger", dsn, tmp_path, 1):
        pass
    assert f"is in {dsn}" in refused("ledger", tmp_path / "data-1")
