"""The callbacks of the demos."""
