"""The mutants that no test can tell from the original, each with its reason."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutants.mutant import Mutant


@dataclass(frozen=True, slots=True)
class Marks:
    """Which mutants are marked, by their place in the list, and marks that fit none."""

    reasons: dict[int, str]
    unfitting: list[str]


def marks_of(file: Path, mutants: Sequence[Mutant]) -> Marks:
    """Match the file's entries to mutants by the code's text.

    An entry fits exactly `times` mutants, one unless it says otherwise: so a change of the code
    asks for a look at the reason.
    """
    reasons: dict[int, str] = {}
    unfitting = []
    entries: list[dict[str, Any]] = tomllib.loads(file.read_text()).get("equivalent", [])
    for entry in entries:
        fitting = [number for number, mutant in enumerate(mutants) if _fits(entry, mutant)]
        if len(fitting) != entry.get("times", 1) or not entry["because"]:
            title = f"{entry['in']}: {entry['was']} -> {entry['becomes']}"
            unfitting.append(f"{title} (fits {len(fitting)})")
        reasons.update(dict.fromkeys(fitting, entry["because"]))
    return Marks(reasons, unfitting)


def _fits(entry: dict[str, Any], mutant: Mutant) -> bool:
    place = f"{mutant.module}.{mutant.function}"
    becomes = entry["becomes"]
    all_becomes = becomes if isinstance(becomes, list) else [becomes]
    return place == entry["in"] and mutant.was == entry["was"] and mutant.becomes in all_becomes
