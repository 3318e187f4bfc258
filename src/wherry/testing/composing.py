"""One engine in the test's process: core, store, gateway and handlers on a manual clock."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.blueprint import digest
from wherry.codec import from_json
from wherry.engine.core import Core, Settings
from wherry.engine.numbers import NUMBER_BITS
from wherry.engine.offload import Inline
from wherry.engine.store import DirectStore
from wherry.engine.workflows.packing import unpack
from wherry.errors import Refused
from wherry.handles.logs import mask_only, masked, send_lines_to
from wherry.identity import DevelopmentIssuer
from wherry.openapi import pages
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.sigv4 import SigningKey
from wherry.ports import (
    Depth,
    Depths,
    Execution,
    GetExecution,
    GetState,
    PutState,
    QueueDepths,
    RecentRecords,
    State,
    TimelineRows,
)
from wherry.testing.acting import ActingLink
from wherry.testing.client import Client
from wherry.testing.environments import RUNS, KitHost, TooManyRuns
from wherry.testing.faults import Faults, FaultyPlatform
from wherry.testing.stores import KitStore, Window
from wherry.world import Chance, ManualClock, ManualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry.app import App
    from wherry.effects import Effect
    from wherry.ports import Request

RUNS_EACH = 20  # further ones, for each message that waits when a test lets them run
STEPS = 10_000  # timers until one request is answered
JUMPS = 1_000  # of the clock in one `drain`
NEVER = float("inf")
_signing_keys: list[bytes] = []  # of development issuers: made once in a process, it takes 0.1 s


class NotDrained(AssertionError):
    """Messages still wait."""


class Composed:
    """The parts of one engine, and how its time passes."""

    def __init__(
        self,
        app: App,
        *,
        seed: int,
        start_ms: int | None,
        secrets: Mapping[str, str],
        public_url: str,
        data: str | None,
        twice: bool,
        open_store: Callable[[str, ManualClock], Window] = KitStore,
    ) -> None:
        blueprint = app.freeze()
        self.app = app
        self.blueprint = blueprint
        self._temporary = tempfile.mkdtemp(prefix="wherry-test-")
        self.folder = data or self._temporary
        os.makedirs(self.folder, exist_ok=True)
        self.clock = ManualClock() if start_ms is None else ManualClock(start_ms)
        self.loop = ManualLoop(self.clock)
        self.chance = Chance(seed)
        self.lines: list[bytes] = []
        self.faults = Faults()
        self._copies = 0
        path = os.path.join(data, "store.db") if data else ":memory:"
        self.store = open_store(path, self.clock)
        self._go_on()
        self.platform = FaultyPlatform(self.store, self.faults)
        self.blobs = Blobs(os.path.join(self.folder, "objects"))
        self.core = Core(
            Settings(
                public_url=public_url,
                owner=f"test-{self.clock.now_ms()}",
                secrets_folder=os.path.join(self._temporary, "secrets"),
                variables={secret_variable(name): value for name, value in secrets.items()},
            ),
            self.loop,
            self.clock,
            self.chance,
            DirectStore(self.platform, self.loop),
            Inline(self.loop),
            self.blobs,
            SigningKey("test", self.chance.token(32).hex()),
            self.ask,
            self.lines.append,
            pages,
            app.name,
        )
        self.platform.recover = self.core.feeds.recover
        self.host = KitHost(self.core, self.platform, app, self.clock, self.faults, twice)
        self.host.commit = self._commit
        self._before = send_lines_to(self.core.journal.line_of_handler, app.name)
        self._masked_before = masked()
        self._activate()
        self.client = Client(self.core.gateway, public_url)

    def _go_on(self) -> None:
        """Let the clock begin behind all that the store remembers: runs are numbered by it."""
        newest: TimelineRows = self.ask(RecentRecords(None, 1))
        if newest.records:
            behind_ms = (newest.records[0].number >> NUMBER_BITS) - self.clock.now_ms()
            self.clock.advance(max(0.0, behind_ms / 1000 + 1))

    def _activate(self) -> None:
        blueprint, core = self.blueprint, self.core
        release = core.prepare(
            blueprint, digest(blueprint)[:16], self.host.start, lambda kept_mb: True
        )
        self.host.release = release
        if _signing_keys:
            for auth in blueprint.auths:
                self.ask(PutState(_key_of(auth.name), _signing_keys[0], True))
        core.feeds.pause(True)
        answers: list[Any] = []
        core.activate(release, answers.append)
        self.loop.run_ready()
        if answers != [release]:
            self.close()
            raise Refused(f"The store does not take this app: {answers}")
        assert core.gateway.callers is not None
        for auth in blueprint.auths:
            if auth.issuer is not None:
                core.gateway.callers.stand_in(auth, self._outside_issuer(auth))
            elif not _signing_keys:
                made = self.ask(GetState(_key_of(auth.name)))
                assert isinstance(made, State)
                _signing_keys.append(made.value)

    def _outside_issuer(self, auth: Any) -> DevelopmentIssuer:
        """Sign in the place of an issuer that is not here."""
        from wherry.engine.gateway.callers import StoreState

        return DevelopmentIssuer(
            auth.issuer,
            (auth.audiences or (auth.name,))[0],
            auth.roles or ("user",),
            StoreState(auth.name, self.ask),
            clock=self.clock,
            chance=self.chance,
        )

    def ask(self, request: Request) -> Any:
        """Ask the store for the engine itself; no fault strikes."""
        return self.store.run([("", request)])[0]

    def _commit(self, effects: Sequence[Effect]) -> None:
        """Commit for the test itself; where a condition does not hold nothing comes of it."""
        number = self.core.dispatcher.numbers.next()
        ActingLink(self, "", number).commit(list(effects), [], [], [])

    def copy_store(self) -> Window:
        """Return a store with what is here now."""
        self._copies += 1
        return self.store.copy(os.path.join(self._temporary, f"copy-{self._copies}.db"))

    def close(self) -> None:
        """Let go of everything."""
        send_lines_to(*self._before)
        mask_only(self._masked_before)
        for lag in self.faults.lags:
            lag.store.close()
        self.store.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def log_lines(self) -> list[dict[str, Any]]:
        """All lines so far."""
        self.core.journal.flush()
        text = b"".join(self.lines)
        return [from_json(line) for line in text.splitlines()]

    # -- time ------------------------------------------------------------------------------------

    def settle(self, waiting: Any = None) -> None:
        """Run until nothing is under way, or until `waiting` has its answer."""
        if waiting is not None:
            self.host.runs_left = RUNS
        renewed_s = self.clock.steady_s()
        self.loop.run_ready()
        for _ in range(STEPS):
            if self.core.dispatcher.open == 0 and (waiting is None or waiting.response):
                self.core.journal.flush()
                self.loop.run_ready()
                return
            due_s = self.loop.next_due_s()
            if due_s is None:
                break
            self.clock.advance_to(due_s)
            if due_s - renewed_s >= limits.LEASE_RENEW_S:  # as where a commit is made again
                renewed_s = due_s
                self.core.feeds.renew()
            self.loop.run_ready()
            self.core.dispatcher.deadlines.check()
        raise TooManyRuns("What was begun does not come to an end.")

    def drain(self, until_s: float | None) -> None:
        """Let time pass until no message waits and no execution goes on by itself."""
        end_s = None if until_s is None else self.clock.steady_s() + until_s
        with _Running(self):
            for _ in range(JUMPS):
                depths = self.waiting()
                due_s = min(self._next_due_s(depths), self._next_state_s())
                if due_s == NEVER:
                    return
                if end_s is not None and due_s > end_s:
                    break
                self._jump(due_s)
            raise NotDrained(self._still(self.waiting()))

    def advance(self, seconds: float) -> None:
        """Let time pass; messages and schedules that fall due meanwhile run at their moment."""
        end_s = self.clock.steady_s() + seconds
        with _Running(self):
            while True:
                due_s = min(
                    self._next_due_s(self.waiting()), self._next_firing_s(), self._next_wake_s()
                )
                if due_s >= end_s:
                    break
                self._jump(due_s)
            self._jump(max(end_s, self.clock.steady_s()))
        self.core.sweep()
        self.settle()

    def _jump(self, due_s: float) -> None:
        self.clock.advance_to(due_s)
        self.core.feeds.renew()
        self.core.feeds.poll()
        self.settle()

    def waiting(self) -> list[Depth]:
        """Return the queues with a consumer for which messages wait or run.

        Not those that nothing but somebody's action can move: paused, or behind one that has died.
        """
        depths = self.ask(QueueDepths())
        assert isinstance(depths, Depths)
        feeds = self.core.feeds.feeds
        return [
            row
            for row in depths.rows
            if row.queue in feeds
            and (row.leased or (row.waiting and not row.paused))
            and (row.leased or not self.store.is_stuck(row.queue))
        ]

    def _next_due_s(self, depths: list[Depth]) -> float:
        """Return when (`steady_s`) to look at the queues again."""
        now_s, now_ms = self.clock.steady_s(), self.clock.now_ms()
        found = []
        for row in depths:
            feed = self.core.feeds.feeds[row.queue]
            due_ms, gathering = feed.due_ms, feed.gathering
            if row.leased and not gathering:  # to nobody who is here: its answer got lost
                found.append(now_s + limits.LEASE_S)
            if row.waiting or gathering:
                wait_s = limits.POLL_S if due_ms is None else (due_ms - now_ms) / 1000
                found.append(now_s + max(wait_s, 0.001))
        return min(found, default=NEVER)

    def _next_firing_s(self) -> float:
        """Return when (`steady_s`) a schedule fires next."""
        due_ms = self.core.rounds.schedules.due_ms
        return NEVER if due_ms is None else self._at_s(due_ms)

    def _next_wake_s(self) -> float:
        """Return when (`steady_s`) an execution wants to be woken next, for whatever reason."""
        due_ms = self.core.rounds.executions.due_ms
        return NEVER if due_ms is None else self._at_s(due_ms)

    def _next_state_s(self) -> float:
        """Return when (`steady_s`) an execution goes on by itself: after a wait, or to try again.

        Not when it gives up what it waits for: a drain leaves that time to come.
        """
        moments = []
        for number in self.store.sleeping() if self.blueprint.workflows else ():
            moments += moments_of(self.ask(GetExecution(number)), self.clock.now_ms())
        return self._at_s(min(moments)) if moments else NEVER

    def _at_s(self, moment_ms: int) -> float:
        return self.clock.steady_s() + max(0.001, (moment_ms - self.clock.now_ms()) / 1000)

    def _still(self, depths: list[Depth]) -> str:
        lines = []
        for row in depths:
            error = self.store.last_error(row.queue)
            why = f" (an error: {error})" if error else ""
            lines.append(f"  {row.queue}: {row.waiting} waiting, {row.leased} leased{why}")
        return "Messages still wait:\n" + "\n".join(lines)


class _Running:
    """While it lasts, messages are delivered."""

    def __init__(self, composed: Composed) -> None:
        self._composed = composed

    def __enter__(self) -> None:
        waiting = sum(row.waiting for row in self._composed.waiting())
        self._composed.host.runs_left = RUNS + RUNS_EACH * waiting
        self._composed.core.feeds.renew()  # what waits in hand for others
        self._composed.core.feeds.pause(False)
        self._composed.settle()

    def __exit__(self, *error: object) -> None:
        self._composed.core.feeds.pause(True)


def moments_of(found: Any, now_ms: int) -> list[int]:
    """Return when an execution goes on by itself (epoch ms)."""
    if not isinstance(found, Execution) or not found.head:
        return []
    run, _ = unpack(found)
    moments = [frame.due_ms for frame in run.frames.values() if frame.due_ms is not None]
    return [*moments, now_ms] if run.ready else moments


def secret_variable(name: str) -> str:
    """Return the variable in which an engine looks for a secret."""
    return "WHERRY_SECRET_" + name.upper().replace("-", "_")


def _key_of(auth: str) -> str:
    return f"issuer/{auth}/signing-key"
