"""Check the drawn pictures, light and dark, and that the pages show each of them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.unit.docs.pages import PAGES
from tools.draw_dark import IMAGES, LIGHT, dark_twin, draw

_EACH = pytest.mark.parametrize("light", LIGHT, ids=lambda path: path.stem)


@_EACH
def test_the_dark_picture_is_drawn_from_the_light_one(light: Path) -> None:
    assert dark_twin(light).read_text() == draw(light), "run: python tools/draw_dark.py"


@_EACH
def test_the_dark_picture_has_no_colour_of_the_light_one(light: Path) -> None:
    colours, dark = (
        set(re.findall(r"#[0-9a-f]{6}", file.read_text())) for file in (light, dark_twin(light))
    )
    assert colours & dark == set()


@_EACH
def test_the_picture_has_a_title_and_a_description(light: Path) -> None:
    picture = ET.parse(light).getroot()
    names = {picture.find(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc")}
    assert None not in names and picture.get("role") == "img"


def test_a_page_shows_each_picture() -> None:
    text = "".join(page.read_text() for page in PAGES)
    pictures = [path.name for path in IMAGES.iterdir()]
    assert len(pictures) > 4
    assert [name for name in pictures if f"images/{name}" not in text] == []
