"""The whole engine in one process: real services over the in-memory stores, the real machine file."""
