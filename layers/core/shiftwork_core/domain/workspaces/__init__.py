"""Workspaces: when each should be on, and the lifecycle jobs that switch it."""
