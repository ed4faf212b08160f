"""tools/check_sizes.py names what exceeds a bound, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import check_sizes
from tools.check_sizes import MAX_DEPTH, MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS

GOOD = '''\
"""A module."""


class Shop:
    def __init__(self, a, b, c, *, d, e, f):
        self.all = [a, b, c, d, e, f]

    def sell(self):
        for one in self.all:
            if one:
                with one:
                    one.sell()
'''


def faults(source: str) -> list[tuple[int, str]]:
    return list(check_sizes.faults_of(source))


def function(lines: int, comment: str = "") -> str:
    """Return a function of so many lines."""
    return f"def work():{comment}\n" + "    x = 1\n" * (lines - 1)


def nested(depth: int) -> str:
    """Return a function whose innermost statement is in so many blocks."""
    blocks = "".join(f"{'    ' * (level + 1)}if x:\n" for level in range(depth))
    return f"def work():\n{blocks}{'    ' * (depth + 1)}x = 1\n"


def constructor(parameters: int) -> str:
    names = ", ".join(f"p{number}" for number in range(parameters))
    return f"class A:\n    def __init__(self, *, {names}):\n        pass\n"


def test_a_module_within_all_bounds_passes() -> None:
    assert faults(GOOD) == []


def test_the_bounds_themselves_are_allowed() -> None:
    for source in (
        "x = 1\n" * MAX_FILE_LINES,
        function(MAX_FUNCTION_LINES),
        nested(MAX_DEPTH),
        constructor(MAX_PARAMETERS),
    ):
        assert faults(source) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("x = 1\n" * (MAX_FILE_LINES + 1), (1, "the file has 401 lines of at most 400")),
        (function(MAX_FUNCTION_LINES + 1), (1, "work has 51 lines of at most 50")),
        (nested(MAX_DEPTH + 1), (1, "work is nested 4 blocks deep, 3 are the most")),
        (
            constructor(MAX_PARAMETERS + 1),
            (2, "the constructor has 7 parameters of at most 6"),
        ),
    ],
    ids=["file", "function", "depth", "constructor"],
)
def test_one_more_than_a_bound_is_a_fault(source: str, fault: tuple[int, str]) -> None:
    assert faults(source) == [fault]


def test_other_functions_may_have_more_parameters_than_a_constructor() -> None:
    assert faults(constructor(MAX_PARAMETERS + 1).replace("__init__", "build")) == []


def test_an_elif_is_as_deep_as_its_if() -> None:
    chain = "def work():\n    if a:\n        x = 1\n" + "    elif b:\n        x = 2\n" * 9
    assert faults(chain) == []


@pytest.mark.parametrize(
    "outer",
    [
        "    for a in b:\n",
        "    with a:\n",
        "    if a:\n        pass\n    else:\n        z = 1\n",
        "    try:\n        pass\n    except E:\n",
        "    try:\n        pass\n    finally:\n",
    ],
)
def test_every_kind_of_block_counts(outer: str) -> None:
    inner = "        if x:\n            if x:\n                if x:\n                    y = 1\n"
    assert len(faults(f"def work():\n{outer}{inner}")) == 1


def test_the_cases_of_a_match_are_as_deep_as_one_block() -> None:
    case = "def work():\n    match a:\n        case 1:\n            if x:\n                if x:\n"
    assert faults(f"{case}{'    ' * 5}y = 1\n") == []
    assert len(faults(f"{case}{'    ' * 5}if x:\n{'    ' * 6}y = 1\n")) == 1


def test_a_reason_on_the_line_excuses_a_function_but_not_its_file() -> None:
    long = function(MAX_FUNCTION_LINES + 1, "  # long: one table, read from top to bottom")
    assert faults(long) == []
    assert len(faults("x = 1\n" * MAX_FILE_LINES + long)) == 1


def test_a_reason_on_the_first_line_excuses_the_file_only() -> None:
    lines = "x = 1  # long: drawn by a tool\n" + "x = 1\n" * MAX_FILE_LINES
    assert faults(lines) == []
    assert len(faults(lines + function(MAX_FUNCTION_LINES + 1))) == 1


def test_an_empty_reason_excuses_nothing() -> None:
    assert len(faults(function(MAX_FUNCTION_LINES + 1, "  # long: "))) == 1


def test_the_command_prints_each_fault_with_its_place_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_sizes, "ROOT", tmp_path)
    for folder in check_sizes.PRODUCT:
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tools" / "good.py").write_text(GOOD)
    assert check_sizes.main() == 0
    assert capsys.readouterr().out == ""

    (tmp_path / "sdk" / "bad.py").write_text(constructor(MAX_PARAMETERS + 1))
    assert check_sizes.main() == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "sdk/bad.py:2: the constructor has 7 parameters of at most 6"
    assert printed[1].startswith("1 too long or too deep")
