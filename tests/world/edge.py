"""Show requests and workers as the API does, by the API's own views."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workers.workers import Worker, WorkerStatus
from shiftwork_core.services.requests.details import AttemptDetails, RequestDetails
from shiftwork_core.services.workers.explain import WorkerExplanation

_API = Path(__file__).resolve().parents[2] / "functions" / "api"


def request_view(details: RequestDetails) -> JsonObject:
    """Return a request as `GET /v1/requests/{request_id}` answers it."""
    view: JsonObject = _views("requests").request_view(details)
    return view


def attempt_view(details: AttemptDetails) -> JsonObject:
    """Return an attempt as `GET /v1/requests/{request_id}/jobs` lists it."""
    view: JsonObject = _views("requests").attempt_view(details)
    return view


def worker_view(worker: Worker, status: WorkerStatus) -> JsonObject:
    """Return a worker's record as `GET /v1/workers/{worker_id}` answers it."""
    view: JsonObject = _views("workers").worker_view(worker, status)
    return view


def worker_explanation_view(found: WorkerExplanation) -> JsonObject:
    """Return what `GET /v1/workers/{worker_id}/explain` answers."""
    view: JsonObject = _views("workers").explanation_view(found)
    return view


@cache
def _views(subject: str) -> ModuleType:
    """Import the views of a subject with the API's folder on the path, as Lambda has it."""
    sys.path.insert(0, str(_API))
    try:
        return importlib.import_module(f"v1.{subject}.views")
    finally:
        sys.path.remove(str(_API))
