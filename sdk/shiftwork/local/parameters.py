"""Read and write the template's parameters in the forms that people and the SAM CLI use."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from shiftwork.local.errors import LocalStackError

_FORM = """write parameter_overrides = "Stage=dev LogRetentionDays=90" in samconfig.toml"""


def overrides_in(written: Any) -> dict[str, str]:
    """Return `parameter_overrides` of samconfig.toml: a text, or a list or a table of values.

    Raises
    ------
    LocalStackError
        If it has another form.
    """
    if isinstance(written, Mapping):
        return {str(name): as_text(value) for name, value in written.items()}
    words = written if isinstance(written, list) else _words(str(written))
    pairs = [str(word).partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals or not name.isalnum() or name == "ParameterKey":
            raise LocalStackError(
                f"parameter_overrides has {name + equals!r}, which is no name with a value.", _FORM
            )
    return {name: value for name, _, value in pairs}


def as_options(parameters: Mapping[str, str]) -> list[str]:
    """Return the SAM CLI's options that set these parameters."""
    pairs = [f"{name}={_quoted(value)}" for name, value in parameters.items()]
    return ["--parameter-overrides", *pairs] if pairs else []


def short_services(text: str, where: str, next_step: str, *, is_local: bool = False) -> str:
    """Return the value of the parameter Services in its shortest form.

    A local stack's services are on this machine or near it, so `is_local` declares those private
    that do not say what they are.

    Raises
    ------
    LocalStackError
        If it is not a JSON object of URLs, or of objects with `url` and perhaps `private`.
    """
    try:
        loaded: Any = json.loads(text)
    except json.JSONDecodeError:
        loaded = None
    if not isinstance(loaded, dict):
        raise LocalStackError(f"{where} is not a JSON object.", next_step)
    for name, declared in loaded.items():
        if not _is_declaration(declared):
            raise LocalStackError(
                f'{where} declares {name!r} neither by its URL nor as {{"url", "private"}}.',
                next_step,
            )
        if is_local and isinstance(declared, str):
            loaded[name] = {"url": declared, "private": True}
    short = json.dumps(loaded, separators=(",", ":"))
    # The SAM CLI cannot take a quote within a quoted value apart from that value's end.
    return short.replace(r"\\", r"\u005c").replace(r"\"", r"\u0022")


def _is_declaration(value: Any) -> bool:
    """Whether a service is declared in the right form; the engine judges the URL."""
    if isinstance(value, dict) and {"url"} <= value.keys() <= {"url", "private"}:
        return isinstance(value["url"], str) and isinstance(value.get("private", False), bool)
    return isinstance(value, str)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise LocalStackError(f"parameter_overrides cannot be read: {error}.", _FORM) from error


def as_text(value: Any) -> str:
    """Return a value of TOML as the template takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _quoted(value: str) -> str:
    """Quote a value the way the SAM CLI unquotes it: backslashes stand for themselves."""
    return '"' + value.replace('"', '\\"') + '"'
