"""Look for known vulnerabilities in what is locked, and draw its bills of materials.

`python -m tools.supply_chain audit` exits with 0 if all packages were looked up and none has a
known vulnerability, with 1 if one has, with 2 if some could not be looked up: that is no pass.
`python -m tools.supply_chain sbom` draws what is deployed, a file for each layer, as CycloneDX.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from shiftwork.local import tools

ROOT = Path(__file__).resolve().parents[1]
LAYERS = sorted((ROOT / "layers").glob("*/requirements.txt"))
LOCKS = [*LAYERS, *sorted((ROOT / "requirements").glob("*.txt"))]
CACHE = ROOT / ".shiftwork"


class Verdict(NamedTuple):
    """What is known of the packages of a lock."""

    audited: int
    #: A line for each known vulnerability.
    vulnerable: list[str]
    #: The packages that could not be looked up.
    unknown: list[str]

    @property
    def is_whole(self) -> bool:
        """Whether every package was looked up."""
        return self.audited > 0 and not self.unknown


def verdict_of(report: Mapping[str, Any]) -> Verdict:
    """Return what a report of pip-audit says; it counts those that it has skipped as clean."""
    vulnerable: list[str] = []
    unknown: list[str] = []
    audited = 0
    for package in report["dependencies"]:
        if "skip_reason" in package:
            unknown.append(package["name"])
            continue
        audited += 1
        for found in package["vulns"]:
            mended = ", ".join(found["fix_versions"]) or "none yet"
            name = f"{package['name']} {package['version']}"
            vulnerable.append(f"{name}: {found['id']}, mended in: {mended}")
    return Verdict(audited, vulnerable, unknown)


def audit() -> int:
    """Look up every locked package; return the exit code."""
    program = tools.environment(ROOT, CACHE, "audit", print) / "pip-audit"
    codes = []
    for lock in LOCKS:
        verdict = _look_up(program, lock)
        name = lock.relative_to(ROOT)
        for line in verdict.vulnerable if verdict else ():
            print(f"{name}: {line}")
        if verdict is not None and verdict.is_whole:
            print(f"{name}: {verdict.audited} packages audited")
        else:
            missing = f": no data of {len(verdict.unknown)} packages" if verdict else ""
            print(f"{name}: not audited{missing}")
        codes.append(_code_of(verdict))
    if 2 in codes:
        print("Not audited: the data of pypi.org cannot be reached from here. That is no pass.")
    return 1 if 1 in codes else max(codes)


def _code_of(verdict: Verdict | None) -> int:
    if verdict is not None and verdict.vulnerable:
        return 1
    return 0 if verdict is not None and verdict.is_whole else 2


def _look_up(program: Path, lock: Path) -> Verdict | None:
    """Return the verdict on a lock, or None if there is none."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off"]
        files = ["--format", "json", "--output", str(report), "--requirement", str(lock)]
        command = [str(program), *options, *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not report.is_file():
            print(done.stderr.strip()[-500:], file=sys.stderr)
            return None
        return verdict_of(json.loads(report.read_text()))


def draw_bills() -> None:
    """Draw a bill of materials for each layer."""
    program = tools.environment(ROOT, CACHE, "audit", print) / "cyclonedx-py"
    folder = CACHE / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    for lock in LAYERS:
        bill = folder / f"{lock.parent.name}.cdx.json"
        command = [program, "requirements", lock, "--output-reproducible", "-o", bill]
        subprocess.run(list(map(str, command)), check=True)
        count = len(json.loads(bill.read_text())["components"])
        print(f"{bill.relative_to(ROOT)}: {count} packages")


def main() -> None:
    """Run the command that is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=("audit", "sbom"))
    if parser.parse_args().command == "audit":
        sys.exit(audit())
    draw_bills()


if __name__ == "__main__":
    main()
