"""The quota model: its tables, its limits, and whether it counts what the emulator counts."""
