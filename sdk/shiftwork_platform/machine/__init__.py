"""Interpret the project's own state machine, without Step Functions."""
