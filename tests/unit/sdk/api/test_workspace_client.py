"""The client's calls of workspaces: their routes and their bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import Conflict, Invalid, NotFound
from tests.unit.sdk.fake_api import TOKEN, URL, FakeApi
from tests.unit.sdk.fake_workspaces import DEFINITION, job, line, planned, workspace

MOMENT = datetime(2026, 12, 24, 22, tzinfo=UTC)


@pytest.fixture
def client(api: FakeApi) -> ShiftworkClient:
    api.workspaces.put(*(workspace(f"dev-{number}") for number in range(5)))
    api.workspaces.lives = {f"j-{number}": [job(f"j-{number}")] for number in range(5)}
    return api.client()


@pytest.mark.parametrize(
    ("call", "sent", "body"),
    [
        (lambda c: c.workspace("dev-1"), "GET /v1/workspaces/dev-1", None),
        (
            lambda c: c.put_workspace("new", DEFINITION),
            "PUT /v1/workspaces/new",
            DEFINITION,
        ),
        (lambda c: c.delete_workspace("dev-1"), "DELETE /v1/workspaces/dev-1", None),
        (lambda c: c.start_workspace("dev-1"), "POST /v1/workspaces/dev-1/start", None),
        (lambda c: c.stop_workspace("dev-1"), "POST /v1/workspaces/dev-1/stop", None),
        (
            lambda c: c.dry_run_workspace("dev-1", "stop"),
            "POST /v1/workspaces/dev-1/stop?dry_run=true",
            None,
        ),
        (
            lambda c: c.override_workspace("dev-1", "on", MOMENT),
            "PUT /v1/workspaces/dev-1/override",
            {"desired": "on", "until": "2026-12-24T22:00:00+00:00"},
        ),
        (
            lambda c: c.override_workspace(
                "dev-1", "off", MOMENT, since="2026-12-01T00:00:00Z", reason="holidays"
            ),
            "PUT /v1/workspaces/dev-1/override",
            {
                "desired": "off",
                "until": "2026-12-24T22:00:00+00:00",
                "since": "2026-12-01T00:00:00Z",
                "reason": "holidays",
            },
        ),
        (lambda c: c.clear_override("dev-1"), "DELETE /v1/workspaces/dev-1/override", None),
        (lambda c: c.report_activity("dev-1"), "POST /v1/workspaces/dev-1/activity", None),
        (
            lambda c: c.set_workspace_deadline("dev-1", MOMENT),
            "PUT /v1/workspaces/dev-1/deadline",
            {"deadline": "2026-12-24T22:00:00+00:00"},
        ),
        (lambda c: c.workspace_plan("dev-1"), "GET /v1/workspaces/dev-1/plan?days=30", None),
        (
            lambda c: c.workspace_plan("dev-1", days=7),
            "GET /v1/workspaces/dev-1/plan?days=7",
            None,
        ),
        (lambda c: c.explain_workspace("dev-1"), "GET /v1/workspaces/dev-1/explain", None),
        (lambda c: c.lifecycle_job("j-1"), "GET /v1/lifecycle-jobs/j-1", None),
        (lambda c: c.cancel_lifecycle_job("j-1"), "POST /v1/lifecycle-jobs/j-1/cancel", None),
    ],
)
def test_each_call_reaches_its_route(
    call: Callable[[ShiftworkClient], Any],
    sent: str,
    body: Any,
    api: FakeApi,
    client: ShiftworkClient,
) -> None:
    call(client)
    assert f"{api.calls[0].method} {str(api.calls[0].url).removeprefix(URL)}" == sent
    assert (api.bodies(api.calls[0].method)[0] if body else api.calls[0].content) == (body or b"")


def test_workspaces_and_jobs_are_listed_page_by_page(api: FakeApi, client: ShiftworkClient) -> None:
    assert [row["workspace_id"] for row in client.workspaces()] == [f"dev-{n}" for n in range(5)]
    assert [found["id"] for found in client.lifecycle_jobs()] == [f"j-{n}" for n in range(5)]
    assert len(api.calls) == 6


def test_the_filters_of_jobs_are_sent_with_every_page(
    api: FakeApi, client: ShiftworkClient
) -> None:
    assert len(list(client.lifecycle_jobs(workspace="dev", state="pending"))) == 5
    queries = {(c.url.params["workspace"], c.url.params["state"]) for c in api.calls}
    assert (len(api.calls), queries) == (3, {("dev", "pending")})


def test_a_plan_and_a_log_are_read(api: FakeApi, client: ShiftworkClient) -> None:
    api.workspaces.plan = [planned("2026-11-26T19:00:00Z", "stop")]
    api.workspaces.logs = {"j-1": [[line(1, "attempt 1: start"), line(2, "done")]]}
    assert [t["operation"] for t in client.workspace_plan("dev-1")["items"]] == ["stop"]
    assert [said["output"] for said in client.lifecycle_job_logs("j-1")] == [
        "attempt 1: start",
        "done",
    ]


def test_a_workspace_reads_back_as_it_was_written(client: ShiftworkClient) -> None:
    client.put_workspace("new", DEFINITION)
    assert client.workspace("new")["definition"] == DEFINITION


def test_a_name_cannot_reach_another_route(api: FakeApi, client: ShiftworkClient) -> None:
    with pytest.raises(NotFound):
        client.workspace("../requests")
    assert api.calls[0].url.raw_path == b"/stage/v1/workspaces/..%2Frequests"


def test_each_refusal_raises_its_error(api: FakeApi, client: ShiftworkClient) -> None:
    api.workspaces.put(workspace("off", "stopped"))
    with pytest.raises(Conflict, match="no stop to move"):
        client.set_workspace_deadline("off", MOMENT)
    with pytest.raises(Invalid, match="would never hold"):
        client.override_workspace("off", "on", "2020-01-01T00:00:00Z")
    with pytest.raises(NotFound):
        client.workspace("nowhere")


@pytest.mark.parametrize("switch", ["start_workspace", "stop_workspace", "cancel_lifecycle_job"])
def test_a_lost_call_is_repeated(switch: str, api: FakeApi, client: ShiftworkClient) -> None:
    api.interruptions = [httpx2.ReadTimeout("lost")]
    getattr(client, switch)("j-1" if switch == "cancel_lifecycle_job" else "dev-1")
    assert len(api.calls) == 2


def test_the_client_for_asyncio_does_the_same(api: FakeApi) -> None:
    api.workspaces.put(workspace("a"), workspace("b"), workspace("c"))

    async def names() -> list[str]:
        transport = httpx2.MockTransport(api.handle)
        async with AsyncShiftworkClient(URL, TOKEN, transport=transport) as client:
            await client.override_workspace("a", "on", MOMENT)
            return [row["workspace_id"] async for row in client.workspaces() if row["override"]]

    assert asyncio.run(names()) == ["a"]
