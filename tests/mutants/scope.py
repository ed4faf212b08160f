"""The modules that are mutated, and the tests that must notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Scope:
    """Some modules of a package, and the tests that guard them."""

    #: Where the tests are run.
    root: Path
    #: The folder that holds the package.
    source: Path
    #: Patterns of the modules to mutate, relative to `source`.
    modules: tuple[str, ...]
    #: Folders of tests, relative to `root`.
    tests: tuple[str, ...]
    #: The file of mutants that no test can tell from the original.
    equivalents: Path
    #: Tests that are left out, relative to `root`.
    left_out: tuple[str, ...] = ()
    #: For each, the first test whose name contains it runs ahead, for the fixtures it sets up.
    warm_up: tuple[str, ...] = ()
    #: Seeds of the simulation that a mutant must survive, and the modules that it runs.
    seeds: int = 0
    simulated: tuple[str, ...] = ()
    #: The module whose texts are the conditions, and the folder of its users.
    conditions: str | None = None

    @property
    def cache(self) -> Path:
        """Return the folder of what one run keeps for the next; git ignores it."""
        return self.root / ".mutants"

    def files(self) -> Iterator[Path]:
        """Yield the modules to mutate."""
        for pattern in self.modules:
            found = sorted(self.source.glob(pattern))
            if not found:
                raise FileNotFoundError(f"no module is {pattern}")
            yield from found

    def is_simulated(self, file: Path) -> bool:
        """Whether the simulation runs the module."""
        return any(file.relative_to(self.source).match(pattern) for pattern in self.simulated)


ENGINE = Scope(
    root=ROOT,
    source=ROOT / "layers" / "core",
    modules=(
        "shiftwork_core/adapters/dynamodb/*.py",
        "shiftwork_core/adapters/memory/*.py",
        "shiftwork_core/adapters/pages.py",
        *(
            f"shiftwork_core/domain/requests/{name}.py"
            for name in (
                "step_state",
                "outcomes",
                "states",
                "planning",
                "records",
                "stalls",
                "blob_lifetimes",
                "outages",
                "leases",
                "queue_names",
                "queue_order",
                "wake_ups",
                "blocks",
                "block_jobs",
                "tolerance",
                "retries",
            )
        ),
        "shiftwork_core/domain/requests/manifests/*.py",
        "shiftwork_core/domain/put_offs.py",
        "shiftwork_core/domain/workers/workers.py",
        *(
            f"shiftwork_core/services/requests/{name}.py"
            for name in (
                "advance",
                "plan",
                "cleanup",
                "executions",
                "overdue",
                "barrier",
                "run_jobs",
                "run_blocks",
                "block_work",
                "block_outcomes",
                "block_failures",
                "failures",
                "holding",
                "do_job",
                "job_list",
                "manifests",
                "tolerance",
                "outcome_writer",
                "outcomes",
                "cancel",
                "requests",
                "details",
                "call",
                "dispatch",
                "results",
                "lines",
                "lasting",
                "standing",
            )
        ),
        *(
            f"shiftwork_core/services/polling/{name}.py"
            for name in ("claim", "lapsed", "leases", "newest_types", "queues", "reports", "tasks")
        ),
        *(f"shiftwork_core/services/workers/{name}.py" for name in ("records", "reaper")),
        "shiftwork_core/services/sweep.py",
        *(
            f"shiftwork_core/services/workspaces/{name}.py"
            for name in (
                "claim_writes",
                "execute",
                "hosted_workers",
                "records",
                "schedule",
                "switch",
                "ticks",
                "wake",
                "workspaces",
            )
        ),
        "shiftwork_core/domain/metrics/happened.py",
        *(
            f"shiftwork_core/services/metrics/{name}.py"
            for name in ("count", "portions", "rebuild")
        ),
    ),
    tests=(
        "tests/unit/domain",
        "tests/unit/services",
        "tests/unit/adapters/dynamodb",
        "tests/unit/functions/api",
        "tests/contract/store",
    ),
    equivalents=Path(__file__).with_name("equivalent.toml"),
    # A random search takes long, and a test that kills a mutant should say what is wrong.
    left_out=("tests/contract/store/test_stateful.py",),
    warm_up=("[dynamodb",),
    seeds=100,
    simulated=(
        "shiftwork_core/adapters/memory/*.py",
        "shiftwork_core/domain/*/*.py",
        "shiftwork_core/domain/*.py",
        "shiftwork_core/services/*/*.py",
        "shiftwork_core/services/*.py",
    ),
    conditions="shiftwork_core.adapters.dynamodb.conditions",
)
