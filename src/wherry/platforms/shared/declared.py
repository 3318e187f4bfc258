"""What the releases that count declare, worked out: tables, queues, listeners, rights.

Whose grants count: a commit's are those of the release in its record. A read's are those of the
release named behind the function ("create_order@3f2a..."), without one the activated release.
A release that is not known counts as the activated one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from msgspec.structs import replace

from wherry.errors import Refused
from wherry.platforms.shared.listeners import Listeners
from wherry.platforms.shared.rights import Grants, Rights
from wherry.platforms.shared.shapes import (
    FunctionShape,
    Queue,
    QueueShape,
    ReleaseShape,
    TableShape,
)
from wherry.platforms.shared.tables import Index, Table
from wherry.platforms.shared.workflows import Workflow, stored_workflow, workflow_of
from wherry.ports import Reindex, Rejected

Rows: TypeAlias = Iterable[tuple[Any, ...]]
RIGHTS_KEPT = 1_000  # functions whose rights are kept: their names come from callers


class Declared:
    """The declarations of all releases that count.

    A store says which those are (the activated one last: where two declare one name, its
    declaration counts), and which numbers stand for names.
    """

    releases: dict[str, ReleaseShape]
    active: str
    _ids: dict[tuple[str, str], int]
    _names: dict[int, str]
    _keyed: dict[str, str]  # by which key and sort the items of a table are stored

    def number(self, kind: str, name: str) -> int:
        """Return the number of a name."""
        raise NotImplementedError

    def find(self, kind: str, name: str) -> int | None:
        """Return the number of a name that has one."""
        return self._ids.get((kind, name))

    def name(self, number: int) -> str:
        """Return the name behind a number; '' where there is none."""
        return self._names.get(number, "")

    def numbers(self, kind: str) -> list[int]:
        """Return the numbers of all names of a kind that there ever were."""
        return [number for (found, _), number in self._ids.items() if found == kind]

    def queue_ids(self) -> list[int]:
        """Return the numbers of all queues that there ever were."""
        return self.numbers("queue")

    def undeclared(self, kind: Literal["table", "queue"]) -> list[tuple[str, int]]:
        """Return name and number of what there was once and the activated release declares not.

        Queues of workflows are not among it: they are as their executions.
        """
        active = self.release(self.active)
        of = active.tables if kind == "table" else active.queues
        declared = {one.name for one in of}
        return [
            (name, number)
            for (found, name), number in self._ids.items()
            if found == kind and name not in declared and ("workflow", name) not in self._ids
        ]

    def is_workflow(self, queue: int) -> bool:
        """Whether this is the number of a workflow's queue."""
        return ("workflow", self.name(queue)) in self._ids

    def queue(self, name: str) -> Queue | None:
        """Return a queue that there is or was: what an execution sends to it waits there."""
        found = self.queues.get(name)
        number = self.find("queue", name) if found is None else None
        if number is None:
            return found
        return Queue(number, QueueShape(name), "", False, "" in self.paused, kept="executions")

    def release(self, digest: str) -> ReleaseShape:
        """Return a release, or the activated one where there is no such."""
        return self.releases.get(digest) or self.releases.get(self.active) or ReleaseShape()

    def definition(self, digest: str) -> bytes | None:
        """Return the body of a stored definition of a workflow."""
        raise NotImplementedError

    def declare(self, indexes: Iterable[tuple[Any, ...]], pauses: Rows) -> None:
        """Work everything out from `releases` and `active`.

        Args:
            indexes: Rows: number, table, name, definition, ready, dropped.
            pauses: Rows: function, since, actor, resumed.
        """
        tables: dict[str, TableShape] = {}
        queues: dict[str, tuple[QueueShape, str]] = {}
        self.buckets: dict[str, int] = {}
        self.events: set[str] = set()
        for release in self.releases.values():
            self.events |= {event.name for event in release.events}
            consumers = _consumers(release)
            tables |= {shape.name: shape for shape in release.tables}
            queues |= {
                shape.name: (shape, consumers.get(shape.name, "")) for shape in release.queues
            }
            self.buckets |= {
                shape.name: self.number("bucket", shape.name) for shape in release.buckets
            }
        kept: dict[int, list[Index]] = {}
        self.dropped: list[int] = []
        self.definitions: dict[tuple[int, str, str], Index] = {}
        self._indexes: dict[tuple[str, str, str], Index | None] = {}  # what was asked for
        for number, table, name, definition, ready, dropped in indexes:
            if dropped:
                self.dropped.append(number)
                continue
            index = Index(number, name, definition, bool(ready))
            kept.setdefault(table, []).append(index)
            self.definitions[table, name, index.plain] = index
        active = self.releases.get(self.active, ReleaseShape())
        self.workflows = {one.name: one for one in map(workflow_of, active.workflows)}
        self._declare_queues(queues, pauses)
        self.listeners = Listeners(active, self.queues)
        self.tables: dict[str, Table] = {}
        for name, shape in tables.items():
            number = self.number("table", name)
            followers = tuple(self.listeners.changes.get(name, ()))
            self.tables[name] = Table(number, shape, kept.get(number, []), followers)
            self._keyed.setdefault(name, shape.keyed)
        self.tables_by_id = {table.id: table for table in self.tables.values()}
        self._rights: dict[str, Rights] = {"": self._rights_of(None)}

    def _declare_queues(self, queues: dict[str, tuple[QueueShape, str]], pauses: Rows) -> None:
        self.queues: dict[str, Queue] = {}
        active = self.releases.get(self.active, ReleaseShape())
        kept = {queue.name for queue in active.queues}
        kinds = _kinds(self.releases.values())
        sourced = {source.queue for release in self.releases.values() for source in release.sources}
        # Those whose large payloads travel as objects, for any release that counts.
        self.claiming = {
            self.number("queue", queue.name)
            for release in self.releases.values()
            for queue in release.queues
            if queue.claim_check
        }
        self.paused: set[str] = set()  # functions; "" is the whole app
        resumed: dict[str, int] = {}
        for function, _, _, resumed_ms in pauses:
            if resumed_ms is None:
                self.paused.add(function)
            else:
                resumed[function] = resumed_ms
        for name, (queue, consumer) in queues.items():
            number = self.number("queue", name)
            paused = "" in self.paused or consumer in self.paused
            went_on_ms = max(resumed.get("", 0), resumed.get(consumer, 0))
            self.queues[name] = Queue(
                number,
                queue,
                consumer,
                name in kept,
                paused,
                went_on_ms,
                name in sourced,
                kinds.get(name, ""),
            )
        self.queues_by_id = {queue.id: queue for queue in self.queues.values()}

    def check_app(self, release: ReleaseShape, known: set[str]) -> None:
        """Refuse a release of another app than those whose releases are stored.

        Raises:
            Refused: Its queues and tables of one name would be taken for theirs.
        """
        if known and release.app not in known:
            theirs = " and ".join(map(repr, sorted(known)))
            raise Refused(
                f"This store is that of the app {theirs}, and {release.app!r} would share its "
                "queues and tables.",
                advice="Give it a store of its own (another folder, --data, or another database); "
                "or, where it is the same app under a new name, start it once with --renamed.",
            )

    # -- keys --------------------------------------------------------------------------------

    def rekeyed(self, release: ReleaseShape) -> list[TableShape]:
        """Return the tables whose items are stored by another key than this release declares."""
        return [
            table
            for table in release.tables
            if self._keyed.get(table.name, table.keyed) != table.keyed
        ]

    def refuse_rekeyed(self, table: TableShape) -> Refused:
        """Say that a release is not taken: it would not find what is stored."""
        return Refused(
            f"The items of table {table.name!r} are stored by {self._keyed[table.name]}; this "
            f"release declares {table.keyed} and would not find them.",
            advice="Keep its key and sort, declare another table (with a name= of its own) for "
            "the new ones, and copy the items over; or, where nobody needs them, delete them "
            "first (in development: the data folder).",
        )

    def has_function(self, name: str) -> bool:
        """Whether a release that counts declares this function, or workflow."""
        return any(
            _function(release, name) or any(one["name"] == name for one in release.workflows)
            for release in self.releases.values()
        )

    def index(self, function: str, table: str, name: str) -> Index | None:
        """Return the index that the release of this "function@release" declares, if it is kept.

        Another release may mean something else by the same name.
        """
        digest = function.partition("@")[2]
        asked = (digest, table, name)
        if asked not in self._indexes:
            self._indexes[asked] = self._index(self.release(digest), table, name)
        return self._indexes[asked]

    def _index(self, release: ReleaseShape, table: str, name: str) -> Index | None:
        for shape in release.tables:
            for index in shape.indexes if shape.name == table else ():
                if index.name == name:
                    number = self.number("table", table)
                    return self.definitions.get((number, name, shape.definition(index)))
        return None

    def wanted_indexes(self, *releases: ReleaseShape) -> dict[tuple[int, str, str], str]:
        """Return which `definitions` these releases need, and by which they are made."""
        return {
            (self.number("table", table.name), index.name, table.definition(index)): table.making(
                index
            )
            for release in releases
            for table in release.tables
            for index in table.indexes
        }

    def unfilled(self, request: Reindex) -> tuple[Table, Index] | Rejected | None:
        """Return the index that is to be filled, and its table; None: it is ready."""
        table = self.tables.get(request.table)
        if table is None:
            return Rejected(f"There is no table {request.table!r}.")
        named = [index for index in table.indexes if index.name == request.index]
        if not named:
            return Rejected(f"Table {request.table!r} has no index {request.index!r}.")
        return next(((table, index) for index in named if not index.ready), None)

    def in_use(self, digest: str) -> bool:
        """Whether a release is the activated one, or counts besides."""
        return digest in self.releases

    # -- grants ------------------------------------------------------------------------------

    def rights(self, function: str) -> Rights:
        """Return what "function" or "function@release" may do; an unknown function may nothing.

        "" is the engine itself, "workflow@definition" an execution of that definition.
        """
        found = self._rights.get(function)
        if found is None:
            name, _, digest = function.partition("@")
            declared = _function(self.release(digest), name)
            grants: Grants = frozenset()
            if declared is not None:
                grants = frozenset(
                    (grant.kind, grant.resource, grant.action) for grant in declared.grants
                )
            elif (workflow := self._workflow(name, digest)) is not None:
                grants = workflow.grants
            if len(self._rights) > RIGHTS_KEPT:
                self._rights = {"": self._rights[""]}
            rekeyed = frozenset(table.name for table in self.rekeyed(self.release(digest)))
            found = self._rights[function] = self._rights_of(grants, rekeyed)
        return found

    def _workflow(self, name: str, digest: str) -> Workflow | None:
        body = self.definition(digest) if digest else None
        if body is not None:
            found = stored_workflow(body)
            return found if found.name == name else None
        for declared in self.release(digest).workflows:
            if declared["name"] == name:
                return workflow_of(declared)
        return None

    def _rights_of(self, grants: Grants | None, rekeyed: frozenset[str] = frozenset()) -> Rights:
        return Rights(grants, self.tables, self.queues, self.buckets, self.events, rekeyed)


def lean(release: ReleaseShape) -> ReleaseShape:
    """Leave out the schedules, which are rows: there may be very many of them."""
    kept = tuple(source for source in release.sources if source.type != "schedule")
    return release if len(kept) == len(release.sources) else replace(release, sources=kept)


def _function(release: ReleaseShape, name: str) -> FunctionShape | None:
    return next((function for function in release.functions if function.name == name), None)


def _consumers(release: ReleaseShape) -> dict[str, str]:
    return {
        str(trigger["queue"]): function.name
        for function in release.functions
        for trigger in function.triggers
        if "queue" in trigger
    } | {str(one["name"]): str(one["name"]) for one in release.workflows}


def _kinds(releases: Iterable[ReleaseShape]) -> dict[str, Literal["tasks", "executions"]]:
    """Return the queues whose messages are those of executions."""
    found: dict[str, Literal["tasks", "executions"]] = {}
    for release in releases:
        for function in release.functions:
            for trigger in function.triggers:
                if trigger.get("type") == "task":
                    found[str(trigger["queue"])] = "tasks"
        for workflow in release.workflows:
            found[str(workflow["name"])] = "executions"
    return found
