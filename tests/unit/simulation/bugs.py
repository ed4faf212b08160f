"""The register of bugs that invariants notice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.invariants import Invariant

Patch = pytest.MonkeyPatch
Bug = Callable[[Patch], None]
BUGS: list[tuple[Invariant, Bug, int]] = []


def breaks(invariant: Invariant, *, near: int = 0) -> Callable[[Bug], Bug]:
    """Register a bug, and the invariant that it breaks.

    Parameters
    ----------
    near
        The seed to look from: where a rare one was noticed the last time. When the workload
        changes it may take longer to notice it again.
    """

    def register(bug: Bug) -> Bug:
        BUGS.append((invariant, bug, near))
        return bug

    return register
