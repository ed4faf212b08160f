"""Load a file of orders, one job for each row: the callbacks of the demo of width."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from shiftwork_core.callbacks import Failure, Job, callback

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The largest amount of an order.
_MOST = 1_000_000


@callback("orders.load", block=True)
def load(jobs: list[Job]) -> list[dict[str, Any] | Exception]:
    """Check the orders of a block; return the region and the cents of each, or what is wrong.

    A real one would write all good rows by one statement here, such as a COPY.
    """
    return [_checked(job.item) for job in jobs]


def _checked(order: dict[str, str]) -> dict[str, Any] | Exception:
    try:
        amount = Decimal(order["amount"])
    except InvalidOperation:
        return Failure(f"order {order['id']}: the amount {order['amount']!r} is no number")
    if not (amount.is_finite() and 0 <= amount <= _MOST):
        return Failure(f"order {order['id']}: the amount {order['amount']!r} is out of range")
    return {"region": order["region"], "cents": int(amount * 100)}


@callback("orders.report")
def report(job: Job) -> dict[str, Any]:
    """Add up what the rows yielded, by region; return the sums in cents."""
    orders: Counter[str] = Counter()
    cents: Counter[str] = Counter()
    for line in _lines(job):
        orders[line["region"]] += 1
        cents[line["region"]] += line["cents"]
    regions = {name: {"orders": orders[name], "cents": cents[name]} for name in sorted(orders)}
    return {"report": {"orders": orders.total(), "cents": cents.total(), "regions": regions}}


def _lines(job: Job) -> Iterator[dict[str, Any]]:
    """Yield the lines of the manifest in which the results of the step before are collected."""
    # Imported when a job needs it, so that RunJobs starts sooner for the jobs of other callbacks.
    import boto3

    s3 = boto3.session.Session().client("s3")
    for key, _ in job.extras["order"]["parts"]:
        body = s3.get_object(Bucket=job.params["bucket"], Key=key)["Body"]
        yield from map(json.loads, body.iter_lines())
