"""The figures of lives on a shared Postgres: the same ones, and the recovery from all faults."""

from __future__ import annotations

from typing import Any

from .report import Report, percentile
from .shared_faults import KINDS


class SharedReport(Report):
    """Adds up what lives of several engines came to."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed, {}, {kind: spec.needs for kind, spec in KINDS.items()})
        self.postgres = ""
        self.lease_s: set[float] = set()

    def made_of(self) -> dict[str, str]:
        """The seed, and what was measured on what."""
        found = super().made_of()
        del found["sqlite"]
        leases = ", ".join(f"{one:g}" for one in sorted(self.lease_s))
        return {**found, "postgres": self.postgres, "lease (s)": leases}

    def bound(self) -> str:
        """What the number of trials lets one say, and how soon all goes on."""
        again = [taken_s for times in self.again.values() for taken_s in times]
        accepted = [taken_s for times in self.accepted.values() for taken_s in times]
        said = super().bound()
        for what, times in (("next order accepted", accepted), ("run again", again)):
            if times:
                points = f"p50 {percentile(times, 50):.3f} s, p99 {percentile(times, 99):.3f} s"
                said += f"\n{what}, after any fault: {points} (n {len(times)})"
        return said

    def json(self) -> dict[str, Any]:
        """All figures, for machines; times in seconds."""
        return {**super().json(), "bound": super().bound()}
