"""Which development issuer is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.errors import Refused

if TYPE_CHECKING:
    from wherry.identity import DevelopmentIssuer


def choose_issuer(issuers: dict[str, DevelopmentIssuer], auth: str) -> DevelopmentIssuer:
    """Return the development issuer of an auth; with '' the only one there is.

    Raises:
        Refused: There is none, or more than one to choose from.
    """
    if auth in issuers:
        return issuers[auth]
    if not issuers:
        raise Refused(
            "This app has no development issuer.",
            advice="Get the token from the issuer that the app names.",
        )
    if auth:
        raise Refused(
            f"There is no auth {auth!r} with a development issuer.",
            advice=f"Choose of: {', '.join(sorted(issuers))}.",
        )
    if len(issuers) > 1:
        raise Refused(
            "The app has several auths.", advice=f"Say --auth, of: {', '.join(sorted(issuers))}."
        )
    return next(iter(issuers.values()))
