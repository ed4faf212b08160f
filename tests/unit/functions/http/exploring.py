"""Explore what openapi.json describes with schemathesis, through the gateway in memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.schemas import BaseSchema

from shiftwork_platform.gateway import Gateway

#: What must hold of every answer. A refusal of what is in accord with its schema is none of them:
#: a schema cannot say all, such as that a name is that of a thing there is.
_ON: dict[str, Any] = {"enabled": True}
_CHECKS = {
    # Whether 501 is declared is for another check to say.
    "not_a_server_error": _ON | {"expected-statuses": ["2XX", "3XX", "4XX", 501]},
    "status_code_conformance": _ON,
    "content_type_conformance": _ON,
    "response_schema_conformance": _ON,
    "response_headers_conformance": _ON,
    "unsupported_method": _ON,
    "allow_header_conformance": _ON,
    "negative_data_rejection": _ON | {"expected-statuses": ["4XX"]},
}
#: How often a parameter of the path, or a text of a body, is a name that leads somewhere.
_KNOWN_IN_PATH, _KNOWN_IN_BODY = 0.6, 0.3


@dataclass
class Findings:
    """How often each status was answered, and every fault once, each with its call."""

    statuses: Counter[int] = field(default_factory=Counter)
    #: How many were successes, by operation.
    successes: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    def note(self, recorder: ScenarioRecorder) -> None:
        """Take what a scenario has recorded."""
        for case_id, checks in recorder.checks.items():
            response = recorder.interactions[case_id].response
            got = ""
            if response is not None:
                self.statuses[response.status_code] += 1
                label = recorder.cases[case_id].value.operation.label
                self.successes[label] += response.status_code < 300
                got = f"{response.status_code} {(response.content or b'')[:500]!r}"
            for check in checks:
                if found := check.failure_info:
                    text = f"{found.failure.message}\n{found.code_sample}\n{got}"
                    title = f"{check.name}: {found.failure.title}"
                    self.faults.setdefault(title, f"{title}\n{text}")


@dataclass(frozen=True)
class Explorer:
    """Makes calls of what openapi.json describes; the same seed makes the same ones.

    Attributes
    ----------
    known
        Returns names and ids that lead somewhere on a path; for "" those of all paths.
    examples
        How many random calls to make of each kind, besides those at the bounds.
    """

    gateway: Gateway
    document: dict[str, Any]
    token: str
    known: Callable[[str], list[str]]
    examples: int
    seed: int

    def explore(self, operation_id: str) -> Findings:
        """Call an operation with what its schema allows, and with what it does not."""
        path = next(
            path
            for path, item in self.document["paths"].items()
            if any(operation["operationId"] == operation_id for operation in item.values())
        )
        # The other paths would only take time.
        schema = self._schema([path], {"stateful": {"enabled": False}}, self.known(path))
        return self._run(schema.include(operation_id=operation_id))

    def follow_links(self, paths: Sequence[str]) -> Findings:
        """Call the operations of these paths in turn, each with what others have answered."""
        others = ("examples", "coverage", "fuzzing")
        phases = {name: {"enabled": False} for name in others} | {"stateful": {"max-steps": 8}}
        return self._run(self._schema(paths, phases, self.known("")))

    def _schema(self, paths: Sequence[str], phases: dict[str, Any], names: list[str]) -> BaseSchema:
        part = {**self.document, "paths": {path: self.document["paths"][path] for path in paths}}
        variables = {name for path in paths for name in re.findall(r"{(\w+)}", path)}
        dictionaries = {"everything": {"values": sorted({*self.known(""), *names})}}
        if names:
            dictionaries["names"] = {"values": names}
        in_path = {"dictionary": "names", "probability": _KNOWN_IN_PATH}
        in_body = {"dictionary": "everything", "probability": _KNOWN_IN_BODY}
        given = {
            "seed": self.seed,
            "suppress-health-check": ["all"],
            "headers": {"Authorization": f"Bearer {self.token}"},
            "checks": {"enabled": False, **_CHECKS},
            "generation": {
                "mode": "all",
                "max-examples": self.examples,
                "deterministic": True,
                "database": "none",
                "no-shrink": True,
                "with-security-parameters": False,
                "dictionaries": {"string": in_body},
            },
            "phases": phases,
            "analysis": {"constants": {"enabled": False}},
            "dictionaries": dictionaries,
            "parameters": {f"path.{name}": in_path for name in sorted(variables) if names},
        }
        config = SchemathesisConfig.from_dict(given)
        schema = schemathesis.openapi.from_dict(part, config=config)
        schema.app = self.gateway.wsgi
        schema.location = "/openapi.json"
        return schema

    def _run(self, schema: BaseSchema) -> Findings:
        findings = Findings()
        for event in from_schema(schema).execute():
            match event:
                case ScenarioFinished(recorder=recorder):
                    findings.note(recorder)
                case NonFatalError(value=error) | FatalError(exception=error):
                    raise error
        return findings
