"""List all mutants of a scope."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tests.mutants.conditions import conditions
from tests.mutants.guards import guards
from tests.mutants.mutant import Module, Mutant
from tests.mutants.scope import Scope


def mutants_of(scope: Scope) -> list[Mutant]:
    """Return the mutants in the order of the modules' text."""
    return list(_mutants(scope))


def _mutants(scope: Scope) -> Iterator[Mutant]:
    for file in scope.files():
        module = Module(file)
        found = [guards(module)]
        names = scope.conditions
        # The conditions are weakened where they are used, at each place separately.
        if names is not None and file.parent.name == "dynamodb" and file.stem != "conditions":
            found.append(conditions(module, names))
        yield from sorted(chain(*found), key=lambda mutant: mutant.start)
