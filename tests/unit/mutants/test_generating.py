"""A piece of code has the mutants that weaken its guards."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import dedent

import pytest

from tests.mutants.conditions import weaker_conditions, weaker_queries
from tests.mutants.equivalents import marks_of
from tests.mutants.generating import mutants_of
from tests.mutants.guards import guards
from tests.mutants.mutant import Module, Mutant
from tests.mutants.scope import ENGINE


def mutants(tmp_path: Path, code: str) -> list[Mutant]:
    file = tmp_path / "code.py"
    file.write_text(dedent(code))
    found = list(guards(Module(file)))
    for mutant in found:
        compile(mutant.source(), str(file), "exec")
        assert mutant.source() != file.read_text()
    return found


def weaker(tmp_path: Path, statement: str) -> list[str]:
    return [mutant.becomes for mutant in mutants(tmp_path, f"def f():\n    {statement}\n")]


@pytest.mark.parametrize(
    ("statement", "becomes"),
    [
        ("if a and b: pass", ["True", "False", "b", "a"]),
        ("if a or (b and c): pass", ["True", "False", "b and c", "a", "a or c", "a or b"]),
        ("if not a: pass", ["True", "False"]),
        ("while a <= b: pass", ["True", "False", "a < b"]),
        ("return a == b", ["True", "False"]),
        ("return a and b < c", ["b < c", "a", "a and b <= c"]),
        ("return x if a else y", ["True", "False"]),
        ("return [x for x in y if a]", ["True", "False"]),
        ("return a or b", ["b", "a"]),
        ("g(h(a is None))", ["True", "False"]),
        ("return (a, b) == (c, d)", ["True", "False", "(c, b) == (c, d)", "(a, d) == (c, d)"]),
        ("return (a, b) == c", ["True", "False", "(c[0], b) == c", "(a, c[1]) == c"]),
        ("return a in {1, 2}", ["True", "False", "a in {2}", "a in {1}"]),
        ("if (a := b()): pass", ["(a := b()) or True", "(a := b()) and False"]),
        ("read(ConsistentRead=True)", ["False"]),
        ("return f'{a and b}'", []),
        ("return a + b", []),
    ],
)
def test_each_guard_is_removed_or_weakened_in_turn(
    tmp_path: Path, statement: str, becomes: list[str]
) -> None:
    assert weaker(tmp_path, statement) == becomes


def test_each_case_is_dropped_and_each_alternative_of_one(tmp_path: Path) -> None:
    code = """
    def f(a):
        match a:
            case 1 | 2:
                return 3
            case 4 if a:
                return 5
            case _:
                return 6
    """
    found = [mutant.becomes for mutant in mutants(tmp_path, code)]
    assert found == ["1 | 2 if False", "2", "1", "True", "False"]


def test_a_table_of_transitions_admits_and_refuses_what_it_should_not(tmp_path: Path) -> None:
    code = """
    _TRANSITIONS = {(A.NEW, E.CLAIM): A.HELD, (A.NEW, E.END): Refused("no")}
    """
    found = [(mutant.function, mutant.becomes) for mutant in mutants(tmp_path, code)]
    assert found == [
        ("_TRANSITIONS[A.NEW, E.CLAIM]", "Refused('mutant')"),
        ("_TRANSITIONS[A.NEW, E.END]", "A.NEW"),
    ]


def test_what_a_function_returns_to_be_compared_is_compared_without_each_part(
    tmp_path: Path,
) -> None:
    code = """
    def _of(a):
        return a.b, a.c

    def _other(a):
        return a.b, a.c

    def is_same(a, b):
        return _other(a)[0] + (_of(a) == _of(b))
    """
    found = [m.becomes for m in mutants(tmp_path, code) if m.function != "is_same"]
    assert found == ["(None, a.c)", "(a.b, None)"]


def test_each_atom_of_a_condition_becomes_one_that_always_holds() -> None:
    text = "(attribute_exists(#id)) AND (#at <= :now OR #kind IN (:a, :b))"
    assert list(weaker_conditions(text)) == [
        text.replace("attribute_exists(#id)", always("#id")),
        text.replace("#at <= :now", always("#at")),
        text.replace("#kind IN (:a, :b)", always("#kind")),
        text.replace("<=", "<"),
    ]


def always(name: str) -> str:
    return f"(attribute_exists({name}) OR attribute_not_exists({name}))"


def test_each_atom_of_a_key_condition_is_dropped() -> None:
    assert list(weaker_queries("#id = :id AND #key BETWEEN :low AND :high")) == [
        "#key BETWEEN :low AND :high",
        "#id = :id",
    ]
    assert list(weaker_queries(" AND #at <= :until")) == ["", " AND #at < :until"]
    assert list(weaker_queries("#type = :type")) == [always("#type")]


def test_every_condition_of_the_store_is_weakened_at_each_place_of_its_use() -> None:
    found = mutants_of(ENGINE)
    store = [m for m in found if m.file.parent.name == "dynamodb" and m.was.startswith("c.")]
    assert {m.function for m in store} >= {
        "DynamoJobStore.claim",
        "AttemptRows._of_holder",
        "DynamoJobStore.fail",
        "DynamoRequestStore.enter_step",
        "DynamoRequestStore._use_of",
        "DynamoDefinitionStore.put",
    }
    # Each is used somewhere, or is part of one that is.
    used = {name for m in store for name in re.findall(r"c\.(\w+)", m.was)}
    tree = ast.parse((ENGINE.source / "shiftwork_core/adapters/dynamodb/conditions.py").read_text())
    defined = {
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    parts = {arg.id for call in calls for arg in call.args if isinstance(arg, ast.Name)}
    assert defined - {"STATUS_VALUES"} <= used | parts


def test_a_mark_that_fits_no_mutant_is_reported(tmp_path: Path) -> None:
    code = mutants(tmp_path, "def f():\n    return a == b\n")
    file = tmp_path / "equivalent.toml"
    entry = '[[equivalent]]\nin = "%s"\nwas = "a == b"\nbecomes = "True"\nbecause = "it is"\n'
    place = f"{tmp_path.name}/code.f"
    file.write_text(entry % place)
    assert marks_of(file, code).reasons == {0: "it is"}
    assert marks_of(file, code).unfitting == []
    file.write_text(entry % "elsewhere")
    assert marks_of(file, code).unfitting == ["elsewhere: a == b -> True (fits 0)"]
