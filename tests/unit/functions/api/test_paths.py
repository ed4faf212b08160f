"""What is no name never reaches a store, wherever a path of the API has a name."""

from __future__ import annotations

import pytest

from shiftwork_core.routes import ROUTES, Route
from tests.unit.functions.api.conftest import Api
from tests.unit.functions.hostile_names import HOSTILE, path_with, paths_of, require_strict_keys

PLACES = paths_of(ROUTES)


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize(("route", "place"), PLACES)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_can_be_no_name_is_absent_from_every_route(
    api: Api, monkeypatch: pytest.MonkeyPatch, route: Route, place: int, text: str
) -> None:
    require_strict_keys(monkeypatch)
    path = path_with(route, place, text, {})
    # An empty body: each route checks its path first.
    answer = api(route.method, path, {} if route.method in ("POST", "PUT") else None)
    assert answer.status in (404, 405), answer.text
    assert text or answer.status != 200
    answer.text.encode()
    assert not api.has_written


@pytest.mark.parametrize("text", ["a\nb", "a\0b", "a\rb", "a\u2028b", ""])
def test_a_correlation_id_that_is_more_than_a_line_is_refused_by_name(api: Api, text: str) -> None:
    body = {"type": "sum", "params": {"numbers": [1]}, "correlation_id": text}
    answer = api("POST", "/v1/requests", body)
    assert (answer.status, list(answer.faults)) == (422, ["correlation_id"])
    assert not api.has_written


@pytest.mark.parametrize("key", ["a\nb", "a\0b", "ü", "x" * 256, ""])
def test_an_idempotency_key_that_no_header_can_hold_is_refused_by_name(api: Api, key: str) -> None:
    body = {"type": "sum", "params": {"numbers": [1]}}
    answer = api("POST", "/v1/requests", body, headers={"idempotency-key": key})
    assert (answer.status, list(answer.faults)) == (422, ["Idempotency-Key"])
    assert not api.has_written
