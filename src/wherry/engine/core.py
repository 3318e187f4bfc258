"""The engine's core: gateway, dispatch and feeds around one store, on any loop.

It starts no process and opens no socket; who composes it (the server, the test kit) brings the
loop, the store and the environments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.blueprint import Blueprint, canonical
from wherry.engine.admission import Admission
from wherry.engine.beside import Beside
from wherry.engine.broker import Broker, Secrets
from wherry.engine.dispatch import Dispatcher
from wherry.engine.feeds import Feeds
from wherry.engine.gateway.callers import Callers
from wherry.engine.gateway.edge import TrustedProxies
from wherry.engine.gateway.gateway import Gateway, Pages
from wherry.engine.gateway.objects import Objects
from wherry.engine.journal import Journal
from wherry.engine.leftbehind import tell_left_behind
from wherry.engine.orphans import OrphanSweeper
from wherry.engine.releases import ActiveRelease
from wherry.engine.rounds import Rounds
from wherry.engine.storetime import StoreTime
from wherry.errors import Refused, WherryError
from wherry.ports import Broken, Configure, Configured, RecentRecords, Sweep, Swept, TimelineRows

if TYPE_CHECKING:
    from wherry.engine.offload import Offload
    from wherry.engine.store import Store
    from wherry.engine.work import Work
    from wherry.engine.workflows.driver import Aside, Driver
    from wherry.platforms.files.blobs import Blobs
    from wherry.platforms.files.sigv4 import SigningKey
    from wherry.ports import Request
    from wherry.world import Chance, Clock, Loop

SWEEP_EVERY_S = 1.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine is told when it starts."""

    public_url: str
    owner: str
    secrets_folder: str = ""
    variables: dict[str, str] = {}
    proxies: tuple[str, ...] = ()
    access_log: bool = True
    node: int = 0  # which of the engines of its store this is
    name: str = ""  # of the engine among those on its store, the same when it starts again
    alone: bool = True  # no other engine is on its store: what others hold is nobody's


class Core:
    """One engine.

    Args:
        ask: Asks the store and waits for the answer; called on other threads than the loop's.
        write: Takes log lines in batches.
        pages: Makes what the gateway serves besides the app.
        worker: Starts what moves executions whose expressions may take long.
        content: Moves the content of objects (default: `offload`).
    """

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        clock: Clock,
        chance: Chance,
        store: Store,
        offload: Offload,
        blobs: Blobs,
        key: SigningKey,
        ask: Callable[[Request], Any],
        write: Callable[[bytes], Any],
        pages: Callable[[Blueprint], Pages],
        service: str,
        worker: Callable[[], Aside] | None = None,
        content: Offload | None = None,
    ) -> None:
        content = content or offload
        self.settings = settings
        self.loop = loop
        self.clock = clock
        self.store = store
        self.blobs = blobs
        self.active: ActiveRelease | None = None
        self.releases: list[ActiveRelease] = []
        self.unready: list[tuple[str, str, int]] = []
        self.troubles: dict[str, str] = {}
        self.objects_away = ""  # why, while their store is; all else goes on
        self.stopping = False
        self.drained = False  # and nothing that had begun runs any more
        self._chance = chance
        self._offload = offload
        self._content = content
        self._deleting = False
        self._ask = ask
        self._admission = Admission()
        self._driver: Driver | None = None
        self._worker = worker
        self.journal = Journal(loop, clock, store, service, write, settings.access_log)
        secrets = Secrets(settings.secrets_folder, settings.variables)
        self.broker = Broker(secrets, key, clock, lambda: self.settings.public_url, blobs, content)
        self.dispatcher = Dispatcher(
            loop, clock, chance, store, self.journal, self.broker, settings.node
        )
        self._time = StoreTime(clock)
        self.feeds = Feeds(
            loop, self._time, chance, store, self.dispatcher, settings.owner, _message_done
        )
        self.feeds.shared = not settings.alone
        self.dispatcher.feeds = self.feeds
        self.rounds = Rounds(loop, self._time, store, self.feeds, self.journal)
        self.feeds.admission = self._admission
        self.beside = Beside(store, self.journal, lambda: self.stopping)
        self.orphans = OrphanSweeper(
            loop, clock, content, blobs, ask, self.journal, lambda: self.stopping
        )
        self.gateway = Gateway(
            self.dispatcher,
            self._objects(key),
            offload,
            clock,
            chance,
            TrustedProxies(settings.proxies),
            pages,
            self.not_ready,
            self.journal.refused,
        )

    def _active_digest(self) -> str:
        return self.active.digest if self.active else ""

    def _objects(self, key: SigningKey) -> Objects:
        return Objects(
            self.blobs,
            [key],
            self.store,
            self.dispatcher.numbers,
            self._offload,
            self._content,
            self.clock,
            self._active_digest,
            lambda problem, correlation: self.gateway.refuse(problem, correlation, "presigned URL"),
            lambda: "store" not in self.troubles and not self.objects_away,
            self.dispatcher.sent,
            lambda text: self.journal.say("ERROR", text),
        )

    # -- releases --------------------------------------------------------------------------------

    def prepare(
        self,
        blueprint: Blueprint,
        digest: str,
        start: Callable[[str, int], None],
        room: Callable[[int], bool],
    ) -> ActiveRelease:
        """Return a release that can be activated.

        Args:
            start: Starts an environment of a function (name, memory in MB).
            room: Whether the machine has memory for one more environment beside so many MB.
        """
        return ActiveRelease(
            digest,
            blueprint,
            self.settings.owner,
            self.loop,
            self.clock,
            start,
            self.dispatcher.begin,
            self.dispatcher.post,
            room,
            self._admission,
        )

    def activate(
        self,
        release: ActiveRelease,
        then: Callable[[ActiveRelease | str], None],
        chosen: bool = False,
    ) -> None:
        """Take over a version: the store learns it, then new work goes to it.

        Args:
            then: Gets the release, or why it is refused.
            chosen: Somebody asks for this release now (`Configure`).
        """
        blueprint = release.blueprint
        try:
            callers = Callers(
                blueprint.auths,
                self.settings.public_url,
                self._ask,
                self._offload,
                self.clock,
                self._chance,
                self.journal.say,
            )
        except Refused as error:
            then(str(error))
            return
        configure = self.configuration(blueprint, release.digest, chosen)
        self.beside.begin()

        def configured(answer: Any) -> None:
            if not isinstance(answer, Configured):
                self.beside.refused(unsure=isinstance(answer, Broken))
                then(getattr(answer, "message", repr(answer)))
                return
            self.unready = answer.unready
            self.active = release
            self.beside.told(configure, answer)
            self.journal.service = blueprint.app
            self.releases.append(release)
            self._admission.pools = list(dict.fromkeys(found.pool for found, _ in release.routes()))
            callers.prepare()
            self.gateway.follow(release, callers)
            self._drive(release)
            self.feeds.follow(release.consumers())
            self.rounds.begin(bool(blueprint.workflows))
            if not answer.beside:  # else another release says what is declared
                tell_left_behind(self.store, self.journal, lambda: set(release.workflows))
            then(release)

        def go_on(newest: Any) -> None:
            # Runs are numbered behind all that the store remembers, also where the clock was set
            # back: nothing may run before that is known.
            if isinstance(newest, TimelineRows) and newest.records:
                self.dispatcher.numbers.go_on_after(newest.records[0].number)
            self.store.send("", configure, configured)

        if self.active is None:
            self.store.send("", RecentRecords(None, 1), go_on)
        else:
            self.store.send("", configure, configured)

    def forget_executions(self) -> None:
        """Read executions anew: another server answers, which may be at other versions of them."""
        if self._driver is not None:
            self._driver.held.forget()

    def _drive(self, release: ActiveRelease) -> None:
        """Let the release's workflows go on. Without any, nothing of them is imported."""
        if self._driver is None:
            if not (release.workflows or release.task_queues()):
                return
            from wherry.engine.workflows.driver import Driver
            from wherry.engine.workflows.own import OwnCalls

            own = OwnCalls(
                self.store, self._chance, self.dispatcher.numbers, self.blobs, self._content
            )
            self._driver = Driver(
                self._time,
                self._chance,
                self.store,
                self.dispatcher,
                self.feeds,
                self.journal,
                own,
                None if self._worker is None else self._worker(),
            )
            self.dispatcher.driver = self._driver
            self._driver.beginnings.wake = self.rounds.executions.ask_by
        self._driver.follow(release)

    def leave(self, release: ActiveRelease) -> None:
        """A release has ended: what still comes of it is run by the present one."""
        self.releases.remove(release)
        for name, function in release.functions.items():
            function.pool.moved = partial(self._moved, name)

    def _moved(self, name: str, work: Work) -> bool:
        function = self.active.functions.get(name) if self.active is not None else None
        if function is None:
            return False
        work.function = function
        return function.pool.submit(work)

    def take_over(self, lost: ActiveRelease, release: ActiveRelease) -> None:
        """Give what waits at a release that cannot run any more to another one."""
        self.leave(lost)
        for name, function in lost.functions.items():
            waiting = list(function.pool.pending)
            function.pool.pending.clear()
            for work in waiting:
                self.dispatcher.move(work, release.functions.get(name))

    def configuration(self, blueprint: Blueprint, digest: str, chosen: bool = False) -> Configure:
        """Return what the store has to know of a release."""
        settings = self.settings
        owner, engine = (settings.owner, "") if settings.alone else ("", settings.name)
        return Configure(digest, canonical(blueprint), True, owner, chosen, engine)

    # -- upkeep ----------------------------------------------------------------------------------

    def begin_upkeep(self) -> None:
        """Begin what runs for ever: deadlines, leases, polling, sweeping.

        What runs while the engine is asked to stop is kept up until it has come to its end.
        """
        self.every(0.02, self._check_deadlines, until_drained=True)
        self.every(limits.LEASE_RENEW_S, self.feeds.renew, until_drained=True)
        self.every(0.1, self._drain_output, until_drained=True)
        poll_s = limits.POLL_S if self.settings.alone else limits.POLL_SHARED_S
        self.every(poll_s, self.feeds.poll)
        self.every(SWEEP_EVERY_S, self.sweep)
        self.orphans.begin()

    def every(self, seconds: float, call: Callable[[], None], until_drained: bool = False) -> None:
        """Call this again and again, until the engine stops, or until what it runs has ended."""

        def again() -> None:
            if not (self.drained if until_drained else self.stopping):
                self.loop.call_later(seconds, again)
                call()

        self.loop.call_later(seconds, again)

    def _check_deadlines(self) -> None:
        self.dispatcher.deadlines.check()
        self._admission.adjust(self.feeds)
        for release in self.releases:
            for function in release.functions.values():
                if function.pool.pending:
                    self.dispatcher.deadlines.expire(function.pool.pending)

    def _drain_output(self) -> None:
        for release in self.releases:
            for function in release.functions.values():
                for environment in (*function.pool.busy, *function.pool.idle):
                    environment.drain_output(over=environment.work is None)

    def sweep(self) -> None:
        """Remove what has outlived its retention, a batch at a time."""
        if self._deleting:  # what is asked for next, the store forgets: it has to be gone
            return

        def swept(answer: Any) -> None:
            if not isinstance(answer, Swept):
                return
            self.feeds.told(answer)
            for queue, count in answer.given_up.items():
                self.journal.say(
                    "WARNING",
                    f"failed work of {queue!r} is gone: {count} of it had waited in the inbox for "
                    f"{limits.FAILURES_S / 86_400:g} days, and nobody redrove or discarded it",
                    queue=queue,
                    count=count,
                )
            if answer.blobs:
                self._deleting = True
                self._content(lambda: self._delete(answer.blobs), self._deleted)
            if answer.count >= limits.SWEEP_BATCH and not self.stopping:
                self.loop.call_later(0.05, self.sweep)

        self.store.send("", Sweep(limits.SWEEP_BATCH), swept)

    def _delete(self, blobs: list[tuple[str, str]]) -> None:
        failed = None
        for bucket, blob in blobs:
            try:
                self.blobs.delete(bucket, blob)
            except WherryError as error:  # the others may go all the same
                failed = error
        if failed is not None:
            raise failed

    def _deleted(self, result: Any) -> None:
        self._deleting = False
        if isinstance(result, Exception):
            said = f"content of objects that are gone could not be removed now: {result}"
            self.journal.say("WARNING", said)

    def not_ready(self) -> list[str]:
        """What keeps the engine from serving; empty when nothing does."""
        found = list(self.troubles.values())
        if self.stopping:
            found.append("the engine is stopping")
        if self.active is None:
            found.append("no release is active")
        return found


def _message_done(work: Work, reply: Any) -> None:
    """Nobody waits for a message: its end is in the store."""
