"""Register the callbacks of this deployment: each module of `callbacks` has some."""

from pathlib import Path

from shiftwork_core.callbacks import register_all

register_all("callbacks", [str(Path(__file__).parent / "callbacks")])
