"""The fine print: what a run reads, and which of it the commit checks."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from wherry import App, Struct, begins_with

pytestmark = on_every_platform


class Entry(Struct):
    """An item of a table with a sort key and an index."""

    book: str
    page: str
    tag: str = "plain"


def meddling(shelf: Shelf, backend: Any, name: str = "a", count: int = 100) -> None:
    """Let somebody else write the key while the first run is under way."""
    if not any(thing.count >= 100 for thing in backend.items(shelf.things)):
        with backend.acting():
            shelf.things.put(Thing(name, count))


@pytest.mark.parametrize("there", [True, False])
def test_a_key_that_was_read_is_checked_when_it_is_written(run: Any, there: bool) -> None:
    shelf = Shelf()

    @shelf.app.post("/count", grants=shelf.all)
    def count() -> None:
        found = shelf.things.get("a") or Thing("a")
        meddling(shelf, backend)
        shelf.things.put(Thing("a", found.count + 1))

    with run(shelf.app) as backend:
        if there:
            with backend.acting():
                shelf.things.put(Thing("a", 1))
        assert backend.post("/count").status == 204
        assert backend.items(shelf.things) == [Thing("a", 101)]
        runs = [record for record in backend.records if record.function == "count"]
        assert [record.ending for record in runs] == ["conflict", "ok"]


@pytest.mark.parametrize("write", ["update", "add", "delete"])
def test_every_kind_of_write_checks_what_was_read(run: Any, write: str) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.post("/count", grants=shelf.all)
    def count() -> None:
        found = shelf.things.get("a")
        runs.append(found.count if found else 0)
        meddling(shelf, backend)
        match write:
            case "update":
                shelf.things.update("a", note="updated")
            case "add":
                shelf.things.add("a", count=1)
            case "delete":
                shelf.things.delete("a")

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.things.put(Thing("a", 1))
        assert backend.post("/count").status == 204
    assert runs == [1, 100]


def test_a_key_found_by_a_query_is_checked_when_it_is_written(run: Any) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.post("/count", grants=shelf.all)
    def count() -> None:
        (found,) = shelf.things.query("a")
        runs.append(found.count)
        meddling(shelf, backend)
        shelf.things.put(Thing("a", found.count + 1))

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.things.put(Thing("a", 1))
        assert backend.post("/count").status == 204
    assert runs == [1, 100]


def test_a_blind_put_replaces(run: Any) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.post("/put", grants=shelf.all)
    def put() -> None:
        runs.append(1)
        meddling(shelf, backend)
        shelf.things.put(Thing("a", 7))

    with run(shelf.app) as backend:
        assert backend.post("/put").status == 204
        assert backend.items(shelf.things) == [Thing("a", 7)]
    assert runs == [1]


@pytest.mark.parametrize(
    ("guard", "reads", "runs_wanted"),
    [(False, "versioned", 1), (True, "versioned", 2), (False, "checked", 2)],
)
def test_a_read_of_another_key_is_checked_only_where_that_is_asked(
    run: Any, guard: bool, reads: Literal["versioned", "checked"], runs_wanted: int
) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.post("/put", grants=shelf.all, reads=reads)
    def put() -> None:
        found = shelf.things.get("a", guard=guard)
        runs.append(found)
        meddling(shelf, backend)
        shelf.things.put(Thing("b", 1))

    with run(shelf.app) as backend:
        assert backend.post("/put").status == 204
    assert len(runs) == runs_wanted


def test_a_guarded_read_is_checked_in_a_run_that_writes_nothing(run: Any) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.get("/look", grants=shelf.all)
    def look() -> int:
        found = shelf.things.get("a", guard=True)
        runs.append(found)
        meddling(shelf, backend)
        return found.count if found else 0

    with run(shelf.app) as backend:
        assert backend.get("/look").json() == 100
    assert len(runs) == 2


def test_the_record_keeps_the_read_set(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/move", grants=shelf.all)
    def move() -> None:
        shelf.things.get("a")
        shelf.things.get("missing")
        shelf.things.put(Thing("b"))

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.things.put(Thing("a"))
        backend.post("/move")
        assert backend.records[-1].marks == [
            "read things/a",
            "read things/missing (absent)",
            "put things/b",
        ]


def test_a_key_written_earlier_is_read_back(run: Any) -> None:
    shelf = Shelf()
    seen: list[Thing | None] = []

    @shelf.app.post("/all", grants=shelf.all)
    def everything() -> None:
        shelf.things.put(Thing("a", 1))
        seen.append(shelf.things.get("a"))
        shelf.things.add("a", count=2)
        seen.append(shelf.things.get("a"))
        shelf.things.update("a", note="seen")
        seen.append(shelf.things.get("a"))
        shelf.things.delete("a")
        seen.append(shelf.things.get("a"))
        shelf.things.add("stored", count=5)
        seen.append(shelf.things.get("stored"))

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.things.put(Thing("stored", 10))
        assert backend.post("/all").status == 204
        assert backend.items(shelf.things) == [Thing("stored", 15)]
    assert seen == [
        Thing("a", 1), Thing("a", 3), Thing("a", 3, "seen"), None, Thing("stored", 15),
    ]  # fmt: skip


def test_a_query_on_a_table_with_pending_writes_is_refused_unless_committed(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/query", grants=shelf.all)
    def query(committed: bool) -> list[Thing]:
        shelf.things.put(Thing("a", 2))
        return shelf.things.query("a", committed=committed).items

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.things.put(Thing("a", 1))
        assert backend.post("/query", query={"committed": "false"}).status == 500
        assert any("committed=True" in line["message"] for line in backend.logs)
        assert backend.items(shelf.things) == [Thing("a", 1)]
        assert backend.post("/query", query={"committed": "true"}).json()[0]["count"] == 1
        assert backend.items(shelf.things) == [Thing("a", 2)]


def test_reads_see_what_was_committed_just_before(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/add", grants=shelf.all)
    def add() -> None:
        shelf.things.add("a", count=1)

    @shelf.app.get("/look", grants=shelf.all)
    def look() -> list[int]:
        found = shelf.things.get("a")
        (queried,) = shelf.things.query("a")
        return [found.count if found else 0, queried.count]

    with run(shelf.app) as backend:
        for number in range(1, 4):
            backend.post("/add")
            assert backend.get("/look").json() == [number, number]


def book(pages: int) -> tuple[App, Any]:
    """Return an app that reads a book page by page."""
    app = App("library")
    entries = app.table(Entry, key="book", sort="page", indexes={"by_tag": ("tag", "page")})

    @app.get("/pages", grants=[entries.read])
    def read(
        of: str = "a",
        index: str | None = None,
        start: str = "",
        cursor: str | None = None,
        descending: bool = False,
    ) -> dict[str, Any]:
        page = entries.query(
            of,
            index=index,
            sort=begins_with(start) if start else None,
            limit=4,
            cursor=cursor,
            descending=descending,
        )
        return {"pages": [entry.page for entry in page], "cursor": page.cursor}

    return app, entries


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("index", [None, "by_tag"])
def test_cursors_lead_through_a_query_once(run: Any, index: str | None, descending: bool) -> None:
    app, entries = book(10)
    with run(app) as backend:
        with backend.acting():
            for number in range(10):
                entries.put(Entry("a", f"p{number}"))
        query: dict[str, Any] = {"of": "plain" if index else "a", "index": index}
        query["descending"] = str(descending).lower()
        seen, cursor = [], None
        while True:
            page = backend.get("/pages", query={**query, "cursor": cursor}).json()
            seen += page["pages"]
            if (cursor := page["cursor"]) is None:
                break
        wanted = [f"p{number}" for number in range(10)]
        assert seen == (wanted[::-1] if descending else wanted)


@pytest.mark.parametrize(
    "other",
    [
        {"of": "b"},
        {"index": "by_tag"},
        {"start": "p"},
        {"descending": "true"},
        {"cursor": "nonsense"},
        {"cursor": "AAAAAAAAAAAA"},
    ],
)
def test_a_cursor_of_another_query_is_refused(run: Any, other: dict[str, str]) -> None:
    app, entries = book(10)
    with run(app) as backend:
        with backend.acting():
            for number in range(10):
                entries.put(Entry("a", f"p{number}"))
        cursor = backend.get("/pages").json()["cursor"]
        refused = backend.get("/pages", query={"cursor": cursor, **other})
        assert (refused.status, refused.json()["code"]) == (400, "bad_request")


def test_a_cursor_that_a_client_has_changed_is_a_bad_request(run: Any) -> None:
    """Of an index's query it says more than a key; whatever stands there, the store is well."""
    app, entries = book(10)
    with run(app) as backend:
        with backend.acting():
            for number in range(10):
                entries.put(Entry("a", f"p{number}"))
        query = {"of": "plain", "index": "by_tag"}
        cursor = backend.get("/pages", query=query).json()["cursor"]
        for changed in (cursor[:8], cursor[:8] + "wcHB", cursor[:-4]):
            refused = backend.get("/pages", query={**query, "cursor": changed})
            assert (refused.status, refused.json()["code"]) == (400, "bad_request")


def test_an_item_without_an_indexs_field_is_absent_from_it(run: Any) -> None:
    app = App("library")

    class Loose(Struct):
        name: str
        tag: str | None = None

    loose = app.table(Loose, key="name", indexes={"by_tag": "tag"})

    @app.get("/tagged", grants=[loose.read])
    def tagged() -> list[str]:
        return [one.name for one in loose.query("x", index="by_tag")]

    with run(app) as backend:
        with backend.acting():
            loose.put(Loose("with", "x"))
            loose.put(Loose("without"))
        assert backend.get("/tagged").json() == ["with"]


def test_an_expired_item_is_never_read(run: Any) -> None:
    app = App("library")

    class Note(Struct):
        name: str
        until: int

    notes = app.table(Note, key="name", expires="until")

    @app.get("/notes/{name}", grants=[notes.read])
    def get(name: str) -> list[int]:
        return [int(notes.get(name) is not None), len(notes.query(name))]

    with run(app) as backend:
        until = backend.clock.now_ms() // 1000 + 60
        with backend.acting():
            notes.put(Note("a", until))
        assert backend.get("/notes/a").json() == [1, 1]
        backend.clock.advance(60)
        assert backend.get("/notes/a").json() == [0, 0]
        assert backend.items(notes) == []


def test_a_read_outside_of_a_run_says_how_to_do_it_in_a_test(run: Any) -> None:
    shelf = Shelf()
    shelf.consume_nothing()
    with run(shelf.app), pytest.raises(Exception, match=r"wherry\.testing"):
        shelf.things.get("a")
    with pytest.raises(Exception, match=r"wherry\.testing"):
        shelf.jobs.send(Job("a"))
