"""No call, right or wrong, is answered by a failure or by what openapi.json does not declare."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from shiftwork_core import bootstrap
from shiftwork_platform.gateway import Gateway
from tests.unit.functions.http.exploring import Explorer
from tests.unit.functions.http.populated import Populated, populate
from tests.world.world import World

DOCUMENT = json.loads(
    (Path(__file__).resolve().parents[4] / "docs" / "reference" / "openapi.json").read_text()
)
#: `make fuzz` sets them; with the default every boundary is tried, and a few random calls.
EXAMPLES = int(os.environ.get("SHIFTWORK_FUZZ_EXAMPLES", "4"))
SEED = int(os.environ.get("SHIFTWORK_FUZZ_SEED", "0"))
IS_DEEP = "SHIFTWORK_FUZZ_EXAMPLES" in os.environ

#: Each operation, by its id and as it is shown, with each caller that is let through to it. Those
#: that only answer 501 do so by one function.
CALLS = [
    pytest.param(operation["operationId"], caller, id=f"{method.upper()} {path} as {caller}")
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    for caller in ("admin", "worker")
    if caller == "admin" or "worker" in (operation.get("x-scope"), *operation.get("x-also", []))
    if IS_DEEP or any(status.startswith("2") for status in operation["responses"])
]


@pytest.fixture
def populated(gateway: Gateway, world: World, monkeypatch: pytest.MonkeyPatch) -> Populated:
    """Return a deployment with one of everything, whose callbacks have logged nothing."""
    logs = SimpleNamespace(filter_log_events=lambda **query: {"events": []})
    monkeypatch.setattr(bootstrap.world, "client", lambda service: logs)
    return populate(gateway, world)


def explorer(populated: Populated, caller: str, examples: int) -> Explorer:
    token = populated.tokens[caller]
    return Explorer(populated.gateway, DOCUMENT, token, populated.known, examples, SEED)


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize(("operation_id", "caller"), CALLS)
def test_no_call_makes_an_operation_fail_or_answer_what_it_does_not_declare(
    populated: Populated, operation_id: str, caller: str
) -> None:
    findings = explorer(populated, caller, EXAMPLES).explore(operation_id)
    assert findings.statuses.total() > 1
    assert not findings.faults, "\n\n".join(findings.faults.values())


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize("subject", ["requests", "workers", "workspaces"])
def test_no_sequence_of_calls_about_what_others_made_is_answered_by_what_is_not_declared(
    populated: Populated, subject: str
) -> None:
    populated.gateway.before = lambda: None  # Each call finds what those before it left.
    paths = [path for path in DOCUMENT["paths"] if path.startswith(f"/v1/{subject}")]
    findings = explorer(populated, "admin", 5 * EXAMPLES).follow_links(paths)
    assert findings.successes.total() > EXAMPLES
    assert not findings.faults, "\n\n".join(findings.faults.values())


@pytest.mark.usefixtures("unlogged")
def test_the_exploration_finds_what_is_not_declared_and_what_fails(
    populated: Populated, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = copy.deepcopy(DOCUMENT)
    del document["paths"]["/v1/workers/{worker_id}"]["get"]["responses"]["404"]
    schemas = document["components"]["schemas"]
    schemas["WorkerAnswer"]["required"].append("colour")
    whole = explorer(populated, "admin", EXAMPLES)
    found = replace(whole, document=document).explore("getWorker").faults
    assert {fault.partition(":")[0] for fault in found} == {
        "status_code_conformance",
        "response_schema_conformance",
    }
    monkeypatch.setattr(populated.world.worker_store, "get", lambda worker_id: 1 / 0)
    assert "not_a_server_error: Server error" in whole.explore("getWorker").faults
