"""Mutants of a small package are run, shown and listed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def run(tmp_path: Path, strength: str, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.unit.mutants.weak", str(tmp_path), strength, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_strong_tests_let_no_mutant_survive(tmp_path: Path) -> None:
    code, said = run(tmp_path, "strong")
    assert code == 0, said
    assert "4 mutants: 4 killed, 0 survived; 2 more are marked as equivalent" in said


def test_weak_tests_let_mutants_survive_and_the_command_fails(tmp_path: Path) -> None:
    code, said = run(tmp_path, "weak")
    assert code == 1
    assert "survived: gate/keeper.py:5 may_enter: has_ticket and age >= 18 -> has_ticket" in said
    assert "4 mutants: 1 killed, 3 survived" in said


def test_a_mutant_can_be_shown_and_listed(tmp_path: Path) -> None:
    code, said = run(tmp_path, "weak", "--show", "4")
    assert code == 0
    assert "-    return has_ticket and age >= 18" in said
    assert re.search(r"^\+    return \(.*\)$", said, re.MULTILINE)
    code, said = run(tmp_path, "weak", "--list", "--only", "has_ticket")
    assert code == 0
    assert "3 mutants" in said


def test_no_mutant_is_run_while_tests_are_red(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/test_red.py").write_text("def test_it():\n    assert False\n")
    code, said = run(tmp_path, "strong")
    assert code == 1
    assert "red without any mutant: checks/test_red.py::test_it" in said


def test_a_process_past_its_processor_time_is_ended() -> None:
    code = "from tests.mutants.child import allow\nallow(0.1)\nwhile True: pass"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120)
    assert ended.returncode == -signal.SIGXCPU
