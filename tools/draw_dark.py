"""Draw docs/images/request-dark.svg from request-light.svg: `python tools/draw_dark.py`.

The two pictures differ in their colours only, so that one drawing is kept by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
LIGHT, DARK = IMAGES / "request-light.svg", IMAGES / "request-dark.svg"

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


def draw() -> str:
    """Return the dark picture."""
    pattern = "|".join(map(re.escape, _COLOURS))
    return re.sub(pattern, lambda match: _COLOURS[match[0]], LIGHT.read_text())


if __name__ == "__main__":
    DARK.write_text(draw())
