"""The services that the functions call; they reach the world through `shiftwork_core.ports`."""
