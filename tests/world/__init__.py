"""The platform in one process: real services over stores in memory, and the real machine file."""
