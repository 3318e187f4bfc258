"""What the oracle wrote down, held against what the engine has: the invariants, and the figures.

I1 what was accepted is there. I2 what was refused is not there, nor what nobody asked for. I3 the
job of each order that is there had its effect once, or is in the failure inbox. I4 done, dead and
waiting are disjoint and all there is. I5 attempts stay within their bound. I7 an object is
what was put. I8 the store's own check passes. I9 memory, files and processes do not grow. I10 every
refusal has a code and an ID.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from wherry.codec import from_json
from wherry.ports import Depths, Failures, ListFailures, QueueDepths
from wherry.ports.failures import FailedWork

from ..engine.server_kit import Engine

BOUNDS = {"jobs": 100, "tight": 3, "audits": 100}  # max_attempts, as app/harbour.py declares
TIGHT = ("poison", "brittle")
FAILS = ("poison", "flaky")  # by themselves, without any fault of ours
SHOWN = 5  # of what breaks an invariant


class Asked(NamedTuple):
    """An order that a client wanted."""

    kind: str
    keyed: bool


class Accepted(NamedTuple):
    """When the try that was answered with 201 was sent, and when it was answered (steady ns)."""

    sent_ns: int
    at_ns: int


class Run(NamedTuple):
    """A run of a job's handler, as the handler told of it."""

    order_id: str
    kind: str
    attempt: int
    at_ns: int


class Ledger:
    """What the oracle wrote down."""

    def __init__(self, path: Path, runs: Path) -> None:
        self.asked: dict[str, Asked] = {}
        self.ok: dict[str, Accepted] = {}
        self.failed: dict[str, str] = {}
        self.unknown: set[str] = set()
        self.wrong: list[str] = []
        self.ended = False
        for line in path.read_text().splitlines():
            self._read(*line.split(" "))
        self.runs = [
            Run(order_id, kind, int(attempt), int(at_ns))
            for order_id, kind, attempt, at_ns in map(str.split, runs.read_text().splitlines())
        ]

    def _read(self, word: str, order_id: str, at_ns: str, *more: str) -> None:
        match word:
            case "asked":
                self.asked[order_id] = Asked(more[0], more[1] == "1")
            case "ok":
                self.ok[order_id] = Accepted(int(more[0]), int(at_ns))
            case "failed":
                self.failed[order_id] = " ".join(more)
            case "unknown":
                self.unknown.add(order_id)
            case "odd":
                self.wrong.append(f"I10 {order_id} was answered {' '.join(more)}, which is odd")
            case "untraced":
                self.wrong.append(f"I10 {order_id}: {more[0]} without a code or a correlation ID")
            case "end":
                self.ended = True


class Found(NamedTuple):
    """What the engine has when all is quiet."""

    present: dict[str, str]  # an order, its kind
    effects: dict[str, int]  # an order, how often its job had its effect
    dead: list[FailedWork]
    depths: Depths
    placed: int
    done: int
    newer: set[str]  # orders that a newer version of the app took, each with an audit
    audited: dict[str, int]  # an order, how often its audit had its effect
    mislabelled: list[str]  # orders whose object is not what was put


def look(engine: Engine, clients: int) -> Found:
    """Ask the engine for all that it has."""
    present: dict[str, str] = {}
    effects: dict[str, int] = {}
    newer: set[str] = set()
    audited: dict[str, int] = {}
    mislabelled: list[str] = []
    for number in range(clients):
        for row in _rows(engine, f"/orders/c{number}"):
            order_id = row["order_id"]
            [present[order_id]] = row["kinds"] if "kinds" in row else [row["kind"]]
            if row.get("audited"):
                newer.add(order_id)
            if present[order_id] == "parcel":
                right = engine.client("GET", f"/labels/c{number}/{order_id}").json()
                mislabelled += [] if right is True else [order_id]
        for row in _rows(engine, f"/audited/c{number}"):
            audited[row["order_id"]] = row["runs"]
        for row in _rows(engine, f"/effects/c{number}"):
            effects[row["order_id"]] = row["runs"]
    dead: list[FailedWork] = []
    after: str | None = None
    while True:
        page: Failures = engine.ask(ListFailures(None, 500, after))
        dead += page.rows
        after = page.after
        if after is None:
            break
    total = engine.client("GET", "/total").json()
    depths: Depths = engine.ask(QueueDepths())
    placed, done = total["placed"], total["done"]
    return Found(present, effects, dead, depths, placed, done, newer, audited, mislabelled)


def _rows(engine: Engine, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    page = engine.client("GET", path).json()
    rows += page["rows"]
    while page["cursor"]:
        page = engine.client("GET", f"{path}?cursor={page['cursor']}").json()
        rows += page["rows"]
    return rows


class Verdict:
    """One life's ledger held against what was found; `wrong` says what broke which invariant.

    `repeats`: an attempt is run again where its commit came to nothing, as promised of a database
    that is away; then attempts are bounded by their numbers, not by the runs. `forgiven`: what was
    accepted between these moments (ns) may be lost, as documented of an asynchronous standby.
    """

    def __init__(
        self, ledger: Ledger, found: Found, repeats: bool, forgiven: list[tuple[int, int]]
    ) -> None:
        self.wrong = list(ledger.wrong)
        self.at_risk = self.forgone = 0
        self.lost = 0
        self.twice = 0
        self.beyond = 0
        self.had_to_fail = 0
        self.might_fail = 0
        self._ledger = ledger
        self._found = found
        self._repeats = repeats
        self._forgiven = forgiven
        self._presence()
        self._effects()
        self._queues()
        self._attempts()

    def _breaks(self, invariant: str, orders: list[str], what: str) -> int:
        if orders:
            more = f" and {len(orders) - SHOWN} more" if len(orders) > SHOWN else ""
            self.wrong.append(f"{invariant} {', '.join(sorted(orders)[:SHOWN])}{more} {what}")
        return len(orders)

    def _presence(self) -> None:
        ledger, present = self._ledger, self._found.present
        if not ledger.ended:
            self.wrong.append("the oracle did not end")
        settled = ledger.ok.keys() | ledger.failed.keys() | ledger.unknown
        if not ledger.wrong:
            self._breaks("I4", [*ledger.asked.keys() - settled], "came to nothing")
        lost = {*ledger.ok.keys() - present.keys()}
        risky = {
            one
            for one, accepted in ledger.ok.items()
            if any(since <= accepted.at_ns <= until for since, until in self._forgiven)
        }
        self.at_risk, self.forgone = len(risky), len(risky & lost)
        self.lost += self._breaks("I1", [*lost - risky], "was accepted, lost")
        self._breaks("I2", [*ledger.failed.keys() & present.keys()], "was refused and is there")
        self._breaks("I2", [*present.keys() - ledger.asked.keys()], "is there, and nobody asked")
        if self._found.placed != len(present):
            self.wrong.append(f"I3 {self._found.placed} were counted, {len(present)} are there")
        keyed = [one for one in ledger.unknown if ledger.asked[one].keyed]
        self._breaks("I10", keyed, "had a key, and its fate could not be learnt")

    def _effects(self) -> None:
        present, effects = self._found.present, self._found.effects
        dead = [from_json(row.body)["order_id"] for row in self._found.dead]
        buried = set(dead)
        self._breaks("I4", [one for one in buried if dead.count(one) > 1], "failed twice")
        self._breaks("I4", [*buried & effects.keys()], "is done and has failed")
        self._breaks("I3", [*(effects.keys() | buried) - present.keys()], "ran without an order")
        self.twice += self._breaks(
            "I3", [one for one, runs in effects.items() if runs != 1], "had its effect twice"
        )
        self.lost += self._breaks(
            "I3", [*present.keys() - effects.keys() - buried], "never had its effect"
        )
        poison = {one for one, kind in present.items() if kind == "poison"}
        self.had_to_fail = len(poison)
        self.might_fail = sum(present.get(one) == "brittle" for one in buried)
        self._breaks("I4", [*poison - buried], "had to fail and is not in the inbox")
        wrongly = [one for one in buried if present.get(one, "brittle") not in TIGHT]
        self._breaks("I4", wrongly, "failed for good and had attempts left")
        if self._found.done != sum(effects.values()):
            self.wrong.append(f"I3 {self._found.done} effects were counted, {len(effects)} made")

        self._breaks("I7", self._found.mislabelled, "has another object than was put")
        audited, newer = self._found.audited, self._found.newer
        self.lost += self._breaks("I3", [*newer - audited.keys()], "was never audited")
        self._breaks("I3", [*audited.keys() - newer], "was audited without being asked for")
        twice = [one for one, runs in audited.items() if runs != 1]
        self.twice += self._breaks("I3", twice, "was audited twice")

    def _queues(self) -> None:
        for row in self._found.depths.rows:
            held = sum(one.queue == row.queue for one in self._found.dead)
            if row.waiting or row.leased or row.failed != held:
                self.wrong.append(f"I4 {row.queue}: {row}, and {held} in the inbox")

    def _attempts(self) -> None:
        over = [
            from_json(row.body)["order_id"]
            for row in self._found.dead
            if row.attempts > BOUNDS[row.queue]
        ]
        runs: dict[str, int] = {}
        for run in self._ledger.runs:
            runs[run.order_id] = runs.get(run.order_id, 0) + 1
            bound = BOUNDS["tight" if run.kind in TIGHT else "jobs"]
            if run.attempt > bound or (runs[run.order_id] > bound and not self._repeats):
                over.append(run.order_id)
        self.beyond += self._breaks("I5", sorted(set(over)), "had more attempts than it may")


def check_store(path: Path) -> str:
    """Return what SQLite's own check says of a store that nobody has open."""
    import apsw

    database = apsw.Connection(str(path))
    try:
        return str(database.execute("PRAGMA integrity_check").get)
    finally:
        database.close()
