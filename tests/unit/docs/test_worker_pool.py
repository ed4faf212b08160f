"""Run the blocks of docs/reference/worker-pool.md, and compare its tables with the code."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import re
import signal
from collections.abc import Iterator
from typing import Any, get_args

import pytest

import shiftwork.worker
from shiftwork.worker import (
    ExecutionStatus,
    WorkerContext,
    WorkerExecution,
    WorkerPool,
    metrics,
    supervisor,
)
from tests.unit.docs.pages import ROOT, blocks, inline_code

PAGE = ROOT / "docs" / "reference" / "worker-pool.md"


@pytest.fixture
def restored() -> Iterator[None]:
    """Leave the process's handlers as they were."""
    library, on_sigterm = logging.getLogger("library"), signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, on_sigterm)
    library.handlers.clear()


def rows(heading: str) -> dict[str, str]:
    """Return the first and the second cells of a table that begins with this heading."""
    table = PAGE.read_text().partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    cells = (line.strip("| ").split(" | ") for line in table.splitlines()[2:])
    return {first: rest[0] if rest else "" for first, *rest in cells}


@pytest.mark.usefixtures("restored")
def test_every_block_runs_and_prints_what_the_page_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, Any] = {"__name__": "worker_pool_page"}
    found = [*blocks(PAGE)]
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.language != "python":
            assert block.language == "text"
            continue
        exec(compile(block.text, str(block), "exec"), names)
        printed = capsys.readouterr().out
        assert printed == (after.text if after and after.language == "text" else ""), block


def test_the_options_of_the_page_are_those_of_the_pool() -> None:
    parameters = inspect.signature(WorkerPool).parameters
    options = {
        name.strip("`"): default.strip("`")
        for name, default in rows("option of `WorkerPool`").items()
    }
    assert set(options) == set(parameters)
    for name in ("deferred_start_threshold", "max_executions_attempts", "middlewares"):
        assert options[name] == repr(parameters[name].default)
    assert options["logger"] == parameters["logger"].default.name


def test_the_page_names_every_method_of_a_pool_and_of_a_context() -> None:
    code = {name.partition("(")[0] for name in inline_code(PAGE)}
    public = {name for name in dir(WorkerPool) if not name.startswith("_")}
    ctx = {name for name in dir(WorkerContext) if not name.startswith("_")}
    ctx |= set(inspect.signature(WorkerContext).parameters) - {"services"} | {"logger"}
    report = {field.name for field in dataclasses.fields(WorkerExecution)}
    assert public | ctx | report <= code


def test_the_statuses_and_the_counters_are_those_of_the_code() -> None:
    text = PAGE.read_text()
    listed = re.findall(r"^\| `(\w+)` \|", text.partition("## Statuses")[2], re.MULTILINE)
    statuses = [*ExecutionStatus, *get_args(metrics.Outcome)]
    assert listed == statuses


def test_every_event_of_the_page_is_recorded_by_the_code() -> None:
    source = inspect.getsource(supervisor)
    recorded = re.findall(r'(?:_note\(|how = )f?"(\w+)', source)
    events = rows("event")
    phrases = [code for event in events for code in re.findall(r"`([^`]+)`", event)]
    assert len(phrases) > 8
    assert [phrase for phrase in phrases if phrase not in source and phrase != "s"] == []
    assert set(recorded) <= {re.findall(r"`(\w+)", event)[0] for event in events}


def test_the_page_names_what_the_package_exports_for_pools() -> None:
    text = PAGE.read_text()
    for name in ("WorkerProbe", "serve_health", "provide_metrics", "annotate_tracer_provider"):
        assert name in text and hasattr(shiftwork.worker, name)
