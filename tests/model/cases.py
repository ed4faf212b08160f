"""What is explored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One request, and who acts on it.

    `executors` executions of it are started under one number, as by hand; `widths` are how many
    jobs each step has. With `has_retry` the first job asks for another try, which a message's batch
    runs while the execution goes on. A user cancels it at any moment, or a process may die at any
    call, to be called again, or an execution be stopped for good.
    """

    executors: int = 1
    widths: tuple[int, ...] = (2, 1)
    batch_size: int = 10
    has_retry: bool = True
    is_cancelled: bool = True
    crashes: int = 1


#: What `make test` explores, all of it.
CASES = {
    # Two executors, the execution's batches and the retry's; a retry, a cancel and a crash.
    "everything": Case(),
    # Two executions of one number side by side.
    "twins": Case(executors=2, has_retry=False, is_cancelled=False, crashes=0),
}
