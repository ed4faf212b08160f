"""Commands for a project on the author's machine: make it, serve it, check its definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shiftwork.cli.render.output import Format, Output, OutputOption
from shiftwork.platform_package import NoPlatform, platform


def init(name: Annotated[str, typer.Argument(help="What to call it, such as billing.")]) -> None:
    """Make a project of your own in a new folder: callbacks, definitions, tests."""
    folder = platform("starting").create(Path.cwd(), name)
    out = Output()
    out.line(f"{folder} is a project.")
    out.message(f"Next: cd {name}, then shiftwork dev; its README.md has more")


def dev(
    port: Annotated[int, typer.Option(help="Where the API is served.", min=1, max=65535)] = 4600,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget all requests first.")] = False,
) -> None:
    """Serve this folder's project from one process; what is saved is live at once."""
    platform("dev.command").run(Path.cwd(), port, is_fresh=fresh)


def test(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="What pytest gets; without, it runs all tests.")
    ] = None,
) -> None:
    """Run this project's tests with pytest, from whichever of its folders."""
    import importlib.util
    import subprocess
    import sys

    root = platform("project").find(Path.cwd()).root
    if importlib.util.find_spec("pytest") is None:
        raise NoPlatform("pytest is not installed", "Install it: pip install pytest")
    command = [sys.executable, "-m", "pytest", *(arguments or [])]
    raise typer.Exit(subprocess.run(command, cwd=root, check=False).returncode)


def check(
    path: Annotated[
        Path | None, typer.Argument(exists=True, help="Files to check; else the project's.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Check definitions without sending them anywhere: each fault with its line and column."""
    from shiftwork import definition_files
    from shiftwork.api.errors import BadDefinitions

    services = None
    if path is None:
        project = platform("project").find(Path.cwd())
        path, services = project.definitions, project.addresses
    found = definition_files.read(path)
    checking = platform("checking")
    faults = checking.faults_of(found, services, is_whole=True)
    if faults:
        raise BadDefinitions(faults, "Nothing was sent.")
    doubts = checking.doubts_about(found)
    out = Output(output)
    if out.is_json:
        told = [{"path": doubt.path, "message": doubt.message} for doubt in doubts]
        out.json({"definitions": len(found), "errors": [], "doubts": told})
        return
    for doubt in doubts:
        out.line(f"{doubt}")
    out.line(f"{len(found)} definitions, no faults.")
