"""openapi.json is complete and valid, and the file in docs is the one that the code makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shiftwork_core.routes import ROUTES, TASK_ROUTES, Route
from tests.unit.functions.api.conftest import Api
from tests.world.declared import operation_of, shape
from tools.draw_routes import is_offered

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "reference" / "openapi.json"
each_route = pytest.mark.parametrize(
    "route", ROUTES + TASK_ROUTES, ids=lambda route: f"{route.method} {route.path}"
)


def test_the_document_in_the_repository_is_the_one_the_code_makes(api: Api) -> None:
    assert json.loads(DOCUMENT.read_text()) == api.document, "run: python tools/draw_openapi.py"


def test_the_api_answers_with_the_document(api: Api) -> None:
    assert api("GET", "/openapi.json").body == api.document


def test_the_document_has_every_route_of_the_tables_and_no_other(api: Api) -> None:
    documented = [(m.upper(), shape(p)) for p, item in api.document["paths"].items() for m in item]
    assert sorted(documented) == sorted((r.method, shape(r.path)) for r in ROUTES + TASK_ROUTES)


def test_no_two_paths_differ_only_in_the_names_of_their_variables(api: Api) -> None:
    paths = [shape(path) for path in api.document["paths"]]
    assert len(set(paths)) == len(paths)


@each_route
def test_every_operation_names_its_scopes(api: Api, route: Route) -> None:
    operation = operation_of(api.document, route)
    assert operation.get("x-scope") == route.scope
    assert set(operation.get("x-also", [])) == set(route.also)
    assert bool(operation["security"]) == (route.scope is not None)


@each_route
def test_every_operation_has_a_name_of_its_own_and_the_parameters_of_its_path(
    api: Api, route: Route
) -> None:
    operations = [o for item in api.document["paths"].values() for o in item.values()]
    operation = operation_of(api.document, route)
    assert [o["operationId"] for o in operations].count(operation["operationId"]) == 1
    given = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
    assert len(given) == len(set(given)) == route.path.count("{")


@each_route
def test_an_operation_that_wants_a_token_declares_the_refusals_of_api_gateway(
    api: Api, route: Route
) -> None:
    responses = operation_of(api.document, route)["responses"]
    refusals = {"429"} if route.scope is None else {"403", "429"}
    for status in refusals:
        assert "GatewayRefusal" in str(responses[status]["content"]["application/json"])
    assert ("403" in responses) == (route.scope is not None)


@each_route
def test_an_operation_with_a_name_in_its_path_declares_that_there_may_be_none(
    api: Api, route: Route
) -> None:
    statuses = operation_of(api.document, route)["responses"].keys()
    assert "404" in statuses or "{" not in route.path


@each_route
def test_an_operation_answers_501_if_and_only_if_it_is_not_offered_and_has_no_other_success(
    api: Api, route: Route
) -> None:
    statuses = operation_of(api.document, route)["responses"].keys()
    has_success = any(status.startswith("2") for status in statuses)
    assert has_success == is_offered(route)
    assert has_success or "501" in statuses


def test_every_schema_is_one_and_every_reference_leads_somewhere(api: Api) -> None:
    schemas = api.document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert references(api.document) <= {f"#/components/schemas/{name}" for name in schemas}


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()
