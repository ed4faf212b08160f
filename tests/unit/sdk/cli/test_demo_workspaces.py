"""Test `shiftwork demo-workspaces`: its windows, its definitions, and when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shiftwork.api.errors import ShiftworkError
from shiftwork.cli.demos import workspaces as demo_workspaces
from shiftwork.cli.demos.workspaces import HAND, LAB, LATE, OFFICE, Demo, Timetable
from shiftwork.cli.render.output import Output
from tests.unit.sdk.fake_api import FakeApi


@pytest.mark.parametrize("second", [0, 1, 29, 39, 40, 41, 59])
def test_the_window_begins_at_a_full_minute_that_is_soon_but_not_too_soon(second: int) -> None:
    now = datetime(2026, 12, 31, 23, 58, second, 5, UTC)
    table = Timetable.after(now)
    assert timedelta(seconds=20) < table.begin - now <= timedelta(seconds=80)
    assert (table.begin.second, table.begin.microsecond) == (0, 0)
    assert table.end - table.begin == timedelta(minutes=1)
    assert table.begin < table.on_until < table.end


def test_three_workspaces_are_instances_and_one_is_the_demos_own_service() -> None:
    table = Timetable.after(datetime(2026, 1, 1, 9, 5, tzinfo=UTC))
    found: dict[str, Any] = table.definitions(["i-1", "i-2", "i-3"])
    drivers = {name: body["driver"] for name, body in found.items()}
    ids = {name: drivers[name].get("instance_ids") for name in found}
    assert ids == {OFFICE: ["i-1"], LATE: ["i-2"], HAND: ["i-3"], LAB: None}
    assert drivers[LAB]["service"] == demo_workspaces.SERVICE
    [window] = found[OFFICE]["schedule"]["windows"]
    assert window == {"start": "CRON_TZ=UTC 6 9 * * *", "stop": "CRON_TZ=UTC 7 9 * * *"}


@pytest.mark.parametrize("services", [None, "{}", '{"crm": "http://127.0.0.1:1"}'])
def test_without_the_service_the_error_says_how_to_start_the_demo(services: str | None) -> None:
    with (
        pytest.raises(ShiftworkError, match="knows no service") as raised,
        demo_workspaces.lab_server(services),
    ):
        pass
    assert raised.value.next_step == "Start the demo with: make demo-workspaces"


def test_it_ends_when_every_workspace_has_started_and_stopped(api: FakeApi) -> None:
    demo = Demo(api.client(), Output())
    demo.passed_states = {
        OFFICE: ["unknown", "stopped", "running", "stopped"],
        LAB: ["unknown", "stopped", "running"],
        HAND: ["unknown", "stopped"],
    }
    assert demo.unfinished() == [LAB, HAND]
    demo.passed_states = {OFFICE: ["stopped", "running", "stopped"]}
    assert demo.watch(0.0)
