"""Both HTTP functions answer the same error alike under /v1."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shiftwork_core import errors
from shiftwork_core.errors import FaultAt, ShiftworkError

CORE = Path(errors.__file__).parents[1]
FAULTS = [FaultAt(f"items[{index}]", "is wrong") for index in range(150)]
#: One of every error, with the status and slug of its problem, and its status under /api.
ERRORS: list[tuple[Exception, int, str, int]] = [
    (errors.Malformed("no JSON"), 400, "malformed", 400),
    (errors.Unauthorized("EXPIRED_TOKEN", "too old"), 401, "unauthorized", 401),
    (errors.Forbidden("not yours"), 403, "forbidden", 403),
    (errors.NotFound("none", "look elsewhere"), 404, "not-found", 404),
    (errors.MethodNotAllowed("no PUT", ["GET", "HEAD"]), 405, "method-not-allowed", 405),
    (errors.Conflict("busy"), 409, "conflict", 409),
    (errors.TooLarge("a lot"), 413, "too-large", 413),
    (errors.UnsupportedMediaType("a form"), 415, "unsupported-media-type", 415),
    (errors.AnswerTooLarge("too much"), 422, "answer-too-large", 413),
    (errors.Invalid("bad", FAULTS), 422, "invalid", 400),
    (errors.NotOffered("left out"), 501, "not-implemented", 501),
    (errors.Throttled("slow down"), 503, "unavailable", 503),
    (errors.Unavailable("gone"), 503, "unavailable", 503),
    (errors.Transient("later"), 503, "unavailable", 503),
    (RuntimeError("a secret"), 500, "internal", 500),
]
HEADERS = {
    "unauthorized": {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    "method-not-allowed": {"Allow": "GET, HEAD"},
    "unavailable": {"Retry-After": "2"},
}


@pytest.fixture
def renderers(import_app: Callable[[str], ModuleType]) -> tuple[ModuleType, ModuleType]:
    """Return the modules of the API and of the task API that render errors."""
    import_app("api")
    import_app("serve_tasks")
    return importlib.import_module("problems"), importlib.import_module("error_answers")


def test_every_error_of_the_tree_is_in_the_list() -> None:
    tree = {e for e in vars(errors).values() if isinstance(e, type)}
    raised = {e for e in tree if issubclass(e, ShiftworkError)}
    raised -= {errors.ShiftworkError, errors.Refusal}  # Only their subclasses are raised.
    assert raised == {type(e) for e, *_ in ERRORS if isinstance(e, ShiftworkError)}


@pytest.mark.parametrize(("error", "status", "slug", "conductors"), ERRORS, ids=lambda v: str(v))
def test_both_functions_tell_an_error_alike(
    renderers: tuple[ModuleType, ModuleType],
    error: Exception,
    status: int,
    slug: str,
    conductors: int,
) -> None:
    api, tasks = renderers
    ours = api.problem_event(error, "call-1")
    theirs = tasks.error_answer(error, "call-1", is_conductors=False).to_event()
    assert ours["statusCode"] == theirs["statusCode"] == status
    assert ours["headers"] == theirs["headers"]
    assert ours["headers"] == {"Content-Type": "application/problem+json"} | HEADERS.get(slug, {})
    mine, other = json.loads(ours["body"]), json.loads(theirs["body"])
    # What to do next may name the pages and keys of the one function.
    assert {**mine, "next": ""} == {**other, "next": ""}
    assert (mine["status"], mine["type"]) == (status, f"https://shiftwork.dev/problems/{slug}")
    assert mine["title"] and "secret" not in ours["body"]
    assert len(mine["errors"]) == (100 if slug == "invalid" else 0)


@pytest.mark.parametrize(("error", "status", "slug", "conductors"), ERRORS, ids=lambda v: str(v))
def test_conductors_shape_keeps_its_status_and_has_the_same_headers(
    renderers: tuple[ModuleType, ModuleType],
    error: Exception,
    status: int,
    slug: str,
    conductors: int,
) -> None:
    answer: dict[str, Any] = (
        renderers[1].error_answer(error, "call-1", is_conductors=True).to_event()
    )
    assert answer["statusCode"] == conductors
    assert answer["headers"] == {"Content-Type": "application/json"} | HEADERS.get(slug, {})
    assert "secret" not in answer["body"]


def test_a_function_without_models_can_tell_errors() -> None:
    found = "set(sys.modules) & {'pydantic', 'aws_lambda_powertools', 'boto3'}"
    script = f"import sys, shiftwork_core.refusals; print(*sorted({found}))"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True,
                         env={"PYTHONPATH": str(CORE)}, text=True)  # fmt: skip
    assert run.stdout.strip() == ""
