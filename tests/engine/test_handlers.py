"""Handlers that raise, hang, eat, flood and meddle: what they do is theirs alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wherry.ports import GetObject, Nothing
from wherry.runtime.process.trees import descendants

from .server_kit import Engine, Reply, rss_mb, running, serving, until
from .stores_kit import sqlite_alone

PIPE = 65_536  # bytes that a pipe holds


@pytest.fixture(scope="module")
def rough(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """`apps/rough.py`: one engine for all of this, as it would be in life."""
    with serving("rough", tmp_path_factory.mktemp("rough") / "data") as engine:
        yield engine


def post(rough: Engine, path: str, name: str = "", number: int = 0) -> Reply:
    return rough.client("POST", path, {"name": name, "number": number})


def marked(rough: Engine, name: str) -> bool:
    reply = rough.client("GET", f"/marks/{name}")
    assert reply.status == 200, reply.body
    return bool(reply.json()["count"])


def error_of(rough: Engine, reply: Reply) -> dict[str, Any]:
    """Return the log line that tells the team what its run came to."""
    wanted = {"level": "ERROR", "correlation_id": reply.headers["x-correlation-id"]}
    return until(lambda: rough.lines(**wanted), "a line about it")[0]


@contextmanager
def others_are_served(rough: Engine) -> Iterator[list[int]]:
    """Another function answers all the while; the list gets what it answered."""
    found: list[int] = []
    stop: list[bool] = []

    def ask() -> None:
        client = rough.http()
        while not (found and stop):
            found.append(client("GET", "/fine").status)
        client.close()

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(ask)
        try:
            yield found
        finally:
            stop.append(True)
            asking.result(60)
    assert set(found) == {200}


# -- without processes of their own ----------------------------------------------------------------

INLINE = """
import asyncio
from wherry import App, Struct, log

class Thing(Struct):
    name: str
    count: int = 0

app = App("inline")
things = app.table(Thing, key="name")
jobs = app.queue(Thing, name="jobs")
key = app.secret("key")

@app.post("/async/{name}", grants=[things.write, jobs.send, key.read])
async def put(name: str) -> int:
    await asyncio.to_thread(log.info, "put", name=name)
    app.atomic("count", things.add, name, count=1)
    app.atomic("send", jobs.send, Thing(name))
    return len(key.get())

@app.consume(jobs, grants=[things.write])
async def work(thing: Thing) -> None:
    things.add(thing.name, count=10)

@app.get("/plain/{name}", grants=[things.read])
def get(name: str) -> Thing:
    return things.get(name)
"""


@sqlite_alone("--inline is refused with a database")
def test_inline_serves_async_handlers_as_others(tmp_path: Path) -> None:
    """In the engine's process, whose own loop runs: requests, messages, steps, logs and secrets."""
    (tmp_path / "inline.py").write_text(INLINE)
    variables = {"WHERRY_SECRET_KEY": "s3cr3t", "PYTHONASYNCIODEBUG": "1"}  # loops say whose
    given: dict[str, Any] = {"folder": tmp_path, "verb": "dev", "variables": variables}

    def counted(wanted: int) -> bool:
        return bool(engine.client("GET", "/plain/a").json()["count"] == wanted)

    with serving("inline", tmp_path / "data", arguments=["--inline"], **given) as engine:
        for count in (1, 2):
            assert engine.client("POST", "/async/a").json() == 6
            until(partial(counted, 11 * count), "what its message does")
        until(lambda: engine.said().count("name=a") == 2, "what was logged")


# -- steps, and what runs after the commit ---------------------------------------------------------


def test_a_step_and_what_is_to_run_after_the_commit_go_through_the_processes(rough: Engine) -> None:
    """A step stays whatever follows it; what runs after the commit runs once, if there was one."""
    assert post(rough, "/steps", "good").json() == 7
    assert post(rough, "/steps", "bad", 1).status == 500
    until(lambda: marked(rough, "good-later"), "what runs after the commit")
    names = ["good", "bad", "good-later", "bad-later", "good-cancelled"]
    counts = [rough.client("GET", f"/marks/{name}").json()["count"] for name in names]
    assert counts == [1, 1, 2, 0, 0]


# -- ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name", "status", "says"),
    [
        ("/raises", "value", 500, "ValueError: sku x-1 is unknown"),
        ("/raises", "exit", 500, "SystemExit: 3"),
        ("/raises", "cancelled", 500, "CancelledError: gave up"),
        ("/raises", "keyboard", 500, "KeyboardInterrupt"),
        ("/raises", "base", 500, "BaseException: odd"),
        ("/raises-async", "", 500, "CancelledError"),
        ("/recurses", "", 500, "RecursionError"),
        ("/exits", "", 502, "exited with code 7"),
        ("/crashes", "", 502, "SIGSEGV"),
        ("/catches-all", "", 504, ""),
    ],
)
def test_a_run_that_ends_badly_leaves_nothing_and_says_why(
    rough: Engine, path: str, name: str, status: int, says: str
) -> None:
    """Its caller learns that it failed, the team learns how; its effects are dropped."""
    reply = post(rough, path, name)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert reply.json()["correlation_id"] == reply.headers["x-correlation-id"]
    for secret in (b"sku", b"Traceback", b"SIGSEGV"):
        assert secret not in reply.body  # what is inside stays inside
    if says:
        assert says in error_of(rough, reply)["message"]
    assert not marked(rough, path.strip("/").split("-")[0])
    assert rough.client("GET", "/fine").status == 200


def test_an_error_stays_in_its_run(rough: Engine) -> None:
    """The environment of a handler that raised serves the next run; no process is started anew."""
    post(rough, "/raises", "value")
    before = rough.environments("raises")
    assert post(rough, "/raises", "base").status == 500
    assert rough.environments("raises") == before


def test_a_hanging_handler_is_ended_with_all_it_started(rough: Engine) -> None:
    """504 at its deadline; child and grandchild are gone soon after; nothing commits later."""
    reply = post(rough, "/hangs")
    assert (reply.status, reply.code) == (504, "deadline_exceeded")
    wanted = {"message": "tree", "correlation_id": reply.headers["x-correlation-id"]}
    pids = until(lambda: rough.lines(**wanted), "its processes")[0]["pids"]
    assert len(pids) == 3
    until(lambda: not any(map(running, pids)), "the end of its tree")
    assert not marked(rough, "hangs")
    correlation_id = reply.headers["x-correlation-id"]
    records = until(lambda: rough.timeline(correlation_id).records, "its record")
    assert [record.ending for record in records] == ["timeout"]


# -- resources -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "status"), [("at once", 500), ("slowly", 502)])
def test_a_memory_eater_dies_alone_and_the_limit_is_named(
    rough: Engine, name: str, status: int
) -> None:
    """Only its own run is lost, and its error says which limit it was over."""
    with others_are_served(rough):
        reply = post(rough, "/eats", name)
    assert reply.status == status
    assert "over its memory limit of 128 MiB" in error_of(rough, reply)["message"]
    assert not marked(rough, "eats")
    until(lambda: not rough.environments("eats"), "the end of what it ran in")


def test_files_that_a_handler_leaks_are_gone_with_its_environment(rough: Engine) -> None:
    """It fails at its own limit, which is named, and the next run begins in a fresh process."""
    pids = set()
    for _ in range(2):
        reply = post(rough, "/leaks-files")
        assert reply.status == 500
        line = error_of(rough, reply)
        assert (line["code"], "Too many open files" in line["message"]) == ("files_limit", True)
        pids.update(rough.environments("leaks_files"))
        until(lambda: not rough.environments("leaks_files"), "its end")
    assert rough.client("GET", "/fine").status == 200


def test_a_function_that_keeps_its_files_is_told_of_as_one(tmp_path: Path) -> None:
    """Also where nothing can be opened any more that would help to tell it."""
    (tmp_path / "keeping.py").write_text(
        "from wherry import App\napp = App('keeping')\nkept = []\n"
        "@app.post('/keeps')\ndef keeps() -> None:\n"
        "    while True:\n        kept.append(open('/dev/null'))\n"
    )
    with serving("keeping", tmp_path / "data", folder=tmp_path) as engine:
        reply = post(engine, "/keeps")
        assert reply.status == 500
        line = error_of(engine, reply)
        assert (line["code"], "Too many open files" in line["message"]) == ("files_limit", True)


def test_a_fork_bomb_is_ended_with_all_its_processes(rough: Engine) -> None:
    """It meets a limit before it can hurt; others are served meanwhile."""
    with others_are_served(rough):
        reply = post(rough, "/forks")
    assert reply.status in (500, 502, 504)
    assert not marked(rough, "forks")
    zygote = rough.zygote_pid()
    until(lambda: len(descendants(zygote)) < 40, "the end of its processes")


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["object", "surrogate", "loop", "huge", "generator"])
def test_what_cannot_be_sent_is_an_error_of_the_function(rough: Engine, name: str) -> None:
    """500, with the reason in the log; the environment goes on."""
    reply = post(rough, "/returns", name)
    assert (reply.status, reply.code) == (500, "handler_failed")
    assert error_of(rough, reply)["exception"]
    assert post(rough, "/returns", "set").status == 200


def test_a_value_of_a_wrong_type_is_an_error_of_the_function(rough: Engine) -> None:
    """The store, which cannot read what it is asked for, is well, and the environment goes on."""
    reply = post(rough, "/lists", number=5)
    assert (reply.status, reply.code) == (500, "handler_failed")
    assert "The request is unreadable: " in error_of(rough, reply)["message"]


@pytest.mark.parametrize("name", ["binary", "surrogate", "forged", "long", "quiet"])
def test_any_output_becomes_whole_log_lines(rough: Engine, name: str) -> None:
    """Whatever is printed: every line of the log is one JSON object with its correlation ID."""
    reply = post(rough, "/prints", name)
    assert reply.json() == "printed"
    correlation_id = reply.headers["x-correlation-id"]
    until(lambda: rough.lines(correlation_id=correlation_id, status=200), "its line")
    if name == "binary":  # past Python: heard a moment later
        until(lambda: rough.lines(printed=True, function_name="prints"), "what it printed")
    elif name != "quiet":
        printed = rough.lines(correlation_id=correlation_id, printed=True)
        assert {line["function_name"] for line in printed} == {"prints"}
    assert not rough.lines(message="forged")
    told = rough.said().split("\n")
    assert all(text.startswith("{") and text.endswith("}") for text in told if "prints" in text)


@pytest.mark.parametrize(
    "value", ["in-one-line-s3cret", 'in "two"\nlines-s3cret', "s3cret\n\nafter a blank line"]
)
@pytest.mark.parametrize("before", [0, PIPE - 10, PIPE - 4])
def test_a_secret_that_is_printed_is_not_in_the_log(rough: Engine, value: str, before: int) -> None:
    """By Python or past it, in lines or over several, even in what looks like a log line, or
    where a part of it is behind what the pipe holds."""
    file = rough.root / "secrets" / "payment-key"
    file.write_text(value)
    file.chmod(0o600)
    reply = post(rough, "/tells-secret", number=before)
    assert reply.json() == len(value)
    wanted = {"correlation_id": reply.headers["x-correlation-id"], "printed": True}
    told = until(lambda: rough.lines(**wanted)[2:] and rough.lines(**wanted), "what it printed")
    assert {"printed ***", "stderr '***'", "written ***"} <= {line["message"] for line in told}
    assert not any(part in rough.said() for part in ("s3c", "ret\\n", "blank line", "lines-"))


@pytest.mark.parametrize("name", ["long", "short"])
def test_a_flood_of_output_costs_the_engine_nothing(rough: Engine, name: str) -> None:
    """A hundred megabytes wait in the pipe of who prints them; memory stays, others are served."""
    before_mb = rss_mb(rough.pid)
    with others_are_served(rough):
        reply = post(rough, "/floods", name)
    assert reply.status == 504  # it was as slow as its output is taken
    assert rss_mb(rough.pid) < before_mb + 30


def test_a_chatty_handler_is_heard_to_the_end(rough: Engine) -> None:
    """A thousand lines of a kilobyte arrive, none cut, within its time."""
    reply = post(rough, "/talks")
    assert reply.json() == "talked"
    wanted = {"message": "talk", "correlation_id": reply.headers["x-correlation-id"]}
    lines = until(lambda: rough.lines(**wanted)[999:] and rough.lines(**wanted), "all of it")
    assert [line["number"] for line in lines] == list(range(1000))


@pytest.mark.parametrize("name", ["stream", "number"])
def test_a_handler_that_closes_its_output_still_answers(rough: Engine, name: str) -> None:
    """What it recorded is committed: the output is not what the promise hangs on."""
    assert post(rough, "/closes-stdout", name).json() == "closed"
    for pid in rough.environments("closes_stdout"):
        os.kill(pid, 9)
    until(lambda: not rough.environments("closes_stdout"), "its end")


@pytest.mark.parametrize("name", ["returns", "waits"])
def test_a_handler_that_closes_all_its_files_is_ended_at_once(rough: Engine, name: str) -> None:
    """Long before its deadline (20 s, and a 504); why is in the log, and nothing was applied."""
    reply = post(rough, "/closes-all", name)
    assert (reply.status, reply.code) == (502, "environment_died")
    told = error_of(rough, reply)["message"]
    assert "socket it had closed" in told or "exited with code 1" in told
    assert not marked(rough, "closes-all")


# -- what belongs to others ------------------------------------------------------------------------


def guarded(rough: Engine, name: str) -> None:
    """Skip where this machine lacks the guard; the engine says which hold."""
    line = next(line for line in rough.lines() if "isolation that holds" in line["message"])
    if name not in line["message"]:
        pytest.skip(f"no such guard on this machine: {name}")


def test_neither_parent_engine_nor_siblings_can_be_killed(rough: Engine) -> None:
    """A function signals its own processes only."""
    rough.client("GET", "/fine")
    guarded(rough, "signals")
    (sibling,) = rough.environments("fine")[:1]
    for pid in (rough.pid, rough.store_pid(), rough.zygote_pid(), sibling):
        assert post(rough, "/signals", number=pid).json() == "PermissionError"
    assert post(rough, "/signals", "parent").json() == "PermissionError"


@sqlite_alone("its folder holds no state; test_postgres.py closes the file of the address")
def test_no_state_of_others_can_be_read_or_written(rough: Engine) -> None:
    """Store, key, token, logs, other buckets, other processes' variables: all closed."""
    rough.client("GET", "/fine")
    guarded(rough, "files")
    root = rough.root
    (root / "secrets" / "payment-key").write_text("tops3cret")
    (root / "secrets" / "payment-key").chmod(0o600)
    sibling = rough.environments("fine")[0]
    closed = [root / name for name in ("store.sqlite", "store.sqlite-wal", "signing.key", "lock")]
    closed += [
        root / "control.token",
        root / "logs" / "app.jsonl",
        root / "secrets" / "payment-key",
    ]
    closed += [Path(f"/proc/{pid}/environ") for pid in (rough.pid, rough.store_pid(), sibling)]
    closed += [Path(f"/proc/{pid}/mem") for pid in (rough.pid, sibling)]
    for path in closed:
        assert path.exists(), path
        assert post(rough, "/reads", str(path)).json() == "PermissionError", path
    stray = root / "objects" / "others" / "stray"
    stray.write_bytes(b"theirs")
    assert post(rough, "/reads", str(stray)).json() == "PermissionError"
    for path in (*closed[:7], stray, root / "new", Path("/etc/passwd"), Path(__file__)):
        assert post(rough, "/writes", str(path)).json() == "PermissionError", path
    assert stray.read_bytes() == b"theirs"


def test_the_control_socket_answers_no_function(rough: Engine) -> None:
    """A function may reach the socket; without the token it is refused, and the engine goes on."""
    said = post(rough, "/connects", str(rough.root / "control.sock")).json()
    assert "forbidden" in said or said in ("PermissionError", "ConnectionRefusedError", "b''")
    assert rough.status()["pid"] == rough.pid


def test_what_is_not_granted_is_refused_with_the_line_to_add(rough: Engine) -> None:
    """A secret and a bucket without a grant: 500 for the caller, the line to add in the log."""
    for path, resource in (("/secret", "payment-key"), ("/bucket", "others")):
        reply = post(rough, path)
        assert (reply.status, reply.code) == (500, "grant_missing")
        message = error_of(rough, reply)["message"]
        assert resource in message
        assert "grants" in message
    assert rough.ask(GetObject("mine", "a")) == Nothing()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("folder", "cannot be read: Is a directory"),
        ("bytes", "is not UTF-8"),
        ("open", "chmod 600"),
    ],
)
def test_a_secret_that_cannot_be_read_is_a_refusal_with_the_reason(
    rough: Engine, kind: str, why: str
) -> None:
    """Said at once, and to the team: neither the function nor the store is at fault."""
    path = rough.root / "secrets" / "broken-key"
    if kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"\xff\xfe" if kind == "bytes" else b"text")
        path.chmod(0o644 if kind == "open" else 0o600)
    try:
        reply = post(rough, "/broken-secret")
    finally:
        path.rmdir() if kind == "folder" else path.unlink()
    assert (reply.status, reply.code) == (500, "handler_failed")
    line = error_of(rough, reply)
    assert line["code"] == "refused"
    assert "'broken-key'" in line["message"]
    assert why in line["message"]


# -- its own socket --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("huge", {502}),
        ("random", {502, 504}),
        ("outcome", {502}),
        ("outcome text", {502}),
        ("outcome nested", {502}),
        ("printed", {502}),
        ("read", {200, 502}),
        ("read text", {200, 502}),
        ("read nested", {200, 502}),
        ("broker", {502}),
        ("step", {502}),
        ("ready", {502}),
        ("ready again", {502}),
        ("unknown", {502}),
        ("empty", {200, 502}),
        ("close", {502}),
    ],
)
def test_garbage_in_the_engines_socket_ends_only_its_sender(
    rough: Engine, name: str, statuses: set[int]
) -> None:
    """Every request is answered, nobody else notices, and the function works again."""
    store = rough.store_pid()
    assert post(rough, "/speaks", name).status in statuses
    assert rough.client("GET", "/fine").status == 200
    until(lambda: not rough.pools()["speaks"]["busy"], "a free function")
    assert rough.store_pid() == store
    assert not rough.lines(message="a fault of the engine")
    assert not [text for text in rough.stray() if "Traceback" in text]


# -- what outlives a run ---------------------------------------------------------------------------


def test_a_thread_that_outlives_its_handler_can_do_nothing_in_its_name(rough: Engine) -> None:
    """Its writes and reads are refused, instead of being lost or mixed into the next run."""
    assert post(rough, "/thread", "start").json() == []
    until(lambda: rough.lines(message="asked"), "the end of its thread")
    assert post(rough, "/thread", "wait").json() == ["Refused"] * 3
    assert not marked(rough, "thread")


def test_changes_to_the_process_stay_in_their_function(rough: Engine) -> None:
    """Working folder, variables and path of one function are not those of another."""
    for _ in range(2):
        assert post(rough, "/changes").status == 200
    assert rough.client("GET", "/unchanged").json()[1] == ""
    assert "/usr" not in rough.client("GET", "/unchanged").json()
    assert "/nowhere" not in rough.client("GET", "/unchanged").json()


# -- apps that cannot be run -----------------------------------------------------------------------

BROKEN = {
    "import": ("raise RuntimeError('no database')\n", "no database"),
    "syntax": ("def broken(:\n", "SyntaxError"),
    "exit": ("import os\nos._exit(3)\n", "The process that imports the app ended"),
    "no app": ("application = 1\n", "has no App named 'app'"),
    "findings": (
        "from wherry import App\napp = App('x')\n"
        "@app.get('/a/{b}')\ndef one() -> None: ...\n"
        "@app.get('/c')\ndef two(d: object) -> None: ...\n",
        "has faults",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_app_that_cannot_be_served_is_refused_with_the_reason(tmp_path: Path, kind: str) -> None:
    """The engine ends with 1 and says what is wrong; nothing is left running."""
    code, says = BROKEN[kind]
    (tmp_path / "odd.py").write_text(code)
    engine = Engine("odd", tmp_path / "data", folder=tmp_path)
    engine.launch()
    try:
        assert engine.wait() == 1
    finally:
        engine.close()
    assert says in engine.said()
    assert "started again" not in engine.said()
    if kind == "findings":
        assert "one" in engine.said()
        assert "two" in engine.said()


def test_an_app_that_starts_threads_when_imported_is_spawned(tmp_path: Path) -> None:
    """Forking it would be unsafe: its environments are started anew, and the engine says why."""
    (tmp_path / "threaded.py").write_text(
        "import threading\nfrom wherry import App\napp = App('threaded')\n"
        "threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n"
        "@app.get('/')\ndef count() -> int:\n    return threading.active_count()\n"
    )
    with serving("threaded", tmp_path / "data", folder=tmp_path) as engine:
        assert engine.client("GET", "/").json() == 2
        assert "environments are spawned, not forked: the app started 1 thread" in engine.said()
        assert "poller" in engine.said()


def test_no_process_is_left_when_the_engine_stops(tmp_path: Path) -> None:
    """Stopped, it exits with 0 and takes every process and its address with it."""
    with serving("rough", tmp_path / "data") as engine:
        engine.client("GET", "/fine")
        pids = [engine.store_pid(), engine.zygote_pid(), *engine.environments("fine")]
        assert engine.stop() == 0
        until(lambda: not any(map(running, pids)), "the end of its processes")
        assert not (engine.root / "address").exists()
