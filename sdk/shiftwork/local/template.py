"""Read template.yaml as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as the long ones: `!Ref X` as `{"Ref": "X"}`."""


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)


def read_template(tree: Path) -> dict[str, Any]:
    """Read the template of a checkout."""
    loaded: dict[str, Any] = yaml.load((tree / "template.yaml").read_text(), _Loader)
    return loaded


def defaults_of(template: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters with the values that they have if nobody sets them."""
    return {name: str(entry["Default"]) for name, entry in template["Parameters"].items()}
