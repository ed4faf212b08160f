"""The cases that the model explores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One request, and who acts on it.

    `executions` executions are started under one number, as people may do by hand; `widths` are the
    numbers of jobs of its steps. With `has_retry` the first job asks for another attempt, which
    runs in the batch of a message while the execution goes on. If `is_cancelled`, a user cancels
    it at any moment. At up to `crashes` moments a process dies in a call and is called again, or an
    execution is stopped.

    If `is_called`, AdvanceRequest calls the batches by itself. It may die meanwhile, or give up.

    Of a step with `on_failure: finish` every job fails: the first in its second attempt.

    With `block`, so many jobs of a step share a row.
    """

    executions: int = 1
    widths: tuple[int, ...] = (2, 1)
    batch_size: int = 10
    has_retry: bool = True
    is_cancelled: bool = True
    crashes: int = 1
    on_failure: str = "stop"
    is_called: bool = False
    block: int | None = None


#: The cases that `make test` explores completely.
CASES = {
    # Batches of the execution and of the retry at once; a retry, a cancel and a crash.
    "everything": Case(),
    # Both jobs fail, one in the execution's batch, one in the message's; a cancel and a crash.
    "failures": Case(widths=(2,), on_failure="finish"),
    # A batch called by AdvanceRequest, which dies or gives up, or the batch does; a retry.
    "called": Case(widths=(2,), is_called=True, is_cancelled=False),
    # Two jobs in a block, one of which is done again alone; a cancel and a crash.
    "blocks": Case(widths=(2,), block=2),
    # Two executions of one number side by side.
    "twins": Case(executions=2, has_retry=False, is_cancelled=False, crashes=0),
}
