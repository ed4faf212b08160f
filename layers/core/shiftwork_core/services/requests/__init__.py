"""Requests: submit them, advance them step by step, run their jobs, record what became of those."""
