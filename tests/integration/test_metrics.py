"""GET /metrics of the running stack: promtool accepts it, and what has happened is in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from shiftwork_core.domain.metrics.catalogue import COUNTERS, GAUGES, HISTOGRAMS, PREFIX
from tests.integration.conftest import token_of
from tests.integration.lab import Lab, job, until
from tests.unit.docs.prometheus_queries import ALERTS, of_alerts, of_dashboard
from tools import get_promtool


def scrape(token: str, accept: str) -> httpx2.Response:
    return httpx2.get(
        f"{os.environ['SHIFTWORK_URL']}/metrics",
        headers={"Authorization": f"Bearer {token}", "Accept": accept},
        timeout=30,
    )


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Return promtool. CI has Debian's packages, so there it must be had."""
    try:
        return get_promtool.find()
    except get_promtool.NoPromtoolError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def text(lab: Lab) -> str:
    """Return a scrape in which a request of its own is counted as completed."""
    name = lab.define([job("one", "note")])
    lab.ended(lab.api.submit(name)["request_id"])
    wanted = f'{PREFIX}requests_total{{status="Completed",type="{name}"}} 1.0\n'

    def counted() -> str | None:
        answer = scrape(token_of("read"), "text/plain")
        assert answer.status_code == 200
        return answer.text if wanted in answer.text else None

    return until(counted, "the request is counted")


def test_promtool_accepts_a_scrape(text: str, promtool: Path) -> None:
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_promtool_would_complain(promtool: Path) -> None:
    """It reads its input, and says what is wrong with names."""
    bad = "# HELP requests_total_ms Many.\n# TYPE requests_total_ms counter\nrequests_total_ms 1\n"
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=bad, capture_output=True, text=True, check=False
    )
    assert checked.returncode != 0
    assert "requests_total_ms" in checked.stdout + checked.stderr


def test_a_scrape_has_every_metric(text: str) -> None:
    families: dict[str, Metric] = {family.name: family for family in prometheus(text)}
    expected = {
        *(PREFIX + counter.name for counter in COUNTERS),
        *(PREFIX + gauge.name for gauge in GAUGES.values()),
        *(f"{PREFIX}{metric.name}_seconds" for metric in HISTOGRAMS),
    }
    assert set(families) == expected
    measured = {metric.name for metric in GAUGES.values()}
    for name in measured - {"queue_jobs", "queue_oldest_seconds"}:
        assert families[f"{PREFIX}{name}"].samples, name


def test_requests_are_counted_as_they_went_and_a_rebuild_counts_the_same(lab: Lab) -> None:
    name = lab.define([job("one", "flaky", failures=1, delay_s=0.1)], [job("two", "note")])
    failing = lab.define([job("one", "fail")])
    for _ in range(3):
        lab.ended(lab.api.submit(name)["request_id"])
    failed = lab.api.submit(failing)["request_id"]
    lab.ended(failed)
    lab.api.retry(failed)
    lab.ended(failed)
    expected = {
        f'requests_total{{status="Queuing",type="{name}"}} 3.0',
        f'requests_total{{status="Completed",type="{name}"}} 3.0',
        f'steps_total{{status="completed",type="{name}"}} 6.0',
        f'request_duration_seconds_count{{type="{name}"}} 3.0',
        f'requests_total{{status="Failed",type="{failing}"}} 2.0',
        f'request_retries_total{{type="{failing}"}} 1.0',
    }

    def missing() -> set[str]:
        lines = set(scrape(token_of("read"), "text/plain").text.splitlines())
        return {line for line in expected if PREFIX + line not in lines}

    until(lambda: not missing(), "what happened is counted")
    before = lab.api.rebuild_counters()
    assert before["status"] != "none"

    def is_over() -> bool:
        lab.invoke("MeasurePlatform", {})  # It goes on with a rebuild each minute.
        return lab.api.rebuild_progress()["since"] != before["since"]

    until(is_over, "the rebuild is over")
    assert missing() == set()


def test_openmetrics_is_answered_when_it_is_asked_for() -> None:
    answer = scrape(token_of("read"), "application/openmetrics-text;version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families: list[Metric] = [*openmetrics(answer.text)]  # type: ignore[no-untyped-call]
    assert f"{PREFIX}workers" in {family.name for family in families}


def test_a_token_without_the_scope_may_not_look() -> None:
    assert scrape(token_of("submit"), "").status_code == 403


def test_promtool_accepts_the_alerts_and_every_query_of_the_dashboard(
    promtool: Path, tmp_path: Path
) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.as_rule()}
        for number, query in enumerate(of_dashboard())
    ]
    queries = tmp_path / "queries.yml"
    queries.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    for file, count in ((queries, len(rules)), (ALERTS, len(of_alerts()))):
        checked = subprocess.run(
            [promtool, "check", "rules", file], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
        assert f"SUCCESS: {count} rules found" in checked.stdout


SINCE = "shiftwork_counters_since_timestamp_seconds"
NO_REBUILD = f"{SINCE} 1000"
#: For each alert a series that makes it fire, one that does not, and after how many minutes.
#: `0+2x120` is 0 and grows by two a minute, 120 times.
FIRING: dict[str, tuple[str, str, int]] = {
    "ShiftworkNotScraped": ("shiftwork_workers", "shiftwork_info", 6),
    "ShiftworkRequestsStuck": ('shiftwork_stuck_requests{lane="new-requests"} 1', "... 0", 4),
    "ShiftworkRequestsFail": (
        'shiftwork_requests_total{status="Failed",type="t"} 0+2x120',
        'shiftwork_requests_total{status="Completed",type="t"} 0+2x120',
        75,
    ),
    "ShiftworkQueueWaits": ('shiftwork_queue_oldest_seconds{type="t"} 901', "... 900", 6),
    "ShiftworkDeadLetters": ('shiftwork_dead_letters{queue="wake"} 1', "... 0", 1),
    "ShiftworkWorkersLost": ("shiftwork_lost_workers 1", "... 0", 3),
    "ShiftworkSwitchesLate": ("shiftwork_late_switch_seconds 301", "... 300", 4),
    "ShiftworkCountersBehind": ('shiftwork_stream_lag_seconds{table="jobs"} 601', "... 600", 6),
    "ShiftworkCountersUnreadable": ("shiftwork_counters_up 0", "... 1", 11),
    "ShiftworkCountersGap": ('shiftwork_counters_gap{table="jobs"} 1', "... 0", 16),
}


def rule_test(alert: str, given: list[str], minutes: int, *, fires: bool) -> dict[str, Any]:
    """Return a test of an alert in the words of `promtool test rules`."""
    series = []
    for one in given:
        name, _, values = one.partition(" ")
        constant = f"{values or 1}+0x120"
        series.append({"series": name, "values": values if "x" in values else constant})
    condition = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    expected = [{"labels": "{}", "value": int(fires)}]
    return {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {"expr": condition, "eval_time": f"{minutes}m", "exp_samples": expected}
        ],
    }


def test_each_alert_fires_when_it_should_and_not_before(promtool: Path, tmp_path: Path) -> None:
    assert [*FIRING] == [alert.name for alert in of_alerts()]
    tests = []
    for alert, (bad, good, minutes) in FIRING.items():
        good = good.replace("...", bad.rpartition(" ")[0])
        tests.append(rule_test(alert, [bad, NO_REBUILD], minutes, fires=True))
        tests.append(rule_test(alert, [good, NO_REBUILD], minutes, fires=False))
    check_rules(promtool, tmp_path, tests)


FAILED = 'shiftwork_requests_total{status="Failed",type="t"}'
COMPLETED = 'shiftwork_requests_total{status="Completed",type="t"}'


def test_a_rebuild_fires_nothing_and_later_failures_do(promtool: Path, tmp_path: Path) -> None:
    """Rows have expired, so totals fall, and increase() takes what is left for new."""
    lower = [f"{FAILED} 20000+0x59 19900+0x60", f"{COMPLETED} 40000+2x59 39900+2x60"]
    rebuilt = f"{SINCE} 1000+0x59 9000+0x60"
    alert = "ShiftworkRequestsFail"
    tests = [rule_test(alert, [*lower, rebuilt], minute, fires=False) for minute in range(55, 120)]
    # It is the guard that keeps it silent.
    tests.append(rule_test(alert, [*lower, NO_REBUILD], 65, fires=True))
    failing = [f"{FAILED} 20000+0x59 19900+2x60", f"{COMPLETED} 40000+0x59 39900+0x60"]
    tests.append(rule_test(alert, [*failing, rebuilt], 80, fires=True))
    check_rules(promtool, tmp_path, tests)


def check_rules(promtool: Path, tmp_path: Path, tests: list[dict[str, Any]]) -> None:
    file = tmp_path / "alerts_test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": tests}))
    checked = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
