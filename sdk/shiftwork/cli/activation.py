"""Find out what to type before `shiftwork` is on the shell's path."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def missing_activation() -> str | None:
    """Return the command that puts `shiftwork` on the path; None if it is there already."""
    if shutil.which("shiftwork") is not None:
        return None
    script = Path(sys.prefix) / "bin" / "activate"
    here = Path.cwd()
    return f". {script.relative_to(here) if script.is_relative_to(here) else script}"
