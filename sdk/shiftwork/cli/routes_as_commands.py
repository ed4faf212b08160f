"""Replace the routes in the API's advice by the commands that call them."""

from __future__ import annotations

import re

#: A name or an id in a route, without the punctuation of the sentence around it.
_NAME = r"([^\s/,;]+)"
#: A route, and the command to type in its place.
_COMMANDS = (
    (r"GET /v1/requests/(\S+)/jobs", r"shiftwork jobs \1"),
    (r"GET /v1/requests/(\S+)/failures", r"shiftwork failures \1"),
    (r"GET /v1/requests/(\S+)", r"shiftwork show \1"),
    (r"GET /v1/requests", "shiftwork requests"),
    (rf"GET /v1/request-types/{_NAME}/plan", r"shiftwork plan-request \1"),
    (r"GET /v1/(?:request|job)-types/(\S+)", r"shiftwork types \1"),
    (r"GET /v1/(?:request|job)-types", "shiftwork types"),
    (r"GET /v1/workers", "shiftwork workers"),
    (rf"GET /v1/workspaces/{_NAME}/plan", r"shiftwork plan \1"),
    (rf"GET /v1/workspaces/{_NAME}/explain", r"shiftwork workspace explain \1"),
    (rf"GET /v1/workspaces/{_NAME}", r"shiftwork workspace show \1"),
    (r"GET /v1/workspaces", "shiftwork workspaces"),
    (rf"POST /v1/workspaces/{_NAME}/(start|stop)", r"shiftwork workspace \2 \1"),
    (rf"POST /v1/workspaces/{_NAME}/activity", r"shiftwork workspace active \1"),
    (rf"PUT /v1/workspaces/{_NAME}/deadline", r"shiftwork workspace deadline \1 TIME"),
    (rf"PUT /v1/workspaces/{_NAME}/override", r"shiftwork override \1 on --until TIME"),
    (rf"DELETE /v1/workspaces/{_NAME}/override", r"shiftwork override \1 clear"),
    (rf"DELETE /v1/workspaces/{_NAME}", r"shiftwork workspace delete \1"),
    (rf"GET /v1/lifecycle-jobs/{_NAME}/logs", r"shiftwork lifecycle-job logs \1"),
    (rf"GET /v1/lifecycle-jobs/{_NAME}", r"shiftwork lifecycle-job show \1"),
    (r"GET /v1/lifecycle-jobs", "shiftwork lifecycle-jobs"),
    (rf"POST /v1/lifecycle-jobs/{_NAME}/cancel", r"shiftwork lifecycle-job cancel \1"),
    (r"`errors` names; GET /openapi.json.*", "is named above"),
)


def as_commands(advice: str) -> str:
    """Return the advice with each route replaced by its command."""
    for route, command in _COMMANDS:
        advice = re.sub(route, command, advice)
    return advice
