"""A package of one guarded function, whose tests are as strong as the command line says."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

from tests.mutants.__main__ import main
from tests.mutants.scope import Scope

CODE = """
def may_enter(age, has_ticket):
    if age > 150:
        age = 150
    return has_ticket and age >= 18
"""
WEAK = """
from gate.keeper import may_enter

def test_grown_ups_with_tickets_enter():
    assert may_enter(30, True)
    assert not may_enter(30, False)
"""
STRONG = """
    assert may_enter(18, True)
    assert not may_enter(17, True)
"""


def write(root: Path, tests: str) -> Scope:
    """Write the package and its tests."""
    for file, text in {
        "source/gate/__init__.py": "",
        "source/gate/keeper.py": CODE,
        "checks/test_gate.py": tests,
        "pytest.ini": "[pytest]",
        "equivalent.toml": """
            [[equivalent]]
            in = "gate/keeper.may_enter"
            was = "age > 150"
            becomes = ["False", "age >= 150"]
            times = 2
            because = "at 151 one is grown up, as at 150"
        """,
    }.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return Scope(
        root=root,
        source=root / "source",
        modules=("gate/keeper.py",),
        tests=("checks",),
        equivalents=root / "equivalent.toml",
    )


if __name__ == "__main__":
    strength = WEAK + STRONG if sys.argv[2] == "strong" else WEAK
    sys.exit(main(sys.argv[3:], write(Path(sys.argv[1]), strength)))
