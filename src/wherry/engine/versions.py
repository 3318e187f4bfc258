"""Versions of the app on this machine: load, activate, switch, drain; and reload on edit.

Two zygotes are alive while a version replaces another; the listening socket never closes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from wherry import limits
from wherry.blueprint import digest as blueprint_digest
from wherry.blueprint import load
from wherry.codec import digest
from wherry.engine.freememory import available_mb, tell_reserved
from wherry.engine.zygotes import ZygoteProcess
from wherry.runtime.process.confine import Guard
from wherry.runtime.process.trees import end_orphans
from wherry.runtime.zygote import Hello, Invalid, Setup

if TYPE_CHECKING:
    from wherry.engine.core import Core
    from wherry.engine.datafolder import DataFolder
    from wherry.engine.environments import Environment
    from wherry.engine.options import Options
    from wherry.engine.releases import ActiveRelease
    from wherry.engine.server import Say
    from wherry.runtime.process.memory import MemoryGuard
    from wherry.world import Clock

RELOAD_AGAIN_S = 1.0  # while no version can be loaded
ORPHANS_AGAIN_S = 0.2  # until the next look whether what a dead zygote left has ended
UNREAD = (
    "What waits, or is stored, in that form would fail. If there is nothing of it: "
    "wherry reload --accept-schemas"
)

Then = Callable[[str | None], None]  # gets what is wrong, or None


class Version:
    """One version: its zygote, its release once it is active. Listens to its environments."""

    def __init__(self, versions: Versions, core: Core) -> None:
        self.release: ActiveRelease | None = None
        self.zygote: ZygoteProcess | None = None
        self._versions = versions
        self._core = core
        # What environments say while they run goes straight to who acts on it.
        self.outcome = core.dispatcher.outcome
        self.asked = core.dispatcher.asked
        self.output = core.dispatcher.output

    def ready(self, environment: Environment, guards: bytes) -> None:
        self._versions.tell_isolation(guards)
        if self.release is not None:
            self.release.functions[environment.function].pool.ready(environment)

    def ended(self, environment: Environment) -> None:
        if self.release is not None:
            pool = self.release.functions[environment.function].pool
            started = environment in pool.busy or environment in pool.idle
            pool.lost(environment, started)
            self._core.dispatcher.ended(environment)
            if not started:
                said = f"an environment of {environment.function} did not start: {environment.end}"
                self._core.journal.say("ERROR", said)
                for work in pool.hopeless():
                    self._core.dispatcher.not_started(work, said)


class Versions:
    """Loads versions one after another."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        options: Options,
        data: DataFolder,
        memory: MemoryGuard,
        say: Say,
        others: Callable[[], set[int]],
        hidden: tuple[str, ...] = (),
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._options = options
        self._data = data
        self._memory = memory
        self._say = say
        self._others = others  # the engine's other child processes
        self._hidden = hidden  # what no environment may read, besides the data folder
        self._core: Core | None = None
        self._alive: list[Version] = []
        self._lost: list[ActiveRelease] = []  # without their zygote: what they hold waits
        self._loading: Version | None = None
        self._hello: Hello | Invalid | None = None
        self._first: asyncio.Future[str | None] = loop.create_future()
        self._then: Then = self._first_done
        # A version that does not read what `schemas/` holds: the first is taken.
        self._accept = True
        self._chosen = options.renamed  # what is being loaded: somebody has asked for it now
        # What waits until nothing is being loaded: who is told, whether what `schemas/` holds may
        # be unread, whether somebody asks for it.
        self._asked: deque[tuple[Then, bool, bool]] = deque()
        self._files: dict[str, float] = {}
        self._seen: dict[str, float] = {}  # the files' times when the loading began
        self._free_at_s = -1.0
        self._free_mb = 0
        self._isolation_told = False
        self._zygote_gone_s = -limits.ZYGOTE_RETRY_MAX_S
        self._zygote_deaths = 0

    # -- the first one ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Start loading the first version; what it says is kept until the core is there."""
        self._first_zygote = self._start()

    def attach(self, core: Core) -> None:
        """The core is there: what the zygote has said, or will say, can be used."""
        self._core = core
        version = Version(self, core)
        version.zygote = self._first_zygote
        self._first_zygote.listener = version
        self._loading = version
        if self._hello is not None:
            self._loaded(self._hello)

    async def first_release(self) -> str | None:
        """Wait until the first version serves; return why it cannot, or None."""
        return await self._first

    def _first_done(self, fault: str | None) -> None:
        if not self._first.done():
            self._first.set_result(fault)

    # -- loading ---------------------------------------------------------------------------------

    def _start(self) -> ZygoteProcess:
        folder = os.path.abspath(self._options.folder)
        setup = Setup(
            self._options.target,
            folder,
            self._data.objects,
            self._data.tmp,
            os.getpid(),
            (self._data.root, *self._hidden),
            bool(self._options.objects),
        )
        return ZygoteProcess(self._loop, setup, self._memory, self._loaded, self._zygote_gone)

    def reload(self) -> None:
        """Load the app again, and switch to it if it is sound."""
        if all(then != self._tell for then, _, _ in self._asked):
            self.reload_then(self._tell)

    def _reload_anyway(self) -> None:
        """Load the app again where nothing serves: better one that does not read all there is."""
        served = [version.release for version in self._alive]
        if self._loading is None and self._core is not None and self._core.active not in served:
            self._asked.append((self._tell, True, False))
            self._load_next()

    def _tell(self, fault: str | None) -> None:
        if fault is not None:
            self._say("error", f"the new version is not taken over: {fault}")
        elif self._core is not None and self._core.active is not None:
            self._say("info", f"the new version serves, release {self._core.active.digest[:8]}")

    def reload_then(self, then: Then, accept_schemas: bool = False) -> None:
        """Load the app again, after what is being loaded: that began before the code was final.

        Args:
            then: Gets what is wrong with the new version, or None.
            accept_schemas: Take it although its types do not read what `schemas/` holds. Who
                writes the app (`wherry dev`) is told, and never kept from it.
        """
        self._asked.append((then, accept_schemas, True))
        self._load_next()

    def _load_next(self) -> None:
        if self._loading is not None or self._core is None or not self._asked:
            return
        self._then, accept, self._chosen = self._asked.popleft()
        self._accept = accept or self._options.dev
        self._seen = _times(list(self._files))
        version = Version(self, self._core)
        self._loading = version
        version.zygote = self._start()
        version.zygote.listener = version

    def _loaded(self, message: Hello | Invalid) -> None:
        if self._core is None:
            self._hello = message
            return
        version = self._loading
        assert version is not None
        if isinstance(message, Invalid):
            self._give_up(version, "\n".join([message.message, *message.findings]))
            return
        if message.breaks and not self._accept:
            self._give_up(version, "\n".join([*message.breaks, UNREAD]))
            return
        unrecorded = message.unrecorded if self._options.dev else []
        for warning in (*message.warnings, *message.breaks, *unrecorded):
            self._say("warning", warning)
        if message.unsafe:
            self._say("warning", f"environments are spawned, not forked: {message.unsafe}")
        blueprint = load(message.blueprint)
        # A file that was written while the app was being imported counts as changed.
        times = _times(message.files)
        self._files = {path: self._seen.get(path, time) for path, time in times.items()}
        release = digest(blueprint_digest(blueprint), message.code_digest)[:16]
        for bucket in blueprint.buckets:
            os.makedirs(os.path.join(self._data.objects, bucket.name), mode=0o700, exist_ok=True)
        zygote = version.zygote
        assert zygote is not None

        def activated(result: ActiveRelease | str) -> None:
            if isinstance(result, str):
                self._give_up(version, result)
            else:
                self._switched(version)

        version.release = self._core.prepare(blueprint, release, zygote.start, self._room)
        self._core.activate(version.release, activated, self._chosen)

    def _give_up(self, version: Version, fault: str) -> None:
        self._loading = None
        if version.zygote is not None:
            version.zygote.stop()
        core = self._core
        if core is not None and core.active is not None and not self._alive:
            core.troubles["app"] = f"the app cannot be loaded: {fault}"
            self._loop.call_later(RELOAD_AGAIN_S, self._reload_anyway)
        self._told(fault)

    def _switched(self, version: Version) -> None:
        """The new version serves; the older ones finish what they have and end."""
        assert self._core is not None
        assert version.release is not None
        self._loading = None
        self._core.troubles.pop("app", None)
        for older in self._alive:
            self._drain(older)
        for release in self._lost:
            self._core.take_over(release, version.release)
        self._lost.clear()
        self._alive.append(version)
        zygote = version.zygote
        if zygote is not None and zygote.ended:  # while the store learned the version
            self._lose(version)
            self._loop.call_soon(self._reload_anyway)
        tell_reserved(version.release, self._say)
        self._told(None)

    def _told(self, fault: str | None) -> None:
        """Say to who asked what came of it, and load for who asks next."""
        then, self._then = self._then, self._tell
        then(fault)
        self._load_next()

    def _drain(self, version: Version) -> None:
        core, release, zygote = self._core, version.release, version.zygote
        assert core is not None
        assert release is not None
        assert zygote is not None
        for function in release.functions.values():
            for environment in list(function.pool.idle):
                function.pool.end(environment, "its version was replaced")
        if release.busy():
            self._loop.call_later(0.05, self._drain, version)
            return
        if version in self._alive:
            self._alive.remove(version)
            core.leave(release)
            zygote.stop()

    def _zygote_gone(self, zygote: ZygoteProcess) -> None:
        """A zygote has ended. If by itself, the app is loaded again; meanwhile what comes waits."""
        if zygote.stopping:
            if sys.platform == "linux" and self._core is not None:
                self._end_orphans()
            return
        self._say("warning", "the process that forks environments ended; it is started again")
        for version in [found for found in self._alive if found.zygote is zygote]:
            self._lose(version)
        if sys.platform == "linux":
            self._end_orphans()
        now_s = self._clock.steady_s()
        quick = now_s - self._zygote_gone_s < limits.ZYGOTE_RETRY_MAX_S
        self._zygote_deaths = self._zygote_deaths + 1 if quick else 0
        self._zygote_gone_s = now_s
        delay_s = min(limits.ZYGOTE_RETRY_MAX_S, 0.05 * 2 ** min(self._zygote_deaths, 10))
        self._loop.call_later(delay_s, self._reload_anyway)

    def _lose(self, version: Version) -> None:
        """Its zygote has ended: what it holds waits for the next version."""
        self._alive.remove(version)
        if version.release is not None:
            version.release.hold()
            self._lost.append(version.release)

    def _end_orphans(self) -> None:
        """End what a dead zygote left to us, and what that leaves in turn, until all is reaped."""
        versions = [*self._alive, *([self._loading] if self._loading else [])]
        known = {found.zygote.pid for found in versions if found.zygote is not None}
        if end_orphans({*known, *self._others()}):
            self._loop.call_later(ORPHANS_AGAIN_S, self._end_orphans)

    def tell_isolation(self, guards: bytes) -> None:
        """Say once which guards hold on this machine and which do not."""
        if self._isolation_told:
            return
        self._isolation_told = True
        found = [*self._memory.describe(), *msgspec.msgpack.decode(guards, type=list[Guard])]
        names = ", ".join(guard.name for guard in found if guard.holds)
        self._say("info", f"isolation that holds here: {names}")
        for guard in found:
            if not guard.holds:
                self._say("info", f"isolation that does not: {guard.name} ({guard.why})")

    # -- upkeep ----------------------------------------------------------------------------------

    def _room(self, kept_mb: int) -> bool:
        """Whether the machine has memory for one more environment beside what is kept for others.

        Looked up 10 times a second.
        """
        now_s = self._clock.steady_s()
        if now_s > self._free_at_s + 0.1:
            self._free_at_s = now_s
            self._free_mb = available_mb()
        return self._free_mb > limits.FREE_MEMORY_MB + kept_mb

    def watch(self) -> None:
        """Reload when a source file of the app has changed (`wherry dev`).

        What is still being imported is given up: it may never end, and nobody wants it any more.
        """
        zygote = self._loading.zygote if self._loading is not None else None
        times = _times(list(self._files))
        if times != self._files and (zygote is None or zygote.importing):
            self._files = times
            self._say("info", "the app's source changed: loading it again")
            self.reload()
            if zygote is not None:
                zygote.give_up("Its source was changed while it was being imported.")
        self._loop.call_later(0.3, self.watch)

    def check_memory(self) -> None:
        """End environments that are over their memory, and those that were idle for long."""
        for sample in self._memory.sample():
            if sample.over:
                for version in self._alive:
                    zygote = version.zygote
                    found = zygote.environments.get(sample.pid) if zygote else None
                    if found is not None and version.release is not None:
                        version.release.functions[found.function].pool.end(found, sample.over)
        for version in self._alive:
            release = version.release
            for function in release.functions.values() if release else ():
                for environment in function.pool.surplus(limits.IDLE_ENVIRONMENT_S):
                    function.pool.end(environment, "it was idle")
        self._loop.call_later(limits.MEMORY_SAMPLE_S, self.check_memory)

    def stop(self) -> None:
        """End all zygotes, and with them all environments."""
        self._asked.clear()
        versions = [*self._alive, *([self._loading] if self._loading else [])]
        zygotes = [version.zygote for version in versions if version.zygote is not None]
        if self._core is None:
            zygotes.append(self._first_zygote)
        for zygote in zygotes:
            zygote.stop()
        for zygote in zygotes:
            zygote.wait()

    def describe(self) -> list[int]:
        """The process IDs of the zygotes."""
        return [version.zygote.pid for version in self._alive if version.zygote is not None]


def _times(files: list[str]) -> dict[str, float]:
    found = {}
    for path in files:
        try:
            found[path] = os.stat(path).st_mtime
        except OSError:
            found[path] = 0.0
    return found
