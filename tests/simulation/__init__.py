"""The deterministic simulation: the whole engine in one process, one integer decides everything.

    python -m tests.simulation --seeds 10000 --from 0     # `make simulate SEEDS=10000 FROM=0`
    python -m tests.simulation --seed 17 --trace          # one seed again, with its events

hub.py          virtual time, and who acts next
faults.py       what may go wrong, how often
process.py      a process of the platform: its clock, its calls to the world, its death
services.py     the real services, as a process holds them
cloud/          what AWS does: the state machine, functions, the queue, the network's tables
actors/         who uses it: one module a kind of actor
workload.py     what is submitted, and how its jobs behave
invariants.py   what must hold, checked at every write
simulation.py   one seed, from its plan to its verdict
shrinking.py    a failing seed, made small
"""
