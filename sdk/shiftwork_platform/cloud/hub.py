"""Keep virtual time and choose who acts next: actors are greenlets, a random number picks one.

An actor runs until it calls `pause` (another may act now), `sleep` or `wait`. Time passes
only when nobody can act. Nothing here knows what is simulated.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from heapq import heappop, heappush
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet

#: How often an actor's rank changes when it pauses.
_RANK_CHANGES = 0.03


class Killed(BaseException):
    """The actor's process died. No `except Exception` stops it, as nothing stops a SIGKILL."""


class Runaway(AssertionError):
    """The simulation does not end."""


class Group:
    """Actors that die together: the threads of a process, the branches of an execution."""

    __slots__ = ("actors", "is_dead", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.actors: list[Actor] = []


class Actor(greenlet):
    """One thread of work. `version` tells an outdated timer from the one that counts."""

    def __init__(self, hub: Hub, name: str, work: Callable[[], None], group: Group) -> None:
        super().__init__(self._run, hub.main)
        self.name = name
        self.group = group
        self.is_blocked = False
        self.version = 0
        self.rank = hub.random()
        self._work = work
        self._hub = hub
        group.actors.append(self)

    def _run(self) -> None:
        try:
            if not self.group.is_dead:
                self._work()
        except Killed:
            pass
        self.group.actors.remove(self)
        del self._hub.actors[self]


class Signal:
    """Something that happens once. Every actor that waits for it continues."""

    __slots__ = ("_hub", "is_set", "waiters")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.is_set = False
        self.waiters: list[Actor] = []

    def set(self) -> None:
        """Let it have happened."""
        with self._hub.lock:
            self.is_set = True
            waiters, self.waiters = self.waiters, []
        for actor in waiters:
            self._hub.unblock(actor)


class Hub:
    """The scheduler. `now` counts virtual seconds from the start."""

    #: A seed takes some ten thousand switches; one that takes this many never ends.
    MAX_SWITCHES = 3_000_000

    def __init__(self, random: Random) -> None:
        #: Guards what actors share; they act one at a time here.
        self.lock: AbstractContextManager[Any] = nullcontext()
        self.main = getcurrent()
        self.now = 0.0
        self.switches = 0
        self.random = random.random
        #: How likely an actor goes on when others could act.
        self.stickiness = 0.0
        #: Whether the actor of the highest rank acts; ranks change now and then. Orders that starve
        #: an actor for long show what a fair order hardly ever does (Burckhardt et al.,
        #: A randomized scheduler with probabilistic guarantees of finding bugs, 2010).
        self.is_ranked = False
        #: Whether actors act in the order in which they can; nothing is left to chance then.
        self.is_in_order = False
        #: All actors that have not ended, in the order in which they were added.
        self.actors: dict[Actor, None] = {}
        self._ready: list[Actor] = []
        self._timers: list[tuple[float, int, Actor, int]] = []
        self._sequence = 0
        self._current: Actor | None = None
        self._to_begin: Actor | None = None
        self._is_over = False

    # -- for the simulation --------------------------------------------------------------------

    def spawn(self, name: str, work: Callable[[], None], group: Group | None = None) -> Actor:
        """Add an actor; it begins once the one that added it has paused."""
        actor = Actor(self, name, work, group or Group(name))
        self.actors[actor] = None
        self._ready.append(actor)
        return actor

    def spawn_after(self, seconds: float, name: str, work: Callable[[], None]) -> None:
        """Add an actor that begins after so many virtual seconds."""

        def begin() -> None:
            self.sleep(seconds)
            work()

        self.spawn(name, begin)

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Let all actors act until `stop` or `until`, or until none ever will again.

        `until` is asked when an actor has ended, and when time is to pass.
        """
        while not (self._is_over or until()):
            if self._ready:
                actor = self._take()
            elif self._timers:
                self._pass_time()
                continue
            else:
                return
            self._switch_to(actor)
            while self._to_begin is not None:
                actor, self._to_begin = self._to_begin, None
                actor.switch()

    @property
    def is_quiet(self) -> bool:
        """Whether nobody can act before time passes."""
        return not self._ready

    def stop(self) -> None:
        """End the simulation, from within an actor. It does not return."""
        self._is_over = True
        self.main.switch()

    def end_actors(self) -> None:
        """End every actor, so that none is finalised later at a moment that no seed decides."""
        self._ready, self._timers = [], []
        for actor in list(self.actors):
            actor.group.is_dead = True
            if actor:  # It has begun.
                actor.throw(Killed)

    # -- for actors ----------------------------------------------------------------------------

    @property
    def actor(self) -> Actor:
        """The actor that acts now."""
        assert self._current is not None
        return self._current

    def pause(self) -> None:
        """Let others act, if the seed has it so."""
        ready = self._ready
        if not ready or (self.stickiness and self.random() < self.stickiness):
            return
        me = self.actor
        if self.is_ranked:
            if self.random() < _RANK_CHANGES:
                me.rank = self.random()
            index = self._highest()
            if ready[index].rank < me.rank:
                return
        else:
            index = int(self.random() * (len(ready) + 1))
            if index == len(ready):
                return
        other = ready[index]
        ready[index] = me
        self._switch_to(other)
        if me.group.is_dead:
            raise Killed

    def step_aside(self) -> bool:
        """Let another act, whichever it is; return False if none can."""
        if not self._ready:
            return False
        me = self.actor
        other = self._take()
        self._ready.append(me)
        self._switch_to(other)
        if me.group.is_dead:
            raise Killed
        return True

    def sleep(self, seconds: float) -> None:
        """Act again after this many virtual seconds."""
        self._set_timer(seconds)
        self._block()

    def wait(self, signal: Signal, timeout_s: float | None = None) -> bool:
        """Act again once the signal is set; return False if it is not set in time."""
        if not signal.is_set:
            signal.waiters.append(self.actor)
            if timeout_s is not None:
                self._set_timer(timeout_s)
            self._block()
            if not signal.is_set:
                signal.waiters.remove(self.actor)
        return signal.is_set

    def unblock(self, actor: Actor) -> None:
        """Let an actor that sleeps or waits act again."""
        if actor.is_blocked:
            actor.is_blocked = False
            actor.version += 1
            self._ready.append(actor)

    def kill(self, group: Group) -> None:
        """End all actors of a group, at the latest when they would act next; perhaps ourselves."""
        group.is_dead = True
        for actor in group.actors:
            self.unblock(actor)

    # -- switching -----------------------------------------------------------------------------

    def _set_timer(self, seconds: float) -> None:
        self._sequence += 1
        me = self.actor
        at = self.now + seconds if seconds > 0 else self.now
        heappush(self._timers, (at, self._sequence, me, me.version))

    def _block(self) -> None:
        me = self.actor
        me.is_blocked = True
        if self._ready:
            self._switch_to(self._take())
        else:
            self.main.switch()
        if me.group.is_dead:
            raise Killed

    def _take(self) -> Actor:
        """Take out one of those that can act."""
        ready = self._ready
        if self.is_in_order:
            return ready.pop(0)
        index = self._highest() if self.is_ranked else int(self.random() * len(ready))
        ready[index], ready[-1] = ready[-1], ready[index]
        return ready.pop()

    def _highest(self) -> int:
        ranks = [actor.rank for actor in self._ready]
        return ranks.index(max(ranks))

    def _pass_time(self) -> None:
        """Go to the next moment at which somebody can act."""
        timers = self._timers
        at = timers[0][0]
        while timers and timers[0][0] == at:
            _, _, actor, version = heappop(timers)
            if actor.is_blocked and actor.version == version:
                self.now = at
                self.unblock(actor)

    def _switch_to(self, actor: Actor) -> None:
        self.switches += 1
        if self.switches > self.MAX_SWITCHES:
            self._is_over = True
            raise Runaway(f"no end after {self.switches:,} switches, {self.now:,.0f} s")
        self._current = actor
        if actor or getcurrent() is self.main:
            actor.switch()
        else:
            # A greenlet begins as deep as the one that begins it stands: if actors began each
            # other, a long chain of them would reach the recursion limit.
            self._to_begin = actor
            self.main.switch()
