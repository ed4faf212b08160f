"""The routes of Conductor's that Shiftwork does not offer, with what to use instead."""

from __future__ import annotations

from http_messages import Answer, Call
from shiftwork_core.errors import NotOffered

_TYPES = "definitions are request types: PUT /v1/request-types/{name}, or `shiftwork apply`"
_SEARCH = "list requests by status and type: GET /v1/requests; and jobs: GET /v1/requests/{id}/jobs"
_PAUSE = "drain the workers (`shiftwork worker drain`), or cancel the request and submit it again"
_AGAIN = "run again what failed: POST /api/workflow/{id}/retry; or start a new workflow"
_STORAGE = "send large payloads as they are: Shiftwork stores them itself, up to 6 MB"
_LOOK = "start it with POST /api/workflow, and look with GET /api/workflow/{id}"
_METHODS = ("GET", "POST", "PUT", "DELETE")

#: By method and path, as shiftwork_core/routes.py writes them.
NOT_OFFERED: dict[tuple[str, str], tuple[str, str]] = {
    ("GET", "/api/tasks/search"): ("no search of tasks", _SEARCH),
    ("GET", "/api/tasks/search-v2"): ("no search of tasks", _SEARCH),
    ("GET", "/api/tasks/queue/all/verbose"): ("no queue shards", "use GET /api/tasks/queue/all"),
    ("POST", "/api/tasks/queue/requeue/{*type}"): (
        "nothing to requeue",
        "a waiting task is a row of the tables, and no queue can lose it",
    ),
    **{
        ("GET", f"/api/{subject}/externalstoragelocation"): (
            "no external payload storage of Conductor's",
            _STORAGE,
        )
        for subject in ("tasks", "workflow")
    },
    ("POST", "/api/tasks/{*workflow_id}/{*status}/signal"): (
        "no signals",
        "update the task by its name: POST /api/tasks/{workflowId}/{taskRefName}/{status}",
    ),
    **{
        (method, f"/api/metadata/workflow{rest}"): ("no workflow definitions", _TYPES)
        for rest in ("", "/{*name}", "/{*name}/{*version}")
        for method in _METHODS
    },
    **{
        ("GET", f"/api/workflow/{search}"): ("no search of workflows", _SEARCH)
        for search in ("search", "search-v2", "search-by-tasks", "search-by-tasks-v2")
    },
    ("POST", "/api/workflow/correlated/batch"): ("no search of workflows", _SEARCH),
    ("POST", "/api/workflow/test"): (
        "no test run with made-up outputs",
        "start the workflow on a local stack (make up); a request type that is named test is "
        "started by POST /api/workflow, with its name in the body",
    ),
    ("POST", "/api/workflow/start/{*name}/{*version}"): (
        "no start by a path with the version",
        "use POST /api/workflow/{name}?version=",
    ),
    **{
        (method, "/api/workflow/bulk/{*action}"): (
            "no calls for many workflows",
            "make the call for each of them",
        )
        for method in ("POST", "PUT")
    },
    ("PUT", "/api/workflow/decide/{*workflow_id}"): (
        "nothing to decide by hand",
        "Shiftwork itself sets going again what stands still; see why: `shiftwork explain {id}`",
    ),
    ("GET", "/api/workflow/running/{*name}"): ("no list of running workflows", _SEARCH),
    ("POST", "/api/workflow/{*workflow_id}/restart"): ("no restart of a workflow", _AGAIN),
    ("POST", "/api/workflow/{*workflow_id}/rerun"): ("no rerun from a task", _AGAIN),
    ("PUT", "/api/workflow/{*workflow_id}/pause"): ("no pause of a workflow", _PAUSE),
    ("PUT", "/api/workflow/{*workflow_id}/resume"): (
        "no pause of a workflow, so nothing to resume",
        _PAUSE,
    ),
    ("PUT", "/api/workflow/{*workflow_id}/skiptask/{*name}"): (
        "no skipping of tasks",
        "complete the task by its name: POST /api/tasks/{workflowId}/{taskRefName}/COMPLETED",
    ),
    ("DELETE", "/api/workflow/{*workflow_id}/remove"): (
        "no removal of a workflow",
        "ended requests are forgotten after the retention period",
    ),
    **{
        (method, f"/api/workflow/execute/{rest}"): ("no call that waits for a workflow", _LOOK)
        for method, rest in (
            ("GET", "{*name}"),
            ("POST", "{*name}"),
            ("POST", "{*name}/{*version}"),
        )
    },
}


def refuse(key: tuple[str, str], call: Call) -> Answer:
    """Refuse a call of such a route, and say what to use instead.

    Raises
    ------
    NotOffered
        Always.
    """
    what, instead = NOT_OFFERED[key]
    raise NotOffered(f"Shiftwork has {what}", instead)
