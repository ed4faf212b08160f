"""The services of workspaces can all be built, and nothing is imported before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date

from shiftwork_core import bootstrap
from shiftwork_core.domain.workspaces.schedules import Schedule
from tests.template import ROOT

#: Run in its own process, since a process keeps what it builds and imports.
BUILD = """
import sys
from shiftwork_core import bootstrap

late = {"cronsim", "icalendar", "shiftwork_core.services.workspaces.switch", "pydantic"}
assert not late & set(sys.modules), late & set(sys.modules)
for factory in (
    bootstrap.workspaces.service,
    bootstrap.workspaces.explainer,
    bootstrap.workspaces.scheduler,
    bootstrap.workspaces.switcher,
):
    assert factory() is factory()
assert not {"icalendar", "pydantic"} & set(sys.modules)
"""


def test_every_service_can_be_built_and_is_imported_only_then() -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT / "layers" / "core"), "AWS_DEFAULT_REGION": "eu-x-1"}
    subprocess.run([sys.executable, "-c", BUILD], env=env, check=True)


def test_workspaces_with_the_same_holidays_share_an_almanac() -> None:
    bootstrap.workspaces._almanacs.clear()
    christmas = {date(2026, 12, 25): "Christmas"}
    almanac = bootstrap.workspaces.almanac_for(Schedule(holidays=christmas))
    assert bootstrap.workspaces.almanac_for(Schedule(ttl_s=60, holidays=dict(christmas))) is almanac
    assert almanac.holiday(date(2026, 12, 25)) == "Christmas"
    assert bootstrap.workspaces.almanac_for(Schedule()).holiday(date(2026, 12, 25)) is None


def test_a_process_keeps_a_limited_number_of_almanacs() -> None:
    for number in range(250):
        bootstrap.workspaces.almanac_for(Schedule(holidays={date(2026, 1, 1): str(number)}))
    assert len(bootstrap.workspaces._almanacs) <= 100
