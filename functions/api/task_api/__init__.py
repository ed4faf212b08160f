"""Describe for openapi.json the routes of tasks, which ServeTasks answers."""
