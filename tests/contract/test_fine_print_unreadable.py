"""The fine print: stored items that are not of their type any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.contract.fine_print import on_every_platform
from wherry import App, Struct, field
from wherry.codec import key_bytes
from wherry.effects import PutItem
from wherry.errors import StoredItemUnreadable
from wherry.handles import Table
from wherry.handles.scope import scope_for

pytestmark = on_every_platform


class Stored(Struct):
    """The older form."""

    shop: str
    name: str
    count: int = 1


class Strict(Struct):
    """The newer form."""

    shop: str
    name: str
    count: int


class Grown(Struct):
    """A newer form with a field that older items lack."""

    shop: str
    name: str
    count: int
    colour: str


class Model(BaseModel):
    """The newer form, as a Pydantic model."""

    shop: str
    name: str
    count: int


class Shop:
    """An app of one version, whose items are of this type."""

    def __init__(self, kind: type[Any]) -> None:
        self.app = App("shop")
        self.people = self.app.auth("people", roles=["reader"])
        self.things = self.app.table(kind, name="things", key="shop", sort="name")
        self.jobs = self.app.queue(Strict, name="jobs", max_attempts=2)
        things = self.things

        @self.app.get("/things/{name}", grants=[things.read])
        def read(name: str) -> str:
            found = things.get("s", name)
            return "none" if found is None else str(found.count)

        @self.app.get("/things", grants=[things.read])
        def query() -> int:
            return len(things.query("s").items)

        @self.app.post("/change/{name}", grants=[things.read, things.write])
        def change(name: str) -> str:
            things.put(kind(shop="s", name="other", count=2))
            things.update("s", name, count=7)
            found = things.get("s", name)
            return str(found.count) if found else "none"

        @self.app.post("/blind/{how}/{name}", grants=[things.write])
        def change_blindly(how: str, name: str) -> None:
            things.put(kind(shop="s", name="other", count=2))
            match how:
                case "update":
                    things.update("s", name, count=7)
                case "add":
                    things.add("s", name, count=7)
                case "condition":
                    things.delete("s", name, when=field("count") == 7)
                case _:
                    self.app.atomic("part", lambda: things.update("s", name, count=7))

        @self.app.delete("/things/{name}", grants=[things.write])
        def delete(name: str) -> None:
            things.delete("s", name)

        @self.app.consume(self.jobs, grants=[things.read])
        def work(job: Strict) -> None:
            things.get("s", job.name)


CASES = {
    "a missing field": (Grown, b"1", "Object missing required field `colour`"),
    "another type": (Strict, b'"one"', "Expected `int`, got `str` - at `$.count`"),
    "damaged": (Strict, b"\x00{", "JSON is malformed"),
    "a Pydantic model": (Model, b'"one"', "count\n  Input should be a valid integer"),
}


def store(things: Table[Any], count: bytes) -> None:
    """Store the item `old` with this in its JSON, as damage has it: no `put` would write it."""
    scope = scope_for("The test")
    pk, sk = key_bytes("s"), key_bytes("old")
    body = b'{"shop":"s","name":"old","count":%b}' % count
    scope.charge(len(body))
    scope.pending[things.name, pk, sk] = PutItem(things.name, pk, sk, body)


def errors(backend: Any) -> list[str]:
    return [line["message"] for line in backend.logs if line["level"] == "ERROR"]


@pytest.mark.parametrize("case", CASES)
def test_an_item_that_cannot_be_read_is_named_to_the_team(
    run: Any, case: str, tmp_path: Path
) -> None:
    """The caller gets a code, and nothing of what is stored; others are read as ever."""
    kind, count, said = CASES[case]
    first = Shop(Stored)
    with run(first.app, data=str(tmp_path / "data")) as backend, backend.acting():
        store(first.things, count)
    shop = Shop(kind)
    with run(shop.app, data=str(tmp_path / "data")) as backend:
        for path in ("/things/old", "/things"):
            reply = backend.get(path)
            document = reply.json()
            assert (reply.status, document["code"]) == (500, "stored_item_unreadable")
            assert "things" not in document["detail"]
            assert (
                f"The stored item things/s/old cannot be read as {kind.__name__}: "
                in errors(backend)[-1]
            )
            assert said in errors(backend)[-1]
        assert backend.get("/things/new").json() == "none"
        assert backend.delete("/things/old").status == 204
        assert backend.get("/things").json() == 0


def test_a_message_that_needs_such_an_item_waits_in_the_failure_inbox(
    run: Any, tmp_path: Path
) -> None:
    """Its error names the item; once that can be read, it is redriven to success."""
    first = Shop(Stored)
    with run(first.app, data=str(tmp_path / "data")) as backend, backend.acting():
        store(first.things, b"null")
    shop = Shop(Strict)
    with run(shop.app, data=str(tmp_path / "data")) as backend:
        with backend.acting():
            shop.jobs.send(Strict("s", "old", 1))
        backend.drain()
        (failed,) = backend.failures(shop.jobs)
        assert failed.code == "stored_item_unreadable"
        assert "things/s/old cannot be read as Strict: Expected `int`, got `null`" in failed.error
        with backend.acting():
            shop.things.put(Strict("s", "old", 1))
        assert backend.redrive() == 1
        backend.drain()
        assert backend.failures(shop.jobs) == []


def test_a_field_of_a_damaged_item_cannot_be_changed(run: Any, tmp_path: Path) -> None:
    """Nothing of the run is applied, and the item is named."""
    first = Shop(Stored)
    with run(first.app, data=str(tmp_path / "data")) as backend, backend.acting():
        store(first.things, b"\x00{")
    shop = Shop(Strict)
    with run(shop.app, data=str(tmp_path / "data")) as backend:
        reply = backend.post("/change/old")
        assert (reply.status, reply.json()["code"]) == (500, "stored_item_unreadable")
        assert "things/s/old" in errors(backend)[-1]
        assert backend.get("/things/other").json() == "none"


@pytest.mark.parametrize("how", ["update", "add", "condition", "step"])
def test_a_damaged_item_that_is_changed_without_reading_it_is_named_by_the_commit(
    run: Any, tmp_path: Path, how: str
) -> None:
    """Nothing of the run is applied; the caller gets the same code as who reads it."""
    first = Shop(Stored)
    with run(first.app, data=str(tmp_path / "data")) as backend, backend.acting():
        store(first.things, b"\x00{")
    shop = Shop(Strict)
    with run(shop.app, data=str(tmp_path / "data")) as backend:
        reply = backend.post(f"/blind/{how}/old")
        assert (reply.status, reply.json()["code"]) == (500, "stored_item_unreadable")
        assert "things/s/old cannot be read as JSON: " in errors(backend)[-1]
        assert backend.get("/things/other").json() == "none"
        with pytest.raises(StoredItemUnreadable, match="things/s/old"), backend.acting():
            shop.things.update("s", "old", count=7)
