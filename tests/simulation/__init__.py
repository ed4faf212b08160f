"""Simulate the whole engine in one process, where one integer decides everything that happens.

    python -m tests.simulation --seeds 10000 --from 0     # `make simulate SEEDS=10000 FROM=0`
    python -m tests.simulation --seed 17 --trace          # one seed again, with its events

hub.py          virtual time, and who acts next
faults.py       what may go wrong, how often
process.py      a process of the platform: its clock, its calls to the world, its death
services.py     the real services, one set a process
cloud/          what AWS does: the state machine, functions, queues, tables, drivers' targets
actors/         who uses it: a module for each kind of actor
workload.py     what is submitted
callbacks.py    how its jobs behave
invariants.py   the names of what must hold; request_invariants.py and lifecycle_invariants.py
                check it at every write
verdicts.py     whether workspaces are where expectations.py says they should be
simulation.py   one seed, from its plan to its verdict
shrinking.py    a failing seed, made small
"""
