"""The development issuer: sign-up, log-in and tokens without an account anywhere.

Its tokens have the shape of AWS Cognito's, so that the same app takes those later. Access tokens
live for an hour and cannot be called back; refresh tokens live for 30 days and can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from wherry import limits
from wherry.codec import to_json
from wherry.errors import Forbidden, Invalid, Refused
from wherry.identity.accounts import Account, Accounts, normal_username, username_faults
from wherry.identity.fetching import FetchFailed, check_url
from wherry.identity.passwords import Hasher, fits, password_faults
from wherry.identity.sessions import Session, Sessions, session_ended
from wherry.identity.signing import Signer
from wherry.identity.state import IssuerState
from wherry.world import Chance, Clock

CONFIGURATION_PATH = "/.well-known/openid-configuration"
JWKS_PATH = "/.well-known/jwks.json"


class Tokens(msgspec.Struct, frozen=True):
    """What a log-in gives. `device` is for the body of the next log-in; see `throttle`."""

    access_token: str
    id_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "Bearer"
    device: str = ""


class DevelopmentIssuer:
    """An OpenID-Connect-like issuer inside the engine. Methods block: call them in a thread.

    Args:
        url: Where it is found and what `iss` says: https, or http to this machine.
        audience: What `aud` and `client_id` say.
        roles: Every role there is.
        self_assignable: The roles that somebody who signs up may take. None: the first of `roles`.
        scopes: What `scope` says.

    Raises:
        Refused: The URL is not allowed, or a self-assignable role is none of the roles.
    """

    def __init__(
        self,
        url: str,
        audience: str,
        roles: Sequence[str],
        state: IssuerState,
        *,
        clock: Clock,
        chance: Chance,
        self_assignable: Sequence[str] | None = None,
        scopes: Sequence[str] = ("openid",),
        hasher: Hasher | None = None,
    ) -> None:
        self.url = check_url(url).rstrip("/")
        self.audience = audience
        self.roles = tuple(roles)
        self.self_assignable = self.roles[:1] if self_assignable is None else tuple(self_assignable)
        if not set(self.self_assignable) <= set(self.roles):
            raise Refused(
                f"Of the self-assignable roles {list(self.self_assignable)} not all are roles.",
                advice=f"The roles are: {', '.join(self.roles) or 'none'}.",
            )
        self._scope = " ".join(scopes)
        self._clock = clock
        self._chance = chance
        self._signer = Signer(state)
        self._sessions = Sessions(state, clock, chance)
        self._accounts = Accounts(state, hasher or Hasher(chance), clock, chance)

    def prepare(self) -> None:
        """Begin to make or read the signing key in the background. Returns at once."""
        self._signer.prepare()

    def sign_up(self, username: str, password: str, roles: Sequence[str] | None = None) -> Tokens:
        """Make an account and log in.

        Args:
            username: A name or an e-mail address; 1..128 characters, no spaces.
            roles: Of the self-assignable ones. None: the first of them.

        Raises:
            Invalid: What is wrong with name, password and roles, all of it.
            Forbidden: A role that only the operator gives.
            Conflict: The name is taken.
            TooManyRequests: Too many passwords are being hashed.
        """
        chosen = self.self_assignable[:1] if roles is None else tuple(roles)
        self._check_newcomer(username, password, chosen)
        for role in chosen:
            if role not in self.self_assignable:
                raise Forbidden(f"The role {role!r} is not for sign-up; the operator gives it.")
        return self._begin(self._accounts.add(username, password, chosen), "")

    def create_account(self, username: str, password: str, roles: Sequence[str]) -> str:
        """Make an account with any roles, for the operator. Returns its subject.

        Raises:
            Invalid, Conflict, TooManyRequests: As `sign_up`.
        """
        self._check_newcomer(username, password, tuple(roles))
        return self._accounts.add(username, password, tuple(roles)).subject

    def log_in(self, username: str, password: str, device: str = "") -> Tokens:
        """Begin a session.

        Args:
            device: What the last log-in on this device gave, if any.

        Raises:
            Unauthenticated: Name or password is wrong; not told which.
            TooManyRequests: With Retry-After: `throttle` says when.
            Invalid: The password is longer than any can be.
        """
        if not fits(password):
            fault = f"must have at most {limits.PASSWORD_MAX_BYTES} bytes of valid text"
            raise Invalid(faults=[{"at": "$.password", "fault": fault}])
        return self._begin(self._accounts.log_in(username, password, device), device)

    def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens for a refresh token, which is used up by it. Roles are read anew.

        Raises:
            Unauthenticated: The session has ended, also because this token was used before.
        """
        token, session = self._sessions.rotate(refresh_token)
        account = self._accounts.find(session.username)
        if account is None:
            self._sessions.end(token)
            raise session_ended()
        return self._tokens(account, session, token, "")

    def log_out(self, refresh_token: str) -> None:
        """End a session. Its access tokens stay good until they expire. Never fails."""
        self._sessions.end(refresh_token)

    def token_for(
        self,
        subject: str,
        roles: Sequence[str] = (),
        lifetime_s: int = limits.ACCESS_TOKEN_S,
    ) -> str:
        """Return an access token for anybody, for the operator's command line.

        Raises:
            Refused: A role that does not exist, or a lifetime beyond a day.
        """
        for role in roles:
            if role not in self.roles:
                raise Refused(
                    f"There is no role {role!r}.",
                    advice=f"The roles are: {', '.join(self.roles) or 'none'}.",
                )
        if not 0 < lifetime_s <= limits.ACCESS_TOKEN_MAX_S:
            raise Refused(
                f"A token cannot live for {lifetime_s} s.",
                advice=f"Choose 1 to {limits.ACCESS_TOKEN_MAX_S} s.",
            )
        if not 0 < len(subject) <= limits.SUBJECT_LENGTH:
            raise Refused(f"A subject has 1 to {limits.SUBJECT_LENGTH} characters.")
        now_s = self._clock.now_ms() // 1000
        return self._access_token(subject, subject, tuple(roles), now_s, lifetime_s)

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JWK set (waits until there is one)."""
        return self._signer.jwks()

    def configuration(self) -> dict[str, Any]:
        """Return the configuration document; it names no endpoint for a browser's flow."""
        return {
            "issuer": self.url,
            "jwks_uri": self.url + JWKS_PATH,
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "scopes_supported": self._scope.split(),
        }

    def fetch(self, url: str, timeout_s: float, max_bytes: int) -> bytes:
        """Answer as a network would, for a `Verifier` in the same process."""
        if url == self.url + CONFIGURATION_PATH:
            return to_json(self.configuration())
        if url == self.url + JWKS_PATH:
            return to_json(self.jwks())
        raise FetchFailed(f"{url} is not of this issuer.")

    def _check_newcomer(self, username: str, password: str, roles: tuple[str, ...]) -> None:
        found = [("$.username", fault) for fault in username_faults(username)]
        found += [
            ("$.password", fault) for fault in password_faults(password, normal_username(username))
        ]
        found += [("$.roles", f"{role!r} is no role") for role in roles if role not in self.roles]
        if found:
            raise Invalid(
                "The account cannot be made.",
                faults=[{"at": at, "fault": fault} for at, fault in found],
            )

    def _begin(self, account: Account, device: str) -> Tokens:
        token, session = self._sessions.begin(account.username)
        return self._tokens(account, session, token, self._accounts.device_token(account))

    def _tokens(self, account: Account, session: Session, refresh: str, device: str) -> Tokens:
        lifetime_s = limits.ACCESS_TOKEN_S
        access = self._access_token(
            account.subject, account.username, account.roles, session.logged_in_s, lifetime_s
        )
        claims = self._common(account.subject, account.roles, session.logged_in_s, lifetime_s)
        claims |= {
            "aud": self.audience,
            "token_use": "id",
            "cognito:username": account.username,
        }
        if "@" in account.username:
            claims |= {"email": account.username, "email_verified": False}
        return Tokens(access, self._signer.sign(claims, "JWT"), refresh, lifetime_s, device=device)

    def _access_token(
        self, subject: str, username: str, roles: tuple[str, ...], auth_s: int, lifetime_s: int
    ) -> str:
        claims = self._common(subject, roles, auth_s, lifetime_s)
        claims |= {
            "aud": self.audience,  # Cognito has only client_id; other issuers have only aud
            "client_id": self.audience,
            "token_use": "access",
            "scope": self._scope,
            "username": username,
            "version": 2,
        }
        return self._signer.sign(claims, "at+jwt")

    def _common(
        self, subject: str, roles: tuple[str, ...], auth_s: int, lifetime_s: int
    ) -> dict[str, Any]:
        now_s = self._clock.now_ms() // 1000
        claims: dict[str, Any] = {
            "sub": subject,
            "iss": self.url,
            "auth_time": auth_s,
            "iat": now_s,
            "exp": now_s + lifetime_s,
            "jti": self._chance.token(16).hex(),
        }
        if roles:
            claims["cognito:groups"] = list(roles)
        return claims
