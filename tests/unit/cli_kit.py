"""A data folder with real state in it, and verbs run on it."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner, Result

from wherry.blueprint import canonical, load
from wherry.cli.root import wherry
from wherry.engine.datafolder import DataFolder
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Bury, Claim, Commit, Configure, Request
from wherry.telemetry import InvocationRecord
from wherry.world import SystemClock

APPS = ("shop", "app", "other")  # modules that verbs import in these tests

SHOP = '''
from wherry import App, Caller, Struct

class Order(Struct):
    order_id: str
    customer_id: str

class ExportJob(Struct):
    order_id: str

app = App("shop")
customers = app.auth("customers", roles=["customer", "staff"])
orders = app.table(Order, key="order_id"{indexes})
exports = app.queue(ExportJob, max_attempts=3)

@app.post("/orders", auth=customers, grants=[orders.write, exports.send])
def create_order(order: Order, caller: Caller) -> Order:
    orders.put(order)
    exports.send(ExportJob(order.order_id))
    return order

@app.consume(exports, grants=[orders.read])
def export(job: ExportJob) -> None:
    """Write it."""
'''


def cli(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    """Run a verb in this process, as if in its own: it leaves no module behind. No terminal."""
    path = list(sys.path)
    hidden = {name: sys.modules.pop(name) for name in APPS if name in sys.modules}
    try:
        return CliRunner().invoke(wherry, [str(one) for one in arguments], input=stdin)
    finally:
        sys.path[:] = path
        for name in APPS:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def ok(*arguments: str | Path, stdin: str | bytes | None = None) -> str:
    """Run a verb that must succeed; return its output."""
    result = cli(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def ok_json(*arguments: str | Path) -> Any:
    """Run a verb that must succeed with --json; return what it says."""
    return json.loads(ok(*arguments, "--json"))


class Data:
    """A data folder as a stopped engine leaves it. Nothing holds it between two calls."""

    def __init__(self, path: Path, indexes: str = "") -> None:
        self.path = path
        self.code = path.parent / "code"
        self.code.mkdir(exist_ok=True)
        self._numbers = itertools.count(1)
        self._now_ms = SystemClock().now_ms()
        self.release(indexes)

    def release(self, indexes: str = "") -> None:
        """Write the shop's code, and let it be the version that ran last."""
        self.deploy(f"release-{next(self._numbers)}", SHOP.replace("{indexes}", indexes))

    def deploy(self, release: str, code: str) -> None:
        """Let this code be the version that ran last."""
        (self.code / "shop.py").write_text(code)
        described = ok("blueprint", "shop:app", "--folder", self.code)
        self.ask(Configure(release, canonical(load(described.encode())), True))

    def ask(self, *requests: Request) -> list[Any]:
        """Ask the store, as an engine would."""
        with DataFolder.open(str(self.path)) as data:
            store = SqlStore(data.store, SystemClock())
            try:
                return list(store.run([("", request) for request in requests]))
            finally:
                store.close()

    def record(self, correlation_id: str, **fields: Any) -> InvocationRecord:
        """Make the record of an attempt."""
        number = next(self._numbers)
        values: dict[str, Any] = {
            "number": number,
            "correlation_id": correlation_id,
            "function": "create_order",
            "trigger": "POST /orders",
            "request_id": f"request-{number}",
            "traceparent": f"00-{number:032x}-{number:016x}-01",
            "parent": "",
            "release": "release-1",
            "attempt": 1,
            "at_ms": self._now_ms,
            "waited_ms": 0.5,
            "ran_ms": 1.5,
            "cold": False,
            "ending": "ok",
            "status": 201,
            "error": "",
            "cause": "",
            "marks": [],
        }
        return InvocationRecord(**(values | fields))

    def commit(self, correlation_id: str, *effects: Any, **fields: Any) -> None:
        """Commit a request that had these effects."""
        record = self.record(correlation_id, **fields)
        raw = msgspec.Raw(msgspec.msgpack.encode(effects))
        self.ask(Commit("create_order", raw, [], [], record, {}))

    def fail(
        self,
        correlation_id: str,
        message_id: str,
        error: str = "ValueError: no",
        body: bytes = b'{"order_id":"o-1"}',
    ) -> None:
        """Send a message that fails for good."""
        from wherry.effects import SendMessage

        sent = SendMessage("export_jobs", message_id, body)
        self.commit(correlation_id, sent, marks=[f"send export_jobs {message_id}"])
        (claimed,) = self.ask(Claim("export_jobs", 10, "engine-1"))[0].messages
        record = self.record(
            correlation_id,
            function="export",
            trigger="queue export_jobs",
            ending="failed",
            status=0,
            error=error,
            cause=message_id,
        )
        self.ask(Bury(message_id, claimed.token, "export", "handler_failed", error, record))
