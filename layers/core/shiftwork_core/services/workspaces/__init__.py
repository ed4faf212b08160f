"""Workspaces: plan when they switch, switch them, and explain why."""
