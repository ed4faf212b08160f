"""Test what is said where `shiftwork` is not on the path."""

from __future__ import annotations

import pytest

from shiftwork.cli.render.output import Output


@pytest.mark.parametrize(("found", "lines"), [(None, 3), ("/usr/bin/shiftwork", 2)])
def test_suggestions_begin_with_the_activation_where_it_is_missing(
    found: str | None,
    lines: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: found)
    Output().suggestions([("shiftwork down", "stop the stack")])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == lines
    assert shown[1].endswith("put shiftwork on your path") == (found is None)
    assert shown[-1].split() == ["shiftwork", "down", "stop", "the", "stack"]
