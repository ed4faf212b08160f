"""openapi.json is complete and valid, and the file in docs is the one that the code makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from shiftwork_core.routes import ROUTES
from tests.unit.functions.api.conftest import Api

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "reference" / "openapi.json"


def test_the_document_in_the_repository_is_the_one_the_code_makes(api: Api) -> None:
    assert json.loads(DOCUMENT.read_text()) == api.document, "run: python tools/draw_openapi.py"


def test_the_api_answers_with_the_document(api: Api) -> None:
    assert api("GET", "/openapi.json").body == api.document


def test_the_document_has_every_route_of_the_table_and_no_other(api: Api) -> None:
    documented = {(m.upper(), p) for p, item in api.document["paths"].items() for m in item}
    assert documented == {(route.method, route.path) for route in ROUTES}


def test_every_operation_names_its_scope(api: Api) -> None:
    for route in ROUTES:
        operation = api.document["paths"][route.path][route.method.lower()]
        assert operation.get("x-scope") == route.scope
        assert bool(operation["security"]) == (route.scope is not None)


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
