"""The figures of lives on a shared Postgres: the same ones, the recovery from all faults together,
and what an asynchronous standby did not have.
"""

from __future__ import annotations

from typing import Any

from .course import Told
from .report import Report, percentile, points
from .shared_faults import KINDS

AT_RISK, FORGONE = "accepted before an async failover", "of these lost, as documented"


class SharedReport(Report):
    """Adds up what lives of several engines came to."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed, {}, {kind: spec.needs for kind, spec in KINDS.items()})
        self.postgres = ""
        self.lease_s: set[float] = set()
        self.sums |= {AT_RISK: 0, FORGONE: 0}

    def add(self, told: Told) -> None:
        """Add a life."""
        super().add(told)
        if told.verdict is not None:
            self.sums[AT_RISK] += told.verdict.at_risk
            self.sums[FORGONE] += told.verdict.forgone

    def made_of(self) -> dict[str, str]:
        """The seed, and what was measured on what."""
        found = super().made_of()
        del found["sqlite"]
        leases = ", ".join(f"{one:g}" for one in sorted(self.lease_s))
        return {**found, "postgres": self.postgres, "lease (s)": leases}

    def recoveries(self) -> dict[str, list[float]]:
        """How long it took after any fault until all went on (s)."""
        return {
            "next order accepted": [one for times in self.accepted.values() for one in times],
            "run again": [one for times in self.again.values() for one in times],
        }

    def table(self) -> str:
        """All figures, for people."""
        said = super().table()
        for what, times in self.recoveries().items():
            if times:
                p50, p99, most = (percentile(times, one) for one in (50, 99, 100))
                said += f"\n{what}, after any fault: p50 {p50:.3f} s, p99 {p99:.3f} s, "
                said += f"most {most:.3f} s (n {len(times)})"
        return said

    def json(self) -> dict[str, Any]:
        """All figures, for machines; times in seconds."""
        found = {what.replace(" ", "_"): points(times) for what, times in self.recoveries().items()}
        return {**super().json(), "after_any_fault_s": found}
