"""What can follow a request: each case declares an app and tells all its paths.

`POST /orders > exports 3 > mails 5 = 15` is a path: the queues that its messages pass, the
attempts in each, and the most attempts that one request can come to at its end.
"""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct

from wherry import App, Batch, Change, Firing, ObjectCreated, ObjectRemoved, limits, publish
from wherry.blueprint import Blueprint, FunctionSpec, Grant, HttpTrigger, QueueSpec, QueueTrigger
from wherry.paths import Graph, Path, attempts_of, check_paths, heaviest, paths, trees

Case = Callable[[App], Any]
CASES: dict[str, tuple[list[str], Case]] = {}


class Job(Struct):
    """A message, an item, the body of a request."""

    order_id: str


def tells(*told: str) -> Callable[[Case], Case]:
    def keep(fn: Case) -> Case:
        CASES[fn.__name__] = (list(told), fn)
        return fn

    return keep


def graph_of(case: Case) -> Graph:
    app = App("shop")
    case(app)
    return Graph(app.freeze())


def all_paths(graph: Graph) -> list[Path]:
    found, complete = paths(graph, limits.PATHS_LISTED)
    assert complete
    return found


def told(path: Path) -> str:
    first, *rest = path.layers
    begins = path.entry if first.step.inbox is None else f"{path.entry} {first.step.attempts}"
    steps = [begins, *(f"{layer.step.name} {layer.step.attempts}" for layer in rest)]
    most = "no bound" if path.most_attempts is None else path.most_attempts
    back = f" > {path.again} again" if path.again else ""
    return f"{' > '.join(steps)}{back} = {most}"


# --- chains and side branches -------------------------------------------------------------------


@tells("GET /orders = 1")
def route_that_only_reads(app: App) -> None:
    orders = app.table(Job, key="order_id", name="orders")

    @app.get("/orders", grants=[orders.read])
    def look() -> None: ...


@tells("POST /orders > exports 3 > mails 5 = 15")
def linear_chain(app: App) -> None:
    exports = app.queue(Job, name="exports", max_attempts=3)
    mails = app.queue(Job, name="mails", max_attempts=5)

    @app.post("/orders", grants=[exports.send])
    def create(job: Job) -> None: ...

    @app.consume(exports, grants=[mails.send])
    def export(job: Job) -> None: ...

    @app.consume(mails)
    def mail(job: Job) -> None: ...


@tells("POST /orders > confirm 3 = 3", "POST /orders > stock 7 = 7")
def event_with_two_listeners(app: App) -> None:
    @app.event("shop.order_placed", version=1)
    class OrderPlaced(Struct):
        order_id: str

    @app.post("/orders", grants=[publish[OrderPlaced]])
    def create(job: Job) -> None: ...

    @app.on(OrderPlaced)
    def confirm(event: OrderPlaced) -> None: ...

    @app.on(OrderPlaced, where={"order_id": ["1"]}, max_attempts=7)
    def stock(event: OrderPlaced) -> None: ...


@tells("POST /orders > a 2 > last 5 = 10", "POST /orders > b 3 > last 5 = 15")
def diamond(app: App) -> None:
    a = app.queue(Job, name="a", max_attempts=2)
    b = app.queue(Job, name="b", max_attempts=3)
    last = app.queue(Job, name="last", max_attempts=5)

    @app.post("/orders", grants=[a.send, b.send])
    def create(job: Job) -> None: ...

    @app.consume(a, grants=[last.send])
    def left(job: Job) -> None: ...

    @app.consume(b, grants=[last.send])
    def right(job: Job) -> None: ...

    @app.consume(last)
    def end(job: Job) -> None: ...


# --- what makes messages besides sending --------------------------------------------------------


@tells("POST /orders > notify 4 = 4")
def after_commit(app: App) -> None:
    @app.after_commit(max_attempts=4)
    def notify(order_id: str) -> None: ...

    @app.post("/orders", grants=[notify.send])
    def create(job: Job) -> None: ...


@tells("POST /orders > changed 3 = 3")
def table_changes(app: App) -> None:
    orders = app.table(Job, key="order_id", name="orders")

    @app.post("/orders", grants=[orders.write])
    def create(job: Job) -> None: ...

    @orders.on_change()
    def changed(change: Change[Job]) -> None: ...


@tells("POST /assets > check 3 = 3", "DELETE /assets > forget 3 = 3", "GET /assets = 1")
def objects_that_appear_and_go(app: App) -> None:
    assets = app.bucket("assets")

    @app.post("/assets", grants=[assets.create])
    def upload(job: Job) -> None: ...

    @app.delete("/assets", grants=[assets.delete])
    def remove() -> None: ...

    @app.get("/assets", grants=[assets.read])
    def look() -> None: ...

    @assets.on_created(prefix="incoming/")
    def check(created: ObjectCreated) -> None: ...

    @assets.on_removed()
    def forget(removed: ObjectRemoved) -> None: ...


@tells("nightly 2 > mails 5 = 10")
def schedule(app: App) -> None:
    mails = app.queue(Job, name="mails", max_attempts=5)

    @app.schedule("cron(0 3 * * ? *)", name="nightly", grants=[mails.send], max_attempts=2)
    def reconcile(firing: Firing) -> None: ...

    @app.consume(mails)
    def mail(job: Job) -> None: ...


# --- kinds of functions and queues --------------------------------------------------------------


@tells(
    "GET /catalog > views 2 = 2",
    "POST /catalog > views 2 = 2",
)
def routes_of_a_bundle_share_its_grants(app: App) -> None:
    views = app.queue(Job, name="views", max_attempts=2)
    catalog = app.bundle("catalog", grants=[views.send])

    @catalog.get("/catalog")
    def look() -> None: ...

    @catalog.post("/catalog")
    def change(job: Job) -> None: ...

    @app.consume(views)
    def count(job: Job) -> None: ...


@tells("POST /orders > works 3 = 3")
def each_message_of_a_batch_has_its_own_attempts(app: App) -> None:
    works = app.queue(Job, name="works", max_attempts=3)

    @app.post("/orders", grants=[works.send])
    def create(job: Job) -> None: ...

    @app.consume(works, batch=20, window_s=0.2)
    def work(jobs: Batch[Job]) -> None: ...


@tells("POST /orders > ledger 3 = 3")
def fifo(app: App) -> None:
    ledger = app.queue(
        Job, name="ledger", fifo=True, group=lambda job: job.order_id, on_failure="block"
    )

    @app.post("/orders", grants=[ledger.send])
    def create(job: Job) -> None: ...

    @app.consume(ledger)
    def enter(job: Job) -> None: ...


@tells("imports 3 > mails 5 = 15")
def queue_that_others_fill(app: App) -> None:
    imports = app.queue(Job, name="imports")
    mails = app.queue(Job, name="mails", max_attempts=5)

    @app.consume(imports, grants=[mails.send])
    def take(job: Job) -> None: ...

    @app.consume(mails)
    def mail(job: Job) -> None: ...


# --- cycles -------------------------------------------------------------------------------------


@tells("POST /crawl > pages 3 > pages again = no bound")
def consumer_that_sends_to_itself(app: App) -> None:
    pages = app.queue(Job, name="pages")

    @app.post("/crawl", grants=[pages.send])
    def begin(job: Job) -> None: ...

    @app.consume(pages, grants=[pages.send])
    def crawl(job: Job) -> None: ...


@tells(
    "POST /game > pings 3 > pongs 3 > pings again = no bound",
    "POST /game > pings 3 > pongs 3 > scores 3 = no bound",
    "POST /scores > scores 3 = 3",
)
def two_that_call_each_other(app: App) -> None:
    pings = app.queue(Job, name="pings")
    pongs = app.queue(Job, name="pongs")
    scores = app.queue(Job, name="scores")

    @app.post("/game", grants=[pings.send])
    def begin(job: Job) -> None: ...

    @app.post("/scores", grants=[scores.send])
    def correct(job: Job) -> None: ...

    @app.consume(pings, grants=[pongs.send])
    def ping(job: Job) -> None: ...

    @app.consume(pongs, grants=[pings.send, scores.send])
    def pong(job: Job) -> None: ...

    @app.consume(scores)
    def score(job: Job) -> None: ...


@tells("pings 3 > pongs 3 > pings again = no bound")
def cycle_that_nothing_begins(app: App) -> None:
    pings = app.queue(Job, name="pings")
    pongs = app.queue(Job, name="pongs")

    @app.consume(pings, grants=[pongs.send])
    def ping(job: Job) -> None: ...

    @app.consume(pongs, grants=[pings.send])
    def pong(job: Job) -> None: ...


@tells("PUT /orders > tidy 3 > tidy again = no bound")
def function_that_writes_what_triggers_it(app: App) -> None:
    orders = app.table(Job, key="order_id", name="orders")

    @app.put("/orders", grants=[orders.write])
    def save(job: Job) -> None: ...

    @orders.on_change(grants=[orders.write])
    def tidy(change: Change[Job]) -> None: ...


@pytest.mark.parametrize(("expected", "case"), CASES.values(), ids=CASES)
def test_paths_of(expected: list[str], case: Case) -> None:
    """Every path from every entry to every end, in the order of the code."""
    assert [told(path) for path in all_paths(graph_of(case))] == expected


# --- figures ------------------------------------------------------------------------------------


def test_a_path_has_both_bounds_and_its_waits() -> None:
    """Multiplied as if every attempt passed on its work; added up as effects leave only once."""
    (path,) = all_paths(graph_of(linear_chain))
    assert [layer.most_attempts for layer in path.layers] == [1, 3, 15]
    assert path.summed_attempts == 1 + 3 + 5
    assert path.wait_s == (1 + 2) + (1 + 2 + 4 + 8)
    assert path.most_reruns == 0


@pytest.mark.parametrize(
    ("attempts", "base_s", "most_s", "retention_s", "wait_s"),
    [
        (1, 1, 300, 86_400, 0),
        (3, 1, 300, 86_400, 1 + 2),
        (5, 0, 300, 86_400, 0),
        (6, 10, 40, 86_400, 10 + 20 + 40 + 40 + 40),
        (1000, 60, 300, 3_600, 3_600),
    ],
)
def test_waits_double_up_to_their_longest_within_the_retention(
    attempts: int, base_s: float, most_s: float, retention_s: int, wait_s: float
) -> None:
    """The last attempt begins at most the sum of the waits after the first one."""

    def case(app: App) -> None:
        jobs = app.queue(
            Job, name="jobs", max_attempts=attempts, retry_base_s=base_s, retry_max_s=most_s,
            retention_s=retention_s,
        )  # fmt: skip

        @app.consume(jobs)
        def work(job: Job) -> None: ...

    assert graph_of(case).steps["jobs"].wait_s == wait_s


@pytest.mark.parametrize(
    ("may", "options", "reruns"),
    [
        ([], {}, 0),
        (["read"], {}, 0),
        (["write"], {}, 0),
        (["read", "write"], {}, limits.CONFLICT_RERUNS),
        (["read"], {"reads": "checked"}, limits.CONFLICT_RERUNS),
    ],
)
def test_who_reads_and_writes_may_lose_conflicts(
    may: list[str], options: dict[str, Any], reruns: int
) -> None:
    """Re-runs are counted beside the attempts, for each of them."""

    def case(app: App) -> None:
        orders = app.table(Job, key="order_id", name="orders")
        jobs = app.queue(Job, name="jobs", max_attempts=4)

        @app.consume(jobs, grants=[getattr(orders, action) for action in may], **options)
        def work(job: Job) -> None: ...

    (path,) = all_paths(graph_of(case))
    assert path.layers[0].step.reruns == reruns
    assert (path.most_attempts, path.most_reruns) == (4, 4 * reruns)


def test_what_is_left_after_a_failure_is_told() -> None:
    """Nothing of a request; a message in its queue's inbox, which may hold up its group."""
    (path,) = all_paths(graph_of(fifo))
    assert [(layer.step.inbox, layer.step.blocks) for layer in path.layers] == [
        (None, False),
        ("ledger", True),
    ]


def test_grants_that_lead_to_a_step_are_named() -> None:
    """Two ways from one function to one queue are one link with both."""

    def case(app: App) -> None:
        assets = app.bucket("assets")

        @app.post("/assets", grants=[assets.create, assets.write])
        def upload(job: Job) -> None: ...

        @assets.on_created()
        def check(created: ObjectCreated) -> None: ...

    (path,) = all_paths(graph_of(case))
    assert path.layers[1].by == ("assets.create", "assets.write")


# --- findings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "ring"),
    [
        (consumer_that_sends_to_itself, "crawl (pages.send) > crawl"),
        (two_that_call_each_other, "ping (pongs.send) > pong (pings.send) > ping"),
    ],
)
def test_cycles_are_named(case: Case, ring: str) -> None:
    """By the functions on them and the grants that lead on: one warning for each."""
    (finding,) = check_paths(graph_of(case))
    assert (finding.code, finding.severity) == ("endless_path", "warning")
    assert f": {ring}." in finding.message
    assert finding.place is not None


def test_a_loop_over_its_own_trigger_is_told_once() -> None:
    """The blueprint's checks warn of it already."""
    app = App("shop")
    function_that_writes_what_triggers_it(app)
    graph = Graph(app.freeze())
    assert [str(cycle) for cycle in graph.cycles] == ["tidy (orders.write) > tidy"]
    assert [*(one.code for one in app.warnings), *check_paths(graph)] == ["trigger_loop"]


@pytest.mark.parametrize(
    ("attempts", "codes"), [((10, 10, 10), []), ((10, 10, 11), ["retries_multiply"])]
)
def test_attempts_beyond_the_bound_are_warned_of(
    attempts: tuple[int, ...], codes: list[str]
) -> None:
    """1,000 attempts of one request are borne; one more layer's worth is not."""
    assert limits.PATH_ATTEMPTS == 1000
    found = check_paths(Graph(chain(attempts)))
    assert [one.code for one in found] == codes
    assert all("POST /go (1) > q0 (10) > q1 (10) > q2 (11)" in one.message for one in found)


# --- large apps ---------------------------------------------------------------------------------


def chain(attempts: tuple[int, ...], wide: int = 1) -> Blueprint:
    """A route and layers of `wide` queues; each consumer may send to all queues of the next."""
    layers = [[f"q{n}" if wide == 1 else f"q{n}_{m}" for m in range(wide)]
              for n in range(len(attempts))]  # fmt: skip
    follow = [*layers, []]
    route = FunctionSpec(
        name="go",
        module="shop",
        triggers=(HttpTrigger(endpoint="go", method="POST", path="/go"),),
        grants=sends(layers[0]),
    )
    consumers = [
        FunctionSpec(
            name=f"f_{queue}",
            module="shop",
            triggers=(QueueTrigger(endpoint="f", queue=queue),),
            grants=sends(follow[number + 1]),
        )
        for number, layer in enumerate(layers)
        for queue in layer
    ]
    queues = [
        QueueSpec(name=queue, payload="Job", schema={}, max_attempts=most)
        for layer, most in zip(layers, attempts, strict=True)
        for queue in layer
    ]
    return Blueprint(app="shop", functions=(route, *consumers), queues=tuple(queues))


def sends(queues: list[str]) -> tuple[Grant, ...]:
    return tuple(Grant(kind="queue", resource=queue, action="send") for queue in queues)


def test_branches_that_meet_again_and_again_are_bounded() -> None:
    """3^30 paths: some are listed, the heaviest is known, the tree is cut where it repeats."""
    graph = Graph(chain((2,) * 30, wide=3))
    found, complete = paths(graph, 100)
    assert (len(found), complete) == (100, False)
    (entry,) = graph.entries
    assert attempts_of(heaviest(entry, graph)) == 2**30
    assert [one.code for one in check_paths(graph)] == ["retries_multiply"]

    def size(branch: Any) -> int:
        return 1 + sum(map(size, branch.branches))

    ((_, tree),) = trees(graph)
    assert size(tree) <= limits.PATH_STEPS_SHOWN + 3 * 30 * 3


def test_a_long_chain_is_followed_to_its_end() -> None:
    """Two hundred layers, one path."""
    (path,) = all_paths(Graph(chain((1,) * 200)))
    assert (len(path.layers), path.most_attempts, path.summed_attempts) == (201, 1, 201)


# --- workflows ----------------------------------------------------------------------------------


def task(resource: str, *retriers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A Task state that ends."""
    found = {"Type": "Task", "Resource": resource, "End": True, **more}
    return found | ({"Retry": list(retriers)} if retriers else {})


def machine(**states: dict[str, Any]) -> dict[str, Any]:
    """A machine that chooses one of some states, or several."""
    rules = [{"Variable": "$.to", "StringEquals": name, "Next": name} for name in list(states)]
    return {"StartAt": "To", "States": {"To": {"Type": "Choice", "Choices": rules}, **states}}


def test_a_workflow_is_a_step_and_its_functions_are_tried_as_their_states_say() -> None:
    """Retriers of a state add up, those of a state around it multiply; a redrive counts as none."""
    app = App("shop")
    mails = app.queue(Job, name="mails", max_attempts=5)
    inner = {"StartAt": "Pay", "States": {"Pay": task("pay", {"ErrorEquals": ["Busy"]})}}
    refund = app.workflow(
        "refund",
        input=Job,
        definition=machine(
            Each={
                "Type": "Map", "ItemProcessor": inner, "End": True,
                "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}],
            },
            Tell=task("tell", {"ErrorEquals": ["A"], "MaxAttempts": 2},
                      {"ErrorEquals": ["B"], "MaxAttempts": 4, "IntervalSeconds": 10}),
            Look=task("look"),
            Again=task("look", {"ErrorEquals": ["States.ALL"], "MaxAttempts": 6}),
        ),
    )  # fmt: skip

    @app.task()
    def pay(job: Job) -> None: ...

    @app.task(grants=[mails.send])
    def tell(job: Job) -> None: ...

    @app.task()
    def look(job: Job) -> None: ...

    @app.consume(mails)
    def mail(job: Job) -> None: ...

    @app.post("/refunds", grants=[refund.start, refund.read, refund.complete])
    def begin(job: Job) -> None: ...

    graph = graph_of_app(app)
    assert sorted(map(told, all_paths(graph))) == [
        "POST /refunds > refund 1 > look 7 = 7",
        "POST /refunds > refund 1 > pay 8 = 8",
        "POST /refunds > refund 1 > tell 7 > mails 5 = 35",
    ]
    assert graph.steps["tell"].wait_s == 1 + 2 + 10 + 20 + 40 + 80
    assert graph.steps["tell"].task
    assert [link.by for link in graph.links["refund"]] == [("Pay",), ("Tell",), ("Look", "Again")]
    assert [(entry.kind, entry.names) for entry in graph.entries] == [("route", ("POST /refunds",))]


def graph_of_app(app: App) -> Graph:
    return Graph(app.freeze())


def test_a_workflow_that_a_state_starts_is_a_step_behind_it() -> None:
    """It is tried as often as the state that starts it; with a loop it has no end."""

    def app(loop: bool) -> App:
        found = App("shop")
        second = found.workflow("second", definition=machine(Pay=task("pay")))
        found.workflow(
            "first",
            grants=[second.start],
            definition=machine(
                Go=task(
                    "arn:aws:states:::states:startExecution",
                    {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2},
                    Parameters={"StateMachineArn": "second", "Input": {}},
                )
            ),
        )

        @found.task(grants=[second.start] if loop else [])
        def pay() -> None: ...

        return found

    graph = graph_of_app(app(loop=False))
    assert list(map(told, all_paths(graph))) == ["first 1 > second 3 > pay 1 = 3"]
    assert [entry.kind for entry in graph.entries] == ["workflow"]
    (warning,) = check_paths(graph_of_app(app(loop=True)))
    assert warning.code == "endless_path"
    assert "second (Pay) > pay (second.start) > second" in warning.message
