"""Whom the verbs ask: the running engine over its control socket; with none, the folder itself.

Never a file that another process owns: without an engine the folder's lock is taken first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from wherry import limits
from wherry.codec import to_msgpack
from wherry.engine.controlwire import (
    AccountAsked,
    ContentAsked,
    EngineSaid,
    NoEngine,
    TokenAsked,
    call,
)
from wherry.engine.datafolder import DataFolder, FolderInUse
from wherry.errors import Passing, Refused
from wherry.ports import (
    Answer,
    Broken,
    Denied,
    GetObject,
    LeaseLost,
    Rejected,
    ReleaseRow,
    ReleaseRows,
    Releases,
    Request,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.blueprint import Blueprint
    from wherry.engine.postgres import AskedPostgres
    from wherry.identity import DevelopmentIssuer
    from wherry.platforms.sql.store import SqlStore
    from wherry.world import Clock

START_PATIENCE_S = 5.0  # an engine that begins or ends holds the lock and does not listen
LOOK_AGAIN_S = 0.05
ANSWER_S = limits.CONTROL_ANSWER_S + limits.CONTROL_READ_S


class Backend(Protocol):
    """State, wherever it is."""

    @property
    def running(self) -> bool:
        """Whether an engine answers."""
        ...

    def ask(self, request: Request) -> Any:
        """Return the store's answer.

        Raises:
            Refused, Passing: The store did not do it.
        """
        ...

    def content(self, bucket: str, key: str) -> bytes:
        """Return the content of an object that holds a payload."""
        ...

    def token(self, asked: TokenAsked) -> str:
        """Return an access token."""
        ...

    def account(self, asked: AccountAsked) -> str:
        """Make an account; return its subject."""
        ...


class RunningEngine:
    """An engine, over its control socket. `timeout_s`: for an answer of its store."""

    running = True

    def __init__(self, data: DataFolder, timeout_s: float = ANSWER_S) -> None:
        self._data = data
        self._timeout_s = timeout_s

    def ask(self, request: Request) -> Any:
        """Forward a request to the store."""
        answer = call(self._data, "ask", to_msgpack(request), self._timeout_s)
        return checked(msgspec.msgpack.decode(answer, type=Answer))

    def content(self, bucket: str, key: str) -> bytes:
        """Ask the engine, which knows where objects lie."""
        return bytes(call(self._data, "content", ContentAsked(bucket, key), self._timeout_s))

    def token(self, asked: TokenAsked) -> str:
        """Ask the engine's issuer."""
        return str(call(self._data, "token", asked))

    def account(self, asked: AccountAsked) -> str:
        """Ask the engine's issuer."""
        return str(call(self._data, "account", asked))


class OwnFolder:
    """The state of a data folder, or of the Postgres that it names, while no engine owns it."""

    running = False

    def __init__(
        self,
        store: SqlStore | AskedPostgres,
        data: DataFolder,
        clock: Clock,
        public_url: str,
        app: Blueprint | None,
    ) -> None:
        self._store = store
        self._data = data
        self._clock = clock
        self._public_url = public_url
        self._app = app

    def ask(self, request: Request) -> Any:
        """Ask the store in this process."""
        return checked(self._store.run([("", request)])[0])

    def content(self, bucket: str, key: str) -> bytes:
        """Read the file; what lies in S3 only an engine reads."""
        from wherry.platforms.files.blobs import Blobs
        from wherry.platforms.files.faults import StorageFault
        from wherry.platforms.files.payloads import content_of

        try:
            return content_of(Blobs(self._data.objects), self.ask(GetObject(bucket, key)))
        except StorageFault as error:
            advice = "If objects lie in S3, ask while the engine runs."
            raise Refused(str(error), advice=advice) from error

    def token(self, asked: TokenAsked) -> str:
        """Sign with the key in the folder."""
        return self._issuer(asked.auth).token_for(asked.subject, asked.roles, asked.lifetime_s)

    def account(self, asked: AccountAsked) -> str:
        """Make the account in the folder."""
        issuer = self._issuer(asked.auth)
        return issuer.create_account(asked.username, asked.password, asked.roles)

    def _issuer(self, auth: str) -> DevelopmentIssuer:
        from wherry.engine.gateway.callers import Callers
        from wherry.engine.issuers import choose_issuer
        from wherry.engine.offload import attempt
        from wherry.world import Chance

        def here(work: Callable[[], Any], then: Callable[[Any], None]) -> None:
            then(attempt(work))

        auths = (self._app or active_blueprint(self)).auths
        callers = Callers(auths, self._public_url, self.ask, here, self._clock, Chance())
        return choose_issuer(callers.issuers, auth)


@contextmanager
def connected(
    path: str,
    public_url: str = "",
    app: Blueprint | None = None,
    patience_s: float = START_PATIENCE_S,
) -> Iterator[Backend]:
    """Reach the state in a data folder.

    Args:
        public_url: What tokens name as their issuer where no engine tells it.
        app: Whose auths count where no engine tells; by default those of the version that ran
            last. With it the folder is made if there is none.
        patience_s: How long to wait for somebody who owns the folder and does not answer.

    Raises:
        Refused: There is no state there.
        FolderInUse: Somebody who is no engine owns it.
    """
    data = DataFolder.at(path, missing_ok=app is not None)
    held = _reach(data, patience_s)
    if held is None:
        yield RunningEngine(data)
        return
    from wherry.world import SystemClock

    with held:
        clock = SystemClock()
        store = _opened(held, clock)
        try:
            yield OwnFolder(store, held, clock, public_url, app)
        finally:
            store.close()


def _opened(held: DataFolder, clock: Clock) -> SqlStore | AskedPostgres:
    """Open the store of a folder whose engine does not run."""
    from wherry.engine.storeplace import place_without_engine

    place = place_without_engine(held, os.environ)
    if place is not None:
        from wherry.engine.postgres import AskedPostgres
        from wherry.world import Chance

        return AskedPostgres(place, clock, Chance())
    from wherry.platforms.sql.store import SqlStore

    return SqlStore(held.store, clock)


def _reach(data: DataFolder, patience_s: float) -> DataFolder | None:
    """Return the folder with its lock; None where an engine answers."""
    from wherry.world import SystemClock, pause

    clock = SystemClock()
    give_up_s = clock.steady_s() + patience_s
    while True:
        try:
            call(data, "public_url")
            return None
        except NoEngine:
            pass
        except EngineSaid:  # its token has just been replaced: another engine is starting
            pass
        try:
            return DataFolder.open(data.root)
        except FolderInUse:
            if clock.steady_s() > give_up_s:
                raise
        pause(LOOK_AGAIN_S)


def checked(answer: Any) -> Any:
    """Return an answer that is one.

    Raises:
        Refused, Passing: The store says why it is none.
    """
    match answer:
        case Broken(message=message):
            raise Passing(message, advice="Nothing was done; try again.")
        case Rejected(message=message):
            raise Refused(message)
        case Denied(resource=resource, action=action):
            raise Refused(f"The store refuses to {action} {resource}.")
        case LeaseLost():
            raise Passing("Somebody else has it now.")
    return answer


def releases(backend: Backend) -> list[ReleaseRow]:
    """Return the versions that ran, the last activated first."""
    answer: ReleaseRows = backend.ask(Releases())
    return answer.rows


def active_blueprint(backend: Backend) -> Blueprint:
    """Return the description of the version that ran last.

    Raises:
        Refused: None ever ran.
    """
    from wherry.blueprint import load

    active = [row for row in releases(backend) if row.activated_ms]
    if not active:
        raise Refused("No version of an app ever ran here.", advice="Start it: `wherry run`.")
    return load(active[0].blueprint)
