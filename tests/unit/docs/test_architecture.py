"""Check that ARCHITECTURE.md names only paths, tables and functions that exist."""

from __future__ import annotations

import re

from shiftwork_core.adapters.dynamodb.namespaces import PARTITION
from tests.template import resources
from tests.unit.docs.pages import ROOT, inline_code

PAGE = ROOT / "ARCHITECTURE.md"
CORE = ROOT / "layers" / "core" / "shiftwork_core"
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]*)+|\w+\.(?:py|ya?ml|toml|md)")
#: Names that occur in several folders; the page says in which.
_KINDS = {"routes.py", "inputs.py", "views.py", "explain.py", "commands/", "render/", "demos/"}


def paths_named() -> set[str]:
    """Return every path between backticks on the page."""
    named = {code for code in inline_code(PAGE) if _PATH.fullmatch(code)}
    return named - _KINDS | {"routes.py"}


def test_every_path_that_the_page_names_exists() -> None:
    paths = paths_named()
    assert len(paths) > 60
    places = [ROOT, CORE, CORE.parent]
    missing = []
    for path in sorted(paths):
        shortened = path.replace("core/", "shiftwork_core/", 1)
        if not any((place / name).exists() for place in places for name in (path, shortened)):
            missing.append(path)
    assert missing == []


_STOP = re.compile(r"^\d+\. `([^`]+)`: (.+(?:\n   .+)*)", re.MULTILINE)
_NAME = r"`((?:[A-Za-z]\w+\.)?\w+)`"


def test_the_walks_name_functions_of_the_files_and_what_these_call() -> None:
    walks = PAGE.read_text().partition("## Two walks")[2]
    stops = _STOP.findall(walks)
    assert len(stops) == len(re.findall(r"^\d+\.", walks, re.MULTILINE)) > 30
    for path, words in stops:
        said = " ".join(words.split())
        source = (ROOT / path.replace("core/", "layers/core/shiftwork_core/", 1)).read_text()
        first = re.search(_NAME, said)
        assert first is not None, said
        owner, _, name = first[1].rpartition(".")
        pattern = rf"^ +{name}:$" if path.endswith(".yaml") else rf"^ *def {name}\("
        assert re.search(pattern, source, re.MULTILINE), said
        assert not owner or re.search(rf"^class {owner}\b", source, re.MULTILINE), said
        for called in re.findall(rf"calls {_NAME}", said):
            assert re.search(rf"\b{called.rpartition('.')[2]}\b", source), f"{path}: {called}"


def test_other_code_is_not_mistaken_for_a_path() -> None:
    assert _PATH.fullmatch("services/requests/") and _PATH.fullmatch("samconfig.toml")
    assert not _PATH.fullmatch("for_each") and not _PATH.fullmatch("log#...")


def test_the_page_has_every_table_of_the_template() -> None:
    section = PAGE.read_text().partition("## The tables")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z ]+) \| (`.*?`) \|.*\| ?(.*) \|$", section, re.MULTILINE)
    shown = {name: (keys, set(re.findall(r"`(by_\w+)`", indexes))) for name, keys, indexes in rows}
    tables = {}
    for name, entry in resources("AWS::DynamoDB::Table").items():
        words = name.removesuffix("Table").removeprefix("Workspace")
        words = {"s": "Workspaces", "LifecycleJobLogs": "LifecycleLogs"}.get(words, words)
        properties = entry["Properties"]
        keys = [key["AttributeName"] for key in properties["KeySchema"]]
        indexes = {i["IndexName"] for i in properties.get("GlobalSecondaryIndexes", [])}
        tables[re.sub(r"(?<!^)(?=[A-Z])", " ", words).lower()] = (keys, indexes)
    assert {name: indexes for name, (_, indexes) in shown.items()} == {
        name: indexes for name, (_, indexes) in tables.items()
    }
    for name, (keys, _) in tables.items():
        # The page says what the stores call the partition key, which is `pk` on the wire.
        assert keys[0] == PARTITION
        assert re.findall(r"`(\w+)`", shown[name][0])[1:] == keys[1:], name
