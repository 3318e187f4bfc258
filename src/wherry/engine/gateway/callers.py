"""Who calls: tokens are verified at the edge, once, and remembered until they expire."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wherry.errors import Passing, Refused, Unavailable
from wherry.identity import Claims, DevelopmentIssuer, NeedKeys, Verifier, bearer_token
from wherry.identity.fetching import is_private
from wherry.invocation import CallerClaims
from wherry.ports import GetState, Nothing, PutState, Request, State

if TYPE_CHECKING:
    from wherry.blueprint import AuthSpec
    from wherry.engine.offload import Offload
    from wherry.world import Chance, Clock

ISSUER_PREFIX = "/_issuer"


class StoreState:
    """The development issuer's memory: rows of the store (`identity.IssuerState`).

    Args:
        ask: Asks the store and waits for the answer. Called on other threads than the loop's.
    """

    def __init__(self, name: str, ask: Callable[[Request], Any]) -> None:
        self._name = name
        self._ask = ask

    def get(self, key: str) -> bytes | None:
        answer = self._ask(GetState(f"issuer/{self._name}/{key}"))
        if isinstance(answer, State):
            return answer.value
        if isinstance(answer, Nothing):
            return None
        raise Passing("The store cannot be read now.")

    def put(
        self,
        key: str,
        value: bytes,
        if_absent: bool = False,
        *,
        expires_at_s: int | None = None,
    ) -> bool:
        name = f"issuer/{self._name}/{key}"
        answer = self._ask(PutState(name, value, if_absent, expires_at_s))
        count = getattr(answer, "count", None)
        if count is None:
            raise Passing("The store cannot be written now.")
        return bool(count)


class Callers:
    """Verifies the tokens of all auths of an app.

    Args:
        say: Gets level and text of what an operator has to know: that an issuer gives no keys.

    Raises:
        Refused: Passwords of a development issuer would travel in the clear.
    """

    def __init__(
        self,
        auths: tuple[AuthSpec, ...],
        public_url: str,
        ask: Callable[[Request], Any],
        offload: Offload,
        clock: Clock,
        chance: Chance,
        say: Callable[[str, str], None] | None = None,
    ) -> None:
        self._say = say
        self._faults: dict[str, str] = {}  # of each auth what was told last
        self._offload = offload
        self._clock = clock
        self.issuers: dict[str, DevelopmentIssuer] = {}
        self._verifiers: dict[str, Verifier] = {}
        for auth in auths:
            if auth.issuer is not None:
                self._verifiers[auth.name] = Verifier(
                    auth.issuer,
                    auth.audiences,
                    clock=clock,
                    roles_claim=auth.roles_claim or "",
                )
                continue
            address = urlsplit(public_url)
            if not is_private(address.scheme, address.hostname or ""):
                raise Refused(
                    f"The development issuer of {auth.name!r} takes passwords, and {public_url} is "
                    "not encrypted.",
                    advice="Give --public-url an https:// address (of what ends TLS in front of "
                    "this), or app.auth() an issuer.",
                )
            issuer = DevelopmentIssuer(
                f"{public_url}{ISSUER_PREFIX}/{auth.name}",
                auth.name,
                auth.roles or ("user",),
                StoreState(auth.name, ask),
                clock=clock,
                chance=chance,
            )
            self.issuers[auth.name] = issuer
            self._verifiers[auth.name] = Verifier(
                issuer.url, [auth.name], clock=clock, fetch=issuer.fetch
            )

    def prepare(self) -> None:
        """Make the development issuers' keys in the background."""
        for issuer in self.issuers.values():
            self._offload(issuer.jwks, lambda keys: None)

    def stand_in(self, auth: AuthSpec, issuer: DevelopmentIssuer) -> None:
        """Let `issuer` sign and answer for an outside issuer, in a test that has no network."""
        audiences = auth.audiences or (auth.name,)
        self.issuers[auth.name] = issuer
        self._verifiers[auth.name] = Verifier(
            issuer.url, audiences, clock=self._clock, fetch=issuer.fetch
        )

    def known(self, auth: str, authorization: str | None) -> CallerClaims | None:
        """Return the caller if the token was verified before."""
        if authorization is None or authorization[:7] != "Bearer ":
            return None
        claims = self._verifiers[auth].verify_cached(authorization[7:])
        return None if claims is None else _caller(claims)

    def verify(
        self,
        auth: str,
        authorization: str | None,
        then: Callable[[CallerClaims | Exception], None],
    ) -> None:
        """Verify a token; keys that are missing are fetched on another thread."""
        verifier = self._verifiers[auth]
        try:
            token = bearer_token(authorization)
            found = verifier.try_verify(token)
        except Exception as error:
            then(error)
            return
        if isinstance(found, Claims):
            then(_caller(found))
            return
        assert isinstance(found, NeedKeys)

        def fetched(result: Any) -> None:
            self._tell(auth, verifier)
            if isinstance(result, Passing):
                then(Unavailable("The issuer's keys cannot be fetched now."))
            elif isinstance(result, Exception):
                then(result)
            else:
                then(_caller(result))

        self._offload(lambda: verifier.verify(token), fetched)

    def _tell(self, auth: str, verifier: Verifier) -> None:
        """Tell that keys cannot be fetched, each reason once, and that they are there again."""
        fault, before = verifier.fault, self._faults.get(auth, "")
        if fault == before:
            return
        self._faults[auth] = fault
        if self._say is None:
            return
        if not fault:
            self._say("INFO", f"the keys of {verifier.issuer} are fetched again")
        elif verifier.has_keys:
            self._say("WARNING", f"new keys of the auth {auth!r} cannot be fetched: {fault}")
        else:
            told = f"tokens of the auth {auth!r} cannot be checked, its requests are a 503: {fault}"
            self._say("ERROR", told)


def _caller(claims: Claims) -> CallerClaims:
    return CallerClaims(claims.subject, claims.roles, claims.scopes, claims.issuer, claims.claims)
