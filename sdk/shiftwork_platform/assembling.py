"""Put a project's own parts and the platform's into one tree, which is built and deployed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import shiftwork_core
from shiftwork.local.parameters import as_text
from shiftwork_platform.project import FILE, NoProject, Project, stack_name
from shiftwork_platform.tree import ROOT

#: What the platform brings. The core is where it is imported from.
_PARTS = ("template.yaml", "functions", "layers", "statemachines")
_TOOLS = ("emulator.txt", "sam.txt")
_LITTER = shutil.ignore_patterns("__pycache__", ".*_cache")
#: Where the template has room for the statements of a project.
_POLICY = "        # A project's own statements stand here.\n"
_REGISTERING = '''"""Register the callbacks of this deployment."""

from pathlib import Path

from shiftwork_core.callbacks import register_all

register_all("{name}", [str(Path(__file__).parent / "{name}")])
'''


def assemble(project: Project, tree: Path) -> None:
    """Make `tree` what `sam build` and `sam deploy` take for this project.

    Raises
    ------
    NoProject
        If the project has no callbacks' folder, or one whose name a function's module has.
    """
    shutil.rmtree(tree, ignore_errors=True)
    for part in _PARTS:
        _copy(ROOT / part, tree / part)
    for name in _TOOLS:
        _copy(ROOT / "requirements" / name, tree / "requirements" / name)
    _copy(Path(shiftwork_core.__path__[0]), tree / "layers" / "core" / "shiftwork_core")
    _put_callbacks(project, tree / "functions" / "run_jobs")
    template = tree / "template.yaml"
    template.write_text(_with_policy(template.read_text("utf-8"), project.policy), "utf-8")
    (tree / "samconfig.toml").write_text(_samconfig(project), "utf-8")


def _put_callbacks(project: Project, function: Path) -> None:
    """Replace the function's callbacks by the project's."""
    name = project.callbacks.name
    if not project.callbacks.is_dir():
        raise NoProject(
            f"{project.callbacks} is no folder",
            f'Put your callbacks there, or write callbacks = "..." into {FILE}',
        )
    shutil.rmtree(function / "callbacks")
    if not name.isidentifier() or (function / f"{name}.py").exists():
        raise NoProject(
            f"The callbacks' folder cannot be called {name!r}: Python imports it as a package",
            "Rename it, for example to callbacks",
        )
    _copy(project.callbacks, function / name)
    (function / "registering.py").write_text(_REGISTERING.format(name=name), "utf-8")
    own = function / name / "requirements.txt"
    if own.is_file():
        own.unlink()
        _copy(ROOT / "layers" / "dependencies" / "requirements.txt", function / "platform.txt")
        wanted = (project.callbacks / own.name).read_text("utf-8")
        # What the platform brings has its versions, or the build fails and says which differ.
        (function / own.name).write_text(f"-c platform.txt\n{wanted}", "utf-8")


def _with_policy(template: str, policy: tuple[Mapping[str, Any], ...]) -> str:
    """Return the template with the statements among RunJobs's. JSON is YAML."""
    before, mark, after = template.partition(_POLICY)
    assert mark, "the template has no place for a project's statements"
    added = f"        - Statement: {json.dumps(list(policy))}\n" if policy else ""
    return before + added + after


def _samconfig(project: Project) -> str:
    """Return the environments of the project: `local`, and one for each stage."""
    lines = ["version = 0.1"]
    for name in project.stages:
        lines += _environment(name, _deployment_of(project, name))
    local = {"stack_name": "shiftwork-local", "region": "us-east-1"}
    return "\n".join([*lines, *_environment("local", local), ""])


def _deployment_of(project: Project, name: str) -> dict[str, Any]:
    stage, stack = project.stages[name], stack_name(project, name)
    parameters = {"Stage": name, **project.parameters, **stage.parameters}
    if services := {**project.services, **stage.services}:
        parameters.setdefault("Services", json.dumps(services))
    found = {"stack_name": stack, "s3_prefix": stack, "region": stage.region}
    found["profile"] = stage.profile
    return {
        **{key: value for key, value in found.items() if value},
        "confirm_changeset": stage.confirm,
        "parameter_overrides": {key: as_text(value) for key, value in parameters.items()},
    }


def _environment(name: str, deployment: Mapping[str, Any]) -> list[str]:
    shared = {
        "resolve_s3": True,
        "capabilities": "CAPABILITY_IAM",
        "confirm_changeset": False,
        "fail_on_empty_changeset": False,
    }
    return [
        "",
        f"[{name}.build.parameters]",
        "cached = true",
        "parallel = true",
        "",
        f"[{name}.deploy.parameters]",
        *(f"{key} = {_toml(value)}" for key, value in {**shared, **deployment}.items()),
    ]


def _toml(value: Any) -> str:
    """Return a value as TOML, whose texts and booleans are JSON's."""
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return "{" + ", ".join(pairs) + "}"
    return json.dumps(value, ensure_ascii=False)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, without what tools leave there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=_LITTER, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)
