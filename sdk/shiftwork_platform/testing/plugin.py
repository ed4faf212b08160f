"""The pytest plugin: the fixture `engine`, and the history of its requests when a test fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from shiftwork.definition_files import Definition
    from shiftwork_platform.project import Project
    from shiftwork_platform.testing.engine import Engine


@pytest.fixture(scope="session")
def shiftwork_project(pytestconfig: pytest.Config) -> Project:
    """Return the project whose tests these are; its callbacks are imported."""
    from shiftwork_platform import project

    # pytest's root may lie above the project, if a folder there has settings of its own.
    root, start = pytestconfig.rootpath, pytestconfig.invocation_params.dir
    try:
        found = project.find(start if start.is_relative_to(root) else root)
    except project.NoProject as error:
        pytest.fail(f"{error.message}\n{error.next_step}", pytrace=False)
    found.load_callbacks()
    return found


@pytest.fixture(scope="session")
def shiftwork_definitions(shiftwork_project: Project) -> list[Definition]:
    """Return the definitions of the project; tests that use them fail if they have faults."""
    from shiftwork import definition_files
    from shiftwork.api.errors import BadDefinitions
    from shiftwork_platform import checking

    try:
        found = definition_files.read(shiftwork_project.definitions)
        faults = checking.faults_of(found, shiftwork_project.addresses, is_whole=True)
    except BadDefinitions as error:
        faults = error.faults
    if faults:
        lines = "\n".join(map(str, faults))
        pytest.fail(f"the project's definitions have faults:\n{lines}", pytrace=False)
    return found


@pytest.fixture
def engine(shiftwork_definitions: list[Definition]) -> Iterator[Engine]:
    """Return an engine with the project's definitions and callbacks, in virtual time."""
    from shiftwork_platform.testing.engine import Engine

    engine = Engine(shiftwork_definitions)
    yield engine
    engine.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failed test what became of its requests."""
    report = yield
    engine = getattr(item, "funcargs", {}).get("engine")
    if engine is not None and engine.requests and report.when == "call" and report.failed:
        report.sections.append(("what became of its requests", engine.history()))
    return report
