"""Check that workspaces are where they should be, once the faults are over.

This is checked every few seconds, until the windows of each have opened and closed a few times.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shiftwork_core.domain.workspaces.records import Workspace
from shiftwork_platform.cloud.process import moment
from shiftwork_platform.guarantees.invariants import Invariant, Violation
from tests.simulation.expectations import MOMENT_S, TICK_S, Expectation, acted_until

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation
    from tests.simulation.workspace_workload import WorkspacePlan

#: How long workspaces are watched once nobody acts on them: for one of their windows. That takes
#: most of a seed's time, so only some seeds do it.
_WATCHED = (*2 * (timedelta(seconds=30),), timedelta(seconds=600))
_LOOK_EVERY = timedelta(seconds=30)
#: The longest that the effects of failures and of people may last.
_LONGEST = timedelta(hours=3)


class Verdicts:
    """What is known of each workspace beyond its row: since when nobody has acted on it."""

    def __init__(self, simulation: Simulation, plans: dict[str, WorkspacePlan]) -> None:
        self._simulation = simulation
        self._plans = plans
        self._watched = _WATCHED[simulation.case.seed % len(_WATCHED)]
        self._looked_at = moment(0)
        self._quiet_since = dict.fromkeys(plans, moment(0))
        #: The latest time that a clock has told which had jumped.
        self._latest_told = moment(0)

    # -- who has a say -------------------------------------------------------------------------

    def acts(self, workspace_id: str, until: datetime | None = None) -> None:
        """Note that somebody acts on a workspace, perhaps with an effect until a time."""
        self._is_not_quiet(workspace_id, until or moment(self._simulation.hub.now))

    def on_workspace(self, row: Workspace) -> None:
        """Note what a row says of people and failures."""
        for until in acted_until(row):
            self._is_not_quiet(row.workspace_id, until)

    def jumps(self, jump_s: float) -> None:
        """Note that a clock has jumped: rows may hold its times for a while."""
        told = moment(self._simulation.hub.now + max(jump_s, 0.0) + 2 * TICK_S)
        self._latest_told = max(self._latest_told, told)

    def _is_not_quiet(self, workspace_id: str, until: datetime) -> None:
        self._quiet_since[workspace_id] = max(self._quiet_since[workspace_id], until)

    # -- verdicts ------------------------------------------------------------------------------

    def is_over(self, settling_since: float) -> bool:
        """Return whether every workspace has been watched for long enough."""
        now = moment(self._simulation.hub.now)
        return all(
            now >= self._let_alone_since(row, settling_since) + self._watched
            for row in self._simulation.lifecycle.rows.values()
        )

    def look(self, settling_since: float) -> None:
        """Check that what is due is done, and that every workspace is where it should be."""
        now = moment(self._simulation.hub.now)
        if now < self._looked_at + _LOOK_EVERY:
            return
        self._looked_at = now
        for row in self._simulation.lifecycle.rows.values():
            since = self._let_alone_since(row, settling_since)
            if since > moment(settling_since) + _LONGEST:
                what = f"{row.workspace_id} is not let alone before {since:%H:%M:%S}"
                raise Violation(Invariant.SWITCHED, what)
            if now >= since:
                self._nothing_is_overdue(row, now)
                self._is_where_it_should_be(row, since, now)
                self._is_as_its_row_says(row, now)
        self._orphans_end(settling_since, now)

    def workers_since(self, settling_since: float) -> float:
        """Return since when requests have workers: if all are hosted, people may keep them off."""
        rows = self._simulation.lifecycle.rows
        times = []
        for plan in self._plans.values():
            if plan.is_needed and plan.name in rows:
                since = self._let_alone_since(rows[plan.name], settling_since)
                times.append((since - moment(0)).total_seconds())
            elif plan.is_needed:  # It was deleted: its owner has yet to define it again.
                times.append(self._simulation.hub.now)
        return max([settling_since, *times])

    def _expectation(self, row: Workspace) -> Expectation:
        target = self._simulation.targets.get(row.body["driver"]["id"])
        return Expectation(row.body, target.takes_s)

    def _let_alone_since(self, row: Workspace, settling_since: float) -> datetime:
        """Return since when its schedule alone decides, and no fault has an effect."""
        target = self._simulation.targets.get(row.body["driver"]["id"])
        times = [
            moment(settling_since),
            self._quiet_since[row.workspace_id],
            self._latest_told,
        ]
        if self._plans[row.workspace_id].workers:
            times.append(moment(self._simulation.invariants.progress_at()))
        expected = self._expectation(row)
        if target.foreign_at:
            times.append(moment(target.foreign_at + (expected.look_s or 0.0)))
        return max(times) + timedelta(seconds=expected.recovery_s)

    def _nothing_is_overdue(self, row: Workspace, now: datetime) -> None:
        """The next tick claims a job that is due, and checks a row that is due."""
        late = timedelta(seconds=2 * TICK_S + MOMENT_S)
        for job in self._simulation.lifecycle.open_jobs(row.workspace_id):
            assert job.due_at is not None
            if job.due_at + late < now:
                what = f"job {job.id} is due since {job.due_at:%H:%M:%S}"
                raise Violation(Invariant.SWITCHED, what)
        if row.due_at is not None and row.due_at + late < now:
            what = f"{row.workspace_id} is due since {row.due_at:%H:%M:%S}"
            raise Violation(Invariant.SWITCHED, what)

    def _is_where_it_should_be(self, row: Workspace, since: datetime, now: datetime) -> None:
        target = self._simulation.targets.get(row.body["driver"]["id"])
        expected = self._expectation(row).should_be_on(now, since)
        if expected is not None and target.is_on is not expected:
            should = "on" if expected else "off"
            what = f"{row.workspace_id} should be {should}, and is {target.state}"
            raise Violation(Invariant.SWITCHED, f"{what}, row {row.state}; quiet since {since:%T}")

    def _is_as_its_row_says(self, row: Workspace, now: datetime) -> None:
        """A workspace's row shows what changed a while ago."""
        target = self._simulation.targets.get(row.body["driver"]["id"])
        expected = self._expectation(row)
        # A process whose clock was wrong has computed with the time that its clock showed.
        since = max(moment(target.changed_at), self._latest_told)
        looked_by_s = expected.prompt_s + MOMENT_S
        if target.foreign_at == target.changed_at:
            if expected.look_s is None:
                return
            looked_by_s += expected.look_s
        if row.state is not target.state and now > since + timedelta(seconds=looked_by_s):
            what = f"{row.workspace_id} is {row.state} by its row, and its target is"
            raise Violation(Invariant.SWITCHED, f"{what} {target.state}")

    def _orphans_end(self, settling_since: float, now: datetime) -> None:
        """A job of a deleted workspace is cancelled, at the latest when it is due."""
        late = timedelta(seconds=2 * TICK_S + MOMENT_S)
        for job in self._simulation.lifecycle.orphans.values():
            assert job.due_at is not None
            since = max(job.due_at, moment(settling_since), self._latest_told)
            if since + late < now:
                what = f"job {job.id} of {job.workspace_id}, which was deleted, is open"
                raise Violation(Invariant.SWITCHED, what)

    def at_the_end(self) -> None:
        """Check that workers are drained only for stops that are open and name them."""
        jobs = self._simulation.lifecycle.jobs
        for worker in self._simulation.tables.workers.values():
            name = worker.worker_id
            for stop in worker.drained_for:
                if jobs[stop].has_ended or name not in jobs[stop].drained:
                    what = f"{name} is drained for {stop}, which drains it no more"
                    raise Violation(Invariant.UNDRAINED, what)
