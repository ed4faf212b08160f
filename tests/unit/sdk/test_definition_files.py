"""Files of definitions that are no good: each fault has its place, and none ends in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftwork.api.errors import BadDefinitions
from shiftwork.definition_files import read

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind: [x]\nname: a\n", "kind is ['x']; it must be one of"),
        (f"kind: job-type\nname: a\nx: {'[' * 3000}", "it nests too deeply"),
        (f"kind: job-type\nname: a\n{BOMB}", "with what its aliases stand for it has over"),
        ("kind: job-type\nname: a\nx: &x [*x]\n", "with what its aliases stand for"),
    ],
)
def test_each_fault_is_told(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(BadDefinitions) as refused:
        read(tmp_path)
    [fault] = refused.value.faults
    assert fault.path.startswith(str(file))
    assert told in fault.message


def test_what_cannot_be_read_is_a_fault_and_what_is_hidden_is_left_out(tmp_path: Path) -> None:
    (tmp_path / ".#a.yaml").symlink_to("me@host.1:2")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(BadDefinitions) as refused:
        read(tmp_path)
    assert {Path(fault.path).name: fault.message for fault in refused.value.faults} == {
        "folder.yaml": "it cannot be read: Is a directory",
        "loop.yaml": "it cannot be read: Too many levels of symbolic links",
    }
