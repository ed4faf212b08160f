"""Files of KEY=value lines: what is read, and who can read them."""

from __future__ import annotations

import stat
from pathlib import Path

from shiftwork.api.env_file import read_env_file, write_env_file


def test_only_the_owner_can_read_the_token_file(tmp_path: Path) -> None:
    path = tmp_path / "local.env"
    path.touch(mode=0o644)
    values = {"SHIFTWORK_URL": "http://127.0.0.1:4566/a?b=c", "SHIFTWORK_TOKEN": "x-_"}
    write_env_file(path, values)
    assert read_env_file(path) == values
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_env_file(tmp_path / "nothing.env") == {}


def test_blanks_comments_and_other_lines_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "local.env"
    path.write_text("# A=1\n\n  B = 2 \nnothing\nC=3=4\n")
    assert read_env_file(path) == {"B": "2", "C": "3=4"}
