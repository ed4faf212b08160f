"""The page on the Python client: its calls are the code's, and its examples run."""

from __future__ import annotations

import ast
import asyncio
import io
from contextlib import redirect_stdout
from functools import partial

import httpx2
import pytest

from shiftwork.api import async_client, client
from shiftwork_core.callbacks import Job, callback
from tests.unit.docs.pages import blocks
from tests.unit.docs.reader import Reader, reader  # noqa: F401  (a fixture)
from tests.unit.functions.api.conftest import Api, api, request_ids, world  # noqa: F401  (fixtures)
from tests.unit.sdk.transports import FakeTransport
from tools import draw_client

URL = "http://api.test"


def test_the_calls_are_those_of_the_client() -> None:
    assert draw_client.PAGE.read_text() == draw_client.page(), "run: python tools/draw_client.py"


def test_every_call_is_under_a_heading_and_says_what_it_does() -> None:
    text = draw_client.drawn()
    found = list(draw_client.calls())
    assert len(found) > 50
    for module, name, function in found:
        assert module in draw_client._HEADINGS
        assert f"```text\n{name}(" in text
        assert function.__doc__


def test_the_examples_run(
    reader: Reader,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @callback("greet.one")
    def greet(job: Job) -> dict[str, object]:
        return {str(job.item): f"hello {job.item}"}

    reader.api.world.job_type("greet.one")
    schema = {"properties": {"who": {"type": "array"}}, "required": ["who"]}
    entry = {"name": "greet", "type": "greet.one", "for_each": "params.who"}
    steps = [{"name": "greet", "jobs": [entry]}]
    reader.api("PUT", "/v1/request-types/greet", {"params": schema, "steps": steps})
    blocking = partial(client.ShiftworkClient, URL, "t", transport=FakeTransport(reader.send))

    async def answer(request: httpx2.Request) -> httpx2.Response:
        return await asyncio.to_thread(reader.send, request)

    transport = httpx2.MockTransport(answer)
    waiting = partial(async_client.AsyncShiftworkClient, URL, "t", transport=transport)
    monkeypatch.setattr(client, "ShiftworkClient", blocking)
    monkeypatch.setattr(async_client, "AsyncShiftworkClient", waiting)
    names: dict[str, object] = {}
    with redirect_stdout(io.StringIO()) as said:
        for block in blocks(draw_client.PAGE, "python"):
            code = compile("from __future__ import annotations\n" + block.text, str(block), "exec")
            exec(code, names)
    lines = said.getvalue().splitlines()
    assert lines[0].endswith("Queuing")
    assert lines[1] == "{'ada': 'hello ada'}"
    assert "greet[0] {'ada': 'hello ada'}" in lines
    assert any("whom: is not in the schema; did you mean who?" in line for line in lines)
    assert lines[-1] == "[{'ada': 'hello ada'}]"


def test_every_call_that_the_prose_and_the_examples_name_exists() -> None:
    known = {name for _, name, _ in draw_client.calls()}
    for block in blocks(draw_client.PAGE, "python"):
        for node in ast.walk(ast.parse(block.text)):
            match node:
                case ast.Attribute(value=ast.Name(id="client"), attr=name):
                    assert name in known, block
