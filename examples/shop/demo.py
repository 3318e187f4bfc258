"""Drives the shop over real HTTP and shows what happens: `make demo`.

Exits 0 only if every step was as it should be. Standard library only; everything it does, a person
could type. State lies in a temporary folder that is removed at the end (`--keep` keeps it).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
WHERRY = str(Path(sys.executable).with_name("wherry"))  # of the same environment
WAIT_S = 20.0  # for anything that is to happen in the background
WITH_GRANT = "@app.consume(export_jobs, grants=[orders.read, exports.create])"
WITHOUT_GRANT = "@app.consume(export_jobs, grants=[orders.read])"


class Broken(Exception):
    """Something was not as it should be."""


# --- saying -------------------------------------------------------------------------------------

BOLD, GREEN, DIM, RED, PLAIN = (
    ("\033[1m", "\033[32m", "\033[2m", "\033[31m", "\033[0m")
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ
    else ("", "", "", "", "")
)
_step = 0


def step(title: str) -> None:
    """Begin the next step of the story."""
    global _step
    _step += 1
    print(f"\n{BOLD}{_step}. {title}{PLAIN}", flush=True)


def typed(command: str) -> None:
    """Show what a person would type."""
    print(f"   {DIM}$ {command}{PLAIN}", flush=True)


def curl(arguments: str, who: str) -> None:
    """Show a request as a person would send it."""
    typed(f'curl {arguments} -H "Authorization: Bearer ${who}"')


def shown(text: str) -> None:
    """Show what came of it."""
    print(textwrap.indent(text.rstrip("\n"), "     "), flush=True)


def sure(holds: object, claim: str) -> None:
    """Say that a claim holds, or stop."""
    if not holds:
        raise Broken(claim)
    print(f"   {GREEN}ok{PLAIN} {claim}", flush=True)


def until(what: str, look: Callable[[], Any]) -> Any:
    """Look until there is something, and return it."""
    give_up_s = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_s:
        if found := look():
            return found
        time.sleep(0.05)
    raise Broken(f"within {WAIT_S:.0f} s: {what}")


# --- the engine, from outside -------------------------------------------------------------------


class Reply:
    """An HTTP answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body
        self.correlation_id = headers.get("x-correlation-id", "")

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Engine:
    """`wherry run` on a copy of the shop, and the verbs that speak to it."""

    def __init__(self, folder: Path) -> None:
        self.code = folder / "code"
        self.data = folder / "data"
        self.output = folder / "output.jsonl"
        self.code.mkdir()
        for name in ("shop.py", "demo_app.py"):
            shutil.copy(HERE / name, self.code)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it can work."""
        port = self.url.rpartition(":")[2]
        command = ["run", "demo_app:app", "--port", port, "--data", str(self.data)]
        typed(f"SHOP={self.url} DATA={self.data}; cd {self.code}")
        typed(f"wherry run demo_app:app --port {port} --data $DATA &")
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [WHERRY, *command],
                cwd=self.code, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        until("the shop is ready", self._ready)

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise Broken(f"`wherry run` starts (it ended with {self._process.returncode})")
        with contextlib.suppress(OSError):
            return self.http("GET", "/readyz").status == 200
        return False

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        assert self._process is not None
        typed(f"kill {self._process.pid}")
        self._process.terminate()
        return self._process.wait(WAIT_S)

    def end(self) -> None:
        """Make sure that it is gone, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def cli(self, *arguments: str, told: str = "wherry {} --data $DATA", given: str = "") -> str:
        """Run a verb of `wherry` and return what it prints; `told` is what a person would type."""
        if told:
            typed(told.format(" ".join(arguments)))
        run = subprocess.run(
            [WHERRY, *arguments, "--data", str(self.data)],
            cwd=self.code, capture_output=True, text=True, timeout=WAIT_S, input=given,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        if run.returncode != 0:
            raise Broken(f"`wherry {arguments[0]}` works (it said: {run.stderr.strip()})")
        return run.stdout

    def http(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request; a body that is not bytes is sent as JSON."""
        asked = urllib.request.Request(
            path if "://" in path else self.url + path,
            data=body if isinstance(body, bytes | None) else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
            method=method,
        )
        if token:
            asked.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(asked, timeout=WAIT_S) as got:
                return Reply(got.status, _lower(got.headers), got.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Reply(refused.code, _lower(refused.headers), refused.read())

    def lines(self) -> Iterator[dict[str, Any]]:
        """The JSON lines that it has written so far."""
        for line in self.output.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    yield found


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def processes_of(folder: Path) -> list[int]:
    """Return the processes that work in a folder or name it (on Linux; elsewhere none)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            works_in = str((entry / "cwd").readlink())
            if int(entry.name) != os.getpid() and str(folder) in command + works_in:
                found.append(int(entry.name))
    return found


# --- the story ----------------------------------------------------------------------------------


class Story:
    """The steps, in order; each leaves what the next ones need."""

    def __init__(self, shop: Engine) -> None:
        self.shop = shop
        self.alice = self.bob = self.staff = ""
        self.order: dict[str, Any] = {}

    def tell(self) -> None:
        """All of it."""
        self.start()
        self.tokens()
        self.orders()
        self.foreign_order()
        self.bad_input()
        self.upload()
        export = self.export()
        self.timeline(export)
        self.failing_job()
        self.killed_halfway()
        self.missing_grant()
        self.stop()

    def start(self) -> None:
        step("Start the shop: one command, one folder for its state")
        self.shop.start()
        sure(True, f"the shop is served at {self.shop.url}")

    def tokens(self) -> None:
        step("Get tokens from the development issuer")
        self.alice = self.token("alice", "customer")
        self.bob = self.token("bob", "customer")
        self.staff = self.token("staff", "staff")
        sure(self.alice.count(".") == 2, f"alice has a token: {self.alice[:24]}...")
        refused = self.shop.http("POST", "/orders", {"lines": []})
        sure(refused.status == 401, "without a token: 401")

    def place(self, count: int, **more: Any) -> Reply:
        """Alice orders some oars."""
        headers = more.pop("headers", {})
        body = {"lines": [{"sku": "oar", "count": count}], **more}
        extra = "".join(f" -H '{name}: {value}'" for name, value in headers.items())
        curl(f"$SHOP/orders --json '{json.dumps(body)}'{extra}", "ALICE")
        return self.shop.http("POST", "/orders", body, token=self.alice, headers=headers)

    def see(self, order_id: str) -> Any:
        """What alice sees of an order."""
        return self.shop.http("GET", f"/orders/{order_id}", token=self.alice).json()

    def orders(self) -> None:
        step("Create orders, one of them twice with the same Idempotency-Key")
        first = self.place(2)
        sure(first.status == 201, f"201: {first.body.decode()}")
        key = {"Idempotency-Key": "monday-1"}
        second, again = self.place(3, headers=key), self.place(3, headers=key)
        self.order = second.json()
        sure(second.status == again.status == 201, "both are answered with 201 ...")
        sure(second.body == again.body, f"... and are one order: {self.order['order_id']}")
        sure(again.headers.get("idempotency-replayed") == "true", "the second answer is a replay")
        other = self.place(4, headers=key)
        sure(other.status == 422, "the same key with another body: 422")

    def foreign_order(self) -> None:
        step("Look at an order: alice may, bob may not, staff may (one policy, no ifs)")
        path = f"/orders/{self.order['order_id']}"
        for name, token, status in (
            ("alice", self.alice, 200), ("bob", self.bob, 403), ("staff", self.staff, 200)
        ):  # fmt: skip
            curl(f"$SHOP{path}", name.upper())
            got = self.shop.http("GET", path, token=token)
            sure(got.status == status, f"{name}: {status}")
            if status != 200:
                shown(got.body.decode())

    def bad_input(self) -> None:
        step("Send nonsense: everything wrong with it is listed")
        refused = self.place(0, gift=True)
        sure(refused.status == 422, "422")
        for fault in refused.json()["faults"]:
            shown(f"{fault['at']}: {fault['fault']}")
        sure(len(refused.json()["faults"]) == 2, "two faults were found at once")

    def upload(self) -> None:
        step("Upload a picture by a presigned URL, straight to the bucket")
        picture = b"\x89PNG\r\n\x1a\n" + bytes(1000)
        asked = {"media_type": "image/png", "size_bytes": len(picture)}
        curl(f"$SHOP/assets --json '{json.dumps(asked)}'", "ALICE")
        ticket = self.shop.http("POST", "/assets", asked, token=self.alice).json()
        headers = {k: v for k, v in ticket["headers"].items() if k != "content-length"}
        signed = " ".join(f"-H '{name}: {value}'" for name, value in headers.items())
        typed(f"curl -T picture.png {signed} '{ticket['url'][:60]}...'")
        done = self.shop.http("PUT", ticket["url"], picture, headers=headers)
        sure(done.status == 200, f"{len(picture)} bytes are in the bucket as {ticket['key']}")
        forged = ticket["url"].replace(ticket["key"].rpartition("/")[2], "another")
        refused = self.shop.http("PUT", forged, picture, headers=headers)
        sure(refused.status == 403, "the same URL for another key: 403")

    def export(self) -> Reply:
        step("Ask for an export, and wait for the file that a background job writes")
        placed = self.place(1, export=True)
        order_id = placed.json()["order_id"]
        sure(placed.status == 201, "order and job are saved in one step, and 201 is the answer")
        url = until("the export is there", lambda: self.see(order_id)["export_url"])
        typed(f"curl '{url[:60]}...'")
        file = self.shop.http("GET", url)
        shown(file.body.decode())
        sure(len(file.body.splitlines()) == 1 + 3, "the file holds alice's three orders")
        return placed

    def timeline(self, export: Reply) -> None:
        step("One page for that request and all that followed it")
        text = self.shop.cli("timeline", export.correlation_id)
        shown(text)
        sure("POST /orders" in text, "it begins with the request")
        sure("process_export_job" in text, "and ends with the job in the background")

    def failing_job(self) -> None:
        step("A job fails: it is tried again, then it waits in the failure inbox")
        self.secret("closed")
        path = f"/orders/{self.order['order_id']}/shipment"
        curl(f"-X POST $SHOP{path}", "STAFF")
        asked = self.shop.http("POST", path, b"", token=self.staff)
        sure(asked.status == 202, "202: the job is on its way")
        failure = self.failure("the carrier does not answer")
        shown(self.shop.cli("failures", "list"))
        sure(failure, "it waits there with its payload, its error and its attempts")
        shown("The carrier opens again:")
        self.secret("open")
        shown(self.shop.cli("failures", "redrive", failure))
        until("the parcel is on its way", lambda: "on its way" in self.parcel())
        sure(True, "redriven to success: the parcel is on its way")
        sure(not self.inbox(), "the inbox is empty")

    def killed_halfway(self) -> None:
        step("Kill a handler halfway: nothing of it is left, and the retry completes")
        order_id = self.place(5).json()["order_id"]
        path = f"/orders/{order_id}/parcel"
        curl(f"-X POST $SHOP{path}", "STAFF")
        asked = self.shop.http("POST", path, b"", token=self.staff)

        def halfway() -> int:
            for line in self.shop.lines():
                if line.get("message") == "halfway":
                    return int(line["pid"])
            return 0

        pid = until("the handler is halfway", halfway)
        sure(self.parcel(order_id) == [], "it has put one of two parts; nobody sees it yet")
        typed(f"kill -9 {pid}")
        os.kill(pid, signal.SIGKILL)
        until("the second attempt is done", lambda: self.parcel(order_id))
        sure(self.parcel(order_id) == ["box", "label"], "the second attempt saved both parts")
        shown(self.shop.cli("timeline", asked.correlation_id))

    def missing_grant(self) -> None:
        step("Remove a grant: what the function may no longer do is refused, with the line to add")
        typed("sed -i.bak 's/, exports.create]/]/' shop.py")
        self.edit(WITH_GRANT, WITHOUT_GRANT)
        shown(self.shop.cli("reload"))
        order_id = self.place(1, export=True).json()["order_id"]
        failure = self.failure("Add exports.create to the grants of process_export_job")
        shown(self.shop.cli("failures", "show", failure))
        sure(failure, "the refusal names function, resource, action and the line to add")
        typed("mv shop.py.bak shop.py")
        self.edit(WITHOUT_GRANT, WITH_GRANT)
        shown(self.shop.cli("reload"))
        shown(self.shop.cli("failures", "redrive", failure))
        until("the export is there", lambda: self.see(order_id)["export_url"])
        sure(True, "with the grant back, the redriven job has written its file")

    def stop(self) -> None:
        step("Stop")
        code = self.shop.stop()
        sure(code == 0, "it finished what was running and ended with 0")
        with contextlib.suppress(OSError):
            self.shop.http("GET", "/healthz")
            raise Broken("nobody listens any more")
        sure(True, "nobody listens any more")
        until("no process of it is left", lambda: not processes_of(self.shop.data.parent))
        sure(True, "no process of it is left")

    # -- helpers ---------------------------------------------------------------------------------

    def parcel(self, order_id: str = "") -> list[str]:
        """The parts of an order's parcel."""
        path = f"/orders/{order_id or self.order['order_id']}/parcel"
        return [part["part"] for part in self.shop.http("GET", path, token=self.staff).json()]

    def token(self, subject: str, role: str) -> str:
        """Get a token of the development issuer."""
        told = subject.upper() + "=$(wherry {} --data $DATA)"
        return self.shop.cli("token", "--subject", subject, "--role", role, told=told).strip()

    def secret(self, value: str) -> None:
        """Set the secret that says whether the carrier is open."""
        told = f"echo {value} | " + "wherry {} --data $DATA"
        self.shop.cli("secrets", "set", "carrier", told=told, given=value)

    def inbox(self) -> list[dict[str, Any]]:
        """What waits in the failure inbox."""
        found = json.loads(self.shop.cli("failures", "list", "--json", told=""))
        return list(found)

    def failure(self, error: str) -> str:
        """Wait for a failure with this error and return its ID."""

        def look() -> str:
            return next((str(one["id"]) for one in self.inbox() if error in one["error"]), "")

        return str(until(f"a failure with {error!r}", look))

    def edit(self, before: str, after: str) -> None:
        """Change one line of the shop's code."""
        file = self.shop.code / "shop.py"
        text = file.read_text()
        if before not in text:
            raise Broken(f"shop.py has the line {before}")
        file.write_text(text.replace(before, after))


def main() -> NoReturn:
    """Tell the story; exit 0 if it went as it should."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-demo-"))
    shop = Engine(folder)
    begun_s = time.monotonic()
    try:
        Story(shop).tell()
    except (Broken, KeyError, ValueError, OSError, subprocess.SubprocessError) as fault:
        print(f"   {RED}FAILED{PLAIN} {fault!s:.2000}", flush=True)
        if shop.output.exists():
            print("\nThe last lines of the engine:")
            shown("\n".join(shop.output.read_text().splitlines()[-25:]))
        sys.exit(1)
    finally:
        shop.end()
        if "--keep" in sys.argv:
            print(f"\nCode, data and output are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{BOLD}All of it was as it should be, in {time.monotonic() - begun_s:.0f} s.{PLAIN}")
    print("`make run` leaves the shop running. The code: examples/shop/shop.py")
    sys.exit(0)


if __name__ == "__main__":
    main()
