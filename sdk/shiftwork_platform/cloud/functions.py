"""Lambda: warm environments that serve one call at a time, time limits, asynchronous events.

Each function does what its handler in functions/<name>/app.py does, without Powertools.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.stalls import last_round
from shiftwork_core.domain.requests.wake_ups import jobs_of
from shiftwork_core.errors import Throttled, Unavailable
from shiftwork_core.services.sweep import Sweep
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.hub import Signal
from shiftwork_platform.cloud.process import Process
from shiftwork_platform.cloud.services import Services

if TYPE_CHECKING:
    from shiftwork_platform.cloud.cloud import Cloud

Handler = Callable[[Services, Any], Any]

#: Seconds, as template.yaml has them.
TIMEOUT_S = {
    "advance_request": 300,
    "run_jobs": 900,
    "retry_jobs": 30,
    "sweep": 600,
    "api": 29,
    "serve_tasks": 29,
    # The API again, for the owners of workspaces: here clocks may jump.
    "workspace_api": 29,
    "schedule_workspaces": 120,
    "switch_workspaces": 60,
}

_OF_THE_MACHINE = ("advance_request", "run_jobs")
_OF_THE_LIFECYCLE = ("schedule_workspaces", "switch_workspaces", "workspace_api")
#: How far a clock may jump, either way.
_LONGEST_JUMP_S = 3600.0

#: How long RunJobs may not start: longer than a request waits for that.
_LONGEST_BROKEN_S = 1200.0

#: After how long Lambda repeats a failed asynchronous event; then it drops it.
_EVENT_RETRIES_S = (60.0, 120.0)


class FunctionError(Exception):
    """What the caller of a function sees. `raised` is what the function raised, if it did."""

    def __init__(self, name: str, cause: str, raised: Exception | None = None) -> None:
        super().__init__(f"{name}: {cause}")
        self.name = name
        self.cause = cause
        self.raised = raised


class Invocation:
    """A call of a function that is under way."""

    def __init__(self, done: Signal) -> None:
        self.done = done
        self.answer: Any = None
        self.error: FunctionError | None = None

    def end(self, answer: Any = None, error: FunctionError | None = None) -> None:
        """Set what its caller sees, once."""
        if not self.done.is_set:
            self.answer, self.error = answer, error
            self.done.set()


class Functions:
    """All functions of the deployment."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._warm: dict[str, list[Services]] = {name: [] for name in TIMEOUT_S}
        self._broken_until = 0.0
        self._killing: set[tuple[str, str]] = set()
        #: How many calls of the machine's functions are under way, and when the last one ended.
        self.working = 0
        self.worked_at = 0.0
        self._count = 0

    def call(self, function: str, event: Any) -> Any:
        """Invoke and wait for the answer.

        Raises
        ------
        FunctionError
            If the function raised, died or timed out, or Lambda failed.
        """
        cloud = self._cloud
        faults = cloud.faults
        if faults.strikes(Fault.INVOKE_FAILED):
            raise FunctionError("Lambda.TooManyRequestsException", "rate exceeded")
        if function in _OF_THE_MACHINE:
            self._may_not_start(function, event)
        services = self._environment(function)
        process = services.process
        invocation = Invocation(Signal(cloud.hub))
        died = FunctionError("Runtime.ExitError", "the process exited")
        process.on_death = partial(invocation.end, error=died)
        work = partial(self._handle, function, services, event, invocation)
        cloud.hub.spawn(process.name, work, process)
        timeout_s: float = TIMEOUT_S[function]
        if faults.strikes(Fault.INVOKE_ORPHANED):
            patience_s = faults.seconds(timeout_s)
            if not cloud.hub.wait(invocation.done, patience_s) or faults.is_heads():
                raise FunctionError("Lambda.SdkClientException", "the connection broke")
        if not cloud.hub.wait(invocation.done, timeout_s):
            process.kill()
            raise FunctionError("Sandbox.Timedout", f"timed out after {timeout_s} s")
        if invocation.error is not None:
            raise invocation.error
        return invocation.answer

    def _may_not_start(self, function: str, event: JsonObject) -> None:
        """Let a function fail before it does anything, as long as the faults last."""
        hub, faults = self._cloud.hub, self._cloud.faults
        if function == "run_jobs":
            what = event["request_id"], event["jobs"][0]
            if faults.strikes(Fault.FUNCTION_BROKEN):
                self._broken_until = hub.now + faults.seconds(_LONGEST_BROKEN_S)
        elif "failure" in event:
            return  # The input that killed its process is no part of this one.
        else:
            what = event["request_id"], str(event["execution"])
        if faults.strikes(Fault.INPUT_KILLS):
            self._killing.add(what)
        if faults.is_over:
            return
        if function == "run_jobs" and hub.now < self._broken_until:
            raise FunctionError("Runtime.ImportModuleError", "No module named 'gone'")
        if what in self._killing:
            raise FunctionError("Runtime.ExitError", "signal: killed")

    def _environment(self, function: str) -> Services:
        with self._cloud.hub.lock:
            warm = self._warm[function]
            while warm:
                services = warm.pop()
                if not services.process.is_dead:
                    return services
            self._count += 1
        process = self._cloud.new_process(f"{function}.{self._count}")
        return self._cloud.services_of(process)

    def _handle(
        self, function: str, services: Services, event: Any, invocation: Invocation
    ) -> None:
        is_machines = function in _OF_THE_MACHINE
        self.working += is_machines
        if function in _OF_THE_LIFECYCLE:
            self._may_jump(services.process)
        try:
            answer = HANDLERS[function](services, event)
        except Exception as error:
            self._cloud.note("raises", (), {}, error)
            invocation.end(error=FunctionError(type(error).__name__, str(error), error))
        else:
            self._cloud.note("answers", (), {}, answer)
            invocation.end(answer)
        finally:
            if is_machines:
                self.working -= 1
                self.worked_at = self._cloud.hub.now
        services.process.on_death = None
        services.process.claim_ids.clear()
        if services.process.jump_s:
            return
        self._warm[function].append(services)

    def _may_jump(self, process: Process) -> None:
        """Perhaps let the clock jump for this invocation; the environment is not used again."""
        faults = self._cloud.faults
        if faults.strikes(Fault.CLOCK_JUMPED):
            longest_s = _LONGEST_JUMP_S if faults.is_heads() else -_LONGEST_JUMP_S
            process.jump_s = faults.seconds(longest_s)
            self._cloud.clock_jumps(process.jump_s)
            self._cloud.note(f"its clock jumps by {process.jump_s:.0f} s")

    # -- asynchronous events -------------------------------------------------------------------

    def invoke(self, request_id: str, jobs: list[str]) -> None:
        """Send an event to RunJobs, at least once and up to three times if it fails."""
        event = {"request_id": request_id, "execution": 0, "jobs": jobs}
        copies = 2 if self._cloud.faults.strikes(Fault.EVENT_DOUBLED) else 1
        for _ in range(copies):
            self._cloud.hub.spawn(f"event {request_id}", partial(self._deliver, event))

    def _deliver(self, event: JsonObject) -> None:
        hub = self._cloud.hub
        for wait_s in (*_EVENT_RETRIES_S, None):
            try:
                self.call("run_jobs", event)
                return
            except FunctionError:
                if wait_s is not None:
                    hub.sleep(wait_s)


class BatchCaller:
    """Calls RunJobs, and waits for it; see `ports.world.BatchCaller`.

    It waits longer than the real one, whose caller gives up before that.
    """

    def __init__(self, call: Callable[[str, Any], Any]) -> None:
        self._call = call

    def call(self, request_id: str, execution: int, jobs: list[str]) -> JobError | None:
        """Have RunJobs run a batch; return why it failed.

        Raises
        ------
        Throttled, Unavailable
            If the function was not called, or nobody knows whether it was.
        """
        event = {"request_id": request_id, "execution": execution, "jobs": jobs, "is_called": True}
        try:
            self._call("run_jobs", event)
        except FunctionError as error:
            if error.name == "Lambda.TooManyRequestsException":
                raise Throttled(error.cause) from error
            if error.name == "Lambda.SdkClientException":
                raise Unavailable(error.cause) from error
            return JobError(error.name, error.cause)
        return None


def _advance_request(services: Services, event: JsonObject) -> JsonObject:
    advancer, request_id, execution = services.advancer, event["request_id"], event["execution"]
    if "token" in event:
        services.barrier.wait(request_id, execution, event["token"])
        return {}
    if "failure" in event:
        failure = event["failure"]
        decision = advancer.record_failure(
            request_id, execution, failure["Error"], failure.get("Cause", "")
        )
    else:
        remaining = timedelta(seconds=TIMEOUT_S["advance_request"])
        decision = advancer.advance(request_id, execution, last_round(event), remaining)
    return decision.to_json()


def _run_jobs(services: Services, event: JsonObject) -> JsonObject:
    remaining = timedelta(seconds=TIMEOUT_S["run_jobs"])
    report = services.runner.run(
        event["request_id"], event["jobs"], remaining, is_called=event.get("is_called", False)
    )
    return {"is_waiting": report.is_waiting}


def _retry_jobs(services: Services, messages: list[JsonObject]) -> None:
    request_id = messages[0]["request_id"]
    if "jobs" in messages[0]:
        services.invoker.invoke(request_id, jobs_of(messages))
    else:
        services.executions.start_in_time(request_id)


def _sweep(services: Services, event: JsonObject) -> int:
    return services.sweeper.sweep(Sweep(event["sweep"]), timedelta(seconds=TIMEOUT_S["sweep"]))


def _schedule_workspaces(services: Services, event: JsonObject) -> int:
    return services.scheduler.tick()


def _switch_workspaces(services: Services, event: JsonObject) -> int | None:
    if "workspace" in event:
        services.scheduler.look_at(event["workspace"])
    elif "job" in event:
        services.switcher.run(event["job"], event["due_at"])
    elif "new" in event:
        services.switcher.announce(event["new"])
    else:
        return services.switcher.tick()
    return None


def _api(services: Services, call: Callable[[Services], Any]) -> Any:
    return call(services)


#: What each function does with an event, given the services of its process.
HANDLERS: dict[str, Handler] = {
    "advance_request": _advance_request,
    "run_jobs": _run_jobs,
    "retry_jobs": _retry_jobs,
    "sweep": _sweep,
    "api": _api,
    "serve_tasks": _api,
    "workspace_api": _api,
    "schedule_workspaces": _schedule_workspaces,
    "switch_workspaces": _switch_workspaces,
}
