"""Executions as one transaction sees them: read and locked before, written in one go after.

What is checked and worked out is `Steps`, which asks for nothing that was not read before.
"""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.effects import EndTask, StartExecution
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Session
from wherry.platforms.postgres.keys import in_order, indexed, lock
from wherry.platforms.postgres.messages import plain
from wherry.platforms.shared.givenup import given_up, lost_execution
from wherry.platforms.shared.origins import Standing
from wherry.platforms.shared.plans import Order, Plan
from wherry.platforms.shared.steps import Move, Steps
from wherry.platforms.shared.workflows import Workflow
from wherry.ports import Advance, Inboxed

NEWEST = (1 << 63) - 1
BEGINNING = ("execution_unlist", "execution_add")  # come before all else
ORDERS = Order.__args__


class Loaded(Steps):
    """The executions that a transaction is about."""

    def __init__(self, session: Session, catalog: Catalog, now_ms: int) -> None:
        super().__init__(catalog)
        self._session = session
        self._known = catalog
        self._at_ms = now_ms
        self._rows: dict[int, Standing] = {}
        self._digests: dict[int, str] = {}
        self._bearers: dict[tuple[str, str], int] = {}
        self._inputs: dict[int, bytes] = {}
        self._tokens: dict[bytes, int] = {}
        self._defined: dict[str, int] = {}
        self._children: dict[tuple[int, int | None], list[tuple[Any, ...]]] = {}
        self._numbers: list[int] = []
        self._writes: list[tuple[str, tuple[Any, ...]]] = []

    # -- reading -----------------------------------------------------------------------------

    async def begin_reading(self, steps: list[Advance], plan: Plan) -> None:
        """Lock what moves, and read what the commit is judged by.

        Locks are taken in the same order by all: names, executions by number, tokens.
        """
        orders = [wanted.effect for wanted in plan.orders]
        orders += [one for step in steps for one in step.effects if isinstance(one, ORDERS)]
        names = {
            (one.workflow, one.name): isinstance(one, StartExecution)
            for one in orders
            if not isinstance(one, EndTask)
        }
        starts = [lock(b"execution", *name) for name, begins in names.items() if begins]
        if starts:
            await self._session.run("take_locks", in_order([(key, True) for key in starts]))
        if steps:
            await self._read("executions_locked", [step.execution for step in steps])
        await self._read_tokens(steps, orders)
        if names:
            await self._read_names(list(names))
        for step in steps:
            row = self._rows.get(step.execution)
            if row is not None and step.effects:
                await self._known.learn(self._session, self.definition_of(row))

    async def _read(self, statement: str, ids: list[int]) -> None:
        for *row, digest in await self._session.rows(statement, sorted(set(ids))):
            found = Standing(*row)
            self._rows[found.id] = found
            self._digests[found.definition] = digest

    async def read(self, ids: list[int]) -> None:
        """Read executions, without a lock."""
        if ids:
            await self._read("executions_rows", ids)

    async def _read_tokens(self, steps: list[Advance], orders: list[Order]) -> None:
        tokens = [one.token for one in orders if isinstance(one, EndTask)]
        over = [token for step in steps for token in step.tokens_over]
        ended = [step.execution for step in steps if step.ended is not None]
        if not (tokens or over or ended):
            return
        wanted = [_token(token) for token in tokens + over]
        if wanted:
            rows = await self._session.rows("tokens_locked", wanted)
            self._tokens = {row["token"]: row["execution"] for row in rows}
        if ended:
            await self._session.rows("tokens_of_locked", ended)
        found = [self._tokens[token] for token in wanted[: len(tokens)] if token in self._tokens]
        await self.read([id for id in found if id not in self._rows])

    async def _read_names(self, names: list[tuple[str, str]]) -> None:
        numbers = [self._known.number("workflow", workflow) for workflow, _ in names]
        rows = await self._session.rows(
            "executions_named", numbers, [plain(name) for _, name in names]
        )
        for nth, id in rows:
            self._bearers[names[nth - 1]] = id
        ids = list(self._bearers.values())
        if ids:
            await self.read([id for id in ids if id not in self._rows])
            for id, body in await self._session.rows("inputs_of", ids):
                self._inputs[id] = body

    async def read_on(self, moves: list[Move], plan: Plan) -> None:
        """Read what is needed to apply what was checked."""
        session = self._session
        begins = [one for one in plan.orders if isinstance(one.effect, StartExecution)]
        numbers = len(begins)
        parents: list[int] = []
        for step, row in moves:
            assert row is not None
            numbers += len(step.children) + (step.ended is not None)
            for call in step.stops:
                key = (row.id, call)
                self._children[key] = await session.rows("children_of_call", *key)
            if step.ended is not None:
                await self.read_children(row.id, 0, NEWEST)
                if row.parent is not None:
                    parents.append(row.parent)
        await self.read([id for id in parents if id not in self._rows])
        if numbers:
            rows = await session.rows("numbers", numbers)
            self._numbers = [row[0] for row in reversed(rows)]
        for wanted in begins:
            if wanted.found is None:
                await self._define(self._known.workflows[wanted.effect.workflow])

    async def read_children(self, parent: int, at: int, through: int) -> None:
        """Read running children of an execution between two numbers."""
        values = (parent, at, through, limits.FIRE_BATCH)
        self._children[parent, None] = await self._session.rows("children_running", *values)

    async def _define(self, workflow: Workflow) -> None:
        number = await self._session.value("definition_find", workflow.digest)
        if number is None:
            await self._session.run("definition_add", workflow.digest, workflow.body)
            number = await self._session.value("definition_find", workflow.digest)
        self._defined[workflow.digest] = number
        self._digests[number] = workflow.digest

    # -- what steps need ---------------------------------------------------------------------

    def find(self, id: int) -> Standing | None:
        """Return an execution that was read."""
        return self._rows.get(id)

    def bearer(self, workflow: str, name: str) -> int | None:
        """Return the number of the execution that bears a name, kept for its time or not."""
        return self._bearers.get((workflow, name))

    def input_of(self, id: int) -> bytes | None:
        """Return what an execution began with."""
        return self._inputs.get(id)

    def waiting_for(self, token: str) -> int | None:
        """Return which execution waits for a token."""
        return self._tokens.get(_token(token))

    def define(self, workflow: Workflow) -> int:
        """Return the number of a definition."""
        return self._defined[workflow.digest]

    def definition_of(self, row: Standing) -> str:
        """Return the digest of an execution's definition."""
        return self._digest(row.definition)

    def _digest(self, definition: int) -> str:
        return self._digests[definition]

    def now_ms(self) -> int:
        return self._at_ms

    def _next(self) -> int:
        return self._numbers.pop()

    def put(self, statement: str, *values: Any) -> None:
        """Remember what is to be written."""
        if statement in ("token_put", "token_delete"):
            values = (_token(values[0]), *values[1:])
        row = tuple(plain(one) if isinstance(one, str) else one for one in values)
        self._writes.append((statement, row))

    def _running(self, parent: int, at: int, through: int, most: int) -> list[tuple[Any, ...]]:
        return self._children.get((parent, None), [])

    def _begun_by(self, parent: int, call: int) -> list[tuple[Any, ...]]:
        return self._children.get((parent, call), [])

    def _withdraw(self, queue: str, id: str) -> None:
        self.put("withdraw", queue, id)

    def _fail(self, failed: Inboxed, queue: int, redrives: int, row: Standing) -> None:
        what = (failed.id, queue, self.workflow_of(row), failed.code, failed.error, redrives)
        self.put("failure_add", *what, row.started_ms, *row.thread, failed.body)

    def _unfail(self, id: str) -> None:
        self.put("failure_withdraw", id)

    # -- writing -----------------------------------------------------------------------------

    async def write(self) -> list[Any]:
        """Write everything; return the turns of messages that have come by it.

        What one statement writes goes at once: a map's step begins many children, each of several
        rows. Nothing else depends on the order than that an execution is there before it moves.
        """
        turns: list[Any] = []
        writes, self._writes = self._writes, []
        together: dict[str, list[tuple[Any, ...]]] = {name: [] for name in BEGINNING}
        for statement, row in writes:
            together.setdefault(statement, []).append(row)
        for statement, values in together.items():
            if statement == "withdraw":
                for one in values:
                    turns += await self._session.value(statement, *one)
            elif len(values) == 1:
                await self._session.run(statement, *values[0])
            elif values:
                await self._session.many(statement, values)
        return turns


def _token(token: str) -> bytes:
    return indexed(token.encode())


async def give_up(session: Session, catalog: Catalog, bodies: list[bytes]) -> None:
    """End executions to which something happened that a person, or time, has given up."""
    numbers = [lost_execution(body) for body in bodies]
    wanted = [number for number in numbers if number is not None]
    if not wanted:
        return
    loaded = Loaded(session, catalog, 0)
    await loaded.read(wanted)
    for number, body in zip(numbers, bodies, strict=True):
        row = None if number is None else loaded.find(number)
        if row is not None and row.status == 0:
            id, text = given_up(body, row)
            workflow = loaded.workflow_of(row)
            await session.value("tell_execution", workflow, id, text.decode(), *row.thread)
