"""Polled jobs: hand them to workers, and take their reports."""
