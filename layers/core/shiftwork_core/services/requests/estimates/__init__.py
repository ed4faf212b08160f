"""Predict what a request of a type takes, and what stands against it."""
