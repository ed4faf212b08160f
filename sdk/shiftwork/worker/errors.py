"""The errors of a worker pool, each with what to do next.

ShiftworkError
+-- WorkerPoolError
    +-- DuplicateWorker  two workers have the same name
    +-- UnknownWorker    no worker has that name
    +-- WrongState       a pool was started twice, used after its end, or waited for by its worker
    +-- StopTimedOut     workers still run, though they were asked to stop
    +-- MissingExtra     an optional package is needed and not installed
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftwork.api.errors import ShiftworkError


class WorkerPoolError(ShiftworkError):
    """The root of the pool's errors."""


class DuplicateWorker(WorkerPoolError):
    """The pool already has a worker of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The pool already has a worker named {name!r}.",
            "Give every worker of a pool a name of its own",
        )


class UnknownWorker(WorkerPoolError):
    """The pool has no worker of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The pool has no worker named {name!r}.", "executions() lists its workers"
        )


class WrongState(WorkerPoolError):
    """The pool cannot do that in its present state."""


class StopTimedOut(WorkerPoolError):
    """The workers in `names` still run, though they were asked to stop."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"Still running: {', '.join(names)}.",
            "Have run(ctx) check ctx.is_cancelled, or wait with ctx.wait(seconds)",
        )
        self.names = tuple(names)


class MissingExtra(WorkerPoolError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed.",
            "Install it with: pip install 'shiftwork[worker]'",
        )
