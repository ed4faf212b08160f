"""Find the files of the platform: the template, the state machines, the functions."""

from __future__ import annotations

from pathlib import Path

_INSTALLED = Path(__file__).resolve().parent / "tree"
#: In a package the files lie beside this one, in a checkout at its root.
ROOT = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[2]
STATE_MACHINE = ROOT / "statemachines" / "run_request.asl.yaml"
