"""Faults in the AWS client layer of the deployed functions, and kills of their processes.

deployed/    what is added to the functions' code, on a stack made for these runs only
stack.py     makes that stack, writes the plan of faults, reads the journal of calls
workload.py  the requests, and what must be true of them afterwards
runs.py      the same requests under each mix of faults, measured against a run without
kills.py     one request for each AWS call that a process dies at
report.py    the tables
"""
