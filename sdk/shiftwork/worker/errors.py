"""What a pool refuses.

ShiftworkError
+-- WorkerPoolError
    +-- DuplicateWorker  two workers of one name
    +-- UnknownWorker    no worker of that name
    +-- WrongState       started twice, used after its end, or waited for by itself
    +-- StopTimedOut     workers still run, though they were asked to stop
    +-- MissingExtra     an optional package is needed, and not installed
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftwork.api.errors import ShiftworkError


class WorkerPoolError(ShiftworkError):
    """The root of the pool's errors."""


class DuplicateWorker(WorkerPoolError):
    """The pool has a worker of that name already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The pool has a worker named {name!r} already.",
            "Give every worker of a pool a name of its own",
        )


class UnknownWorker(WorkerPoolError):
    """The pool has no worker of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The pool has no worker named {name!r}.", "See those of executions()")


class WrongState(WorkerPoolError):
    """The pool cannot do that where it stands."""


class StopTimedOut(WorkerPoolError):
    """These workers still run, though they were asked to stop; `names` names them."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"Still running: {', '.join(names)}.",
            "Let run(ctx) look at ctx.is_cancelled, or wait with ctx.wait(seconds)",
        )
        self.names = tuple(names)


class MissingExtra(WorkerPoolError):
    """An optional package is needed, and not installed."""

    def __init__(self, package: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed.",
            "Install it with: pip install 'shiftwork[worker]'",
        )
