"""What the functions call: each service speaks to the world through `shiftwork_core.ports`."""
