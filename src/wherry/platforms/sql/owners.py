"""Who leases messages: engines, by number. What one of them leases lies in the slot of its own."""

from __future__ import annotations

from wherry.platforms.sql.session import Session


class Owners:
    """All owners of leases, by name."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.forget()

    def forget(self) -> None:
        """Read anew what is kept in memory (after a rollback, or at the start)."""
        self._numbers: dict[str, int] = dict(self._session.rows("owners_all"))

    def find(self, name: str) -> int | None:
        """Return the number of an owner that has one."""
        return self._numbers.get(name)

    def number(self, name: str) -> int:
        """Return the number of an owner, giving it one."""
        number = self._numbers.get(name)
        if number is None:
            self._session.begin()
            row = self._session.row("owner_add", name)
            assert row is not None
            number = self._numbers[name] = row[0]
        return number

    def remove_others(self, keep: int | None) -> None:
        """Forget all but this one for ever."""
        for name, number in list(self._numbers.items()):
            if number != keep:
                self._session.write("owner_forget", number)
                del self._numbers[name]
