"""The team's test kit: a whole app, or one handler, in the test's own process.

    from wherry.testing import call, running

    def test_an_order_is_saved():
        with running(app) as backend:
            reply = backend.post("/orders", json={...}, token=backend.token("alice", ["customer"]))
            assert reply.status == 201
            backend.drain()

    def test_an_order_and_its_job_are_one_step():
        result = call(app, create_order, NewOrder(...), caller=Caller(subject="alice"))
        assert result.effects.puts(orders) == [result.value]

No server, no process, no waiting: time passes when the test says so.
"""

from wherry.testing.backend import Backend, running
from wherry.testing.calling import call, repeats
from wherry.testing.client import TestReply
from wherry.testing.composing import NotDrained
from wherry.testing.contracts import ContractExample, contract
from wherry.testing.environments import TooManyRuns
from wherry.testing.seen import Called, Effects
from wherry.testing.twice import NotRepeatable
from wherry.testing.workflows import NEVER, TaskCall, TaskFailed, WorkflowResult, run_workflow
from wherry.world import ManualClock

__all__ = [
    "running",
    "Backend",
    "TestReply",
    "call",
    "repeats",
    "contract",
    "ContractExample",
    "Called",
    "Effects",
    "NotDrained",
    "NotRepeatable",
    "TooManyRuns",
    "run_workflow",
    "WorkflowResult",
    "TaskCall",
    "TaskFailed",
    "NEVER",
    "ManualClock",
]
