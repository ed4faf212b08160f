"""A path that is known answers a wrong method with the right ones, whichever function has it."""

from __future__ import annotations

import re

import pytest

from shiftwork_core.routes import ROUTES, TASK_ROUTES
from shiftwork_platform.gateway import Gateway

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD")
#: The methods of each path, written with names that are nobody's.
PATHS: dict[str, set[str]] = {}
for route in ROUTES + TASK_ROUTES:
    methods = PATHS.setdefault(re.sub(r"\{[^}]*\}", "nobody", route.path), set())
    methods |= {route.method, *(["HEAD"] if route in ROUTES and route.method == "GET" else [])}
ADMIN = {"Authorization": "Bearer a-token"}


@pytest.mark.parametrize("path", PATHS)
def test_a_known_path_with_a_wrong_method_is_405_and_names_the_right_ones(
    gateway: Gateway, path: str
) -> None:
    wrong = [method for method in METHODS if method not in PATHS[path]]
    assert len(wrong) >= 3
    for method in wrong:
        answer = gateway(method, path, headers=ADMIN)
        assert answer.status == 405, (method, answer)
        assert set(answer.headers["Allow"].split(", ")) == PATHS[path], method


def test_an_unknown_path_is_404_whatever_the_method(gateway: Gateway) -> None:
    for path in (
        "/nowhere",
        "/v1/tasks",
        "/v1/tasks/exchange/x",
        "/api/nowhere",
        "/api/tasks/a/b/c/d",
    ):
        for method in METHODS:
            assert gateway(method, path, headers=ADMIN).status == 404
