"""What the graph is made of, and what is read from it."""

from __future__ import annotations

from typing import Literal

from wherry.blueprint.parts import Place, Record


class Step(Record, frozen=True):
    """A run of a function: for a request, or for a message of a queue.

    A request is tried once: who sent it may repeat it, which is not counted. A message is tried
    `attempts` times; then it waits in the failure inbox of `inbox`. A task of a workflow is tried
    as the state's `Retry` says; then the workflow goes on, or fails.
    """

    name: str  # "POST /orders", or the queue's name
    function: str
    attempts: int = 1
    reruns: int = 0  # of each attempt as a rule at most, after lost conflicts; no attempts
    wait_s: float = 0.0  # all waits between attempts, at their longest
    inbox: str | None = None  # None: nothing is left, and the caller is told
    task: bool = False  # a state of a workflow calls it
    blocks: bool = False  # what comes after a dead message of its group waits for a decision
    place: Place | None = None


class Link(Record, frozen=True):
    """From a function to a queue that it may put messages into, by one or more of its grants.

    From a workflow to a function: by the states that call it.
    """

    queue: str
    by: tuple[str, ...]


class Entry(Record, frozen=True):
    """Where paths begin: a function's routes or schedules; what neither feeds, nor leads on to."""

    kind: Literal["route", "schedule", "queue", "workflow"]
    names: tuple[str, ...]  # "POST /orders"; those of the schedules; the queue's, the workflow's
    first: Step


class Layer(Record, frozen=True):
    """One step of a path. `most_attempts` is what a single entry can come to here."""

    step: Step
    by: tuple[str, ...] = ()  # the grants of the function before; none at an entry
    most_attempts: int | None = None  # the attempts of all layers up to here, multiplied


class Path(Record, frozen=True):
    """From an entry to an end. Figures are None where a cycle lets them grow without an end.

    Two bounds: `most_attempts` multiplies the layers, as if every attempt passed its work on. That
    holds on every platform and whatever a handler does besides its effects. `summed_attempts` adds
    them up: effects leave only with the attempt that commits, so that one message a step is tried
    so often on the whole path. `most_reruns` are runs after lost conflicts, on top of the first.
    `wait_s` is the time until the last attempt, as far as waits between attempts make it.
    """

    entry: str
    layers: tuple[Layer, ...]
    most_attempts: int | None
    most_reruns: int | None
    summed_attempts: int | None
    wait_s: float | None
    again: str | None = None  # the queue of this path that it comes back to


class Branch(Record, frozen=True):
    """A step with all that can follow it; in a large tree what was told before is cut short."""

    layer: Layer
    wait_s: float | None  # until its last attempt, with those before
    branches: tuple[Branch, ...] = ()
    cut: Literal["", "again", "above"] = ""  # on its own path already; elsewhere in this tree


class Cycle(Record, frozen=True):
    """Functions that may call each other without an end: each puts messages into the next queue."""

    functions: tuple[str, ...]
    queues: tuple[str, ...]  # of the same order: what each of the functions consumes
    by: tuple[tuple[str, ...], ...]  # the grants with which each reaches the next
    place: Place | None = None

    def __str__(self) -> str:
        steps = [
            f"{function} ({', '.join(by)})"
            for function, by in zip(self.functions, self.by, strict=True)
        ]
        return " > ".join((*steps, self.functions[0]))
