"""Know what is particular to ministack, the emulator that we start.

Another emulator is another file like this one, for which tests/contract/dev/test_emulator.py holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from shiftwork.local import tools
from shiftwork.local.reporting import Report

#: Answers with 200 once it serves.
HEALTH_PATH = "/_ministack/health"


def command(tree: Path, cache: Path, report: Report) -> list[str]:
    """Return the command that runs it; install it if need be."""
    python = tools.environment(tree, cache, "emulator", report) / "python"
    # -P: modules beside the script must not shadow others of the same name.
    return [str(python), "-P", str(Path(__file__).with_name("run_ministack.py"))]


def environment(port: int) -> dict[str, str]:
    """Return the variables that have it serve on a port of this machine, and nowhere else."""
    return {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        # This feature would listen on all addresses.
        "IOT_MTLS_ENABLED": "0",
    }


def api_urls(endpoint: str, api: str) -> Iterator[str]:
    """Yield the addresses where it, or another emulator, may serve an HTTP API."""
    yield f"{endpoint}/_aws/execute-api/{api}"
    yield f"{endpoint}/_aws/execute-api/{api}/$default"


def adapt(tree: Path, built: Path) -> None:
    """Convert the built template's state machines to JSON: it reads no YAML there."""
    template = built.read_text()
    for file in sorted((tree / "statemachines").glob("*.asl.yaml")):
        as_json = built.parent / file.with_suffix(".json").name
        as_json.write_text(json.dumps(yaml.safe_load(file.read_text())))
        template = template.replace(os.path.relpath(file, built.parent), as_json.name)
    built.write_text(template)
