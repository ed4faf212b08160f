"""Draw each docs/images/*-dark.svg from its light twin: `python tools/draw_dark.py`.

The two differ in their colours only, so that one drawing is kept by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
LIGHT = sorted(IMAGES.glob("*-light.svg"))

#: What each colour of the light picture becomes. White depends on what it fills.
_COLOURS = {
    "#1f2328": "#e6edf3",
    "#57606a": "#9da7b3",
    "#f6f8fa": "#161b22",
    "#8c959f": "#6e7681",
    "#ddf4ff": "#0c2d4d",
    "#0969da": "#4493f8",
    "#bc4c00": "#f0883e",
    "#6e7781": "#8b949e",
    ".page { fill: #ffffff": ".page { fill: #0d1117",
    ".box { fill: #ffffff": ".box { fill: #21262d",
    "font-weight: 600; fill: #ffffff": "font-weight: 600; fill: #0d1117",
}


def dark_twin(light: Path) -> Path:
    """Return where the dark twin of a light picture is."""
    return light.with_name(light.name.replace("-light", "-dark"))


def draw(light: Path) -> str:
    """Return the dark picture."""
    pattern = "|".join(map(re.escape, _COLOURS))
    return re.sub(pattern, lambda match: _COLOURS[match[0]], light.read_text())


if __name__ == "__main__":
    for picture in LIGHT:
        dark_twin(picture).write_text(draw(picture))
