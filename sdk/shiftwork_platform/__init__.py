"""Run the whole platform in one process: tests in virtual time, and a server for development."""
