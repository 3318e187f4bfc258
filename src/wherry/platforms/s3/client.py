"""A client of boto3 whose calls end: every wait is bounded, and so is all of a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import local
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.errors import Refused

from .faults import OverTime

if TYPE_CHECKING:
    from wherry.world import Clock

    from .place import Place


class Calls:
    """Makes calls; threads may share it.

    Args:
        place: What is called.

    Raises:
        Refused: boto3 is not installed, or cannot be configured.
    """

    def __init__(self, place: Place, clock: Clock) -> None:
        self._clock = clock
        self._ended = False
        self._now = local()  # of each thread: until when its present call may go on
        self.client = _client(place)
        self.client.meta.events.register("before-send.s3", self._check)

    @contextmanager
    def bounded(self, content_bytes: int = 0) -> Iterator[None]:
        """Let the calls of this block end in their time, together; within another, in its time."""
        if getattr(self._now, "until_s", None) is not None:
            yield
            return
        more_s = content_bytes / limits.S3_RATE_BYTES_PER_S
        self._now.until_s = self._clock.steady_s() + limits.S3_CALL_S + more_s
        try:
            yield
        finally:
            self._now.until_s = None

    def body(self, content: bytes) -> Body:
        """Return content to send, a piece at a time, in the time of this thread's call."""
        return Body(content, self)

    def check(self) -> None:
        """Raise `OverTime` where this thread's call has had its time, or all calls have."""
        until_s = getattr(self._now, "until_s", None)
        if self._ended or (until_s is not None and self._clock.steady_s() > until_s):
            raise OverTime

    def _check(self, **event: Any) -> None:
        self.check()

    def close(self) -> None:
        """Close the connections; what other threads send or read ends with its next piece."""
        self._ended = True
        self.client.close()


class Body(BytesIO):
    """Content that is sent. Read in pieces: each has `limits.S3_CONNECT_S` to leave."""

    def __init__(self, content: bytes, calls: Calls) -> None:
        super().__init__(content)
        self._calls = calls

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next piece."""
        self._calls.check()
        return super().read(size)


def _client(place: Place) -> Any:
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
    except ImportError:
        raise Refused(
            "Objects in S3 need boto3, which is not installed.",
            advice="Run: pip install 'wherry[s3]'",
        ) from None
    config = Config(
        connect_timeout=limits.S3_CONNECT_S,
        read_timeout=limits.S3_READ_S,
        retries={"mode": "standard", "total_max_attempts": limits.S3_ATTEMPTS},
        max_pool_connections=limits.S3_THREADS + 2,
        # SHA-256 is sent and compared by us; other checksums some stores do not know.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Most others than AWS know no names of buckets in their host name.
        s3={"addressing_style": "path" if place.endpoint else "auto"},
    )
    try:
        session = boto3.session.Session()
        region = None if session.region_name or not place.endpoint else "us-east-1"
        return session.client(
            "s3", endpoint_url=place.endpoint or None, region_name=region, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise Refused(
            f"S3 cannot be used: {error}", advice="See AWS's variables and files of configuration."
        ) from error
