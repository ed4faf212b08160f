"""State machines of releases before: their executions may run when a deployment replaces them."""

from pathlib import Path

RELEASE_BEFORE = Path(__file__).parent / "run_request.2026-11.asl.yaml"
