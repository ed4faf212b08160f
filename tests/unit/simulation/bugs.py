"""The register of bugs that invariants notice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.invariants import Invariant

Patch = pytest.MonkeyPatch
Bug = Callable[[Patch], None]
BUGS: list[tuple[Invariant, Bug]] = []


def breaks(invariant: Invariant) -> Callable[[Bug], Bug]:
    """Register a bug, and the invariant that it breaks."""

    def register(bug: Bug) -> Bug:
        BUGS.append((invariant, bug))
        return bug

    return register
