"""Runs a store process whose clock a test moves: a file says by how many seconds."""

import sys
from pathlib import Path

from wherry.platforms.sql.process import main
from wherry.world import ManualClock


class FileClock:
    """A clock that stands still; the file holds the seconds by which it was moved."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def _clock(self) -> ManualClock:
        clock = ManualClock()
        clock.advance(float(self._path.read_text() or 0))
        return clock

    def now_ms(self) -> int:
        return self._clock().now_ms()

    def steady_s(self) -> float:
        return self._clock().steady_s()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[3]), sys.argv[5], FileClock(sys.argv[1])))
