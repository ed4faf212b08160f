"""Run the examples of docs/reference/api.md, and compare the answers with the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shiftwork_core.callbacks import CALLBACKS
from tests.unit.functions.api.conftest import Api

PAGE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "api.md"
EXAMPLE = re.compile(r"```http\n(.*?)\n```\n```json (\d+)\n(.*?)```", re.DOTALL)


@pytest.fixture
def request_ids() -> Iterator[str]:
    return iter(["0f8c6a1e-6f0b-4e51-9a53-6f3c1c5b7d10"])


def test_the_examples_answer_as_shown(api: Api) -> None:
    CALLBACKS["orders.price"] = lambda job: {job.item["id"]: f"{job.item['cents'] / 100:.2f}"}
    examples = EXAMPLE.findall(PAGE.read_text())
    assert len(examples) == PAGE.read_text().count("```http") == 10
    for call, status, shown in examples:
        head, _, body = call.partition("\n\n")
        first, *headers = head.splitlines()
        method, _, address = first.partition(" ")
        path, _, query = address.partition("?")
        answer = api(
            method,
            path,
            raw=body or None,
            query=query,
            headers=dict(line.split(": ") for line in headers),
        )
        assert (answer.status, answer.body) == (int(status), json.loads(shown)), call
        api.world.run_through()
