"""The figures of all lives together, as a table and as JSON."""

from __future__ import annotations

import math
import platform
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw

from .course import Strike, Told
from .faults import KINDS
from .judge import FAILS

RUN_NS = 400_000_000  # a run is over by then (the slow ones take 0.3 s) if nothing befell it


class Report:
    """Adds up what lives came to."""

    def __init__(
        self, seed: str, lacking: dict[str, str], needs: dict[str, str] | None = None
    ) -> None:
        self.seed = seed
        self.needs = needs or {kind: spec.needs for kind, spec in KINDS.items()}
        self.lacking = lacking
        self.lives = 0
        self.failed: list[int] = []
        self.devices: set[str] = set()
        self.sums = dict.fromkeys(SUMS, 0)
        self.rounds = dict.fromkeys(self.needs, 0)
        self.unreached = dict.fromkeys(self.needs, 0)
        self.accepted: dict[str, list[float]] = {kind: [] for kind in self.needs}
        self.again: dict[str, list[float]] = {kind: [] for kind in self.needs}
        self.growth = {"engine_mb": 0.0, "store_mb": 0.0, "files": 0.0, "others": 0.0}
        self.integrity = {"ok": 0, "other": 0}

    def add(self, told: Told) -> None:
        """Add a life."""
        self.lives += 1
        if told.wrong:
            self.failed.append(told.number)
        self.integrity["ok" if told.integrity == "ok" else "other"] += 1
        for strike in told.strikes:
            self.rounds[strike.kind] += strike.at_ns is not None
            self.unreached[strike.kind] += strike.at_ns is None
        if told.before is not None and told.after is not None:
            before, after = told.before._asdict(), told.after._asdict()
            for name in self.growth:
                process = {"engine_mb": "engine", "store_mb": "store"}.get(name)
                if process is None or before[process] == after[process]:
                    self.growth[name] = max(self.growth[name], after[name] - before[name])
        if told.verdict is not None and told.ledger is not None:
            self._count(told)
            self._recoveries(told)

    def _count(self, told: Told) -> None:
        ledger, verdict, found, sums = told.ledger, told.verdict, told.found, self.sums
        assert ledger is not None
        assert verdict is not None
        assert found is not None
        firsts = {run.order_id for run in ledger.runs}
        meant = sum(run.kind in FAILS for run in ledger.runs)
        meant -= sum(ledger.asked[one].kind in FAILS for one in firsts if one in ledger.asked)
        sums["asked"] += len(ledger.asked)
        sums["accepted"] += len(ledger.ok)
        sums["refused"] += len(ledger.failed)
        sums["unknown"] += len(ledger.unknown)
        sums["present"] += len(found.present)
        sums["effects once"] += len(found.effects) - verdict.twice
        sums["lost"] += verdict.lost
        sums["twice"] += verdict.twice
        sums["handler runs"] += len(ledger.runs)
        sums["runs again, as the job wants"] += meant
        sums["runs again, after a fault"] += len(ledger.runs) - len(firsts) - meant
        sums["failure inbox"] += len(found.dead)
        sums["had to fail"] += verdict.had_to_fail
        sums["might fail, and did"] += verdict.might_fail
        sums["attempts beyond the bound"] += verdict.beyond

    def _recoveries(self, told: Told) -> None:
        ledger = told.ledger
        assert ledger is not None
        oks = sorted(ledger.ok.values())
        runs: dict[str, list[int]] = {}
        for run in ledger.runs:
            if run.kind not in FAILS:
                runs.setdefault(run.order_id, []).append(run.at_ns)
        for kind, _, at_ns in told.strikes:
            if at_ns is None:
                continue
            after = [one.at_ns for one in oks if one.sent_ns >= at_ns]
            if after:
                self.accepted[kind].append((min(after) - at_ns) / 1e9)
        for times in runs.values():
            for first_ns, next_ns in pairwise(times):
                hit = _struck(told.strikes, first_ns, next_ns)
                if hit is not None and hit.at_ns is not None:
                    self.again[hit.kind].append(max(0, next_ns - hit.at_ns) / 1e9)

    # -- telling -----------------------------------------------------------------------------------

    def table(self) -> str:
        """All figures, for people."""
        width = max(map(len, self.needs)) + 2
        head = f"{'fault':<{width}} {'rounds':>6}   {'next order accepted':^22}   {'run again':^26}"
        lines = [
            head,
            f"{'':<{width}} {'':>6}   {'p50':>10} {'p99':>11}   {'p50':>8} {'p99':>8} {'n':>8}",
        ]
        for kind, needs in self.needs.items():
            why = self.lacking.get(needs)
            if not self.rounds[kind] and why is not None:
                lines.append(f"{kind:<{width}} skipped: {why}")
                continue
            more = f"  ({self.unreached[kind]} not reached)" if self.unreached[kind] else ""
            accepted, again = self.accepted[kind], self.again[kind]
            lines.append(
                f"{kind:<{width}} {self.rounds[kind]:>6}   {_s(accepted, 50):>10} "
                f"{_s(accepted, 99):>11}   {_s(again, 50):>8} {_s(again, 99):>8} "
                f"{len(again):>8}{more}"
            )
        lines.append("")
        lines += [f"{name:<34} {count:>8}" for name, count in self.sums.items()]
        lines.append(f"{'integrity check of the store':<34} {self.integrity['ok']:>8} ok")
        if self.integrity["other"]:
            lines.append(f"{'':<34} {self.integrity['other']:>8} not")
        lines.append(
            "most growth in a life: engine {engine_mb:.0f} MiB, store {store_mb:.0f} MiB, "
            "{files:.0f} open files, {others:.0f} other processes".format(**self.growth)
        )
        lines.append(self.bound())
        lines.append(", ".join(f"{name} {value}" for name, value in self.made_of().items()))
        return "\n".join(lines)

    def bound(self) -> str:
        """What the number of trials lets one say."""
        trials, lost, twice = self.sums["accepted"], self.sums["lost"], self.sums["twice"]
        if not trials or lost or twice:
            return f"{lost} lost and {twice} twice of {trials} accepted"
        return f"nothing lost or twice in {trials} accepted orders: below {3 / trials:.2g} at 95 %"

    def made_of(self) -> dict[str, str]:
        """The seed, and what was measured on what."""
        return {
            "seed": self.seed,
            "lives": f"{self.lives} ({len(self.failed)} failed)",
            "commit": _commit(),
            "wherry's python": platform.python_version(),
            "sqlite": apsw.sqlite_lib_version(),
            "kernel": platform.release(),
            "device": "; ".join(sorted(self.devices)),
        }

    def json(self) -> dict[str, Any]:
        """All figures, for machines; times in seconds."""
        kinds = {
            kind: {
                "rounds": self.rounds[kind],
                "not_reached": self.unreached[kind],
                "skipped": None if self.rounds[kind] else self.lacking.get(self.needs[kind]),
                "accepted_s": points(self.accepted[kind]),
                "run_again_s": points(self.again[kind]),
            }
            for kind in self.needs
        }
        made_of = {name.replace(" ", "_"): value for name, value in self.made_of().items()}
        sums = {name.replace(",", "").replace(" ", "_"): count for name, count in self.sums.items()}
        return {
            **made_of, "failed_lives": self.failed, "kinds": kinds, **sums,
            "integrity": self.integrity, "growth": self.growth, "bound": self.bound(),
        }  # fmt: skip


SUMS = (
    "asked", "accepted", "refused", "unknown", "present", "effects once", "lost", "twice",
    "handler runs", "runs again, as the job wants", "runs again, after a fault",
    "failure inbox", "had to fail", "might fail, and did", "attempts beyond the bound",
)  # fmt: skip


def _struck(strikes: list[Strike], first_ns: int, next_ns: int) -> Strike | None:
    """Return the fault for which a run was done again, if it was one."""
    between = [strike for strike in strikes if first_ns <= strike.began_ns <= next_ns]
    hit = [strike for strike in between if strike.began_ns <= first_ns + RUN_NS]
    return hit[-1] if hit else None


def percentile(values: list[float], percent: int) -> float:
    """Return the nearest rank."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _s(values: list[float], percent: int) -> str:
    return f"{percentile(values, percent):.3f} s" if values else "-"


def points(values: list[float]) -> dict[str, float]:
    """Return how many there are, and their percentiles."""
    if not values:
        return {"n": 0}
    return {"n": len(values), "p50": percentile(values, 50), "p99": percentile(values, 99)}


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def device_of(folder: Path) -> str:
    """Return what a folder lies on: device and type of its file system."""
    best, told = "", "unknown"
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return told
    for line in mounts:
        source, point, kind, *_ = line.split()
        if f"{folder.resolve()}/".startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, told = point, f"{source} ({kind})"
    return told
