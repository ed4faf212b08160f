"""Name what must hold whatever fails, and the error to raise when it does not.

docs/guarantees.md says the same for users. Those of workspaces are checked by the simulation alone.
"""

from __future__ import annotations

from enum import StrEnum


class Invariant(StrEnum):
    """What must hold, by name."""

    #: A request that was accepted is in the table.
    REQUEST_KEPT = "no accepted request is lost"
    #: An idempotency key makes one request, however often and by whomever it is sent.
    ONE_REQUEST_PER_KEY = "one request per idempotency key"
    #: At most one holder does a job, and each claim has a higher fence than the one before.
    ONE_LIVE_FENCE = "one live fence per job"
    #: A job ends once, and nothing changes it afterwards.
    ONE_END = "one terminal state per job"
    #: Requests and attempts move only along the arrows of docs/states.md.
    LEGAL_MOVES = "legal transitions only"
    #: No job of a step exists before every job of the step before it is completed.
    BARRIER = "no step starts early"
    #: A step has one set of jobs, however many executions plan it.
    PLANNED_ONCE = "each step is planned once"
    #: The counts in a step's row equal a recount of its attempts.
    COUNTERS_RIGHT = "counters equal a recount"
    #: A request's extras are those submitted and the results of its completed jobs.
    EXTRAS_RIGHT = "extras are the completed results"
    #: Once a cancel has returned, no claim succeeds; no job of an ended request is attempted again.
    CANCEL_HOLDS = "a cancelled request starts nothing"
    #: Late consequences of a failure neither fail nor cancel a request that was retried since.
    RETRY_HOLDS = "a retry is not undone"
    #: A step with `on_failure: finish` ends its request only once each of its jobs has its outcome.
    STEP_FINISHES = "a step that is to finish does"
    #: A step is left only with as many failures as each of its entries tolerates.
    TOLERATED = "no more fail than is tolerated"
    #: A request that has not ended has a due time, so that a sweep will find it.
    IN_SIGHT = "nothing is left behind"
    #: Once the faults are over every request ends, within a lease and the period of its sweep.
    SETTLES = "everything settles"
    #: Also while nobody polls, a sweep finds within its period that a worker's lease is over.
    LOST_IS_BACK = "a lost attempt is back within its own lease and a sweep"
    #: After a poll nothing of its queue is held that was overdue before.
    POLL_GIVES_BACK = "a poll gives back what is overdue"
    #: A drained worker's polls come back empty.
    DRAINED = "a drained worker gets nothing"
    #: No more attempts of a limited job type are held at once than its limit allows.
    LIMIT = "a limit holds"
    #: A slot that nobody needs can be claimed, even if a worker died holding it.
    SLOTS_FREE = "slots free themselves"
    #: A worker that puts a job back uses up none of its retries.
    PUT_BACK = "a put-back uses up no retry"
    #: While AWS answers within half a lease and no process dies, no attempt is lost.
    OUTCOME_KEPT = "an outcome in hand is recorded"
    #: Transitions are bounded by the numbers of attempts, steps and executions.
    COSTS_LITTLE = "nothing goes in circles"
    #: The streams of all tables, delivered badly, are counted to what their rows report.
    COUNTED_ONCE = "each change is counted once"

    # Of workspaces; see lifecycle_invariants.py and expectations.py.
    #: A workspace's row names its open jobs, at most one for each operation; there are no others.
    ONE_JOB = "one open job per workspace and operation"
    #: A lifecycle job ends once, and nothing changes it afterwards.
    ONE_OUTCOME = "one outcome per lifecycle job"
    #: Lifecycle jobs move only along their arrows, and each write names the revision before it.
    JOB_MOVES = "legal moves of lifecycle jobs only"
    #: No job is claimed before its deadline, by the claimant's clock.
    NEVER_EARLY = "no workspace is switched early"
    #: A job has one holder at a time; it asks its driver once an attempt, and never too often.
    ONE_ASKING = "a driver is asked once an attempt"
    #: Only a holder that has seen the workspace in the wanted state completes the job.
    SEEN_DONE = "completed is what was seen"
    #: No late write restores a deleted workspace; a driver's memory is of its own target.
    DEFINITION_KEPT = "what people define is kept"
    #: A workspace or lifecycle job that still has something to do has a due time.
    DUE_AGAIN = "no workspace is left behind"
    #: Once the faults are over nothing is overdue, and each workspace is as its schedule wants it.
    SWITCHED = "workspaces are where they should be"
    #: Workers that were drained for a stop get work again, however the stop ended.
    UNDRAINED = "no stop leaves workers drained"


class Violation(BaseException):
    """An invariant does not hold.

    It is no Exception, so that the engine does not handle it as a failure of its own.
    """

    def __init__(self, invariant: Invariant, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail
