"""Requests, their jobs and logs."""
