"""The callbacks of this deployment: each module in this folder registers its own."""

from shiftwork_core.callbacks import register_all

register_all(__name__, __path__)
