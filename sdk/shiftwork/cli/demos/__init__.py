"""The three demos."""
