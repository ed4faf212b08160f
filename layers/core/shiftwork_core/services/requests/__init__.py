"""Requests: submit them, advance them step by step, run their jobs, record the outcomes."""
