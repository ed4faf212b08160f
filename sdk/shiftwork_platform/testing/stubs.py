"""Say what jobs do in a test, instead of their callback, function, service or worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from shiftwork_core.callbacks import Callback, Job
from shiftwork_core.domain.payloads import Json, JsonObject

#: Stands for any value where None is one.
ANY: Any = object()


@dataclass(slots=True)
class Rule:
    """What some attempts of a job type do; `left` says how many more, None any number."""

    matches: Callable[[Job], bool]
    act: Callback
    takes: timedelta
    left: int | None

    def takes_on(self, job: Job) -> bool:
        """Whether this attempt does what the rule says; it is then one less."""
        if self.left == 0 or not self.matches(job):
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass(slots=True)
class StubbedJob:
    """The jobs of a type: what they do in this test, and those that were done.

    Of several rules that match, the one that was given last counts. A job that none matches is done
    by its callback; one of another target must have a rule.
    """

    name: str
    #: Every attempt that was begun, as a callback is given it.
    calls: list[Job] = field(default_factory=list)
    _rules: list[Rule] = field(default_factory=list)

    def on(
        self,
        *,
        item: Any = ANY,
        params: Any = ANY,
        attempt: int | None = None,
        where: Callable[[Job], bool] = lambda job: True,
    ) -> Answers:
        """Speak of some attempts only.

        Parameters
        ----------
        item:
            The item of `for_each`: a value equal to it, an object that has the same in the fields
            that are given, or an object's `id`.
        params:
            Likewise, of the job's params.
        attempt:
            The number of the attempt, from 1.
        where:
            Anything else.
        """

        def matches(job: Job) -> bool:
            return (
                (item is ANY or fits(job.item, item))
                and (params is ANY or fits(job.params, params))
                and attempt in (None, job.attempt)
                and where(job)
            )

        return Answers(self, matches)

    def returns(self, result: JsonObject | None = None, *, times: int | None = None) -> StubbedJob:
        """Let the jobs complete with this result."""
        return self.on().returns(result, times=times)

    def raises(self, error: BaseException, *, times: int | None = None) -> StubbedJob:
        """Let the jobs raise: a `Retry`, a `Failure`, or another exception."""
        return self.on().raises(error, times=times)

    def does(self, function: Callback, *, times: int | None = None) -> StubbedJob:
        """Let the jobs do what a function does, as if it were their callback."""
        return self.on().does(function, times=times)

    def takes(self, **duration: float) -> Answers:
        """Let so much time pass first: `takes(minutes=5).returns({...})`."""
        return self.on().takes(**duration)

    def hangs(self, *, times: int | None = None) -> StubbedJob:
        """Let the jobs never answer, though their process lives: their time runs out."""
        return self.on().hangs(times=times)

    def goes_silent(self, *, times: int | None = None) -> StubbedJob:
        """Let the process that does the job die with it: nothing is heard of it any more."""
        return self.on().goes_silent(times=times)

    def add(self, rule: Rule) -> StubbedJob:
        """Let a rule count before those given so far."""
        self._rules.insert(0, rule)
        return self

    def copy(self) -> StubbedJob:
        """Return the same rules, of which nothing is used, and no calls."""
        return StubbedJob(self.name, _rules=[replace(rule) for rule in self._rules])

    @property
    def has_rules(self) -> bool:
        """Whether the test says what any of the jobs do."""
        return bool(self._rules)

    def rule_for(self, job: Job) -> Rule | None:
        """Return what this attempt does; None if no rule says."""
        return next((rule for rule in self._rules if rule.takes_on(job)), None)


class Answers:
    """What some attempts of a job type do."""

    def __init__(self, stubbed: StubbedJob, matches: Callable[[Job], bool]) -> None:
        self._stubbed = stubbed
        self._matches = matches
        self._takes = timedelta(0)

    def takes(self, **duration: float) -> Answers:
        """Let so much time pass first; the words are those of `timedelta`."""
        self._takes = timedelta(**duration)
        return self

    def returns(self, result: JsonObject | None = None, *, times: int | None = None) -> StubbedJob:
        """Let them complete with this result."""
        return self.does(lambda job: result, times=times)

    def raises(self, error: BaseException, *, times: int | None = None) -> StubbedJob:
        """Let them raise."""

        def act(job: Job) -> JsonObject | None:
            raise error

        return self.does(act, times=times)

    def does(self, function: Callback, *, times: int | None = None) -> StubbedJob:
        """Let them do what a function does."""
        return self._stubbed.add(Rule(self._matches, function, self._takes, times))

    def hangs(self, *, times: int | None = None) -> StubbedJob:
        """Let them never answer."""
        self._takes = timedelta.max
        return self.returns(times=times)

    def goes_silent(self, *, times: int | None = None) -> StubbedJob:
        """Let the process that does them die."""

        def die(job: Job) -> JsonObject | None:
            raise GoneSilent

        return self.does(die, times=times)


class GoneSilent(BaseException):
    """The process that does a job is to die."""


def fits(value: Json, wanted: Any) -> bool:
    """Whether a value is the one that is wanted, has its fields, or has it as its id."""
    if value == wanted:
        return True
    if not isinstance(value, dict):
        return False
    if isinstance(wanted, dict):
        return all(key in value and fits(value[key], wanted[key]) for key in wanted)
    return "id" in value and bool(value["id"] == wanted)
