"""Verify a deployment: deploy a throw-away stack, run and count, remove it, report."""

from __future__ import annotations

import platform
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from shiftwork.api.client import ShiftworkClient
from shiftwork.local.reporting import Report as Say
from shiftwork.local.signals import EndRequested, signals_ignored, signals_raise
from shiftwork.local.verify.counts import resources_of
from shiftwork.local.verify.demos import DEMOS, NEEDS_LOCAL, run_demo
from shiftwork.local.verify.figures import read_expected
from shiftwork.local.verify.places import Place, place_of
from shiftwork.local.verify.removal import PREFIX, Commands, Left, Removal
from shiftwork.local.verify.report import Part, Report, Verdict, compare
from shiftwork.local.verify.step import run_step

#: The fact that names the throw-away stack.
STACK = "stack"


@dataclass(frozen=True)
class Verification:
    """Runs the parts one after the other. One that fails is noted, and the next is run."""

    project: Path
    place: Place
    home: Path
    report: Report

    def run(self, stack_name: str, skipped: Collection[str], say: Say) -> None:
        """Deploy; if that succeeds, count a step while the stack is quiet, then run the demos."""
        env: dict[str, str] = {}
        if not self._part("deploy", lambda: env.update(self.place.deploy())):
            return
        name = f"a step of {self.report.expected.jobs:,} jobs"
        say(f"running {name}, and waiting until what it used can be seen")
        self._part(name, lambda: self._count(stack_name, env))
        for demo in DEMOS:
            reason = "as you said" if demo in skipped else ""
            if not self.place.is_local:
                reason = reason or NEEDS_LOCAL.get(demo, "")
            if reason:
                self.report.parts.append(Part(f"shiftwork {demo}", Verdict.SKIPPED, note=reason))
            else:
                log = self.home / f"{demo}.log"
                self.report.parts.append(run_demo(demo, self.project, env, log, say))

    def _count(self, stack_name: str, env: Mapping[str, str]) -> None:
        resources = resources_of(self.place.client("cloudformation"), stack_name)
        source, expected = self.place.source(resources), self.report.expected
        with ShiftworkClient(env["SHIFTWORK_URL"], env["SHIFTWORK_TOKEN"]) as api:
            found = run_step(self.place.client, resources, api, source, expected)
        self.report.source = source.title
        self.report.comparisons = compare(expected, found, source.hidden)

    def _part(self, name: str, do: Callable[[], None]) -> bool:
        """Run a part; return whether it succeeded."""
        began, note, verdict = time.monotonic(), "", Verdict.PASSED
        try:
            do()
        except Exception as error:  # Whatever it is, it is a finding, and goes into the report.
            verdict, note = Verdict.FAILED, f"{type(error).__name__}: {error}"
        self.report.parts.append(Part(name, verdict, time.monotonic() - began, note))
        return verdict is Verdict.PASSED


def verify(project: Path, environment: str, skipped: Collection[str], say: Say) -> Report:
    """Verify an environment of samconfig.toml; the stack is removed however this ends.

    Parameters
    ----------
    skipped
        The demos that are not to run.

    Raises
    ------
    LocalStackError
        If nothing can be begun: no such environment, no region, no credentials.
    """
    stack_name = f"{PREFIX}{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="shiftwork-verify-") as folder:
        home = Path(folder)
        place = place_of(project, environment, stack_name, home, say)
        removal = _removal(place, environment, stack_name, say)
        say(f"the throw-away stack is {stack_name} ({place.title})")
        say(f"if this process is killed, remove it with: {removal.commands.again}")
        report = Report(_facts(project, place, stack_name), read_expected())
        _run_and_remove(Verification(project, place, home, report), removal, skipped)
        return report


def remove(project: Path, environment: str, stack_name: str, say: Say) -> list[Left]:
    """Remove what an earlier run has left; return what is still left."""
    with tempfile.TemporaryDirectory(prefix="shiftwork-verify-") as folder:
        place = place_of(project, environment, stack_name, Path(folder), say)
        return _removal(place, environment, stack_name, say).run(place.uploads)


def _run_and_remove(run: Verification, removal: Removal, skipped: Collection[str]) -> None:
    """Run, and remove the stack also if a signal ends the run; then further signals are ignored."""
    report, say = run.report, removal.report
    with signals_raise():
        try:
            run.run(removal.stack_name, skipped, say)
        except EndRequested as request:
            name = signal.Signals(request.number).name
            report.parts.append(Part(f"interrupted by {name}", Verdict.FAILED))
        finally:
            with signals_ignored():
                say("removing all of it, which takes some minutes on AWS")
                report.left = removal.run(run.place.uploads)


def _removal(place: Place, environment: str, stack_name: str, say: Say) -> Removal:
    again = f"shiftwork verify {environment} --remove {stack_name}"
    return Removal(place.client, stack_name, Commands(again, place.options), say, time.sleep)


def _facts(project: Path, place: Place, stack_name: str) -> dict[str, str]:
    return {
        STACK: stack_name,
        "Shiftwork": f"{version('shiftwork')}, commit {_commit(project)}",
        "where": place.title,
        "Python": f"{platform.python_version()}, {platform.system()} {platform.machine()}",
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _commit(project: Path) -> str:
    """Return the commit of the checkout, marked if files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # There is no git.
        return "unknown"
    return done.stdout.strip() or "unknown"
