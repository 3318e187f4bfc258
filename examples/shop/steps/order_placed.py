"""An event: an order was placed, and two functions that the shop does not know of act on it.

wherry run steps.order_placed:app
"""

from shop import Line, Order, app, orders

from wherry import Change, Struct, publish


class Letter(Struct):
    order_id: str
    customer_id: str
    text: str


class Stock(Struct):
    sku: str
    reserved: int = 0


letters = app.table(Letter, key="order_id")
stock = app.table(Stock, key="sku", name="stock")


@app.event("shop.order_placed", version=1)
class OrderPlaced(Struct):
    order_id: str
    customer_id: str
    lines: list[Line]
    total_cents: int


@orders.on_change(grants=[publish[OrderPlaced]])
def tell_of_order(change: Change[Order]) -> None:
    """Tell of each new order. (Or publish in `create_order`: one more line and grant there.)"""
    if change.kind == "insert":
        new = change.item
        publish(OrderPlaced(new.order_id, new.customer_id, new.lines, new.total_cents))


@app.on(OrderPlaced, grants=[letters.write])
def confirm_order(placed: OrderPlaced) -> None:
    """Write the letter that confirms the order."""
    text = f"We have your order of {placed.total_cents / 100:.2f} EUR."
    letters.put(Letter(placed.order_id, placed.customer_id, text))


@app.on(OrderPlaced, grants=[stock.write])
def reserve_stock(placed: OrderPlaced) -> None:
    """Count what is promised. Orders placed side by side do not conflict: they only add."""
    for line in placed.lines:
        stock.add(line.sku, reserved=line.count)
