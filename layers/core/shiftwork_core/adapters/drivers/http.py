"""Switch a workspace by calling a named HTTP service."""

from __future__ import annotations

import json

from shiftwork_core.adapters.drivers.groups import SETTLED, Unanswered
from shiftwork_core.adapters.drivers.specs import HttpCall, HttpStates, as_word
from shiftwork_core.adapters.http_guard import Unsendable
from shiftwork_core.adapters.named_services import (
    IDEMPOTENCY_KEY,
    Answer,
    NamedServices,
    NoAnswer,
    TooMuch,
)
from shiftwork_core.domain.json_bounds import TOO_DEEP
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.budgets import Budget
from shiftwork_core.domain.requests.templates import Search
from shiftwork_core.domain.workspaces.records import Operation, Sighting, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError

#: How long a call may take.
TIMEOUT_S = 10.0
#: A state is short: a longer answer is not read.
_MAX_ANSWER_BYTES = 1024 * 1024
#: Refusals that pass: timeout, conflict, locked, too early.
_PASSING = {408, 409, 423, 425}


class HttpDriver:
    """Driver `http`: asks a service for the state, to start, and to stop."""

    def __init__(self, services: NamedServices, search: Search) -> None:
        self._services = services
        self._search = search

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        """Return the state that the service reports; unknown if it is none of the spec's words.

        Raises
        ------
        DriverError
            If the service refuses, does not answer, or answers something other than JSON.
        """
        states = HttpStates.of(spec)
        call = HttpCall.of(spec, "state", "GET")
        answer = self._send(call, {})
        if not answer.is_whole:
            message = f"{call.service} answered with more than {_MAX_ANSWER_BYTES:,} bytes"
            raise DriverError(f"cannot read a state: {message}")
        try:
            content: Json = json.loads(answer.content)
        except RecursionError as error:
            raise DriverError(f"cannot read a state: the answer is {TOO_DEEP}") from error
        except ValueError as error:
            raise DriverError(f"cannot read a state: {answer}; it is not JSON") from error
        try:
            value = self._search(states.value, content, Budget())
        except Exception as error:
            reason = " ".join(str(error).split())  # JMESPath draws an arrow below the place.
            message = f"state.value {states.value!r} fails: {reason}"
            raise DriverError(
                f"{message}; correct the workspace's driver", is_final=True
            ) from error
        if value is None:
            detail = f"the answer to {call} has no {states.value}"
            return Sighting(WorkspaceState.UNKNOWN, detail)
        word = as_word(value)
        state = states.meanings.get(word, WorkspaceState.UNKNOWN)
        return Sighting(state, f"{call.service} says {word!r}")

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        """Return the memory as it is: the service keeps what it needs."""
        return memory

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        call = self._call(spec, memory, operation)
        return [] if call is None else [str(call)]

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        """Make the call; its key lets the service recognise a repetition."""
        call = self._call(spec, memory, operation)
        if call is not None:
            self._send(call, {IDEMPOTENCY_KEY: key})
        return memory

    def _call(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> HttpCall | None:
        """Return the call to make; None if the workspace is there, or on its way."""
        call = HttpCall.of(spec, operation.value, "POST")
        seen = self.look(spec, memory)
        if seen.state in SETTLED[operation]:
            return None
        if seen.state in (WorkspaceState.STARTING, WorkspaceState.STOPPING):
            message = f"cannot {operation.value} while {seen.detail}; tried again later"
            raise DriverError(message)
        return call

    def _send(self, call: HttpCall, headers: dict[str, str]) -> Answer:
        headers = {"Accept": "application/json", **headers, **call.headers}
        body = None
        if call.body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(call.body).encode()
        try:
            answer = self._services.call(
                call.service,
                call.method,
                call.path,
                headers=headers,
                body=body,
                timeout_s=TIMEOUT_S,
                max_bytes=_MAX_ANSWER_BYTES,
            )
        except Unsendable as error:
            message = f"cannot call {call}: {error}; correct the workspace's driver"
            raise DriverError(message, is_final=True) from error
        except (NoAnswer, TooMuch) as error:
            raise Unanswered(f"cannot call {call} now: {error}; tried again later") from error
        if answer.is_success:
            return answer
        is_passing = answer.is_passing or answer.status in _PASSING
        next_step = "tried again later" if is_passing else "correct the workspace's driver"
        message = f"cannot call {call}: {answer}; {next_step}"
        raise DriverError(message, is_final=not is_passing)
