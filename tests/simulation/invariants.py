"""Name what must hold whatever fails, and the error that says that it does not.

request_invariants.py, lifecycle_invariants.py and expectations.py check it; docs/guarantees.md says
the same for users.
"""

from __future__ import annotations

from enum import StrEnum


class Invariant(StrEnum):
    """What must hold, by name."""

    #: A request that was accepted is in the table.
    REQUEST_KEPT = "no accepted request is lost"
    #: However often, and by whomever, a key is sent: it makes one request.
    ONE_REQUEST_PER_KEY = "one request per idempotency key"
    #: At most one holder does a job, and each claim's fence is higher than the last.
    ONE_LIVE_FENCE = "one live fence per job"
    #: A job ends once, and no effect on it is accepted afterwards.
    ONE_END = "one terminal state per job"
    #: Requests and attempts move only along the arrows of docs/states.md.
    LEGAL_MOVES = "legal transitions only"
    #: No job of a step exists before every job of the step before it is completed.
    BARRIER = "no step starts early"
    #: However many planners there are, a step has one set of jobs.
    PLANNED_ONCE = "each step is planned once"
    #: What a step's row counts is what a recount of its attempts gives.
    COUNTERS_RIGHT = "counters equal a recount"
    #: A request's extras are the submitted ones and the completed jobs' results.
    EXTRAS_RIGHT = "extras are the completed results"
    #: Once a cancel has returned, no claim succeeds; an ended request tries nothing again.
    CANCEL_HOLDS = "a cancelled request starts nothing"
    #: What was late for the failure does not fail or cancel what a user retries.
    RETRY_HOLDS = "a retry is not undone"
    #: What is not at its end is due at some time, so that a sweep will look at it.
    IN_SIGHT = "nothing is left behind"
    #: After the faults everything ends, within a lease and the sweep that looks for it.
    SETTLES = "everything settles"
    #: A drained worker's polls come back empty.
    DRAINED = "a drained worker gets nothing"
    #: At most so many attempts of a limited type are held at once.
    LIMIT = "a limit holds"
    #: A slot that nobody needs can be taken, whoever died holding it.
    SLOTS_FREE = "slots free themselves"
    #: A worker that puts a job back has used up no try of it.
    PUT_BACK = "a put-back uses up no retry"
    #: Every transition is owed to an attempt, a step or an execution.
    COSTS_LITTLE = "nothing goes in circles"

    # Of workspaces; see lifecycle_invariants.py and expectations.py.
    #: A workspace's row names its open jobs, at most one an operation, and there are no others.
    ONE_JOB = "one open job per workspace and operation"
    #: A lifecycle job ends once, and nothing changes it afterwards.
    ONE_OUTCOME = "one outcome per lifecycle job"
    #: Lifecycle jobs move only along their arrows, each write under the revision before it.
    JOB_MOVES = "legal moves of lifecycle jobs only"
    #: No job is claimed before its deadline, by the clock of who claims it.
    NEVER_EARLY = "no workspace is switched early"
    #: One holder at a time; each asks its driver once a try, and in no try too many.
    ONE_ASKING = "a driver is asked once a try"
    #: A job is completed by who has seen its workspace in the state that it is for.
    SEEN_DONE = "completed is what was seen"
    #: No late write brings back what was deleted; memory of one target is not another's.
    DEFINITION_KEPT = "what people define is kept"
    #: A workspace or a job of which something is to come is due at some time.
    DUE_AGAIN = "no workspace is left behind"
    #: After the faults nothing is overdue, and each workspace is where its schedule wants it.
    SWITCHED = "workspaces are where they should be"
    #: Workers that were drained for a stop are given work again, whatever became of the stop.
    UNDRAINED = "no stop leaves workers drained"


class Violation(BaseException):
    """An invariant does not hold.

    No `except Exception` of the engine takes it for a failure of its own.
    """

    def __init__(self, invariant: Invariant, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail
