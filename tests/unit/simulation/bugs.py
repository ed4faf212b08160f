"""Register deliberate bugs, each with the invariant that must notice it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shiftwork_platform.guarantees.invariants import Invariant

Patch = pytest.MonkeyPatch
Bug = Callable[[Patch], None]
BUGS: list[tuple[Invariant, Bug, int]] = []


def breaks(invariant: Invariant, *, near: int = 0) -> Callable[[Bug], Bug]:
    """Register a bug under the invariant that it breaks.

    Parameters
    ----------
    near
        The first seed to try: the one at which a rare bug was noticed last. After a change of the
        workload it may take longer to notice it again.
    """

    def register(bug: Bug) -> Bug:
        BUGS.append((invariant, bug, near))
        return bug

    return register
