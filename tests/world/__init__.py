"""The engine in one process: real services over in-memory stores, the real machine file."""
