"""What the releases declare, as this store's only owner keeps it in memory; names as numbers."""

from __future__ import annotations

from wherry import limits
from wherry.platforms.shared.declared import Declared, lean
from wherry.platforms.shared.listeners import check_sources
from wherry.platforms.shared.shapes import ReleaseShape, read_release
from wherry.platforms.sql.session import Session


class Catalog(Declared):
    """Everything that is read from releases, kept in memory and read anew after a rollback.

    The activated release counts, and those that this engine has configured lately.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, ReleaseShape] = {}
        self.reload()

    def reload(self) -> None:
        """Read everything from the database."""
        self._ids = {}
        self._names = {}
        self._keyed = {}
        for kind, name, number, keyed in self._session.rows("names_all"):
            self._ids[kind, name] = number
            self._names[number] = name
            if keyed is not None:
                self._keyed[name] = keyed
        self.releases = {}
        active = self._session.row("release_active") or self._session.row("release_newest")
        self.active = active[0] if active else ""
        # The activated release comes last: where two declare one name, its declaration counts.
        for digest, shape in self._known.items():
            if digest != self.active:
                self.releases[digest] = shape
        if active:
            self.releases[active[0]] = self._known.get(active[0]) or lean(read_release(active[1]))
        self.declare(self._session.rows("indexes_all"), self._session.rows("pauses_all"))

    def definition(self, digest: str) -> bytes | None:
        """Return the body of a stored definition of a workflow."""
        row = self._session.row("definition_get", digest)
        return row[0] if row else None

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

    # -- configuring -------------------------------------------------------------------------

    def configure(
        self, digest: str, blueprint: bytes, activate: bool, chosen: bool
    ) -> list[tuple[str, str, int]]:
        """Take over a release; return the indexes that are not ready: table, index, items to go.

        Raises:
            msgspec.ValidationError: The blueprint cannot be read.
            Refused: It is another app's, one of its sources cannot work, or one of its tables has
                items by another key.
        """
        shape, session = read_release(blueprint), self._session
        check_sources(shape)
        if not chosen and shape.app not in {one.app for one in self.releases.values()}:
            stored = session.rows("releases_list")
            self.check_app(shape, {read_release(row[2]).app for row in stored})
        for table in self.rekeyed(shape):
            if session.row("items_some", self.number("table", table.name), 1) is not None:
                raise self.refuse_rekeyed(table)
        session.write("release_put", digest, session.next(), blueprint)
        if activate:
            session.write("release_activate", session.now_ms, session.next(), digest)
        for table in shape.tables:
            number = self.number("table", table.name)
            if activate:
                session.write("table_keyed", table.keyed, number)
        for queue in shape.queues:
            self.number("queue", queue.name)
        for workflow in shape.workflows:
            self.number("workflow", str(workflow["name"]))
            self.number("queue", str(workflow["name"]))
        indexes = self.wanted_indexes(shape)
        for key in sorted(indexes.keys() - self.definitions.keys()):
            empty = session.row("items_some", key[0], 1) is None
            session.write("index_add", *key[:2], indexes[key], int(empty))
        if activate:
            lately = session.rows("releases_lately", limits.RELEASES_SERVED)
            wanted = self.wanted_indexes(*(read_release(row[0]) for row in lately))
            for key, old in self.definitions.items():
                if key not in wanted:
                    session.write("index_drop", old.id)
        self._known.pop(digest, None)
        self._known[digest] = lean(shape)
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

    def forget_unless_stored(self) -> None:
        """After a rollback: drop what was learned from releases that are not stored."""
        stored = {row[0] for row in self._session.rows("releases_list")}
        self._known = {key: shape for key, shape in self._known.items() if key in stored}
        self.reload()

    def release(self, digest: str) -> ReleaseShape:
        """Return a release; one that is stored is read."""
        shape = self.releases.get(digest)
        if shape is None and digest:
            row = self._session.row("release_get", digest)
            if row is not None:
                shape = self._known[digest] = lean(read_release(row[0]))
        return shape or super().release("")
