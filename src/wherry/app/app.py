"""The app: decorators collect declarations, `freeze` makes the blueprint of them.

    app = App("shop")
    orders = app.table(Order, key="customer_id", sort="order_id")

    @app.get("/orders/{order_id}", auth=customers, grants=[orders.read])
    def get_order(order_id: str, caller: Caller) -> Order: ...

A decorator gives the handler back as it is: in a test it is called like any function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from wherry import limits
from wherry.app.aftercommit import AppAfterCommit
from wherry.app.bundles import Bundle
from wherry.app.declared import (
    Consumer,
    F,
    Function,
    Triggered,
    as_several,
    declared_or_bare,
)
from wherry.app.naming import name_of
from wherry.app.places import Site, site
from wherry.app.routes import AppRoute
from wherry.app.triggers import AppOn, AppSchedule, Declaring
from wherry.app.workflows import AppTask, AppWorkflow
from wherry.blueprint.parts import AuthSpec, Cors, Finding, Throttle
from wherry.errors import Refused
from wherry.handles import Bucket, Queue, Secret, Table
from wherry.handles.events import EventType

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Unpack

    from wherry.app.endpoints import Endpoint
    from wherry.app.policies import Policy
    from wherry.blueprint.records import Blueprint
    from wherry.handles.options import FunctionOptions
    from wherry.handles.shapes import Upgrades
    from wherry.handles.workflows import Workflow

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
X = TypeVar("X")


class App:
    """A backend: its resources, its functions, who may call.

    After `freeze()`: `endpoints[function][handler]` to call, `policies[table]` to hold against a
    caller and an item, `warnings` to read, `files` that are part of it besides Python.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._functions: list[Function] = []
        self._triggered: dict[int, tuple[Function, Triggered]] = {}  # by the `id` of the handler
        self._tables: list[Table[Any]] = []
        self._queues: list[Queue[Any]] = []
        self._buckets: list[Bucket] = []
        self._secrets: list[Secret] = []
        self._workflows: list[Workflow[Any]] = []
        self._auths: list[AuthSpec] = []
        self._events: list[EventType[Any]] = []
        self._policies: list[tuple[Callable[..., Any], Site]] = []
        self._included: list[App] = []
        self._cors: Cors | None = None
        self._throttle: Throttle | None = None
        self._early: list[Finding] = []  # found while declaring
        self._blueprint: Blueprint | None = None
        self.endpoints: dict[str, dict[str, Endpoint]] = {}
        self.policies: dict[str, list[Policy]] = {}
        self.warnings: list[Finding] = []
        self.files: list[str] = []
        self.get = AppRoute(self, "GET")
        self.post = AppRoute(self, "POST")
        self.put = AppRoute(self, "PUT")
        self.patch = AppRoute(self, "PATCH")
        self.delete = AppRoute(self, "DELETE")
        self.after_commit = AppAfterCommit(self)
        self.on = AppOn(self)
        self.schedule = AppSchedule(self)
        self.workflow = AppWorkflow(self)
        self.task = AppTask(self)

    def __repr__(self) -> str:
        return f"App({self.name!r})"

    # -- who may call ------------------------------------------------------------------------------

    def auth(
        self,
        name: str,
        *,
        roles: Sequence[str] = (),
        issuer: str | None = None,
        audiences: Sequence[str] = (),
        roles_claim: str | None = None,
        accepted: str | None = None,
    ) -> AuthSpec:
        """Declare who may call: the users of an OIDC issuer, or of the development issuer.

        Args:
            roles: Those that routes may ask for.
            issuer: The issuer's URL. Without one, the embedded development issuer signs.
            audiences: For whom the tokens must be made.
            roles_claim: The claim with the roles, where the issuer's usual one is not it.
            accepted: Why the development issuer, or one on this machine, is good enough for
                production, in words.
        """
        spec = AuthSpec(
            name=name,
            roles=as_several(roles),
            issuer=issuer,
            audiences=as_several(audiences),
            roles_claim=roles_claim,
            accepted=accepted,
            place=site(1).place,
        )
        return self._keep(self._auths, spec)

    def policy(self, fn: F) -> F:
        """Hold `fn(caller, item)` against every item of this type that a routed handler touches.

        It returns False or raises `Forbidden` where the caller may not; it applies to every table
        of this item type, on reads and on writes, whenever there is a caller.
        """
        self._changing()
        self._policies.append((fn, site(1)))
        return fn

    def cors(
        self,
        *,
        origins: Sequence[str],
        methods: Sequence[str] = ("*",),
        headers: Sequence[str] = ("*",),
        expose: Sequence[str] = (),
        credentials: bool = False,
        max_age_s: int = 600,
    ) -> None:
        """Say from which origins a browser's page may call."""
        self._changing()
        self._cors = Cors(
            origins=as_several(origins),
            methods=as_several(methods),
            headers=as_several(headers),
            expose=as_several(expose),
            credentials=credentials,
            max_age_s=max_age_s,
        )

    def throttle(self, rate_per_s: float, burst: int) -> None:
        """Limit each client: `rate_per_s` on average, `burst` at once; beyond it 429."""
        self._changing()
        self._throttle = Throttle(rate_per_s=rate_per_s, burst=burst)

    # -- resources ---------------------------------------------------------------------------------

    def table(
        self,
        item_type: type[T],
        *,
        name: str | None = None,
        key: str,
        sort: str | None = None,
        indexes: Mapping[str, str | Sequence[str]] | None = None,
        expires: str | None = None,
        upgrade: Upgrades = None,
    ) -> Table[T]:
        """Declare a table; its name is the plural of the type's (`Order` -> `orders`).

        The arguments are told at `Table`.
        """
        name = name_of(name, item_type)
        place = site(1).place
        if indexes is not None:
            from wherry.app.values import check_indexes

            if fault := check_indexes(name, indexes, place):
                self._early.append(fault)
                indexes = None
        table = Table(
            item_type,
            name=name,
            key=key,
            sort=sort,
            indexes=indexes,
            expires=expires,
            upgrade=upgrade,
            place=place,
            declare=Declaring(self),
        )
        return self._keep(self._tables, table)

    def queue(
        self,
        payload_type: type[T],
        *,
        name: str | None = None,
        max_attempts: int = limits.MAX_ATTEMPTS,
        retry_base_s: float = limits.RETRY_BASE_S,
        retry_max_s: float = limits.RETRY_MAX_S,
        retention_s: int = limits.MESSAGE_RETENTION_S,
        fifo: bool = False,
        group: Callable[[T], Any] | None = None,
        dedup: Callable[[T], Any] | None = None,
        on_failure: Literal["skip", "block"] = "skip",
        fair_by: Callable[[T], Any] | None = None,
        claim_check: bool = False,
        upgrade: Upgrades = None,
    ) -> Queue[T]:
        """Declare a queue; its name is the plural of the type's (`ExportJob` -> `export_jobs`).

        The arguments are told at `Queue`.
        """
        queue = Queue(
            payload_type,
            name=name_of(name, payload_type),
            max_attempts=max_attempts,
            retry_base_s=retry_base_s,
            retry_max_s=retry_max_s,
            retention_s=retention_s,
            fifo=fifo,
            group=group,
            dedup=dedup,
            on_failure=on_failure,
            fair_by=fair_by,
            claim_check=claim_check,
            upgrade=upgrade,
            place=site(1).place,
        )
        return self._keep(self._queues, queue)

    def bucket(
        self,
        name: str,
        *,
        max_bytes: int = limits.OBJECT_BYTES,
        media_types: Sequence[str] = (),
    ) -> Bucket:
        """Declare a bucket of objects up to `max_bytes`, of these media types (none: of any)."""
        bucket = Bucket(
            name=name,
            max_bytes=max_bytes,
            media_types=as_several(media_types),
            place=site(1).place,
            declare=Declaring(self),
        )
        return self._keep(self._buckets, bucket)

    def secret(self, name: str) -> Secret:
        """Declare a secret."""
        return self._keep(self._secrets, Secret(name=name, place=site(1).place))

    def event(
        self,
        name: str,
        *,
        version: int = 1,
        upgrade: Upgrades = None,
        downgrade: Callable[[Any], Any] | None = None,
    ) -> Callable[[type[T]], type[T]]:
        """Declare a class as a type of event, which `publish` tells and `app.on` listens to.

        Args:
            name: What happened, `"shop.order_placed"`: small letters, digits, `_`, `-` and dots.
            version: Of its form. Both are declared while somebody listens to an older one.
            upgrade: Makes this form of an older one that is still on its way.
            downgrade: Makes a value of the older version's class of one of this class, for those
                who listen to that.
        """
        place = site(1).place

        def declare(kind: type[T]) -> type[T]:
            event = EventType(
                kind, name, version, place,
                upgrade=upgrade, downgrade=downgrade, versions=self._events,
            )  # fmt: skip
            self._keep(self._events, event).mark()
            return kind

        return declared_or_bare(name, declare)

    # -- functions ---------------------------------------------------------------------------------

    def consume(
        self,
        queue: Queue[T],
        *,
        batch: int = 1,
        window_s: float = 0,
        once_per: Callable[[T], Any] | None = None,
        once_s: int | None = None,
        **options: Unpack[FunctionOptions],
    ) -> Callable[[F], F]:
        """Declare the consumer of a queue: called with each payload, up to 900 s (default 30).

        Args:
            batch: Above 1 the handler takes `Batch[...]`, up to so many messages at once.
            window_s: How long the first message of a batch waits for others, 0 to 300.
            once_per: From a payload to a key: of messages with the same key one is done.
            once_s: For how long it is known that one was (default: a day).
            options: As a route's.
        """
        where = site(1)

        def declare(fn: F) -> F:
            consumer = Consumer(fn, queue, where)
            consumer.batch, consumer.window_s = batch, window_s
            consumer.once_per, consumer.once_s = once_per, once_s
            self._declare(Function(fn.__name__, where, consumer, **options))
            return fn

        return declared_or_bare(queue, declare)

    def bundle(
        self,
        name: str,
        *,
        auth: AuthSpec | None = None,
        roles: Iterable[str] = (),
        **options: Unpack[FunctionOptions],
    ) -> Bundle:
        """Declare one function out of several routes that share an authorization boundary.

        Args:
            auth, roles: Of all its routes; a route may ask for other roles.
            options: As a route's, for all of them together.
        """
        function = Function(name, site(1), **options)
        self._declare(function)
        return Bundle(function, auth=auth, roles=roles, changing=self._changing)

    def include(self, other: App | ModuleType | str) -> None:
        """Take over what another app declares: the app, a module with it, or the module's name.

        A module that declares on this very app needs only to be imported, which this does.
        """
        from wherry.app.including import apps_in

        self._changing()
        where = site(1)
        apps, finding = apps_in(other, self, where)
        self._included.extend(apps)
        if finding is not None:
            self._early.append(finding)

    def atomic(self, name: str, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `step` now, inside a handler, and commit its effects with its return value at once.

        Every later run of the same invocation returns the stored value without running it.
        """
        from wherry.handles.steps import atomic

        return atomic(name, step, *args, **kwargs)

    # -- the end of declaring ----------------------------------------------------------------------

    def freeze(self) -> Blueprint:
        """Check everything and return the blueprint; from then on the app does not change.

        Raises:
            AppInvalid: With every error, each with its place and its fix.
        """
        if self._blueprint is None:
            from wherry.app.freezing import freeze

            frozen = freeze(self)
            self.endpoints = frozen.endpoints
            self.policies = frozen.policies
            self.files = frozen.files
            self.warnings = frozen.warnings
            self._blueprint = frozen.blueprint
        return self._blueprint

    def _declare(self, function: Function) -> None:
        self._keep(self._functions, function)

    def _keep(self, among: list[Any], one: X) -> X:
        """Take one more declaration."""
        self._changing()
        among.append(one)
        return one

    def _changing(self) -> None:
        if self._blueprint is not None:
            raise Refused(
                f"The app {self.name!r} is frozen; nothing can be declared any more.",
                advice="Declare it in a module that is imported before the app is run.",
            )
