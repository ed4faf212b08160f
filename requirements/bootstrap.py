"""Make .venv from nothing but Python 3.11 or later: `python3 requirements/bootstrap.py`.

Run by the Makefile before anything else, so it imports the standard library only. The environment
holds uv, the packages of dev.txt, the SDK as an editable package, and the core on its path.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
APT = "apt-get install -y python3-venv"


def run(*command: str | Path) -> None:
    """Run a command in the project's folder; its failure ends this program."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"error: this command failed: {' '.join(map(str, command))}")


def has_venv() -> bool:
    """Whether this Python can make an environment that has pip: Debian's own, bare, cannot."""
    importlib.invalidate_caches()
    return all(importlib.util.find_spec(module) for module in ("venv", "ensurepip"))


def provide_venv() -> None:
    """Install Debian's missing package, or say how."""
    is_debian = shutil.which("apt-get") and sys.executable.startswith("/usr/bin/")
    if is_debian and os.geteuid() == 0:
        print("Installing python3-venv, which this Python lacks.", flush=True)
        subprocess.run(["apt-get", "update", "-q"], check=False)
        subprocess.run(APT.split(), check=False)
        if has_venv():
            return
    sys.exit(
        f"error: {sys.executable} cannot make virtual environments.\n"
        f"next: {'sudo ' + APT if is_debian else 'install the venv module of this Python'}"
    )


def is_usable() -> bool:
    """Whether .venv is there and of this Python's version (the host's may have been upgraded)."""
    if not PYTHON.exists():
        return False
    asked = [str(PYTHON), "-c", "import sys, pip; print(*sys.version_info[:2])"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.split() == [str(part) for part in sys.version_info[:2]]


def main() -> None:
    """Bring .venv up to date."""
    if sys.version_info < (3, 11):  # noqa: UP036 (the Python at hand may well be older)
        sys.exit(
            f"error: Shiftwork needs Python 3.11 or later; this is {sys.version.split()[0]}\n"
            "next: make PYTHON=/path/to/python3.13 demo"
        )
    if not is_usable():
        if not has_venv():
            provide_venv()
        run(sys.executable, "-m", "venv", "--clear", VENV)
    known = ("--require-hashes", "-r")
    run(PYTHON, "-m", "pip", "install", "-q", *known, "requirements/bootstrap.txt")
    uv = VENV / "bin" / "uv"
    install = (uv, "pip", "install", "-q", "--python", PYTHON)
    run(*install, *known, "requirements/dev.txt")
    run(*install, "--no-deps", "-e", "sdk")
    packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(VENV)}))
    (packages / "shiftwork_core.pth").write_text(f"{ROOT / 'layers' / 'core'}\n")


if __name__ == "__main__":
    main()
