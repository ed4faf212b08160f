"""The code of functions in one process: each apart from the others, and from authors' code."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from shiftwork_platform.functions import FunctionCode


@pytest.fixture
def root() -> SimpleNamespace:
    """Return a composition root that knows one service."""
    settings = SimpleNamespace(services={"crm": "http://crm.test"})
    return SimpleNamespace(world=SimpleNamespace(settings=lambda: settings))


def test_a_functions_modules_have_names_of_their_own(
    root: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    authors = ModuleType("inputs")
    monkeypatch.setitem(sys.modules, "inputs", authors)
    code = FunctionCode("api", root)
    assert code.module("v1.definitions.inputs").Input is code.module("inputs").Input
    assert sys.modules["inputs"] is authors
    assert "v1" not in sys.modules or "shiftwork_function" not in sys.modules["v1"].__name__


def test_a_function_finds_the_root_that_it_is_given(root: object) -> None:
    first, other = FunctionCode("api", root), FunctionCode("api", SimpleNamespace())
    assert first.module("v1.definitions.inputs").bootstrap is root
    assert other.module("v1.definitions.inputs").bootstrap is not root


def test_a_module_that_is_named_only_when_it_is_needed_is_the_functions_own(root: object) -> None:
    app = FunctionCode("serve_tasks", root).module("app")
    routes = app.import_module("task_routes")
    assert routes.__name__.startswith("shiftwork_function_serve_tasks_")
    assert app.import_module("json") is sys.modules["json"]


def test_a_module_that_a_function_does_not_have_is_not_found(root: object) -> None:
    with pytest.raises(ModuleNotFoundError):
        FunctionCode("api", root).module("nothing")
