"""An app beside its folder `schemas/`: what is refused, whom it breaks, what is to be done."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from wherry import App, Change, publish
from wherry.errors import Refused
from wherry.registry.folder import Key, Recorded, read_folder, text_of, write_file
from wherry.registry.judging import Judgement
from wherry.runtime.stored import judged

Declare = Callable[..., Any]


class First(Struct):
    """A form."""

    id: str
    sku: str


class Second(Struct):
    """A form with a default more."""

    id: str
    sku: str
    note: str = ""


class Third(Struct):
    """A form that does not read the others."""

    id: str
    article: str


class Fourth(Struct):
    """A form that passes for the others."""

    id: str
    article: str = ""


class Kept(Struct):
    """A form with another name in Python alone."""

    id: str
    article: str = msgspec.field(default="", name="sku")


class Again(Struct):
    """A form in which a name means something else than before."""

    id: str
    note: int = 0


def to_third(old: First) -> Third:
    """Make the third form of the first."""
    return Third(old.id, old.sku)


def halfway(old: dict[str, Any]) -> dict[str, Any]:
    """Forget what the form must have."""
    return {"id": old["id"], **({"article": old["sku"]} if old["sku"] else {})}


def shouting(old: First) -> Third:
    """Change what the item is stored under."""
    return Third(old.id.upper() + "!", old.sku)


def leaving(old: First) -> Third:
    """End the process that asks."""
    raise SystemExit(3)


def shop(item: type[Any], **options: Any) -> App:
    """An app with a table, a queue and their readers."""
    app = App("shop")
    orders = app.table(item, name="orders", key="id", **options)
    jobs = app.queue(item, name="jobs", **options)

    def look(id: str) -> None: ...
    def work(job: Any) -> None: ...
    def follow(change: Any) -> None: ...

    work.__annotations__["job"] = item
    follow.__annotations__["change"] = Change[item]  # type: ignore[valid-type]
    app.get("/orders/{id}", grants=[orders.read])(look)
    app.consume(jobs)(work)
    orders.on_change()(follow)
    return app


def told(*versions: tuple[int, type[Any]], **options: Any) -> App:
    """An app with versions of an event, the newest with options; each is listened to."""
    app = App("shop")
    for number, (version, kind) in enumerate(versions, 1):
        last = number == len(versions)
        own = msgspec.defstruct(
            kind.__name__, [(f.name, f.type, f.default) if f.default is not msgspec.NODEFAULT
                            else (f.name, f.type) for f in msgspec.structs.fields(kind)],
        )  # fmt: skip
        app.event("shop.placed", version=version, **(options if last else {}))(own)

        def hear(event: Any) -> None: ...

        hear.__name__ = f"hear_{version}"
        hear.__annotations__["event"] = own
        app.on(own)(hear)
    return app


def recorded(*apps: App) -> dict[Key, Recorded]:
    """What the folder holds after each of these was recorded in turn; nothing is refused."""
    found: dict[Key, Recorded] = {}
    for app in apps:
        for one in judged(app, found).types:
            found[one.stored.key] = one.next
    return found


def codes(found: Judgement) -> list[tuple[str, str]]:
    """Severity and code of each finding."""
    return sorted({(one.severity, one.code) for one in found.findings})


def test_an_app_as_it_is_recorded_is_right() -> None:
    """No finding, every type the same."""
    found = judged(shop(First), recorded(shop(First)))
    assert found.findings == ()
    assert {one.state for one in found.types} == {"same"}


def test_what_is_not_recorded_is_a_warning() -> None:
    """A new type, or one that has only grown, wants to be recorded."""
    assert codes(judged(shop(First), {})) == [("warning", "schema_unrecorded")]
    found = judged(shop(Second), recorded(shop(First)))
    assert codes(found) == [("warning", "schema_unrecorded")]
    assert {one.state for one in found.types} == {"changed"}


def test_a_finding_names_the_field_the_reader_and_the_way_out() -> None:
    """For the table all who read its items or follow its changes, for the queue its consumer."""
    found = judged(shop(Third), recorded(shop(First)))
    assert codes(found) == [("error", "schema_breaks")]
    queue, table = sorted(found.findings, key=lambda one: one.message)
    assert "queue 'jobs': `article` is new" in queue.message
    assert "`sku`, which is gone" in queue.message
    assert "work would fail on messages that wait" in queue.message
    assert "look, follow would fail on items that are stored" in table.message
    assert "upgrade=" in table.fix
    assert table.place is not None


def test_an_upgrade_that_reads_the_old_form_lets_it_pass() -> None:
    """It is tried on examples of each recorded form; the new form then wants to be recorded."""
    before = recorded(shop(First))
    found = judged(shop(Third, upgrade=to_third), before)
    assert codes(found) == [("warning", "schema_unrecorded")]
    after = recorded(shop(First), shop(Third, upgrade=to_third))
    assert [form.form for form in after[Key("table", "orders")].forms] == [2, 1]
    assert judged(shop(Third, upgrade=to_third), after).findings == ()


def test_an_upgrade_that_does_not_read_all_of_it_is_shown_what_it_failed_on() -> None:
    """With the example, so that it can be put into a test."""
    found = judged(shop(Third, upgrade=halfway), recorded(shop(First)))
    assert ("error", "upgrade_fails") in codes(found)
    assert '"sku":""' in found.findings[0].message


def test_an_upgrade_that_moves_an_item_is_found() -> None:
    """It would be put beside its old self, which nobody finds under the new key."""
    found = judged(shop(Third, upgrade=shouting), recorded(shop(First)))
    (failed,) = [one for one in found.findings if one.code == "upgrade_fails"]
    assert "it changes 'id', by which the item is stored" in failed.message


def test_an_upgrade_that_exits_is_told_of_as_any_other_failure() -> None:
    found = judged(shop(Third, upgrade=leaving), recorded(shop(First)))
    assert "SystemExit: 3" in found.findings[0].message


def test_a_form_is_owed_to_until_it_is_taken_out_of_the_file() -> None:
    """The upgrade goes, and the form before the last breaks again."""
    after = recorded(shop(First), shop(Third, upgrade=to_third))
    found = judged(shop(Third), after)
    assert codes(found) == [("error", "schema_breaks")]
    assert "since form 1" in found.findings[0].message
    gone = {key: msgspec.structs.replace(one, earlier=[]) for key, one in after.items()}
    assert judged(shop(Third), gone).findings == ()


def test_a_name_that_meant_something_else_before_is_found() -> None:
    """Compared with the last form alone nothing would break: `note` was text in the one before."""
    found = judged(shop(Again), recorded(shop(Second), shop(Fourth)))
    assert ("error", "schema_breaks") in codes(found)
    assert "`note` was text, is a whole number since form 1" in found.findings[0].message


def test_an_upgrade_that_is_never_tried_is_told() -> None:
    """The old form passes for the new one, and what it held would be lost without a word."""
    found = judged(shop(Fourth, upgrade=to_third), recorded(shop(First)))
    assert ("warning", "upgrade_unused") in codes(found)


def test_a_rename_that_nothing_fails_on_is_refused_too() -> None:
    """The new name has a default: every reader would find nothing where something is stored."""
    before = recorded(shop(First))
    found = judged(shop(Fourth), before)
    assert ("error", "schema_renames") in codes(found)
    assert {one.state for one in found.types} == {"breaks"}
    [table] = [one for one in found.findings if "table 'orders': `article`" in one.message]
    assert "`sku`, which is gone, looks like its old name" in table.message
    assert "look, follow would read items that are stored as if" in table.message
    assert "take the old one away first" in table.fix
    assert ("error", "schema_renames") in codes(judged(shop(Fourth, upgrade=to_third), before))


def test_a_field_that_keeps_its_name_in_json_is_no_rename() -> None:
    """What it is called in Python is nobody's business; its default is all that has changed."""
    found = judged(shop(Kept), recorded(shop(First)))
    assert codes(found) == [("warning", "schema_unrecorded")]


def test_a_field_that_goes_before_another_one_comes_is_no_rename() -> None:
    """Two steps, each recorded, say that the two have nothing in common."""

    class Less(Struct):
        id: str

    steps = recorded(shop(First), shop(Less))
    assert codes(judged(shop(Fourth), steps)) == [("warning", "schema_unrecorded")]


def test_what_runs_after_a_commit_is_a_type_like_any_other() -> None:
    """Its arguments are compared by name, and upgraded as one object."""

    def app(new: bool, **options: Any) -> App:
        one = App("after")

        def notify(order: str) -> None: ...
        def other(order_id: str) -> None: ...

        other.__name__ = "notify"
        one.after_commit(**options)(other if new else notify)
        return one

    before = recorded(app(new=False))
    assert codes(judged(app(new=True), before)) == [("error", "schema_breaks")]
    found = judged(app(new=True, upgrade=lambda old: {"order_id": old["order"]}), before)
    assert codes(found) == [("warning", "schema_unrecorded")]


def test_what_sources_tell_is_not_recorded_twice() -> None:
    """An event has a type of its own, a change is of its table's."""
    names = {one.stored.key for one in judged(told((1, First)), {}).types}
    assert names == {Key("event", "shop.placed", 1)}
    assert Key("queue", "follow") not in {one.stored.key for one in judged(shop(First), {}).types}


# --- versions of events ---------------------------------------------------------------------------


def test_a_changed_event_may_become_a_version_beside_the_other() -> None:
    """The old one stays as it is, and so do those who listen to it."""
    before = recorded(told((1, First)))
    changed = judged(told((1, Third)), before)
    assert codes(changed) == [("error", "schema_breaks")]
    assert "hear_1 would fail on events on their way" in changed.findings[0].message
    assert "declare version 2 beside version 1" in changed.findings[0].fix
    assert codes(judged(told((1, First), (2, Third)), before)) == [("warning", "schema_unrecorded")]


def test_a_version_that_is_given_up_is_read_by_the_next_or_refused() -> None:
    """Events of it may be on their way."""
    before = recorded(told((1, First), (2, Third)))
    found = judged(told((2, Third)), before)
    assert codes(found) == [("error", "schema_breaks")]
    assert "version 1 is recorded and no longer declared" in found.findings[0].message
    assert "delete schemas/events/shop.placed.v1.json" in found.findings[0].fix

    def newer(old: First) -> dict[str, str]:
        return {"id": old.id, "article": old.sku}

    assert judged(told((2, Third), upgrade=newer), before).findings == ()


def test_a_downgrade_is_tried_on_the_newer_version() -> None:
    """It must give a value of the older class for whatever the newer one allows."""
    app = App("shop")

    @app.event("a.b", version=1)
    class One(Struct):
        name: str

    def first_of(event: Any) -> One:
        return One(event.names[0])

    @app.event("a.b", version=2, downgrade=first_of)
    class Two(Struct):
        names: list[str]

    @app.on(One)
    def hear(event: One) -> None: ...

    @app.post("/tell", grants=[publish[Two]])
    def tell() -> None: ...

    found = judged(app, recorded(app))
    assert codes(found) == [("error", "downgrade_fails")]
    assert "IndexError" in found.findings[0].message


def test_a_file_of_nothing_is_told() -> None:
    """A type that is declared no more keeps its file until nothing of it is left."""
    found = judged(App("shop"), recorded(shop(First)))
    assert codes(found) == [("warning", "schema_unused")]
    fixes = " ".join(one.fix for one in found.findings)
    assert "schemas/queues/jobs.json" in fixes
    assert "keep its name: name='orders'" in fixes


# --- the folder -----------------------------------------------------------------------------------


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """One for each type and version; the same forms give the same bytes."""
    of = recorded(shop(First), shop(Second)) | recorded(told((1, First)))
    paths = {write_file(str(tmp_path), one) for one in of.values()}
    assert {Path(path).relative_to(tmp_path).as_posix() for path in paths} == {
        "tables/orders.json", "queues/jobs.json", "events/shop.placed.v1.json",
    }  # fmt: skip
    assert read_folder(str(tmp_path)) == of
    text = (tmp_path / "tables/orders.json").read_bytes()
    assert text == text_of(of[Key("table", "orders")])
    assert text.index(b'"note"') < text.index(b'"earlier"')


def test_a_folder_of_something_else_is_none_of_ours(tmp_path: Path) -> None:
    """A package of that name holds no forms."""
    assert read_folder(str(tmp_path / "none")) is None
    (tmp_path / "__init__.py").write_text("")
    assert read_folder(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "wherry schemas update"),
        ('{"kind":"table","name":"orders","form":1,"schema":{},"more":1}', "unknown field"),
        ('{"kind":"table","name":"other","form":1,"schema":{}}', "is of the table 'other'"),
        ("{\n<<<<<<< HEAD\n}", "Two branches"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_to_do(tmp_path: Path, text: str, match: str) -> None:
    """Damaged by hand, by a merge, or copied."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "orders.json").write_text(text)
    with pytest.raises(Refused) as refused:
        read_folder(str(tmp_path))
    assert match in f"{refused.value.message} {refused.value.advice}"


def refunds(given: type[Any], payload: type[Any], **options: Any) -> App:
    """An app with a workflow of one step."""
    app = App("shop")
    refund = app.workflow(
        "refund",
        input=given,
        definition={
            "StartAt": "A",
            "States": {"A": {"Type": "Task", "Resource": "pay", "End": True}},
        },
    )

    def pay(job: Any) -> None: ...
    def begin() -> None: ...

    pay.__annotations__["job"] = payload
    app.task(**options)(pay)
    app.post("/refunds", grants=[refund.start])(begin)
    return app


def test_the_input_of_a_workflow_is_a_type_at_rest() -> None:
    """An execution may run for a year; a change that its states may not read is told, once."""
    before = recorded(refunds(First, dict))
    assert Key("workflow", "refund").path == "workflows/refund.json"
    assert Key("workflow", "refund") in before
    found = judged(refunds(Third, dict), before)
    assert codes(found) == [("warning", "schema_breaks"), ("warning", "schema_unrecorded")]
    told = next(one for one in found.findings if one.code == "schema_breaks")
    assert "Executions that began before hand the old form to pay." in told.message
    after = recorded(refunds(First, dict), refunds(Third, dict))
    assert judged(refunds(Third, dict), after).findings == ()


def test_a_payload_of_a_task_is_read_as_a_message_is() -> None:
    """What its function does not read any more is refused, unless an upgrade reads it."""
    before = recorded(refunds(First, First))
    found = judged(refunds(First, Third), before)
    assert codes(found) == [("error", "schema_breaks")]
    assert "pay would fail" in found.findings[0].message
    passed = judged(refunds(First, Third, upgrade=to_third), before)
    assert codes(passed) == [("warning", "schema_unrecorded")]
