"""The calls of request types and job types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from shiftwork.api.call import Call, Pages, nothing, quoted

if TYPE_CHECKING:
    from shiftwork.api.shapes import Definition, JsonObject, RequestPlan

Kind = Literal["job-type", "request-type"]
#: Job types come first: the API refuses a request type that names an unknown job type.
TYPES: tuple[Kind, ...] = ("job-type", "request-type")


def definitions(kind: Kind) -> Pages[Definition]:
    """Yield the latest version of every definition of a kind."""
    return Pages(f"/v1/{kind}s")


def definition(kind: Kind, name: str) -> Call[Definition]:
    """Return the latest version of a definition."""
    return Call("GET", f"/v1/{kind}s/{quoted(name)}")


def put_definition(kind: Kind, name: str, body: JsonObject) -> Call[Definition]:
    """Make `body` the latest version, and return it. An equal body makes no new version."""
    return Call("PUT", f"/v1/{kind}s/{quoted(name)}", json=body)


def delete_definition(kind: Kind, name: str) -> Call[None]:
    """Delete the definition. Requests submitted earlier keep the version they have."""
    return Call("DELETE", f"/v1/{kind}s/{quoted(name)}", read=nothing)


def plan_request(
    name: str,
    *,
    items: int = 1,
    duration_s: float = 0.0,
    item_bytes: int = 100,
    result_bytes: int = 2,
) -> Call[RequestPlan]:
    """Return what a request of a type would take, and which quotas it would meet.

    `items` is how many each of its `for_each` entries has, `duration_s` how long a job lasts.
    """
    query = {
        "items": items,
        "duration_s": duration_s,
        "item_bytes": item_bytes,
        "result_bytes": result_bytes,
    }
    return Call("GET", f"/v1/request-types/{quoted(name)}/plan", query)
