"""Read definitions from YAML files: those of a project, or those to apply."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from shiftwork.api.calls.definitions import TYPES, Kind
from shiftwork.api.errors import BadDefinitions, Fault
from shiftwork.api.shapes import JsonObject

_PART = re.compile(r"\[([0-9]+)\]|([^.\[\]]+)")

DefinitionKind = Kind | Literal["workspace"]
#: Workspaces come last: requests may start and stop them.
KINDS: tuple[DefinitionKind, ...] = (*TYPES, "workspace")


#: A part of a definition, such as `("steps", 0, "name")`.
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Definition:
    """One document of a file; `place` is `file:line`."""

    kind: DefinitionKind
    name: str
    body: JsonObject
    place: str
    #: Where its parts stand, as `file:line:column`.
    marks: Mapping[Path_, str] = field(default_factory=dict, repr=False, compare=False)

    def place_of(self, path: str) -> str:
        """Return where a part stands, such as `steps[0].name`, or the nearest part around it."""
        parts: Path_ = tuple(int(index) if index else name for index, name in _PART.findall(path))
        while parts and parts not in self.marks:
            parts = parts[:-1]
        return self.marks.get(parts, self.place)


def read(path: Path) -> list[Definition]:
    """Return the definitions of a file, or of all YAML files of a folder, in order of kinds.

    Raises
    ------
    BadDefinitions
        If there is none, or some have faults; the error names every fault.
    """
    found_files = [*path.rglob("*.yaml"), *path.rglob("*.yml")]
    # An editor locks a file by a hidden link to nowhere.
    visible = (file for file in found_files if not file.name.startswith("."))
    files = [path] if path.is_file() else sorted(visible)
    faults: list[Fault] = []
    found: dict[tuple[str, str], Definition] = {}
    for file in files:
        for place, document, marks in _documents(file, faults):
            definition = _definition(place, document, marks, faults)
            if definition is None:
                continue
            other = found.setdefault((definition.kind, definition.name), definition)
            if other is not definition:
                message = f"{definition.kind} {definition.name!r} is defined in {other.place} too"
                faults.append(Fault(place, message))
    if not found and not faults:
        faults = [Fault(str(path), "no definitions here (*.yaml)")]
    if faults:
        raise BadDefinitions(faults)
    return sorted(found.values(), key=lambda d: (KINDS.index(d.kind), d.name))


#: Parts of parts that are marked; an alias may make a document endless.
_DEEPEST = 30
#: What a document may have, with each alias counted as what it stands for.
_MOST_NODES = 100_000
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def _without_base_60(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(rf"(?!.*:)(?:{pattern.pattern})", pattern.flags)


class _Loader(yaml.SafeLoader):
    """Reads `22:00` as a text; to YAML 1.1 it is the number 1320, in base 60."""


_Loader.yaml_implicit_resolvers = {
    character: [
        (tag, _without_base_60(pattern) if tag in _NUMBERS else pattern)
        for tag, pattern in resolvers
    ]
    for character, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _documents(file: Path, faults: list[Fault]) -> Iterator[tuple[str, Any, dict[Path_, str]]]:
    """Yield each document with its place and its parts'. A syntax error ends the file."""
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            if _size(node, {}) > _MOST_NODES:
                what = f"with what its aliases stand for it has over {_MOST_NODES:,} parts"
                faults.append(Fault(f"{file}:{node.start_mark.line + 1}", what))
                continue
            # Constructing it merges what stands elsewhere into its nodes.
            marks = {path: f"{file}:{line}:{column}" for path, line, column in _marks(node)}
            yield f"{file}:{node.start_mark.line + 1}", loader.construct_document(node), marks
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults.append(Fault(f"{file}:{line}", f"not YAML: {error.problem}"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        faults.append(Fault(str(file), f"not YAML: {error}"))
    except RecursionError:
        faults.append(Fault(str(file), "it nests too deeply"))
    except OSError as error:
        faults.append(Fault(str(file), f"it cannot be read: {error.strerror}"))


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many parts a node has, once its aliases are written out."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES  # For one that has itself as a part.
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = (one for part in parts for one in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_size(part, known) for part in flat)
    return known[id(node)]


def _marks(node: yaml.Node, path: Path_ = ()) -> Iterator[tuple[Path_, int, int]]:
    """Yield where the fields and items below a node stand."""
    parts: list[tuple[str | int, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        parts = [(key.value, key, value) for key, value in node.value if len(path) < _DEEPEST]
    elif isinstance(node, yaml.SequenceNode) and len(path) < _DEEPEST:
        parts = [(index, item, item) for index, item in enumerate(node.value)]
    for part, at, value in parts:
        yield (*path, part), at.start_mark.line + 1, at.start_mark.column + 1
        yield from _marks(value, (*path, part))


def _definition(
    place: str, document: Any, marks: Mapping[Path_, str], faults: list[Fault]
) -> Definition | None:
    if document is None:  # An empty document, such as one of comments only.
        return None
    if not isinstance(document, dict):
        faults.append(Fault(place, "a definition is a mapping with kind and name"))
        return None
    kind, name = document.get("kind"), document.get("name")
    own = []
    if not isinstance(kind, str) or kind not in KINDS:
        own.append(Fault(place, f"kind is {kind!r}; it must be one of {', '.join(KINDS)}"))
    if not isinstance(name, str) or not name:
        own.append(Fault(place, "name is missing"))
    try:
        plain = json.loads(json.dumps(document, allow_nan=False))
    except (TypeError, ValueError) as error:
        own.append(Fault(place, f"not JSON ({error}); a date needs quotes"))
    faults += own
    if own or kind is None:
        return None
    body = {key: value for key, value in plain.items() if key not in ("kind", "name")}
    return Definition(kind, str(name), body, place, marks)
