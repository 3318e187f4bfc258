"""`app.workflow(...)` and `@app.task(...)`: state machines, and the functions that they call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from wherry import limits
from wherry.app.declared import F, Function, Task, as_several, handler_name
from wherry.app.places import site
from wherry.handles import Queue

if TYPE_CHECKING:
    from os import PathLike
    from typing import Unpack

    from wherry.app.app import App
    from wherry.asl import Machine
    from wherry.handles.options import FunctionOptions
    from wherry.handles.shapes import Upgrades
    from wherry.handles.workflows import Workflow

T = TypeVar("T")


class AppWorkflow:
    """Declares workflows."""

    __slots__ = ("_app",)

    def __init__(self, app: App) -> None:
        self._app = app

    @overload
    def __call__(
        self,
        name: str,
        *,
        definition: str | PathLike[str] | Mapping[str, Any] | Machine,
        input: type[T],
        grants: Iterable[Any] = (),
    ) -> Workflow[T]: ...

    @overload
    def __call__(
        self,
        name: str,
        *,
        definition: str | PathLike[str] | Mapping[str, Any] | Machine,
        input: None = None,
        grants: Iterable[Any] = (),
    ) -> Workflow[Any]: ...

    def __call__(
        self,
        name: str,
        *,
        definition: str | PathLike[str] | Mapping[str, Any] | Machine,
        input: type[Any] | None = None,
        grants: Iterable[Any] = (),
    ) -> Workflow[Any]:
        """Declare a workflow: a state machine in Amazon States Language.

        Args:
            definition: The path of a file (`.json`, or `.yaml` with PyYAML), relative to that of
                this module; or the definition as a mapping, or built with `wherry.asl`.
            input: The type of what an execution is started with; without it any JSON value.
            grants: What its states do by themselves, by service integrations; the functions that
                they call have their own. "refund.start" in quotes is the grant to start a workflow
                that is declared further down, or this one itself.
        """
        from wherry.handles.workflows import Workflow

        where = site(1)
        workflow: Workflow[Any] = Workflow(
            name,
            definition,
            input,
            grants=tuple(map(_grant, as_several(grants))),
            folder=sys._getframe(1).f_code.co_filename.rpartition("/")[0],
            place=where.place,
        )
        return self._app._keep(self._app._workflows, workflow)


def _grant(given: Any) -> Any:
    """Return what text stands for: a workflow has no handle yet while it is being declared."""
    if isinstance(given, str) and given.endswith(".start"):
        from wherry.blueprint.parts import Grant

        return Grant(kind="workflow", resource=given.removesuffix(".start"), action="start")
    return given


class AppTask:
    """Declares functions that states of workflows call."""

    __slots__ = ("_app",)

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self, *, upgrade: Upgrades = None, **options: Unpack[FunctionOptions]
    ) -> Callable[[F], F]:
        """Declare a function that states call by its name.

        It takes one argument, the payload by its type, or none; what it returns is the result of
        the state. What it writes is committed with the step of the execution. An error that it
        raises is the state's, which may retry or catch it by the name of its class.

        Args:
            upgrade: Makes the new form of a payload whose old form the type does not read.
            options: As a consumer's.
        """
        where = site(1)

        def declare(fn: F) -> F:
            queue: Queue[Any] = Queue(
                object,
                name=handler_name(fn),
                retention_s=limits.MESSAGE_RETENTION_MAX_S,
                upgrade=upgrade,
                place=where.place,
            )
            task = Task(fn, queue, where)
            self._app._declare(Function(fn.__name__, where, task, **options))
            self._app._queues.append(queue)
            return fn

        return declare
