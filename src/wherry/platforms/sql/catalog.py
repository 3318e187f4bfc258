"""What the releases declare: names as small numbers, tables with their indexes, grants.

Whose grants count: a commit's are those of the release in its record. A read's are those of the
release named behind the function ("create_order@3f2a..."), without one the activated release.
A release that is not known counts as the activated one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec.structs import replace

from wherry import limits
from wherry.platforms.sql.listeners import Listeners, check_sources
from wherry.platforms.sql.rights import Grants, Rights
from wherry.platforms.sql.session import Session
from wherry.platforms.sql.shapes import (
    FunctionShape,
    Index,
    Queue,
    QueueShape,
    ReleaseShape,
    Table,
    TableShape,
    read_release,
)
from wherry.platforms.sql.workflows import Workflow, stored_workflow, workflow_of

RIGHTS_KEPT = 1_000  # functions whose rights are kept: their names come from callers


class Catalog:
    """Everything that is read from releases, kept in memory and read anew after a rollback.

    The activated release counts, and those that this engine has configured lately.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, ReleaseShape] = {}
        self.reload()

    def reload(self) -> None:
        """Read everything from the database."""
        self._ids: dict[tuple[str, str], int] = {}
        self._names: dict[int, str] = {}
        for kind, name, number in self._session.rows("names_all"):
            self._ids[kind, name] = number
            self._names[number] = name
        self._releases: dict[str, ReleaseShape] = {}
        active = self._session.row("release_active") or self._session.row("release_newest")
        self.active = active[0] if active else ""
        # The activated release comes last: where two declare one name, its declaration counts.
        for digest, shape in self._known.items():
            if digest != self.active:
                self._releases[digest] = shape
        if active:
            self._releases[active[0]] = self._known.get(active[0]) or _lean(read_release(active[1]))
        self._declare()
        self._rights: dict[str, Rights] = {"": self._rights_of(None)}

    def _declare(self) -> None:
        tables: dict[str, TableShape] = {}
        queues: dict[str, tuple[QueueShape, str]] = {}
        self.buckets: dict[str, int] = {}
        self.events: set[str] = set()
        for release in self._releases.values():
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
        self._definitions: dict[tuple[int, str, str], Index] = {}
        for number, table, name, definition, ready, dropped in self._session.rows("indexes_all"):
            if dropped:
                self.dropped.append(number)
                continue
            index = Index(number, name, definition, bool(ready))
            kept.setdefault(table, []).append(index)
            self._definitions[table, name, definition] = index
        active = self._releases.get(self.active, ReleaseShape())
        self.workflows = {one.name: one for one in map(workflow_of, active.workflows)}
        self._declare_queues(queues)
        self.listeners = Listeners(active, self.queues)
        self.tables: dict[str, Table] = {}
        for name, shape in tables.items():
            number = self.number("table", name)
            followers = tuple(self.listeners.changes.get(name, ()))
            self.tables[name] = Table(number, shape, kept.get(number, []), followers)
        self.tables_by_id = {table.id: table for table in self.tables.values()}

    def _declare_queues(self, queues: dict[str, tuple[QueueShape, str]]) -> None:
        self.queues: dict[str, Queue] = {}
        active = self._releases.get(self.active, ReleaseShape())
        kept = {queue.name for queue in active.queues}
        kinds = _kinds(self._releases.values())
        sourced = {
            source.queue for release in self._releases.values() for source in release.sources
        }
        # Those whose large payloads travel as objects, for any release that counts.
        self.claiming = {
            self.number("queue", queue.name)
            for release in self._releases.values()
            for queue in release.queues
            if queue.claim_check
        }
        self.paused: set[str] = set()  # functions; "" is the whole app
        resumed: dict[str, int] = {}
        for function, _, _, resumed_ms in self._session.rows("pauses_all"):
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

    def queue(self, name: str) -> Queue | None:
        """Return a queue that there is or was: what an execution sends to it waits there."""
        found = self.queues.get(name)
        number = self.find("queue", name) if found is None else None
        if number is None:
            return found
        return Queue(number, QueueShape(name), "", False, "" in self.paused, kept="executions")

    def number(self, kind: str, name: str) -> int:
        """Return the number of a name, giving it one."""
        number = self._ids.get((kind, name))
        if number is None:
            self._session.begin()
            row = self._session.row("names_add", kind, name)
            assert row is not None
            number = row[0]
            self._ids[kind, name] = number
            self._names[number] = name
        return number

    def find(self, kind: str, name: str) -> int | None:
        """Return the number of a name that has one."""
        return self._ids.get((kind, name))

    def numbers(self, kind: str) -> list[int]:
        """Return the numbers of all names of a kind that there ever were."""
        return [number for (found, _), number in self._ids.items() if found == kind]

    def name(self, number: int) -> str:
        """Return the name behind a number."""
        return self._names.get(number, "")

    def has_function(self, name: str) -> bool:
        """Whether a release that counts declares this function, or workflow."""
        return any(
            _function(release, name) or any(one["name"] == name for one in release.workflows)
            for release in self._releases.values()
        )

    def queue_ids(self) -> list[int]:
        """Return the numbers of all queues that there ever were."""
        return self.numbers("queue")

    def is_workflow(self, queue: int) -> bool:
        """Whether this is the number of a workflow's queue."""
        return ("workflow", self.name(queue)) in self._ids

    def index(self, table: Table, name: str) -> Index | None:
        """Return the index of this name: as the activated release declares it, else the newest."""
        for shape in table.shape.indexes:
            if shape.name == name:
                found = self._definitions.get((table.id, name, table.shape.definition(shape)))
                if found is not None:
                    return found
        return next((index for index in reversed(table.indexes) if index.name == name), None)

    # -- configuring -------------------------------------------------------------------------

    def configure(
        self, digest: str, blueprint: bytes, activate: bool
    ) -> list[tuple[str, str, int]]:
        """Take over a release; return the indexes that are not ready: table, index, items to go.

        Raises:
            msgspec.ValidationError: The blueprint cannot be read.
            Refused: One of its sources cannot work.
        """
        shape = read_release(blueprint)
        check_sources(shape)
        session = self._session
        session.write("release_put", digest, session.next(), blueprint)
        if activate:
            session.write("release_activate", session.now_ms, session.next(), digest)
        wanted: dict[tuple[int, str, str], str] = {}
        for table in shape.tables:
            number = self.number("table", table.name)
            for index in table.indexes:
                wanted[number, index.name, table.definition(index)] = table.name
        for queue in shape.queues:
            self.number("queue", queue.name)
        for workflow in shape.workflows:
            self.number("workflow", str(workflow["name"]))
            self.number("queue", str(workflow["name"]))
        for key, table_name in wanted.items():
            if key not in self._definitions:
                empty = session.row("table_used", self.number("table", table_name)) is None
                session.write("index_add", *key, int(empty))
        if activate:
            for key, old in self._definitions.items():
                if key not in wanted:
                    session.write("index_drop", old.id)
        self._known.pop(digest, None)
        self._known[digest] = _lean(shape)
        for forgotten in list(self._known)[: -limits.RELEASES_KEPT]:
            del self._known[forgotten]
        self.reload()
        return self._unready()

    def _unready(self) -> list[tuple[str, str, int]]:
        unready = []
        for table in self.tables.values():
            for index in table.indexes:
                if not index.ready:
                    at = self._session.row("index_position", index.id) or (b"", b"")
                    left = self._session.row("table_left", table.id, *at)
                    unready.append((table.shape.name, index.name, left[0] if left else 0))
        return unready

    def in_use(self, digest: str) -> bool:
        """Whether a release is the activated one, or was configured by this engine."""
        return digest in self._releases

    def forget_unless_stored(self) -> None:
        """After a rollback: drop what was learned from releases that are not stored."""
        stored = {row[0] for row in self._session.rows("releases_list")}
        self._known = {key: shape for key, shape in self._known.items() if key in stored}
        self.reload()

    # -- grants ------------------------------------------------------------------------------

    def rights(self, function: str) -> Rights:
        """Return what "function" or "function@release" may do; an unknown function may nothing.

        "" is the engine itself, "workflow@definition" an execution of that definition.
        """
        found = self._rights.get(function)
        if found is None:
            name, _, digest = function.partition("@")
            declared = _function(self._release(digest), name)
            grants: Grants = frozenset()
            if declared is not None:
                grants = frozenset(
                    (grant.kind, grant.resource, grant.action) for grant in declared.grants
                )
            elif (workflow := self._workflow(name, digest)) is not None:
                grants = workflow.grants
            if len(self._rights) > RIGHTS_KEPT:
                self._rights = {"": self._rights[""]}
            found = self._rights[function] = self._rights_of(grants)
        return found

    def _workflow(self, name: str, digest: str) -> Workflow | None:
        row = self._session.row("definition_get", digest) if digest else None
        if row is not None:
            found = stored_workflow(row[0])
            return found if found.name == name else None
        for declared in self._release(digest).workflows:
            if declared["name"] == name:
                return workflow_of(declared)
        return None

    def _rights_of(self, grants: Grants | None) -> Rights:
        return Rights(grants, self.tables, self.queues, self.buckets, self.events)

    def _release(self, digest: str) -> ReleaseShape:
        shape = self._releases.get(digest)
        if shape is None and digest:
            row = self._session.row("release_get", digest)
            if row is not None:
                shape = self._known[digest] = _lean(read_release(row[0]))
        return shape or self._releases.get(self.active) or ReleaseShape()


def _lean(release: ReleaseShape) -> ReleaseShape:
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
