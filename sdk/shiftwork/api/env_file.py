"""Read and write files of KEY=value lines, such as the local stack's `local.env`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def read_env_file(file: Path) -> dict[str, str]:
    """Return the file's pairs; ignore comments and other lines. No file, no pairs."""
    if not file.is_file():
        return {}
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def write_env_file(file: Path, values: Mapping[str, str]) -> None:
    """Write the pairs to a file that only its owner can read."""
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
