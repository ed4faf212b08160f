"""Explore the cases and print how many states and steps each has: `python -m tests.model`."""

from __future__ import annotations

import argparse
import sys
from time import monotonic

from tests.model.cases import CASES
from tests.model.exploring import Found, explore


def main() -> int:
    """Explore; return 1 if anything is violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="explore only these cases")
    wanted = parser.parse_args().case or list(CASES)
    print(f"{'case':<12} {'states':>10} {'steps':>10} {'ends':>6} {'interleavings':>14} {'s':>6}")
    for name in wanted:
        started = monotonic()
        found = explore(CASES[name], progress=_show if sys.stderr.isatty() else None)
        print(
            f"{name:<12} {found.states:>10,} {found.steps:>10,} {found.ends:>6,}"
            f" {found.interleavings:>14.1e} {monotonic() - started:>6.1f}"
        )
        if found.violation is not None:
            print("\n".join([*found.trace, str(found.violation)]))
            return 1
    return 0


def _show(found: Found) -> None:
    print(f"\r{found.states:,} states", end="\r", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
