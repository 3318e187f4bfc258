"""A workflow: money goes back to a customer, by steps that wait for people and for the bank.

wherry run steps.refund:app
"""

from typing import Literal

from shop import app, customers, orders

from wherry import Caller, Execution, NotFound, Struct, asl, log, outside

ALONE_CENTS = 10_000  # a larger refund waits for somebody of the staff
DAY_S = 86_400


class Refund(Struct):
    """What a run is started with, and what every step gets."""

    order_id: str
    customer_id: str
    cents: int


class Till(Struct):
    """What is set aside for refunds under way, and what has been paid back."""

    name: str
    reserved_cents: int = 0
    paid_cents: int = 0


class Question(Struct):
    """A refund that waits for the staff; whoever has the token can answer."""

    order_id: str
    cents: int
    token: str


class Outcome(Struct):
    order_id: str
    customer_id: str
    paid: bool


class Letter(Struct):
    order_id: str
    customer_id: str
    text: str


class BankBusy(Exception):
    """It may have time later."""


class BankRefused(Exception):
    """The card is gone, or the account is closed."""


till = app.table(Till, key="name", name="till")
questions = app.table(Question, key="order_id")
letters = app.table(Letter, key="order_id", name="refund_letters")


def bank(key: str, order_id: str, cents: int) -> str:
    """Stand for the bank's API: the same key again is the same payment."""
    return f"payment {key[:8]}"


# -- the steps -------------------------------------------------------------------------------------


@app.task(grants=[till.write])
def set_aside(refund: Refund) -> None:
    """Reserve the money, so that no two refunds promise the same."""
    till.add("refunds", reserved_cents=refund.cents)


@app.task(grants=[questions.write])
def ask_the_staff(question: Question) -> None:
    """Keep the token until somebody decides."""
    questions.put(question)


@app.task(timeout_s=30)
def charge_back(refund: Refund) -> str:
    """Have the bank pay. However often it is tried, it pays once."""
    return outside("charge back", lambda key: bank(key, refund.order_id, refund.cents))


@app.task(grants=[till.write])
def settle(refund: Refund) -> None:
    """Book the money as paid."""
    till.add("refunds", reserved_cents=-refund.cents, paid_cents=refund.cents)


@app.task(grants=[till.write, questions.write])
def give_back(refund: Refund) -> None:
    """Undo `set_aside`: the money is free again, and nobody is asked any more."""
    till.add("refunds", reserved_cents=-refund.cents)
    questions.delete(refund.order_id)


@app.task(grants=[letters.write])
def tell_customer(outcome: Outcome) -> None:
    """Write the letter that ends it."""
    text = "Your money has been paid back." if outcome.paid else "We could not pay you back."
    letters.put(Letter(outcome.order_id, outcome.customer_id, text))
    log.info("refund told", order_id=outcome.order_id, paid=outcome.paid)


# -- the workflow ----------------------------------------------------------------------------------

IT = asl.expr("$states.input")
WHOSE = {name: asl.expr(f"$states.input.{name}") for name in ("order_id", "customer_id")}
ASKED = {"order_id": WHOSE["order_id"], "cents": asl.expr("$states.input.cents")}
WHY = {"why": asl.expr("$states.errorOutput.Error")}

refund = app.workflow(
    "refund",
    input=Refund,
    definition=asl.machine(
        asl.Task("Set the money aside", set_aside, output=IT),
        asl.Choice("Small?", asl.When(f"$states.input.cents <= {ALONE_CENTS}", then="Charge back")),
        asl.Task(
            "Ask the staff",
            ask_the_staff,
            {**ASKED, "token": asl.TOKEN},
            wait_for_token=True,
            timeout_s=7 * DAY_S,
            output=IT,
        ).catch("Declined", "States.Timeout", then="Give it back", output=IT, assign=WHY),
        asl.Task("Charge back", charge_back, output=IT)
        .retry("BankBusy", times=8, wait_s=10)
        .catch("BankBusy", "BankRefused", then="Give it back", output=IT, assign=WHY),
        asl.Wait("Until it has arrived", 3 * DAY_S),
        asl.Task("Settle", settle, output=IT),
        asl.Task("Tell of the money", tell_customer, {**WHOSE, "paid": True}, then=asl.END),
        asl.Task("Give it back", give_back, output=IT),
        asl.Task("Tell of the refusal", tell_customer, {**WHOSE, "paid": False}),
        asl.Choice("Because of the bank?", asl.When("$contains($why, 'Bank')", then="Not paid")),
        asl.Succeed("Declined"),
        asl.Fail("Not paid", error="NotPaid", cause="The bank did not pay: somebody must."),
    ),
)


# -- who asks, and who decides ---------------------------------------------------------------------


@app.post(
    "/orders/{order_id}/refund", auth=customers, status=202, grants=[orders.read, refund.start]
)
def ask_refund(order_id: str) -> str:
    """Ask for the money of an order; once, however often it is asked."""
    order = orders.get(order_id)
    if order is None:
        raise NotFound("order", order_id)
    return refund.start(Refund(order_id, order.customer_id, order.total_cents), name=order_id)


@app.get("/orders/{order_id}/refund", auth=customers, grants=[orders.read, refund.read])
def look_at_refund(order_id: str) -> Execution:
    """See where a refund is."""
    execution = refund.describe(order_id) if orders.get(order_id) else None
    if execution is None:
        raise NotFound("refund", order_id)
    return execution


@app.post(
    "/orders/{order_id}/refund/decision",
    auth=customers,
    roles=["staff"],
    grants=[questions.read, questions.write, refund.complete],
)
def decide_refund(order_id: str, answer: Literal["pay", "decline"], caller: Caller) -> None:
    """Answer the question; the decision counts once, and with this request or not at all."""
    question = questions.get(order_id)
    if question is None:
        raise NotFound("question", order_id)
    questions.delete(order_id)
    if answer == "pay":
        refund.succeed(question.token, {"by": caller.subject})
    else:
        refund.fail(question.token, "Declined", f"by {caller.subject}")
