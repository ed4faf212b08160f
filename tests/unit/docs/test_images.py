"""Check the picture of the path of a request, light and dark."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from tools import draw_dark


def test_the_dark_picture_is_drawn_from_the_light_one() -> None:
    assert draw_dark.DARK.read_text() == draw_dark.draw(), "run: python tools/draw_dark.py"


def test_the_dark_picture_has_no_colour_of_the_light_one() -> None:
    light, dark = (
        set(re.findall(r"#[0-9a-f]{6}", file.read_text()))
        for file in (draw_dark.LIGHT, draw_dark.DARK)
    )
    assert light & dark == set()


def test_the_picture_has_a_title_and_a_description() -> None:
    picture = ET.parse(draw_dark.LIGHT).getroot()
    names = {picture.find(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc")}
    assert None not in names and picture.get("role") == "img"
