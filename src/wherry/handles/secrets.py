"""Secrets: read when they are used, never logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.blueprint.parts import Grant
from wherry.errors import Refused
from wherry.handles.late import Late
from wherry.handles.logs import mask
from wherry.handles.scope import scope_for

if TYPE_CHECKING:
    from wherry import ports
    from wherry.blueprint.parts import Place
else:
    ports = Late("wherry.ports", globals())


class Secret:
    """A secret value: on one machine from a 0600 file or the environment of the engine."""

    def __init__(self, *, name: str, place: Place | None = None) -> None:
        self.name = name
        self.place = place
        self.read = Grant(kind="secret", resource=name, action="read")

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    def get(self) -> str:
        """Return the value. From now on it is masked in this process's log lines.

        Raises:
            Refused: Where it is set nowhere; the message says where it may be set.
        """
        scope = scope_for(f"The secret {self.name!r}", (self.name, "read"))
        answer = scope.ask(ports.GetSecret(self.name))
        if not isinstance(answer, ports.SecretValue):
            raise Refused(
                f"The secret {self.name!r} is not set.",
                advice=f"Run `wherry secrets set {self.name}` (with the engine's --data), or give "
                "the engine the variable that docs/resources.md names.",
            )
        mask(answer.value)
        return answer.value
