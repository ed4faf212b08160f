"""Find promtool, which checks metrics and rules, or unpack it from Debian's package of Prometheus.

`python tools/get_promtool.py` prints its path. The package is downloaded once, by apt-get, and
nothing is installed: the one program lies in `.shiftwork/tools/`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".shiftwork" / "tools"
_TIMEOUT_S = 120


class NoPromtoolError(Exception):
    """There is no promtool, and none can be had."""


def find() -> Path:
    """Return the path of promtool: the one on PATH, or one that was unpacked, now or before.

    Raises
    ------
    NoPromtoolError
        If this system has no Debian packages, or the package cannot be downloaded.
    """
    installed = shutil.which("promtool")
    if installed:
        return Path(installed)
    unpacked = FOLDER / "promtool"
    if not unpacked.exists():
        _unpack(unpacked)
    return unpacked


def _unpack(target: Path) -> None:
    """Download the package, and move the program into place at once, as others may look for it."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise NoPromtoolError(f"there is no {program}: install Prometheus to have promtool")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        _run(["apt-get", "download", "prometheus"], folder)
        [package] = Path(folder).glob("prometheus_*.deb")
        _run(["dpkg-deb", "-x", str(package), "unpacked"], folder)
        (Path(folder) / "unpacked" / "usr" / "bin" / "promtool").replace(target)


def _run(command: list[str], folder: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NoPromtoolError(f"{command[0]} has not ended within {_TIMEOUT_S} s") from error
    if done.returncode:
        raise NoPromtoolError(f"{' '.join(command)}: {done.stderr.strip()}")


if __name__ == "__main__":
    try:
        print(find())
    except NoPromtoolError as error:
        sys.exit(str(error))
