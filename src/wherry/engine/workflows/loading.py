"""Loading: an execution and its definition, from the store."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.blueprint import WorkflowSpec
from wherry.codec import canonical_json, from_json
from wherry.engine.workflows.held import Compiled, Loaded, loaded_of
from wherry.platforms.shared.workflows import workflow_of
from wherry.ports import Definition, Execution, GetDefinition, GetExecution
from wherry.statemachine.machine import compile_machine, needs_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wherry.engine.store import Store

_spec = msgspec.json.Decoder(WorkflowSpec)


class Loader:
    """Loads executions. The definitions that were used last stay compiled."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._compiled: OrderedDict[str, Compiled] = OrderedDict()
        self._declared: dict[str, WorkflowSpec] = {}
        self._active: dict[str, Compiled] = {}

    def follow(self, declared: Iterable[WorkflowSpec]) -> None:
        """Begin executions as these say from now on."""
        self._declared = {spec.name: spec for spec in declared}
        self._active = {}

    def active(self, workflow: str) -> Compiled | None:
        """Return a workflow of the release as its executions begin."""
        found = self._active.get(workflow)
        if found is None and workflow in self._declared:
            spec = self._declared[workflow]
            digest = workflow_of(from_json(canonical_json(spec))).digest
            found = self._compiled.get(digest) or _compiled(digest, spec)
            self._active[workflow] = found
        return found

    def loaded(self, found: Execution) -> Loaded | None:
        """Return an execution that the store has told of, if its definition is here."""
        compiled = self._compiled.get(found.definition)
        try:
            return None if compiled is None else loaded_of(found, compiled)
        except Exception:
            return None  # what is wrong is told when it is loaded

    def load(self, execution: int, then: Callable[[Loaded | Any], None]) -> None:
        """Load an execution. `then` gets it; or the store's answer where it has none, or an
        exception where what it has cannot be read."""

        def compiled(found: Execution, answer: Any) -> None:
            if isinstance(answer, Compiled):
                try:
                    answer = loaded_of(found, answer)
                except Exception as error:
                    answer = error
            then(answer)

        def answered(answer: Any) -> None:
            if isinstance(answer, Execution):
                self._definition(answer.definition, partial(compiled, answer))
            else:
                then(answer)

        self._store.send("", GetExecution(execution), answered)

    def _definition(self, digest: str, then: Callable[[Any], None]) -> None:
        found = self._compiled.get(digest)
        if found is not None:
            self._compiled.move_to_end(digest)
            then(found)
            return

        def answered(answer: Any) -> None:
            if not isinstance(answer, Definition):
                then(answer)
                return
            try:
                spec = _spec.decode(answer.body)
                compiled = _compiled(digest, spec)
            except Exception as error:
                then(error)
                return
            self._compiled[digest] = compiled
            if len(self._compiled) > limits.DEFINITIONS_HELD:
                self._compiled.popitem(last=False)
            then(compiled)

        self._store.send("", GetDefinition(digest), answered)


def _compiled(digest: str, spec: WorkflowSpec) -> Compiled:
    definition = spec.definition
    return Compiled(digest, spec, compile_machine(definition), needs_worker(definition))
