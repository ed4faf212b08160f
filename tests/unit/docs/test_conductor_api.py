"""Check that docs/reference/conductor-api.md names every route of the task API in its section."""

from __future__ import annotations

import pytest

from shiftwork_core.routes import TASK_ROUTES, Route, Scope
from tests.template import ROOT

PAGE = (ROOT / "docs" / "reference" / "conductor-api.md").read_text()
OFFERED, _, LEFT_OUT = PAGE.partition("## Left out")


@pytest.mark.parametrize("route", TASK_ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_every_route_is_named_where_it_belongs(route: Route) -> None:
    path = route.path.replace("{*", "{")
    is_left_out = Scope.SUBMIT in route.also
    if is_left_out and path.startswith("/api/metadata/workflow"):
        assert f"`{path}`" in LEFT_OUT
    elif path == "/v1/tasks/exchange":
        assert f"`{route.method} {path}`" in PAGE
    else:
        assert f"`{route.method} {path}`" in (LEFT_OUT if is_left_out else OFFERED)
