"""Test how the command line writes times."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from shiftwork.cli.render import local_time
from tests.unit.sdk.fake_workspaces import NOW, ZONE

BERLIN = ZoneInfo(ZONE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-26T19:00:00Z", "20:00"),
        ("2026-11-27T07:00:00Z", "Fri 08:00"),
        ("2026-12-03T07:00:00Z", "3 Dec 08:00"),
        ("2026-11-25T07:00:00Z", "25 Nov 08:00"),
        ("2027-01-04T07:00:00Z", "4 Jan 2027"),
    ],
)
def test_a_time_is_as_brief_as_it_can_be_without_ambiguity(text: str, shown: str) -> None:
    assert local_time.clock(datetime.fromisoformat(text), BERLIN, NOW) == shown


def test_a_full_time_has_its_year_only_if_it_is_another() -> None:
    later = datetime.fromisoformat("2027-01-04T07:00:00Z")
    assert local_time.full(later, BERLIN, NOW) == "Mon  4 Jan 2027 08:00, in 38 d 19 h"
    assert local_time.full(NOW, BERLIN, NOW) == "Thu 26 Nov 12:13, now"


def test_the_times_in_a_text_are_shown_as_local_times() -> None:
    text = "until 2026-11-26T19:00:00.000Z, or 2026-12-01T00:00:00Z"
    told = local_time.localised(text, BERLIN, NOW)
    assert told == "until Thu 26 Nov 20:00, or Tue  1 Dec 01:00"


def test_the_zone_of_this_machine_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert str(local_time.zone()) == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "Nowhere/Land")
    assert local_time.zone().utcoffset(NOW) is not None
    monkeypatch.delenv("TZ")
    assert local_time.zone().utcoffset(NOW) is not None
