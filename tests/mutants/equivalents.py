"""Read which mutants no test can tell from the original, and why."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutants.mutant import Mutant


@dataclass(frozen=True, slots=True)
class Marks:
    """The reasons of marked mutants by their place in the list, and the entries that fit none."""

    reasons: dict[int, str]
    unfitting: list[str]


def marks_of(file: Path, mutants: Sequence[Mutant]) -> Marks:
    """Match the file's entries to mutants by the code's text.

    An entry fits exactly `times` mutants, one unless it says otherwise: so a change of the code
    makes somebody check the reason.
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
