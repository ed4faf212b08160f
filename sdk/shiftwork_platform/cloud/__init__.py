"""A deployment in one process and in virtual time, whose every call may fail."""
