"""Accounts of the development issuer: who there is, and whether a password is theirs."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from wherry import limits
from wherry.codec import digest, from_msgpack, to_msgpack
from wherry.errors import Conflict, Passing, Unauthenticated
from wherry.identity.passwords import Hasher
from wherry.identity.state import IssuerState
from wherry.identity.throttle import Throttle
from wherry.world import Chance, Clock

_NONCE_BYTES = 16
_SECRET_KEY = "device-secret"


class Account(msgspec.Struct, frozen=True):
    """Somebody who can log in. `subject` is what other tables know them by; it never changes."""

    subject: str
    username: str
    password_hash: str
    roles: tuple[str, ...]
    created_s: int


def normal_username(username: str) -> str:
    """Return one form for one name: NFKC, without case, without spaces around it."""
    from unicodedata import normalize

    plain = normalize("NFKC", username[: 2 * limits.USERNAME_LENGTH]).casefold()
    return normalize("NFKC", plain).strip()


def username_faults(username: str) -> list[str]:
    """Return what is wrong with a new username."""
    name = normal_username(username)
    faults = []
    if not 0 < len(name) <= limits.USERNAME_LENGTH or len(username) > limits.USERNAME_LENGTH:
        faults.append(f"must have 1 to {limits.USERNAME_LENGTH} characters")
    if not name.isprintable() or any(letter.isspace() for letter in name):
        faults.append("must have neither spaces nor control characters")
    return faults


class Accounts:
    """Accounts in an `IssuerState`. Passwords are hashed in the caller's thread."""

    def __init__(self, state: IssuerState, hasher: Hasher, clock: Clock, chance: Chance) -> None:
        self._state = state
        self._hasher = hasher
        self._clock = clock
        self._chance = chance
        self._throttle = Throttle(state, clock)

    def find(self, username: str) -> Account | None:
        """Return the account of this name."""
        raw = self._state.get(_account_key(username))
        return from_msgpack(raw, type=Account) if raw else None

    def add(self, username: str, password: str, roles: tuple[str, ...]) -> Account:
        """Keep a new account. Name, password and roles have been checked.

        Raises:
            Conflict: The name is taken. Sign-up says so: it could not be kept secret.
            TooManyRequests: Too many passwords are being hashed.
        """
        taken = Conflict("This username is taken.", extra={"reason": "username_taken"})
        if self._state.get(_account_key(username)) is not None:
            raise taken
        with self._hasher.slot() as slot:
            password_hash = slot.hash(password)
        account = Account(
            subject=self._chance.token(16).hex(),
            username=normal_username(username),
            password_hash=password_hash,
            roles=roles,
            created_s=self._clock.now_ms() // 1000,
        )
        if not self._state.put(_account_key(username), to_msgpack(account), if_absent=True):
            raise taken
        return account

    def log_in(self, username: str, password: str, device: str = "") -> Account:
        """Return the account if the password is its own; see `throttle` for the rule.

        Raises:
            Unauthenticated: There is no such account, or its password is another: not told which.
            TooManyRequests: The lane is closed, or too many passwords are being hashed.
        """
        lane = self._lane(username, device)
        self._throttle.check(lane)
        with self._hasher.slot() as slot:
            self._throttle.enter(lane)
            account = self.find(username)
            good = slot.matches(account.password_hash if account else None, password)
        if account is None or not good:
            raise Unauthenticated(
                "The username or the password is wrong.",
                extra={"reason": "credentials"},
                headers={"WWW-Authenticate": "Bearer"},
            )
        self._throttle.succeed(lane)
        return account

    def device_token(self, account: Account) -> str:
        """Return what a device shows at its next log-in to be known as one of this account's."""
        until_s = self._clock.now_ms() // 1000 + limits.DEVICE_S
        nonce = self._chance.token(_NONCE_BYTES) + until_s.to_bytes(8, "big")
        return urlsafe_b64encode(nonce + self._seal(_name_bytes(account.username), nonce)).decode()

    def _lane(self, username: str, device: str) -> str:
        name = _name_bytes(username)
        try:
            raw = urlsafe_b64decode(device)
        except ValueError:
            raw = b""
        nonce, seal = raw[: _NONCE_BYTES + 8], raw[_NONCE_BYTES + 8 :]
        until_s = int.from_bytes(nonce[_NONCE_BYTES:], "big")
        if hmac.compare_digest(seal, self._seal(name, nonce)) and (
            self._clock.now_ms() < until_s * 1000
        ):
            return digest("device", nonce)
        return digest("open", name)

    def _seal(self, name: bytes, nonce: bytes) -> bytes:
        secret = self._state.get(_SECRET_KEY)
        if secret is None:
            self._state.put(_SECRET_KEY, self._chance.token(32), if_absent=True)
            secret = self._state.get(_SECRET_KEY)
        if not secret:  # never seal with nothing
            raise Passing("The secret of the known devices could not be kept.")
        return hmac.digest(secret, nonce + name, "sha256")


def _account_key(username: str) -> str:
    return "account/" + digest(_name_bytes(username))


def _name_bytes(username: str) -> bytes:
    """Return bytes for any text, also for a lone surrogate: at log-in it is just no account."""
    return normal_username(username).encode("utf-8", "surrogatepass")
