"""A small model, explored whole: every interleaving of a few actors at every call of the tables.

    python -m tests.model

invocations.py  what a function of the platform does next, given the answers it has had
world.py        a state of the world, and every step that can follow it
exploring.py    all states, each once; a violation comes with the way that led to it
cases.py        what is explored

The services are the real ones, over the store in memory; which state of the machine comes next is
read from its file. What is left out: the jobs of a batch, and the batches of a step, are done one
after the other; a list is read, and a transaction seen, at once; time passes only when nobody can
act any more, so nobody is held up past a lease while others go on; nothing is throttled, and of
replies only those of a process that dies are lost. The simulation has all of these, at random.
"""
