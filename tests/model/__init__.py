"""Explore a small model completely: every interleaving of a few actors at every call of a table.

    python -m tests.model

invocations.py  what a function of the platform does next, given the answers it has had
states.py       states of the model, as values
world.py        the steps that can follow a state
exploring.py    all states, each once; a violation comes with the steps that led to it
cases.py        the cases that are explored

The services are the real ones, over the stores in memory; the machine's file says which state comes
next. What is left out: the jobs of a batch, and the batches of a step, run one after the other; a
list is read, and a transaction seen, at one moment; time passes only when nobody can act any more,
so nobody is stalled beyond a lease while others go on; nothing is throttled, and replies are lost
only to a process that dies. The simulation has all of these, at random.
"""
