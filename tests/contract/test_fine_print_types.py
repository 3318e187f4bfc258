"""The fine print: what could not be read again is refused where it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypedDict, TypeVar

import msgspec
import pydantic
import pytest
from msgspec import Meta
from pydantic import BaseModel

from tests.contract.fine_print import on_every_platform
from wherry import App, Struct, field, publish
from wherry.testing import running

T = TypeVar("T")


class Slot(Struct):
    """A part of an item."""

    room: str
    minutes: int


class Visit(Struct):
    """An item and a message, with bounds and parts."""

    name: str
    minutes: Annotated[int, Meta(ge=1)] = 30
    slots: list[Slot] = msgspec.field(default_factory=list)
    price: float = 0.0
    fee: Decimal = Decimal(0)


@dataclass
class Note:
    """An item that is a dataclass."""

    name: str
    lines: list[str]


@dataclass
class Part:
    """A part of one, with a default."""

    sku: str
    count: int = 1


@dataclass(frozen=True)
class Task:
    """An item that is a dataclass with defaults, also of its parts."""

    name: str
    state: str = "open"
    parts: list[Part] = dataclass_field(default_factory=list)
    spare: dict[str, Part] | None = None


class Crate(Struct):
    """A message that holds one."""

    task: Task


class Pet(BaseModel):
    """A part of an item, and another model than its own."""

    name: str


class Tag(BaseModel):
    """A part that is made by another name than it is written by."""

    label: str = pydantic.Field(validation_alias="text")


class Person(BaseModel):
    """An item that is a Pydantic model."""

    name: str
    age: int = 0
    seen: datetime | None = None
    pets: list[Pet] = []
    tags: list[Tag] = []


class Box(BaseModel, Generic[T]):
    """A model of something."""

    name: str
    inside: T


class Login(BaseModel):
    """A model that hides a part of itself."""

    name: str
    word: pydantic.SecretStr = pydantic.SecretStr("")


class Shown(Login):
    """One that writes it."""

    @pydantic.field_serializer("word")
    def write(self, word: pydantic.SecretStr) -> str:
        return word.get_secret_value()


class Span(BaseModel):
    """A model with a rule for two of its fields, and one for a field."""

    name: str
    first: Annotated[int, pydantic.Field(ge=0)] = 0
    last: int = 9

    @pydantic.model_validator(mode="after")
    def ordered(self) -> Span:
        if self.first > self.last:
            raise ValueError("it ends before it begins")
        return self


class Ticket(TypedDict):
    """A message that is a dict."""

    seat: int


class Clinic:
    """An app whose one route does what a case asks, after a write that must not stay."""

    def __init__(self) -> None:
        self.app = App("clinic")
        self.visits = self.app.table(Visit, key="name")
        self.notes = self.app.table(Note, key="name")
        self.people = self.app.table(Person, key="name")
        self.logins = self.app.table(Login, key="name")
        self.spans = self.app.table(Span, key="name")
        self.jobs = self.app.queue(Visit, name="jobs", upgrade=lambda old: Visit(old["name"]))
        self.did: list[Visit] = []
        self.do: Callable[[], object] = lambda: None

        @self.app.event("booked", version=1)
        class Booked(Struct):
            visit: Visit

        self.booked = Booked

        @self.app.consume(self.jobs)
        def work(visit: Visit) -> None:
            self.did.append(visit)

        grants = [self.jobs.send, publish[Booked]]
        for table in (self.visits, self.notes, self.people, self.logins, self.spans):
            grants += [table.read, table.write]

        @self.app.post("/go", grants=grants)
        def go() -> None:
            self.visits.put(Visit("before"))
            self.do()


def endless() -> Visit:
    """A value that has no end."""
    visit = Visit("a")
    visit.slots.append(visit)  # type: ignore[arg-type]
    return visit


def counted() -> int:
    """A step that says something else than it does."""
    return "many"  # type: ignore[return-value]


WRONG: dict[str, Any] = {"minutes": "30"}

REFUSED: dict[str, tuple[Callable[[Clinic], object], str]] = {
    "put": (
        lambda c: c.visits.put(Visit("a", **WRONG)),
        "The table 'visits' does not take this Visit: Expected `int`, got `str` - at `$.minutes`.",
    ),
    "put, deep inside": (
        lambda c: c.visits.put(Visit("a", slots=[Slot("x", 1), Slot("x", **WRONG)])),
        "Expected `int`, got `str` - at `$.slots[1].minutes`.",
    ),
    "put, out of bounds": (
        lambda c: c.visits.put(Visit("a", 0)),
        "Expected `int` >= 1 - at `$.minutes`.",
    ),
    "put of another class": (
        lambda c: c.visits.put(Slot("x", 1)),  # type: ignore[arg-type]
        "The table 'visits' takes values of Visit, and was given one of Slot.",
    ),
    "put of another model": (
        lambda c: c.people.put(Pet(name="a")),  # type: ignore[arg-type]
        "The table 'persons' takes values of Person, and was given one of Pet.",
    ),
    "put of a dict for a model": (
        lambda c: c.people.put({"name": "a"}),  # type: ignore[arg-type]
        "The table 'persons' takes values of Person, and was given one of dict.",
    ),
    "put of what contains itself": (
        lambda c: c.visits.put(endless()),
        "The table 'visits' does not take this Visit: maximum recursion depth exceeded",
    ),
    "put of a dataclass": (
        lambda c: c.notes.put(Note("a", [1])),  # type: ignore[list-item]
        "The table 'notes' does not take this Note: Expected `str`, got `int` - at `$.lines[0]`.",
    ),
    "put of a model that was not checked": (
        lambda c: c.people.put(Person.model_construct(name="a", age="x")),
        "The table 'persons' does not take this Person: Input should be a valid integer, unable to "
        "parse string as an integer - at `$.age`.",
    ),
    "put of a secret": (
        lambda c: c.logins.put(Login(name="a", word=pydantic.SecretStr("open"))),
        "The table 'logins' does not take this Login: Pydantic writes its secrets as asterisks",
    ),
    "update of a secret": (
        lambda c: c.logins.update("kept", word="open"),
        "Login.word cannot be stored: Pydantic writes it as asterisks",
    ),
    "update of a field of a model with a rule for all": (
        lambda c: c.spans.update("kept", first=-1),
        "Span.first does not take -1: 1 validation error for Span\nfirst",
    ),
    "update": (
        lambda c: c.visits.update("kept", slots=[Slot("x", **WRONG)]),
        "Visit.slots does not take",
    ),
    "update of a model": (
        lambda c: c.people.update("kept", age="old"),
        "Person.age does not take 'old'",
    ),
    "update of a model, deep inside": (
        lambda c: c.people.update("kept", pets=[Pet.model_construct(name=5)]),
        "Person.pets does not take [Pet(name=5)]: 1 validation error for Person\npets.0.name",
    ),
    "add to what is stored as text": (
        lambda c: c.visits.add("kept", fee=1),
        "Visit.fee is Decimal, which is stored as no number: it cannot be added to.",
    ),
    "a comparison where a condition is meant": (
        lambda c: c.visits.update("kept", minutes=5, when=Visit("a").minutes == 30),  # type: ignore[arg-type]
        "when= of 'visits' takes a condition; True was given.",
    ),
    "add a part to what is whole": (
        lambda c: c.visits.add("kept", minutes=0.5),
        "Visit.minutes does not take 0.5: Expected `int`, got `float`",
    ),
    "add a part to what is whole in a model": (
        lambda c: c.people.add("kept", age=0.5),
        "Person.age does not take 0.5: Expected `int`, got `float`",
    ),
    "send": (
        lambda c: c.jobs.send(Visit("a", **WRONG)),
        "The queue 'jobs' does not take this Visit: Expected `int`, got `str` - at `$.minutes`.",
    ),
    "publish": (
        lambda c: publish(c.booked(Visit("a", **WRONG))),
        "The event 'booked' does not take this Booked: Expected `int`, got `str` - at "
        "`$.visit.minutes`.",
    ),
    "a step's result": (
        lambda c: c.app.atomic("count", counted),
        "The step 'count' gave a str, which is not what it says that it returns: Expected `int`",
    ),
}


@on_every_platform
@pytest.mark.parametrize("case", REFUSED)
def test_what_could_not_be_read_again_is_refused_where_it_is_given(run: Any, case: str) -> None:
    """The error of the function names who refuses it and the field; nothing of it is applied."""
    clinic = Clinic()
    act, said = REFUSED[case]
    with run(clinic.app) as backend:
        with backend.acting():
            clinic.visits.put(Visit("kept"))
            clinic.people.put(Person(name="kept"))
            clinic.logins.put(Login(name="kept"))
            clinic.spans.put(Span(name="kept"))
        clinic.do = lambda: act(clinic)
        reply = backend.post("/go")
        errors = [line["message"] for line in backend.logs if line["level"] == "ERROR"]
        assert (reply.status, len(errors)) == (500, 1)
        assert said in errors[0]
        backend.drain()
        assert backend.failures() == []
        assert backend.items(clinic.visits) == [Visit("kept")]
        assert backend.items(clinic.people) == [Person(name="kept")]
        assert backend.items(clinic.logins) == [Login(name="kept")]
        assert backend.items(clinic.spans) == [Span(name="kept")]
        assert backend.items(clinic.notes) == []
        assert clinic.did == []


@pytest.mark.parametrize("act", ["put", "get"])
def test_a_function_that_calls_itself_for_ever_is_not_told_that_a_value_is_wrong(act: str) -> None:
    """Wherever its stack is used up: also while a value is written or read, in its process."""
    clinic = Clinic()

    def do() -> None:
        if act == "put":
            clinic.visits.put(Visit("a"))
        else:
            clinic.visits.get("kept")
        do()

    clinic.do = do
    with running(clinic.app) as backend:
        with backend.acting():
            clinic.visits.put(Visit("kept"))
        assert backend.post("/go").status == 500
        (error,) = [line["message"] for line in backend.logs if line["level"] == "ERROR"]
        assert error.startswith("RecursionError: ")


@on_every_platform
def test_what_is_read_as_what_its_type_says_is_taken(run: Any) -> None:
    """A whole number for a float; a type below; a sum that the type's bounds begin at; a model of
    anything for one of numbers."""
    clinic = Clinic()
    boxes = clinic.app.table(Box[int], name="boxes", key="name")

    class Long(Visit):
        pass

    def do() -> None:
        clinic.visits.put(Visit("a", price=3))
        clinic.jobs.send(Long("b", 240))
        clinic.visits.add("c", minutes=5)

    clinic.do = do
    with run(clinic.app) as backend:
        assert backend.post("/go").status == 204
        backend.drain()
        assert Visit("a", price=3.0) in backend.items(clinic.visits)
        assert Visit("c", 35) in backend.items(clinic.visits)
        assert clinic.did == [Visit("b", 240)]
        with backend.acting():
            boxes.put(Box(name="a", inside=1))
            clinic.people.put(person := Person(name="a", pets=[Pet(name="b")]))
            person.age, person.seen, person.pets = 2, datetime.now(UTC), [Pet(name="c")]
            person.tags = [Tag.model_validate({"text": "d"})]
            clinic.people.update("a", seen=person.seen, pets=person.pets, tags=person.tags)
            clinic.people.add("a", age=2)
        assert backend.items(clinic.people) == [person]
        assert backend.items(boxes) == [Box[int](name="a", inside=1)]


@on_every_platform
def test_a_model_that_writes_its_secrets_and_one_with_a_rule_for_all_fields_are_taken(
    run: Any,
) -> None:
    """A rule for the whole is held where the whole is written: an update knows its fields alone."""
    clinic = Clinic()
    shown = clinic.app.table(Shown, name="shown", key="name")
    with run(clinic.app) as backend:
        with backend.acting():
            shown.put(Shown(name="a", word=pydantic.SecretStr("open")))
            shown.put(Shown(name="b"))
            shown.update("b", word="sesame")
            clinic.logins.put(Login(name="**********"))
            clinic.spans.put(Span(name="a"))
            clinic.spans.update("a", first=5)
        words = {one.name: one.word.get_secret_value() for one in backend.items(shown)}
        assert words == {"a": "open", "b": "sesame"}
        assert backend.items(clinic.logins) == [Login(name="**********")]
        assert backend.items(clinic.spans) == [Span(name="a", first=5)]


@on_every_platform
@pytest.mark.parametrize(
    ("kind", "sent", "got"),
    [
        (Ticket, {"seat": 1}, {"seat": 1}),
        (Any, {"b": [1]}, {"b": [1]}),
        (float, 1, 1.0),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (int, 7, 7),
    ],
    ids=str,
)
def test_a_message_may_be_of_any_type_that_json_has(
    run: Any, kind: Any, sent: Any, got: Any
) -> None:
    app = App("shop")
    queue = app.queue(kind, name="jobs")
    done: list[Any] = []

    def work(job: Any) -> None:
        done.append(job)

    work.__annotations__["job"] = kind
    app.consume(queue)(work)
    with run(app) as backend:
        with backend.acting():
            queue.send(sent)
        backend.drain()
    assert (done, type(done[0])) == ([got], type(got))


@on_every_platform
def test_what_a_dataclass_was_read_without_is_in_what_is_stored_sent_and_answered(run: Any) -> None:
    app = App("shop")
    tasks = app.table(Task, key="name", indexes={"by_state": "state"})
    crates = app.queue(Crate, name="crates", max_attempts=1)
    got: list[Crate] = []

    @app.post("/tasks", grants=[tasks.write, crates.send])
    def make(task: Task) -> Task:
        tasks.put(task)
        crates.send(Crate(task))
        return task

    @app.consume(crates, grants=[tasks.read, tasks.write])
    def work(crate: Crate) -> None:
        got.append(crate)
        (found,) = tasks.query("open", index="by_state").items
        tasks.delete(found.name, when=field("state") == "open")

    sent = {"name": "a", "parts": [{"sku": "x"}], "spare": {"b": {"sku": "y"}}}
    part = {"sku": "x", "count": 1}
    with run(app) as backend:
        reply = backend.post("/tasks", json=sent)
        whole = {"name": "a", "state": "open", "parts": [part], "spare": {"b": part | {"sku": "y"}}}
        assert reply.json() == whole
        backend.drain()
        assert backend.failures() == []
        assert backend.items(tasks) == []
    assert msgspec.to_builtins(got) == [{"task": whole}]


@on_every_platform
def test_a_dataclass_that_the_handler_itself_has_read_is_stored_and_sent_whole(run: Any) -> None:
    app = App("shop")
    tasks = app.table(Task, key="name", indexes={"by_state": "state"})
    crates = app.queue(Crate, name="crates", max_attempts=1)
    got: list[str] = []

    @app.post("/tasks", grants=[tasks.write, crates.send])
    def make() -> None:
        tasks.put(msgspec.json.decode(b'{"name":"a","parts":[{"sku":"x"}]}', type=Task))
        crates.send(msgspec.convert({"task": {"name": "b"}}, Crate))

    @app.consume(crates)
    def work(event, context):  # type: ignore[no-untyped-def]
        got.append(event["Records"][0]["body"])

    with run(app) as backend:
        backend.post("/tasks")
        with backend.acting():
            (found,) = tasks.query("open", index="by_state").items
        assert found == Task("a", parts=[Part("x")])
        backend.drain()
    assert [msgspec.json.decode(body)["task"]["state"] for body in got] == ["open"]


class Stock(Struct):
    """An item with bounds."""

    sku: str
    left: Annotated[int, Meta(ge=0, lt=10)] = 0
    lent: Annotated[int, Meta(le=5)] | None = 0


class Shelf(BaseModel):
    """A model with bounds."""

    sku: str
    left: Annotated[int, pydantic.Field(ge=0)] = 0


@on_every_platform
def test_a_sum_beyond_the_bounds_of_its_field_is_an_unmet_condition(run: Any) -> None:
    """Else nobody could read the item any more; so it also guards what is left in stock."""
    app = App("shop")
    stocks = app.table(Stock, key="sku")
    shelves = app.table(Shelf, key="sku")

    @app.post("/take/{count}", grants=[stocks.write])
    def take(count: int) -> None:
        stocks.add("a", left=-count)

    @app.post("/lend/{count}", grants=[stocks.write])
    def lend(count: int) -> None:
        stocks.add("a", lent=count)

    @app.post("/shelve/{count}", grants=[shelves.write])
    def shelve(count: int) -> None:
        shelves.add("new", left=count)

    @app.post("/both", grants=[stocks.write])
    def both() -> None:
        stocks.put(Stock("b", 1))
        stocks.add("b", left=-2)

    @app.post("/twice", grants=[stocks.write])
    def twice() -> None:
        stocks.add("a", left=-2)
        stocks.add("a", left=-1)

    with run(app) as backend:
        with backend.acting():
            stocks.put(Stock("a", 3))
        for path, status in [
            ("/take/4", 409), ("/take/2", 204), ("/take/-9", 409), ("/take/-8", 204),
            ("/lend/6", 409), ("/lend/5", 204), ("/lend/1", 409),
            ("/shelve/-1", 409), ("/shelve/2", 204), ("/both", 500), ("/twice", 204),
        ]:  # fmt: skip
            assert (path, backend.post(path).status) == (path, status)
        assert backend.items(stocks) == [Stock("a", 6, 5)]
        assert backend.items(shelves) == [Shelf(sku="new", left=2)]
