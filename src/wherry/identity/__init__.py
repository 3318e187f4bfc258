"""Who calls: tokens of any OpenID Connect issuer verified, and a development issuer of our own.

Light to import: a name loads its module when it is first used, the libraries of cryptography
load when the first key is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wherry.identity.endpoints import handle
    from wherry.identity.issuer import DevelopmentIssuer, Tokens
    from wherry.identity.state import IssuerState, MemoryState
    from wherry.identity.tokens import Claims, NeedKeys, Verifier, bearer_token, refusal

__all__ = [
    "Verifier",
    "Claims",
    "NeedKeys",
    "bearer_token",
    "refusal",
    "DevelopmentIssuer",
    "Tokens",
    "IssuerState",
    "MemoryState",
    "handle",
]

_MODULES = {
    "handle": "endpoints",
    "DevelopmentIssuer": "issuer",
    "Tokens": "issuer",
    "IssuerState": "state",
    "MemoryState": "state",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'tokens')}"), name)
