"""The store on Postgres, seen from the engine: in the engine's own loop, asked for many things at
once, shared with other engines.

What breaks while something is under way the store does again by itself, or looks up; here is what
bounds it, who this engine is among the others, and whether the database answers at all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wherry import limits
from wherry.codec import to_msgpack
from wherry.engine.numbers import NODES
from wherry.errors import FateUnknown, Refused, WherryError
from wherry.platforms.files.sigv4 import SigningKey
from wherry.platforms.shared.pages import unreadable
from wherry.ports import (
    Broken,
    Commit,
    Configure,
    GetState,
    PutState,
    Reindex,
    Request,
    State,
    Sweep,
)

if TYPE_CHECKING:
    from wherry.engine.core import Core
    from wherry.engine.releases import ActiveRelease
    from wherry.engine.server import Say
    from wherry.engine.store import Then, When
    from wherry.engine.storeplace import StorePlace
    from wherry.platforms.postgres.nodes import Nodes
    from wherry.platforms.postgres.store import PostgresStore
    from wherry.world import Chance, Clock

T = TypeVar("T")
_request = msgspec.msgpack.Decoder(Request)
_LONG = (Configure, Reindex, Sweep)  # these may wait for others, or have much to do:
LONGER = 5  # times as long as the others
AWAY = Broken("passing", "The database does not answer.")
FULL = Broken("passing", "Too much is asked of the database at once.")
KEY = "engine/signing-key"
AGAIN_S = 0.2
WATCH_S = 0.1  # so much later than its time something may be given up


class PostgresClient:
    """One engine's way to the store that it shares. Make it with `opened`.

    Args:
        nodes: Where its number, `node`, is leased.
        key: Signs URLs, for all engines.
        others: Whether other engines were there when it came.
    """

    gathers = False  # the server groups the syncs

    def __init__(
        self,
        clock: Clock,
        store: PostgresStore,
        nodes: Nodes,
        node: int,
        place: StorePlace,
        key: SigningKey,
        others: bool,
    ) -> None:
        self.node = node
        self.key = key
        self.others = others
        self.where = place.shown
        self.pid = os.getpid()
        self.hangs = False  # then nothing more is asked
        self._unheard: Exception | None = None  # why it did not answer when it was looked at last
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._store = store
        self._nodes = nodes
        self._asked: dict[asyncio.Task[Any], tuple[float, Request, Then]] = {}  # since when
        self._moved: Callable[[int], None] = _ignore
        self._looked: Callable[[str, bool], None] = _nothing
        self._answered_s = clock.steady_s()
        self._living = self._loop.create_task(self._live())
        self._watching = self._loop.call_later(WATCH_S, self._watch)

    @property
    def owed(self) -> int:
        """How many requests have no answer yet."""
        return len(self._asked)

    def attach(self, core: Core) -> None:
        """Let hints of other engines wake this one, and tell it when it gets another number or its
        release is to be the active one; let it forget what another server may not know."""
        self._moved = core.dispatcher.numbers.move
        self._looked = core.beside.look
        core.beside.serves = self._serves
        self._store.database.turned = core.forget_executions
        self._store.listen(core.feeds.heard)

    def introduce(self, say: Say, release: ActiveRelease | None, shares_objects: bool) -> None:
        """Tell which store this is, and of what looks like a mistake."""
        say("info", f"the store is {self.where}; this is engine {self.node} of those on it")
        if self.others and not shares_objects and release and release.blueprint.buckets:
            say(
                "warning",
                "another engine is on this store, or was a minute ago, and the content of objects "
                "lies in this machine's data folder: others do not find it (--objects s3://...)",
            )

    # -- asking ----------------------------------------------------------------------------------

    def send(self, function: str, request: Request, then: Then, when: When = "soon") -> None:
        """Ask; answers come in any order."""
        if self.hangs or len(self._asked) >= limits.POSTGRES_REQUESTS:
            self._loop.call_soon(then, AWAY if self.hangs else FULL)
            return
        task = self._loop.create_task(self._store.answer(function, request))
        self._asked[task] = self._clock.steady_s(), request, then
        task.add_done_callback(self._answered)

    def forward(self, function: str, payload: bytes, then: Callable[[bytes], None]) -> None:
        """Ask what comes encoded, and is answered so."""
        try:
            request = _request.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._loop.call_soon(then, to_msgpack(unreadable(error)))
            return
        self.send(function, request, lambda answer: then(to_msgpack(answer)))

    def _answered(self, task: asyncio.Task[Any]) -> None:
        asked = self._asked.pop(task, None)
        if asked is None:
            return  # it was given up when the engine stopped
        _, request, then = asked
        try:
            answer = task.result()
        except asyncio.CancelledError:  # its time was over
            code = FateUnknown.code if isinstance(request, Commit) else AWAY.code
            answer = Broken(code, AWAY.message)
        if not isinstance(answer, Broken):
            self._answered_s = self._clock.steady_s()
            self.hangs = False
        then(answer)

    def _watch(self) -> None:
        """Give up what has no answer in its time, with the connection that it is on."""
        now_s = self._clock.steady_s()
        for task, (since_s, request, _) in self._asked.items():
            late_s = now_s - since_s - limits.POSTGRES_ANSWER_S
            if late_s < 0:
                break  # as all behind it
            if late_s >= limits.POSTGRES_ANSWER_S * (LONGER - 1) or not isinstance(request, _LONG):
                task.cancel()
        self._watching = self._loop.call_later(WATCH_S, self._watch)

    # -- living ----------------------------------------------------------------------------------

    async def _live(self) -> None:
        """Keep our number, and see that the database answers, on the connection for renewals."""
        from wherry.platforms.postgres.pool import rest

        renewed_s = self._clock.steady_s()
        while True:
            await rest(limits.POSTGRES_PROBE_S)
            try:
                async with asyncio.timeout(limits.POSTGRES_ANSWER_S):
                    if self._clock.steady_s() - renewed_s < limits.LEASE_RENEW_S:
                        await self._nodes.look()
                    else:
                        await self._renew()
                        renewed_s = self._clock.steady_s()
            except Exception as error:  # the next look may find it well; until then it is away
                self._unheard = error
                continue
            self._unheard = None
            self._answered_s = self._clock.steady_s()
            self.hangs = False

    async def _renew(self) -> None:
        if not await self._nodes.renew(self.node):
            # Away for so long that it was given to another. What runs under the old number either
            # commits as the only one under it, or is refused.
            self.node = await self._nodes.take()
            self._moved(self.node)
        else:
            self._looked(*await self._nodes.due())

    def _serves(self, release: str) -> None:
        self._nodes.release = release

    def silent_s(self) -> float:
        """Return for how long the database has answered nothing."""
        return self._clock.steady_s() - self._answered_s

    @property
    def why(self) -> str:
        """Why the database does not answer, without a password; '' where that is not known yet."""
        fault = self._store.database.fault or self._unheard
        if fault is None:
            return ""
        return self._place.told(fault) or (
            "nothing comes from there" if isinstance(fault, TimeoutError) else type(fault).__name__
        )

    # -- the end ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """Give up what has no answer yet."""
        self._living.cancel()
        self._watching.cancel()
        asked, self._asked = self._asked, {}
        for task in asked:
            task.cancel()

    async def close(self) -> None:
        """Let others have our number, and let go of the connections; soon, whatever is wrong."""
        try:
            async with asyncio.timeout(limits.POSTGRES_PROBE_S):
                await self._nodes.give(self.node)
                await self._store.close()
        except Exception:
            return  # its lease ends, and the connections go with the process

    def describe(self) -> dict[str, Any]:
        """What the control socket tells of it."""
        told = {"pid": self.pid, "owed": self.owed, "where": self.where, "node": self.node}
        return told | {"why": self.why} if self.hangs else told


def _ignore(node: int) -> None:
    """Nobody has to know."""


def _nothing(active: str, due: bool) -> None:
    """Nobody serves anything yet."""


async def opened(
    place: StorePlace,
    clock: Clock,
    chance: Chance,
    owner: str,
    name: str,
) -> PostgresClient:
    """Open the store, and be one of its engines.

    Args:
        owner: Who this engine is, unlike any other.
        name: The same when it starts again.

    Raises:
        Refused: The database cannot be used, with the reason.
    """
    from wherry.platforms.postgres.nodes import Nodes

    store = await store_of(place, clock, chance)
    try:
        nodes = Nodes(store.database, owner, NODES, name)
        node = await nodes.take()
        others = await nodes.held() > 1
        key = await _shared_key(store, chance)
    except BaseException:
        await store.close()
        raise
    return PostgresClient(clock, store, nodes, node, place, key, others)


async def store_of(place: StorePlace, clock: Clock, chance: Chance) -> PostgresStore:
    """Open the store; a database that is just coming up is waited for a few seconds.

    Raises:
        Refused: The database cannot be used, with the reason.
    """
    try:
        import asyncpg  # noqa: F401

        from wherry.platforms.postgres.database import Away, is_connection_fault
        from wherry.platforms.postgres.pool import rest
        from wherry.platforms.postgres.store import open_store
    except ImportError:
        raise Refused(
            "A store on Postgres needs asyncpg, which is not installed.",
            advice="pip install 'wherry[postgres]'",
        ) from None
    give_up_s = clock.steady_s() + limits.POSTGRES_RETRY_S
    while True:
        try:
            return await open_store(place.dsn, clock, chance)
        except Exception as error:
            away = isinstance(error, Away)
            if (away or is_connection_fault(error)) and clock.steady_s() < give_up_s:
                await rest(AGAIN_S)
                continue
            if isinstance(error, WherryError) and not away:
                raise
            raise Refused(
                f"{place.shown} cannot be used: {place.told(error) or type(error).__name__}",
                advice="Is it there, has it this database, and may this user make a schema in it?",
            ) from None


async def _shared_key(store: PostgresStore, chance: Chance) -> SigningKey:
    """Return the key that signs URLs: any engine takes what another one has signed."""
    made = msgspec.json.encode([f"wherry-{chance.token(6).hex()}", chance.token(32).hex()])
    await store.answer("", PutState(KEY, made, if_absent=True))
    found = await store.answer("", GetState(KEY))
    if not isinstance(found, State):
        raise Refused("The database does not keep what is written to it now.", advice="Try again.")
    return SigningKey(*msgspec.json.decode(found.value, type=tuple[str, str]))


class AskedPostgres:
    """A store on Postgres, asked by a verb: no engine runs here, others may elsewhere."""

    def __init__(self, place: StorePlace, clock: Clock, chance: Chance) -> None:
        self._runner = asyncio.Runner()
        try:
            self._store = self._run(store_of(place, clock, chance))
        except BaseException:
            self._runner.close()
            raise

    def _run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self._runner.run(wait())

    def run(self, requests: list[tuple[str, Request]]) -> list[Any]:
        """Answer each request, in order."""
        return self._run(self._store.run(requests))

    def close(self) -> None:
        """Let go of the connections."""
        self._run(self._store.close())
        self._runner.close()
