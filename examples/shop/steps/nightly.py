"""A schedule: every night the exports are held against the orders.

wherry run steps.nightly:app
"""

from shop import app, exports, orders

from wherry import Firing, log

AT_ONCE = 50  # files of a night; the rest is found the next one


@app.schedule(
    "cron(0 3 * * ? *)",
    timezone="Europe/Berlin",
    overlap="skip",
    grants=[orders.read, exports.read, exports.delete],
)
def reconcile_exports(firing: Firing) -> None:
    """Delete files whose order is gone: they hold what a customer has bought."""
    seen = 0
    left_over: list[str] = []
    cursor = None
    while len(left_over) < AT_ONCE:
        page = exports.list(cursor=cursor)
        seen += len(page)
        left_over += [
            file.key for file in page if orders.get(file.key.removesuffix(".csv")) is None
        ]
        if (cursor := page.cursor) is None:
            break
    for key in left_over[:AT_ONCE]:
        exports.delete(key)
    log.info("exports reconciled", due=firing.at.isoformat(), seen=seen, deleted=len(left_over))
