"""Commits that move executions, or give orders to them: one transaction of a few round trips.

The executions are locked and read, what they do is worked out, and the commit is checked and
applied as any other; then the executions are written, and told what happened. Nothing of it stays
where a check fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from wherry.platforms.postgres.executions import Loaded
from wherry.platforms.postgres.making import Made
from wherry.platforms.postgres.telling import tell
from wherry.platforms.shared.orders import Orders
from wherry.platforms.shared.plans import Plan
from wherry.platforms.shared.queues import note_turns
from wherry.ports import Committed

if TYPE_CHECKING:
    from wherry.platforms.postgres.catalog import Catalog
    from wherry.platforms.postgres.commits import Commits
    from wherry.platforms.postgres.database import Database, Session
    from wherry.platforms.postgres.hints import Seen
    from wherry.platforms.shared.steps import Move
    from wherry.ports import Commit, CommitAnswer

OF_STATE = ("done", "unmet", "rejected", "object", "stale")  # found after versions are compared
APPLIED = ("done", "object")  # found after orders are checked


class Undone(Exception):
    """The transaction is to be rolled back, and this is its answer."""

    def __init__(self, answer: CommitAnswer) -> None:
        super().__init__(type(answer).__name__)
        self.answer = answer


class Moved(NamedTuple):
    """What was applied."""

    loaded: Loaded
    moves: list[Move]
    plan: Plan


class Moving:
    """Steps of executions, and orders to them."""

    def __init__(self, database: Database, catalog: Catalog, seen: Seen, commits: Commits) -> None:
        self._database = database
        self._catalog = catalog
        self._seen = seen
        self._commits = commits

    async def apply(self, commit: Commit) -> CommitAnswer:
        """Check and apply a commit.

        Raises:
            Stale: The catalog has changed.
        """
        try:
            answer = await self._database.run(lambda one: self._run(one, commit), atomic=True)
        except Undone as undone:
            return undone.answer
        if isinstance(answer, Committed):
            self._seen.tell(answer.queued, self._catalog)
        return answer

    async def _run(self, session: Session, commit: Commit) -> CommitAnswer:
        commits = self._commits
        plan = commits.plan(commit)  # anew: a transaction may be tried again
        if not isinstance(plan, Plan):
            return plan
        loaded = Loaded(session, self._catalog, await session.value("now"))
        await loaded.begin_reading(commit.advances, plan)
        moves: list[Move] = []
        made = loaded.load(commit.advances, plan, moves) or commits.make(commit, plan)
        if not isinstance(made, Made):
            return made
        late = loaded.check(moves)
        orders = Orders(self._catalog, loaded)
        unmet = orders.check(plan)
        values = commits.values(commit, made)
        if made.reads:
            await session.run("take_locks", values[0])
            await commits.read(session, made)
        row = await session.row("commit", *commits.arguments(commit, made, values))
        verdict = row["verdict"]
        stopped: CommitAnswer | None = late if verdict in OF_STATE else None
        if stopped is None and verdict in APPLIED:
            stopped = unmet
        if stopped is not None:
            raise Undone(stopped)
        answer = commits.answer(commit, made, row)
        if not isinstance(answer, Committed):
            return answer
        await loaded.read_on(moves, plan)
        loaded.apply(moves, plan)
        orders.apply(plan, commit.record)
        return await self._finish(session, commit, Moved(loaded, moves, plan), row, answer)

    async def _finish(
        self, session: Session, commit: Commit, moved: Moved, row: Any, answer: Committed
    ) -> Committed:
        """Write the executions, and send what they send."""
        plan = moved.plan
        turns = await moved.loaded.write()
        sent = plan.shown()
        if sent:
            await session.run("record_sent", commit.record.number, sent)
        places = dict(commit.leases)
        for one in answer.leased:
            places[one.queue] -= 1
        told = await tell(
            session, self._catalog, self._seen, plan.told, row["a_now"], places, commit.owner
        )
        leased, queued = answer.leased + told.leased, dict(answer.queued)
        note_turns(queued, self._catalog, turns + told.turns)
        begun = [plan.begun[one.id] for one in leased if one.id in plan.begun]
        return Committed(leased, queued, begun)
