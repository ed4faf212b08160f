"""Find the files of the platform: the template, the state machines, the functions."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE_MACHINE = ROOT / "statemachines" / "run_request.asl.yaml"
