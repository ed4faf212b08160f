"""The pictures of the pages."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from tools import draw_dark


def test_the_dark_picture_is_drawn_from_the_light_one() -> None:
    assert draw_dark.DARK.read_text() == draw_dark.draw(), "run: python tools/draw_dark.py"


def test_no_colour_of_the_light_picture_is_left_in_the_dark_one() -> None:
    light, dark = (
        set(re.findall(r"#[0-9a-f]{6}", file.read_text()))
        for file in (draw_dark.LIGHT, draw_dark.DARK)
    )
    assert light & dark == set()


def test_the_picture_says_in_words_what_it_shows() -> None:
    picture = ET.parse(draw_dark.LIGHT).getroot()
    names = {picture.find(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc")}
    assert None not in names and picture.get("role") == "img"
