"""Decide what goes wrong, and how often: each seed has some kinds of fault, not all.

A run with every fault at once hides what only one of them causes (swarm testing, Groce et al.
2012), so a seed draws a subset of the kinds, and for each how often it strikes.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection
from enum import StrEnum
from itertools import accumulate
from random import Random


class Fault(StrEnum):
    """A kind of fault."""

    # At a call to a table, the queue, the machine, a function or the blobs.
    #: The call is refused for its rate, and writes nothing.
    THROTTLED = "throttled"
    #: The request never arrives; the caller learns that there was no answer.
    REQUEST_LOST = "request-lost"
    #: The call is carried out, but the caller learns that there was no answer.
    REPLY_LOST = "reply-lost"
    #: The call is carried out, its answer is lost, and the client library sends it again.
    SENT_TWICE = "sent-twice"
    #: The client library gives up a request and sends it again; the first arrives much later.
    ECHO = "echo"
    #: The process dies before the call, or after it.
    KILLED = "killed"
    #: The process stalls, perhaps beyond its lease, before the call or after it.
    STALLED = "stalled"
    #: The call takes up to two seconds.
    SLOW = "slow"

    # Of the tables.
    #: A query's pages are read one after the other, and others write in between.
    PAGED = "paged"
    #: While a transaction commits, plain reads see some of its rows and not the others.
    TORN = "torn"
    #: An index has not seen the latest writes.
    STALE_INDEX = "stale-index"

    # Of messages.
    MESSAGE_LOST = "message-lost"
    MESSAGE_DOUBLED = "message-doubled"
    MESSAGE_LATE = "message-late"

    # Of functions and processes.
    #: Lambda cannot start the function, or says so.
    INVOKE_FAILED = "invoke-failed"
    #: Lambda's answer is lost; the function runs on while its caller repeats the call.
    INVOKE_ORPHANED = "invoke-orphaned"
    #: An asynchronous event is delivered twice.
    EVENT_DOUBLED = "event-doubled"
    #: Clocks of processes are off, each by its own amount.
    SKEWED = "skewed"

    # Of people and schedules.
    EXECUTION_STOPPED = "execution-stopped"
    EXECUTION_DOUBLED = "execution-doubled"
    SWEEP_EXTRA = "sweep-extra"
    SWEEP_MISSED = "sweep-missed"
    #: Workers are drained and resumed.
    WORKER_DRAINED = "worker-drained"

    # Of workspaces. (Last, so that seeds without them keep the rates that they had.)
    #: The clock of one process is off by up to an hour, for one invocation.
    CLOCK_JUMPED = "clock-jumped"
    #: A driver's call fails, or what it asked for does not happen.
    TARGET_FAILED = "target-failed"
    #: A target refuses everything until somebody repairs it.
    TARGET_BROKEN = "target-broken"
    #: A driver's call takes longer than its function may run.
    TARGET_HANGS = "target-hangs"
    #: Somebody switches a target without the platform.
    TARGET_SWITCHED = "target-switched"

    # Of AWS, for a while.
    #: Every call is throttled, for longer than a client library's retries last.
    STARVED = "starved"

    # Of what people deploy.
    #: RunJobs cannot start, for a while.
    FUNCTION_BROKEN = "function-broken"
    #: A batch kills its process before it claims a job, or an execution's input kills the process
    #: that advances it, each time.
    INPUT_KILLS = "input-kills"
    #: The module of a callback cannot be imported.
    MODULE_BROKEN = "module-broken"

    # Of workers.
    #: Workers die with what they hold, one or all at once, and are gone for some minutes.
    WORKERS_DOWN = "workers-down"


#: The kinds that every call draws from; the others are drawn where they may happen.
AT_CALLS = (
    Fault.THROTTLED,
    Fault.REQUEST_LOST,
    Fault.REPLY_LOST,
    Fault.SENT_TWICE,
    Fault.ECHO,
    Fault.KILLED,
    Fault.STALLED,
    Fault.SLOW,
    Fault.STARVED,
)

#: The kinds that no attempt is lost by, as long as AWS answers again within half a lease.
GENTLE = (
    *(Fault.THROTTLED, Fault.REQUEST_LOST, Fault.REPLY_LOST, Fault.SENT_TWICE, Fault.STARVED),
    *(Fault.PAGED, Fault.TORN, Fault.STALE_INDEX),
    *(Fault.MESSAGE_LOST, Fault.MESSAGE_DOUBLED, Fault.MESSAGE_LATE, Fault.EVENT_DOUBLED),
    *(Fault.SWEEP_EXTRA, Fault.SWEEP_MISSED),
)

#: The probability that a seed has a given kind of fault.
_PRESENCE = 0.45
#: One seed in this many has no faults, so that a fault of the cloud itself shows.
_FAULTLESS = 20
#: The bounds between which a kind's rate is drawn, evenly in its logarithm.
_LOWEST, _HIGHEST = 0.003, 0.15
#: Other upper bounds: lower for what a run survives only a few times, higher for what is harmless.
_HIGHEST_OF = {
    Fault.KILLED: 0.04,
    Fault.STALLED: 0.04,
    Fault.STARVED: 0.01,
    Fault.FUNCTION_BROKEN: 0.05,
    Fault.SLOW: 0.6,
    Fault.PAGED: 0.6,
    Fault.TARGET_FAILED: 0.7,
    Fault.TARGET_BROKEN: 0.1,
}
#: The kinds that may strike far more often than a call fails.
_OFTEN = {
    Fault.TORN,
    Fault.STALE_INDEX,
    Fault.MESSAGE_LOST,
    Fault.MESSAGE_DOUBLED,
    Fault.MESSAGE_LATE,
    Fault.EVENT_DOUBLED,
    Fault.INVOKE_ORPHANED,
    Fault.SKEWED,
    Fault.SWEEP_MISSED,
}
_HIGHEST_OFTEN = 0.6


class Faults:
    """The faults of one seed; of those it would have, only `kinds` if they are given.

    Each strikes at least at the rate `lowest`, unless it is one that a run survives only seldom.
    """

    def __init__(
        self,
        plan: Random,
        random: Random,
        kinds: Collection[Fault] | None = None,
        lowest: float = _LOWEST,
    ) -> None:
        self._random = random
        self.rates: dict[Fault, float] = {}
        is_faultless = plan.randrange(_FAULTLESS) == 0
        for kind in Fault:
            is_present = plan.random() < _PRESENCE
            highest = _HIGHEST_OFTEN if kind in _OFTEN else _HIGHEST_OF.get(kind, _HIGHEST)
            rate = lowest * (highest / lowest) ** plan.random()
            # Workers run on users' own machines: a platform without any fault must bear their end.
            is_spared = is_faultless and kind is not Fault.WORKERS_DOWN
            if is_present and not is_spared and (kinds is None or kind in kinds):
                self.rates[kind] = rate
        self._at_calls = [kind for kind in AT_CALLS if kind in self.rates]
        self._bounds = list(accumulate(self.rates[kind] for kind in self._at_calls))
        self.is_faultless = self.rates.keys() <= {Fault.WORKERS_DOWN}
        self.is_over = False
        self.are_workers_safe = False

    def stop(self) -> None:
        """Let nothing go wrong from now on with the platform; workers may die on."""
        self.is_over = True
        self._bounds = []

    def at_call(self, name: str) -> Fault | None:
        """Draw the fault of a call of this name; None if it has none."""
        bounds = self._bounds
        if not bounds:
            return None
        index = bisect(bounds, self._random.random())
        return self._at_calls[index] if index < len(bounds) else None

    def strikes(self, kind: Fault) -> bool:
        """Draw whether this kind of fault strikes here."""
        rate = self.rates.get(kind)
        return rate is not None and not self.is_over and self._random.random() < rate

    def seconds(self, longest: float) -> float:
        """Draw how long something takes: mostly short, sometimes nearly `longest`."""
        return longest * self._random.random() ** 3

    def offset(self, largest: float) -> float:
        """Draw how far something is off, either way."""
        return self._random.uniform(-largest, largest)

    def is_heads(self) -> bool:
        """Toss a coin."""
        return self._random.random() < 0.5


class NoFaults(Faults):
    """Nothing goes wrong, and nothing takes time by itself."""

    def __init__(self) -> None:
        super().__init__(Random(0), Random(0), kinds=())

    def seconds(self, longest: float) -> float:
        """Let nothing take time."""
        return 0.0
