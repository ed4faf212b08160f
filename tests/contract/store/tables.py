"""Create the tables that template.yaml declares, so that tests and deployment use the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parents[3] / "template.yaml"
#: Properties that have the same name in CloudFormation and CreateTable.
_SAME = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


class _Loader(yaml.SafeLoader):
    """Reads YAML with CloudFormation's tags, whose meaning no table's schema needs."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


@cache
def _resources() -> dict[str, Any]:
    template = yaml.load(TEMPLATE.read_text(), _Loader)
    resources: dict[str, Any] = template["Resources"]
    return resources


def declared(logical_id: str) -> dict[str, Any]:
    """Return the properties of a resource of the template."""
    properties: dict[str, Any] = _resources()[logical_id]["Properties"]
    return properties


def create_table(client: Any, logical_id: str, name: str) -> str:
    """Create a declared table under that name and return the name."""
    properties = declared(logical_id)
    schema = {key: properties[key] for key in _SAME if key in properties}
    client.create_table(TableName=name, **schema)
    return name
