"""Serve a project from one process: the real services in real time, over a file of tables."""
