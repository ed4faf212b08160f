"""The pytest plugin: the fixture `engine`, and the history of its requests when a test fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from shiftwork_platform.project import Project
    from shiftwork_platform.testing.engine import Engine


@pytest.fixture(scope="session")
def shiftwork_project(pytestconfig: pytest.Config) -> Project:
    """Return the project whose tests these are; its callbacks are imported."""
    from shiftwork_platform import project

    found = project.find(pytestconfig.rootpath)
    found.load_callbacks()
    return found


@pytest.fixture
def engine(shiftwork_project: Project) -> Iterator[Engine]:
    """Return an engine with the project's definitions and callbacks, in virtual time."""
    from shiftwork import definition_files
    from shiftwork_platform.testing.engine import Engine

    engine = Engine(definition_files.read(shiftwork_project.definitions))
    yield engine
    engine.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failed test what became of its requests."""
    report = yield
    engine = getattr(item, "funcargs", {}).get("engine")
    if engine is not None and report.when == "call" and report.failed:
        report.sections.append(("what became of its requests", engine.history()))
    return report
