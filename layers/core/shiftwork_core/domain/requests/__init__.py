"""Requests: their types, steps, attempts, and the rules by which they move."""
