"""Measure the figures of docs/reference/figures.md: `make bench`."""
