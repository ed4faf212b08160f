"""Compare docs/reference/worker-record.md with the record's fields, statuses and intervals."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType

from shiftwork_core.domain.workers.tokens import REGISTRATION_LIFETIME, WORKER_LIFETIME
from shiftwork_core.domain.workers.workers import Liveness, WorkerStatus
from tests.template import ROOT, load_template

PAGE = (ROOT / "docs" / "reference" / "worker-record.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(title: str) -> list[str]:
    """Return the texts between backticks in the first column of a section's table."""
    rows = [line.split("|")[1] for line in section(title).splitlines() if line.startswith("|")]
    return [code for cell in rows for code in re.findall(r"`([^`]+)`", cell)]


def test_the_fields_are_those_of_the_answer(import_app: Callable[[str], ModuleType]) -> None:
    answer = import_app("api").worker_routes.WorkerAnswer
    assert sorted(first_cells("Fields")) == sorted(answer.model_fields)


def test_the_page_has_every_status() -> None:
    assert first_cells("Status") == [status.value for status in WorkerStatus]


def test_the_filters_are_those_of_the_route(import_app: Callable[[str], ModuleType]) -> None:
    app = import_app("api")
    operation = app.openapi_document.build(app.app)["paths"]["/v1/workers"]["get"]
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert set(first_cells("Lists")) == names - {"limit", "next_token"}


def test_the_intervals_are_those_of_the_code() -> None:
    rules = Liveness()
    defaults = {name: p["Default"] for name, p in load_template()["Parameters"].items()}
    assert rules.offline_after == timedelta(seconds=defaults["WorkerOfflineSeconds"])
    assert rules.kept == timedelta(days=defaults["WorkerRetentionDays"])
    assert f"`WorkerOfflineSeconds` ({rules.offline_after.seconds})" in PAGE
    assert f"`WorkerRetentionDays` ({rules.kept.days})" in PAGE
    assert f"1 every {rules.seen_every.seconds} s while nothing changes" in PAGE
    assert f'"check_in_s": {rules.seen_every.seconds}' in PAGE
    assert f"once, for {REGISTRATION_LIFETIME.seconds // 60} minute" in PAGE
    assert f"good for {WORKER_LIFETIME.seconds // 60} minutes" in PAGE
    assert f"| {WORKER_LIFETIME.seconds // 60} minutes, renewed by refresh |" in PAGE
