"""Run one mutant in a process of its own: change the code, run the tests that may notice.

The process is a fork of one that has imported everything and collected every test, so it begins at
once. It reports to its parent in lines of JSON: what it runs, how long that may take, what is red.
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NoReturn

import pytest
from hypothesis import Phase, settings

from tests.mutants.loading import Finder, forget, put_in_place
from tests.mutants.mutant import Mutant
from tests.mutants.scope import Scope

#: A bound on memory: a mutant that reads pages without end would fill it.
_MAX_BYTES = 2 << 30
#: Seconds of processor time for steps without a known time: imports, collection, a few seeds.
_START_S = 60.0
_SEEDS_S = 30.0
_SEEDS_AT_ONCE = 10
#: Seeds before the tests: the first few kill the most, and take no longer than some tests.
_FIRST_SEEDS = 30
#: No seed needs more than 5,287 switches, so a run with this many goes in circles. A count finds
#: that sooner than a time limit, and on a busy machine as surely as on an idle one.
_MAX_SWITCHES = 50_000

Tell = Callable[..., None]


@dataclass(slots=True, eq=False)
class Suite:
    """A plugin of pytest: it hands the collected tests to `work`, and reports which are red."""

    work: Callable[[Suite], None]
    items: dict[str, pytest.Item] = field(default_factory=dict)
    tell: Tell | None = None

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self.work(self)
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.killed(f"{report.nodeid} (import)")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.killed(report.nodeid)

    def pytest_internalerror(self, excrepr: object) -> None:
        self.killed(f"an error of pytest: {excrepr}")

    def killed(self, by: str) -> None:
        """Report it, and end the process."""
        if self.tell is None:
            raise RuntimeError(f"red without any mutant: {by}")
        self.tell(killed=by)
        os._exit(0)

    def run(self, order: dict[str, float]) -> None:
        """Run some of the tests in this order, each with its time in seconds."""
        assert self.tell is not None
        items = [self.items[name] for name in order if name in self.items]
        for item, following in pairwise([*items, None]):
            assert item is not None
            self.tell(runs=item.nodeid, limit_s=10 + 10 * order[item.nodeid])
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def options(scope: Scope) -> list[str]:
    """Return pytest's options."""
    left_out = [f"--ignore={scope.root / path}" for path in scope.left_out]
    quiet = ["-oaddopts=", "-pno:terminal", "-pno:cacheprovider", "-pno:xdist", "--capture=no"]
    return [*quiet, *left_out, f"--rootdir={scope.root}"]


def with_tests(scope: Scope, work: Callable[[Suite], None]) -> None:
    """Import and collect all tests, and hand them to `work`.

    Raises
    ------
    Exception
        If `work` does, or they cannot be collected.
    """
    raised: list[BaseException] = []

    def guarded(suite: Suite) -> None:
        try:
            work(suite)
        except BaseException as error:
            raised.append(error)

    _settle_hypothesis()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
        code = pytest.main([*options(scope), *scope.tests], plugins=[Suite(guarded)])
        del os.environ["PYTEST_DEBUG_TEMPROOT"]
    if raised:
        raise raised[0]
    if code is not pytest.ExitCode.OK:
        raise RuntimeError(f"the tests cannot be collected: {code!r}")


def warm_up(suite: Suite, scope: Scope) -> None:
    """Do once what every process would otherwise do again."""
    if scope.seeds:
        importlib.import_module("tests.simulation.simulation")
    names = list(suite.items)
    for part in scope.warm_up:
        found = next(name for name in names if part in name)
        # The next test is in another folder, so only session fixtures stay set up.
        following = next(name for name in names if name.split("/")[:2] != found.split("/")[:2])
        hook = suite.items[found].config.hook
        hook.pytest_runtest_protocol(item=suite.items[found], nextitem=suite.items[following])
    gc.collect()
    gc.freeze()


def _settle_hypothesis() -> None:
    """Set no deadlines, no randomness, no search for a smaller example."""
    settings.register_profile(
        "mutants",
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
    )
    settings.load_profile("mutants")


def try_mutant(
    scope: Scope,
    suite: Suite,
    mutant: Mutant | None,
    order: dict[str, float],
    pipe: int,
    is_known: bool,
) -> NoReturn:
    """Run the tests in order, and the simulation; report to the pipe, and end the process.

    Some seeds are run before the tests, unless the first of these is known to turn red.
    """

    def tell(**message: object) -> None:
        os.write(pipe, json.dumps(message).encode() + b"\n")
        if isinstance(limit_s := message.get("limit_s"), int | float):
            allow(limit_s)

    suite.tell = tell
    try:
        become_silent()
        resource.setrlimit(resource.RLIMIT_DATA, (_MAX_BYTES, _MAX_BYTES))
        tell(runs="import", limit_s=_START_S)
        seeds = scope.seeds if mutant is None or scope.is_simulated(mutant.file) else 0
        first = 0 if is_known else min(seeds, _FIRST_SEEDS)
        if mutant is not None and mutant.is_at_import:
            forget(scope)
            sys.meta_path.insert(0, Finder(scope, {mutant.file: mutant.source()}))
        elif mutant is not None:
            put_in_place(scope, mutant)
        _simulate(range(first), suite)
        if mutant is not None and mutant.is_at_import:
            _collect_again(scope, order, tell)
        else:
            suite.run(order)
        _simulate(range(first, seeds), suite)
        tell(survived=True)
    except BaseException as error:
        tell(killed=f"{type(error).__name__}: {error}")
    os._exit(0)


def allow(limit_s: float) -> None:
    """End the process after `limit_s` more of its own processor time."""
    _, hard_s = resource.getrlimit(resource.RLIMIT_CPU)
    end_s = math.ceil(time.process_time() + limit_s)
    resource.setrlimit(resource.RLIMIT_CPU, (end_s, hard_s))


def become_silent() -> None:
    """Lead a process group of its own, and print nothing."""
    os.setpgid(0, 0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)


def _collect_again(scope: Scope, order: dict[str, float], tell: Tell) -> None:
    def work(suite: Suite) -> None:
        suite.run(order)

    files = tuple(dict.fromkeys(name.partition("::")[0] for name in order))
    for some in (files[:1], files[1:]):  # What comes first kills most: spare it the other imports.
        suite = Suite(work, tell=tell)
        tell(runs="collecting", limit_s=_START_S)
        if some:
            pytest.main([*options(scope), *some], plugins=[suite])


def _simulate(seeds: range, suite: Suite) -> None:
    if not seeds:
        return
    from shiftwork_platform.cloud.hub import Hub
    from tests.simulation.simulation import Case, run_case

    assert suite.tell is not None
    Hub.MAX_SWITCHES = _MAX_SWITCHES
    for seed in seeds:
        if (seed - seeds.start) % _SEEDS_AT_ONCE == 0:
            suite.tell(runs=f"seed {seed}", limit_s=_SEEDS_S)
        try:
            failure = run_case(Case(seed))
        except Exception as error:
            suite.killed(f"seed {seed}: {type(error).__name__}")
        if failure is not None:
            suite.killed(f"seed {seed}: {failure.invariant}")
