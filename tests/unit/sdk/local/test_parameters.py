"""Parameters as samconfig.toml writes them, and as the SAM CLI takes them."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork.local import LocalStackError
from shiftwork.local.parameters import as_options, overrides_in

SERVICES = '{"crm": "https://crm.example.com"}'


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", {}),
        ("Stage=dev LogRetentionDays=90", {"Stage": "dev", "LogRetentionDays": "90"}),
        (f"Stage=dev Services='{SERVICES}'", {"Stage": "dev", "Services": SERVICES}),
        ('JobsSweepSchedule="rate(15 minutes)"', {"JobsSweepSchedule": "rate(15 minutes)"}),
        ("AlarmEmail=", {"AlarmEmail": ""}),
        (["Stage=dev", f"Services={SERVICES}"], {"Stage": "dev", "Services": SERVICES}),
        (
            {"Alarms": False, "LeaseSeconds": 60, "FunctionTargets": ["a", "b"]},
            {"Alarms": "false", "LeaseSeconds": "60", "FunctionTargets": "a,b"},
        ),
    ],
)
def test_a_text_a_list_and_a_table_set_parameters(written: Any, expected: dict[str, str]) -> None:
    assert overrides_in(written) == expected


@pytest.mark.parametrize(
    "written",
    ["Stage", "file://dev.yaml", "ParameterKey=Stage,ParameterValue=dev", "Services='{", ["Stage"]],
)
def test_another_form_is_refused_with_the_one_to_write(written: Any) -> None:
    with pytest.raises(LocalStackError, match="parameter_overrides") as raised:
        overrides_in(written)
    assert "Stage=dev" in raised.value.next_step


def test_the_sam_cli_gets_each_value_in_quotes() -> None:
    assert as_options({"Stage": "dev", "Services": '{"a":"b c"}'}) == [
        "--parameter-overrides",
        'Stage="dev"',
        r'Services="{\"a\":\"b c\"}"',
    ]
    assert as_options({}) == []
