"""The calls of the service itself: whether it answers, its metrics, and a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shiftwork.api.call import Call
from shiftwork.api.messages import Answer

if TYPE_CHECKING:
    from shiftwork.api.shapes import JsonObject, Rebuild


def heartbeat() -> Call[JsonObject]:
    """Return what the API says about itself. It needs no token."""
    return Call("GET", "/heartbeat", read=_object)


def metrics() -> Call[str]:
    """Return the metrics of the whole platform, in Prometheus's text format."""
    return Call("GET", "/metrics", headers={"Accept": "text/plain"}, read=_text)


def rebuild_counters() -> Call[Rebuild]:
    """Begin to count all rows again, unless that is under way; return how far it is."""
    return Call("POST", "/v1/metrics/rebuild")


def rebuild_progress() -> Call[Rebuild]:
    """Return how far a rebuild of the counters is, and since when they count."""
    return Call("GET", "/v1/metrics/rebuild")


def new_token(key_id: str, key_secret: str) -> Call[JsonObject]:
    """Return `{token, userId}`: a token that lasts an hour and has the scopes of `key_secret`.

    Parameters
    ----------
    key_id
        Any name for the client that will use the token.
    key_secret
        One of the deployment's tokens.
    """
    return Call("POST", "/api/token", json={"keyId": key_id, "keySecret": key_secret})


def _object(answer: Answer) -> JsonObject:
    """Return the answer if it is a JSON object, else an empty one."""
    try:
        return dict(answer.json())
    except (TypeError, ValueError):
        return {}


def _text(answer: Answer) -> str:
    """Return the answer if it is plain text.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not answer.header("Content-Type").startswith("text/plain"):
        raise ValueError("the answer is no plain text")
    return answer.text
