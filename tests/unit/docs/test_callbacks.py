"""Check and run the callbacks that the pages show, as `make lint` and RunJobs would."""

from __future__ import annotations

import logging
import subprocess
import sys
from threading import Event
from typing import Any

import pytest

from shiftwork_core.callbacks import CALLBACKS, Failure, Job, PerBlock, Retry
from tests.unit.docs.pages import PAGES, ROOT, Block, blocks

EXAMPLES = [b for page in PAGES for b in blocks(page, "python") if "@callback(" in b.text]
FOLDER = ROOT / "functions" / "run_jobs" / "callbacks"


def job(item: dict[str, Any]) -> Job:
    return Job(
        params={"customers": [item]},
        extras={},
        item=item,
        attempt=2,
        request_id="r",
        attempt_id="r.1.0.2",
        name="send[0]",
        fence=1,
        logger=logging.LoggerAdapter(logging.getLogger("test"), {}),
        stop=Event(),
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=lambda words: words[0])
def test_ruff_accepts_every_callback_of_the_pages(example: Block, command: list[str]) -> None:
    name = str(FOLDER / "invoices.py")
    words = [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", name, "-"]
    done = subprocess.run(
        words, input=example.text, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_callback_of_the_readme_does_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = (b for b in EXAMPLES if b.page.name == "README.md")
    monkeypatch.delitem(CALLBACKS, "invoices.send", raising=False)
    exec(compile(example.text, str(example), "exec"), {})
    send = CALLBACKS.pop("invoices.send")
    assert send(job({"id": "c1", "email": "ada@example.com"})) == {"c1": "sent"}
    with pytest.raises(Failure):
        send(job({"id": "c1"}))
    with pytest.raises(Retry):
        send(job({"id": "c1", "email": "ada@busy.example"}))


def test_the_callback_for_blocks_says_what_became_of_each_row() -> None:
    (example,) = (b for b in EXAMPLES if b.page.name == "targets.md" and "block=True" in b.text)
    exec(compile(example.text, str(example), "exec"), {})
    load = CALLBACKS.pop("rows.load")
    assert isinstance(load, PerBlock)
    good, bad = load.do([job({"amount": 3}), job({})])
    assert good == {}
    assert isinstance(bad, Failure)
