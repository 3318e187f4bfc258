"""The fine print: NaN and Infinity, which JSON cannot say, are refused at the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import field
from pydantic import BaseModel

from tests.contract.fine_print import on_every_platform
from wherry import App, Struct, outside

NAN, INFINITY = float("nan"), float("inf")


class Part(Struct):
    """A part of an item."""

    price: float


class Offer(Struct):
    """An item with numbers at every depth."""

    name: str
    price: float = 0.0
    best: float | None = None
    parts: list[Part] = field(default_factory=list)
    free: dict[str, Any] = field(default_factory=dict)


@dataclass
class Reading:
    """An item that is a dataclass."""

    name: str
    value: float


class Sample(BaseModel):
    """An item that is a Pydantic model."""

    name: str
    value: float | None = None


class Bench:
    """An app whose one route does what a case asks, after a write that must not stay."""

    def __init__(self) -> None:
        self.app = App("bench")
        self.offers = self.app.table(Offer, key="name")
        self.readings = self.app.table(Reading, key="name")
        self.samples = self.app.table(Sample, key="name")
        self.jobs = self.app.queue(Offer, name="jobs")
        self.did: list[str] = []
        self.do: Callable[[], object] = lambda: None

        @self.app.consume(self.jobs)
        def work(offer: Offer) -> None:
            self.did.append(offer.name)

        @self.app.after_commit()
        def note(name: str, price: float | None) -> None:
            self.did.append(name)

        self.note = note
        grants = [self.jobs.send, note.send]
        for table in (self.offers, self.readings, self.samples):
            grants += [table.read, table.write]

        @self.app.post("/go", grants=grants)
        def go() -> None:
            self.offers.put(Offer("before"))
            self.jobs.send(Offer("before"))
            self.do()


def step(bench: Bench, value: object) -> object:
    """A step that writes and returns this."""
    bench.offers.put(Offer("in the step"))
    return value


def put_and_add(bench: Bench, price: float) -> None:
    """Two writes that become one."""
    bench.offers.put(Offer("a", price))
    bench.offers.add("a", price=price)


LOST: dict[str, tuple[Callable[[Bench], object], str]] = {
    "put": (lambda b: b.offers.put(Offer("a", NAN)), "Offer cannot be stored: $.price is nan"),
    "put, where None is allowed": (
        lambda b: b.offers.put(Offer("a", 1.0, -INFINITY)),
        "$.best is -inf",
    ),
    "put, deep inside": (
        lambda b: b.offers.put(Offer("a", parts=[Part(1.5), Part(INFINITY)])),
        "$.parts[1].price is inf",
    ),
    "put, in what has no type": (
        lambda b: b.offers.put(Offer("a", free={"none": None, "x": [1, NAN]})),
        "$.free.x[1] is nan",
    ),
    "put of a dataclass": (
        lambda b: b.readings.put(Reading("a", NAN)),
        "Reading cannot be stored: $.value is nan",
    ),
    "put of a Pydantic model": (
        lambda b: b.samples.put(Sample(name="a", value=NAN)),
        "Sample cannot be stored: $.value is nan",
    ),
    "update": (lambda b: b.offers.update("kept", price=NAN), "Offer.price does not take nan"),
    "update, where None is allowed": (
        lambda b: b.offers.update("kept", best=INFINITY),
        "Offer.best does not take inf",
    ),
    "update of a Pydantic model": (
        lambda b: b.samples.update("kept", value=NAN),
        "Sample.value does not take nan",
    ),
    "add": (lambda b: b.offers.add("kept", price=INFINITY), "Offer.price does not take inf"),
    "add to what was put": (
        lambda b: put_and_add(b, 1.7e308),
        "'price' of 'offers' would be inf",
    ),
    "send": (lambda b: b.jobs.send(Offer("a", NAN)), "Offer cannot be stored: $.price is nan"),
    "after the commit": (lambda b: b.note.send("a", NAN), "'price' does not fit: $ is nan"),
    "a step's result": (
        lambda b: b.app.atomic("count", lambda: step(b, {"rate": NAN})),
        "The result of the step 'count': $.rate is nan",
    ),
    "a step's arguments": (
        lambda b: b.app.atomic("count", abs, NAN),
        "The arguments of the step 'count': $[0][0] is nan",
    ),
    "what the outside said": (lambda b: outside("rate", lambda key: [1.5, NAN]), "$[1] is nan"),
}


@on_every_platform
@pytest.mark.parametrize("case", LOST)
def test_a_number_that_json_cannot_say_is_refused_where_it_is_given(run: Any, case: str) -> None:
    """The error names the field and the value; nothing of the run is applied."""
    bench = Bench()
    act, said = LOST[case]
    with run(bench.app) as backend:
        with backend.acting():
            bench.offers.put(Offer("kept", 1.0, 2.0))
            bench.samples.put(Sample(name="kept", value=1.0))
        bench.do = lambda: act(bench)
        reply = backend.post("/go")
        errors = [line["message"] for line in backend.logs if line["level"] == "ERROR"]
        assert (reply.status, len(errors)) == (500, 1)
        assert said in errors[0]
        backend.drain()
        assert backend.items(bench.offers) == [Offer("kept", 1.0, 2.0)]
        assert backend.items(bench.samples) == [Sample(name="kept", value=1.0)]
        assert backend.items(bench.readings) == []
        assert bench.did == []


@on_every_platform
def test_what_only_looks_like_such_a_number_is_taken(run: Any) -> None:
    """None, the words null and nan, and bytes like those of a NaN, come back as they are."""
    bench = Bench()
    offer = Offer("null", 0.5, None, [], {"null": "nan", "n": [0x7FF8CB7FF8 << 16, -1e308, None]})
    sample = Sample(name="NaN Infinity null")

    def do() -> None:
        bench.offers.put(offer)
        bench.samples.put(sample)
        bench.jobs.send(offer)
        bench.note.send("after", None)
        assert bench.app.atomic("same", dict, offer.free) == offer.free
        assert outside("same", lambda key: [None, "nan"]) == [None, "nan"]

    bench.do = do
    with run(bench.app) as backend:
        assert backend.post("/go").status == 204
        backend.drain()
        assert offer in backend.items(bench.offers)
        assert backend.items(bench.samples) == [sample]
        assert sorted(bench.did) == ["after", "before", "null"]
