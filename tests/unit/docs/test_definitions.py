"""Put every definition that the pages show, and compare the reference with the API's schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shiftwork_core.adapters import expressions
from shiftwork_core.adapters.schemas import bounds, meter, patterns
from shiftwork_core.domain.requests import budgets
from tests.unit.docs.pages import PAGES, ROOT, blocks, inline_code, name_of
from tests.unit.functions.api.conftest import Api, api, request_ids, world  # noqa: F401  (fixtures)

REFERENCE = ROOT / "docs" / "reference" / "definitions.md"


def definitions(page: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the definitions of a page, each with its place."""
    for block in blocks(page, "yaml"):
        for document in yaml.safe_load_all(block.text):
            if isinstance(document, dict) and "kind" in document:
                yield f"{block} {document.get('name')}", document


WITH_DEFINITIONS = [page for page in PAGES if any(definitions(page))]


@pytest.mark.parametrize("page", WITH_DEFINITIONS, ids=name_of)
def test_every_definition_of_the_page_is_accepted(page: Path, api: Api) -> None:  # noqa: F811
    found = sorted(definitions(page), key=lambda pair: pair[1]["kind"])
    for place, document in found:  # Job types come first: request types name them.
        body = {key: value for key, value in document.items() if key not in ("kind", "name")}
        answer = api("PUT", f"/v1/{document['kind']}s/{document['name']}", body)
        assert answer.status in (200, 201), f"{place}: {answer.text}"


def test_the_reference_names_every_field(api: Api) -> None:  # noqa: F811
    schemas = api.document["components"]["schemas"]
    written = {re.split(r"\W", code)[0] for code in inline_code(REFERENCE)}
    written |= {code.rpartition(".")[2] for code in inline_code(REFERENCE)}
    for name in ("RequestTypeInput", "StepInput", "JobSpecInput", "JobTypeInput", "JobRetryInput"):
        fields = set(schemas[name]["properties"])
        assert fields <= written, name
    assert set(schemas["HttpInput"]["properties"]) <= written
    assert set(schemas["LambdaInput"]["properties"]) <= written
    for name in ("WorkerPolicyInput", "RateLimitInput"):
        assert set(schemas[name]["properties"]) <= written, name


def test_the_reference_names_every_field_of_a_workspace(api: Api) -> None:  # noqa: F811
    schemas = api.document["components"]["schemas"]
    section = REFERENCE.read_text().partition("## Workspace")[2]
    written = set(re.findall(r"\w+", section))
    parts = {"WorkspaceInput", "ScheduleInput", "WindowInput", "HolidaysInput", "QuietHoursInput"}
    parts |= {"HostsInput", "HttpCallInput", "HttpStateInput"}
    parts |= {name for name in schemas if name.endswith("DriverInput")}
    assert len(parts) > 10
    for name in parts:
        assert set(schemas[name]["properties"]) <= written, name


def test_the_reference_gives_the_true_defaults(api: Api) -> None:  # noqa: F811
    schemas = api.document["components"]["schemas"]
    rows = dict(
        re.findall(r"^\| `(\w+)` \|.*\| `?(\w+)`? \|$", REFERENCE.read_text(), re.MULTILINE)
    )
    for name in ("JobTypeInput", "JobRetryInput", "WorkerPolicyInput"):
        for field, schema in schemas[name]["properties"].items():
            if (default := schema.get("default")) is not None:
                assert rows[field] == f"{default}", field


def test_the_reference_gives_the_true_bounds_of_cost() -> None:
    section = REFERENCE.read_text().partition("## Limits")[2].partition("## Workspace")[0]
    numbers = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", section)}
    counts = {
        bounds.MAX_SUBSCHEMAS,
        bounds.MAX_APPLIED,
        bounds.MAX_APPLIED_DEPTH,
        patterns.MAX_PATTERNS,
        patterns.MAX_PATTERN_LENGTH,
        meter.MAX_CHECK_STEPS,
        expressions.MAX_EXPRESSION_DEPTH,
        budgets.MAX_STEPS,
        budgets.MAX_VALUE_NODES,
        budgets.MAX_STEP_NODES,
    }
    sizes = {budgets.MAX_VALUE_BYTES, budgets.MAX_STEP_BYTES}
    assert counts | {size // 2**20 for size in sizes} <= numbers
