"""Workspaces and their lifecycle jobs."""
