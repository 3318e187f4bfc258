"""The fine print: what a function may do, and who may have it done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from wherry import App, Caller, Conflict, Forbidden, Struct, Unavailable, log, publish

pytestmark = on_every_platform


class Owned(Struct):
    """An item with an owner."""

    name: str
    owner: str
    count: int = 0


@pytest.mark.parametrize(
    ("use", "line"),
    [
        ("get", "things.read"),
        ("query", "things.read"),
        ("put", "things.write"),
        ("update", "things.write"),
        ("add", "things.write"),
        ("delete", "things.write"),
        ("send", "jobs.send"),
        ("object get", "files.read"),
        ("object list", "files.read"),
        ("object put", "files.create"),
        ("object delete", "files.delete"),
        ("sign download", "files.read"),
        ("sign upload", "files.create"),
        ("secret", "token.read"),
    ],
)
def test_a_call_without_its_grant_is_refused_with_the_line_to_add(
    run: Any, use: str, line: str
) -> None:
    shelf = Shelf()
    files = shelf.app.bucket("files")
    token = shelf.app.secret("token")
    shelf.consume_nothing()
    uses: dict[str, Any] = {
        "get": lambda: shelf.things.get("a"),
        "query": lambda: shelf.things.query("a"),
        "put": lambda: shelf.things.put(Thing("a")),
        "update": lambda: shelf.things.update("a", count=1),
        "add": lambda: shelf.things.add("a", count=1),
        "delete": lambda: shelf.things.delete("a"),
        "send": lambda: shelf.jobs.send(Job("a")),
        "object get": lambda: files.get("a"),
        "object list": lambda: files.list(),
        "object put": lambda: files.put("a", b"x"),
        "object delete": lambda: files.delete("a"),
        "sign download": lambda: files.presign_download("a"),
        "sign upload": lambda: files.presign_upload("a", size_bytes=1),
        "secret": token.get,
    }

    @shelf.app.post("/go")
    def go() -> None:
        uses[use]()

    with run(shelf.app, secrets={"token": "t-0-k-e-n"}) as backend:
        refused = backend.post("/go")
        assert (refused.status, refused.json()["code"]) == (500, "grant_missing")
        assert "files" not in refused.json()["detail"]  # what it uses is not the caller's business
        errors = [line["message"] for line in backend.logs if line["level"] == "ERROR"]
        assert f"Add {line} to the grants of go." in errors[-1]


class Told(Struct):
    what: str


named = App("named")


class Unbound:
    """Stands for an object that is not there, as the globals of web frameworks do."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"{name} of nothing")


unbound = Unbound()
told_apart = named.queue(Told, name="a-queue")
named.event("named.told", version=1)(Told)


@named.post("/send")
def send() -> None:
    told_apart.send(Told("x"))


@named.post("/tell")
def tell() -> None:
    publish(Told("x"))


@named.consume(told_apart)
def hear(message: Told) -> None: ...


def test_the_line_to_add_is_written_as_the_code_has_it(run: Any) -> None:
    """By the variable, and not by the name of the queue or the event behind it."""
    with run(named) as backend:
        for path, line in (("/send", "told_apart.send"), ("/tell", "publish[Told]")):
            assert backend.post(path).status == 500
            errors = [one["message"] for one in backend.logs if one["level"] == "ERROR"]
            assert f"Add {line} to the grants of {path[1:]}." in errors[-1]


@pytest.mark.parametrize("granted", ["read", "write", "create", "delete"])
def test_a_grant_on_a_bucket_allows_its_action_and_no_other(run: Any, granted: str) -> None:
    app = App("files")
    files = app.bucket("files")
    grant = {"read": files.read, "write": files.write, "create": files.create,
             "delete": files.delete}[granted]  # fmt: skip

    @app.post("/{what}", grants=[grant])
    def go(what: str) -> None:
        match what:
            case "read":
                files.get("there")
            case "create":
                files.put("new", b"x")
            case "write":
                files.put("there", b"x")
            case "delete":
                files.delete("there")

    allowed = {"write": {"write", "create", "delete"}}.get(granted, {granted})
    for what in ("read", "create", "write", "delete"):
        with run(app) as backend:
            with backend.acting():
                files.put("there", b"before")
            done = backend.post(f"/{what}")
            if what == "write" and granted == "create":
                assert done.status == 409  # what is there is never replaced
            else:
                assert (done.status == 204) is (what in allowed), what


def test_a_missing_grant_is_not_tried_again(run: Any) -> None:
    shelf = Shelf(max_attempts=5)

    @shelf.app.consume(shelf.jobs)
    def work(job: Job) -> None:
        shelf.things.put(Thing("a"))

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        (failure,) = backend.failures()
        assert (failure.code, failure.attempts) == ("grant_missing", 1)
        assert "Add things.write to the grants of work." in failure.error


def owned(policy: Any) -> tuple[App, Any]:
    """Return an app whose items have owners, with a policy."""
    app = App("owned")
    people = app.auth("people", roles=["customer", "staff"])
    things = app.table(Owned, name="things", key="name", indexes={"by_owner": "owner"})
    jobs = app.queue(Job)
    app.policy(policy)
    bundle = app.bundle("all", auth=people, grants=[things.read, things.write, jobs.send])

    @bundle.get("/things/{name}")
    def get(name: str) -> Owned | None:
        return things.get(name)

    @bundle.get("/things")
    def query(owner: str) -> list[Owned]:
        return things.query(owner, index="by_owner").items

    @bundle.post("/things/{name}/{write}")
    def write(name: str, write: str, caller: Caller) -> None:
        match write:
            case "put":
                things.put(Owned(name, caller.subject))
            case "give":
                things.put(Owned(name, "somebody else"))
            case "update":
                things.update(name, count=1)
            case "hand over":
                things.update(name, owner="somebody else")
            case "add":
                things.add(name, count=1)
            case "delete":
                things.delete(name)
            case "send":
                jobs.send(Job(name))

    @app.consume(jobs, grants=[things.read, things.write])
    def work(job: Job) -> None:
        things.update(job.name, count=1)

    return app, things


def own_things_only(caller: Caller, thing: Owned) -> bool:
    """The owner, and staff."""
    return caller.subject == thing.owner or caller.has_role("staff")


def refuse_foreign(caller: Caller, thing: Owned) -> None:
    """The same, by raising."""
    if not own_things_only(caller, thing):
        raise Forbidden("Not yours.")


@pytest.mark.parametrize("policy", [own_things_only, refuse_foreign])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/things/alices"),
        ("GET", "/things?owner=alice"),
        ("POST", "/things/alices/put"),
        ("POST", "/things/alices/update"),
        ("POST", "/things/alices/add"),
        ("POST", "/things/alices/delete"),
    ],
)
def test_a_policy_holds_on_every_read_and_write_of_a_caller(
    run: Any, policy: Any, method: str, path: str
) -> None:
    app, things = owned(policy)
    for who, role, allowed in (
        ("bob", "customer", False), ("alice", "customer", True), ("carol", "staff", True)
    ):  # fmt: skip
        with run(app) as backend:
            with backend.acting():
                things.put(Owned("alices", "alice"))
            reply = backend.request(method, path, token=backend.token(who, [role]))
            if allowed:
                assert reply.status in (200, 204)
            else:
                assert (reply.status, reply.json()["code"]) == (403, "forbidden")
                assert backend.items(things) == [Owned("alices", "alice")]


@pytest.mark.parametrize("path", ["/things/new/give", "/things/alices/hand over"])
def test_a_policy_holds_for_what_is_written_too(run: Any, path: str) -> None:
    app, things = owned(own_things_only)
    with run(app) as backend:
        with backend.acting():
            things.put(Owned("alices", "alice"))
        assert backend.post(path, token=backend.token("alice")).status == 403
        assert backend.items(things) == [Owned("alices", "alice")]


def test_a_policy_is_for_callers_and_not_for_background_work(run: Any) -> None:
    app, things = owned(own_things_only)
    with run(app) as backend:
        with backend.acting():
            things.put(Owned("alices", "alice"))
        backend.post("/things/alices/send", token=backend.token("bob"))
        backend.drain()
        assert backend.items(things) == [Owned("alices", "alice", 1)]


def test_who_loses_the_right_meanwhile_is_refused_by_the_rerun(run: Any) -> None:
    app = App("owned")
    people = app.auth("people")
    things = app.table(Owned, name="things", key="name")
    app.policy(own_things_only)

    @app.post("/things/{name}", auth=people, grants=[things.read, things.write])
    def put(name: str) -> None:
        things.update(name, count=1)
        if not given_away:
            given_away.append(1)
            with backend.acting():
                things.put(Owned("alices", "bob"))

    given_away: list[int] = []
    with run(app) as backend:
        with backend.acting():
            things.put(Owned("alices", "alice"))
        assert backend.post("/things/alices", token=backend.token("alice")).status == 403
        assert backend.items(things) == [Owned("alices", "bob")]


@pytest.mark.parametrize(
    ("roles", "status"),
    [((), 403), (("reader",), 403), (("writer",), 204), (("reader", "writer"), 204)],
)
def test_a_route_asks_for_one_of_its_roles(run: Any, roles: tuple[str, ...], status: int) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", auth=shelf.people, roles=["writer"], grants=shelf.all)
    def go() -> None:
        shelf.things.put(Thing("a"))

    with run(shelf.app) as backend:
        assert backend.post("/go", token=backend.token("alice", roles)).status == status
        assert len(backend.items(shelf.things)) == int(status == 204)
        assert backend.post("/go").status == 401


def test_a_token_ends_with_its_hour(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.get("/go", auth=shelf.people)
    def go() -> int:
        return 1

    with run(shelf.app) as backend:
        token = backend.token("alice")
        assert backend.get("/go", token=token).status == 200
        backend.advance(3_700)
        assert backend.get("/go", token=token).status == 401


def test_a_secret_is_read_when_it_is_used_and_never_logged(run: Any) -> None:
    app = App("vault")
    token = app.secret("carrier-token")

    @app.get("/go", grants=[token.read])
    def go() -> int:
        value = token.get()
        log.info(f"calling with {value}", header=value)
        return len(value)

    with run(app, secrets={"carrier-token": "s3cr3t-value"}) as backend:
        assert backend.get("/go").json() == 12
        assert "s3cr3t" not in str(backend.logs)
        assert any("***" in line["message"] for line in backend.logs)
    with run(app) as backend:
        assert backend.get("/go").status == 500
        assert any("not set" in line["message"] for line in backend.logs)


@dataclass
class Held:
    """It has no JSON form, and shows what it holds."""

    key: str
    also: Any = object


def log_a_long_line(value: str) -> None:
    log.info("calling", key=value, answer="x" * 300_000)


def log_what_is_cut_within_it(value: str) -> None:
    log.info("calling", header="x" * 506 + value, answer="x" * 300_000)


def log_what_has_no_json_form(value: str) -> None:
    log.info("calling", held=Held(value))


def log_json_in_json(value: str) -> None:
    log.info("calling", body=json.dumps({"key": value}))


def raise_it(value: str) -> None:
    raise RuntimeError("refused key " + value)


def raise_what_is_cut_within_it(value: str) -> None:
    raise RuntimeError("x" * 1_994 + value)


def raise_it_as_a_key(value: str) -> None:
    raise KeyError(value)


def raise_a_problem_of_it(value: str) -> None:
    raise Unavailable("no key " + value) from ValueError(value)


def answer_with_it(value: str) -> None:
    raise Conflict("refused key " + value)


@pytest.mark.parametrize(
    "value", ["tops3cretvalue", 's3c"r3t', "s3c\\r3t", "s3c\nr3t'\"x", "s3cräzr3t"]
)
@pytest.mark.parametrize(
    "tell",
    [
        log_a_long_line,
        log_what_is_cut_within_it,
        log_what_has_no_json_form,
        log_json_in_json,
        raise_it,
        raise_what_is_cut_within_it,
        raise_it_as_a_key,
        raise_a_problem_of_it,
        answer_with_it,
    ],
)
def test_a_secret_is_in_no_log_and_no_record_however_it_gets_there(
    run: Any, tell: Callable[[str], None], value: str
) -> None:
    """Neither as it is nor escaped; nor in the inbox, nor in what a caller is told of an error."""
    shelf = Shelf(max_attempts=1)
    token = shelf.app.secret("token")

    @shelf.app.get("/go", grants=[token.read])
    def go() -> None:
        tell(token.get())

    @shelf.app.consume(shelf.jobs, grants=[token.read])
    def work(job: Job) -> None:
        tell(token.get())

    with run(shelf.app, secrets={"token": value}) as backend:
        reply = backend.get("/go")
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        kept = [reply.text, backend.logs, backend.records, backend.failures()]
        assert "***" in str(kept)
        assert not [one for one in kept if "s3c" in str(one)]
