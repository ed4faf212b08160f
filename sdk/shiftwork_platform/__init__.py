"""Run the whole platform in one process: tests in virtual time, and a server for development."""

import sys
from importlib.util import find_spec

from shiftwork_platform.tree import ROOT

if find_spec("shiftwork_core") is None:  # In a checkout the core lies in its layer.
    sys.path.append(str(ROOT / "layers" / "core"))
