"""Draw docs/reference/openapi.json from the API's routes: `python tools/draw_openapi.py`."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "reference" / "openapi.json"


def main() -> None:
    """Draw the document; a test keeps it and the routes alike."""
    sys.path[:0] = [str(ROOT / "functions" / "api"), str(ROOT / "layers" / "core")]
    build = importlib.import_module("openapi_document").build
    app = importlib.import_module("app").app
    DOCUMENT.write_text(json.dumps(build(app), indent=2) + "\n")


if __name__ == "__main__":
    main()
