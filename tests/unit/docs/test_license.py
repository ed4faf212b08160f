"""Check the license, and the notice of copyleft packages that the layers ship."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT

LOCKS = sorted((ROOT / "layers").glob("*/requirements.txt"))


def test_the_package_has_the_license_of_the_repository() -> None:
    assert (ROOT / "sdk" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_the_notice_names_every_copyleft_package_that_a_layer_ships(lock: Path) -> None:
    assert len(LOCKS) == 3
    named = set(re.findall(r"^  ([\w-]+)  ", (ROOT / "NOTICE").read_text(), re.MULTILINE))
    shipped = set(re.findall(r"^([\w.-]+)==", lock.read_text(), re.MULTILINE))
    copyleft = {name for name in shipped if _is_copyleft(name)}
    assert copyleft == named & shipped
    if lock.parent.name == "schedules":
        assert copyleft == named


def _is_copyleft(package: str) -> bool:
    found = metadata(package)
    fields = ("License-Expression", "License", "Classifier")
    terms = " ".join(term for field in fields for term in found.get_all(field) or [])
    return re.search(r"\b[AL]?GPL|\bMPL|\bEPL|Affero|Mozilla", terms) is not None
