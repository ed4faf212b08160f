"""Draw docs/explanation/security.md's table of routes: `python tools/draw_routes.py`."""

from __future__ import annotations

from pathlib import Path

from shiftwork_core.routes import ROUTES, TASK_ROUTES, Route, Scope

PAGE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "security.md"
_BEGIN, _END = "<!-- routes -->\n", "<!-- /routes -->\n"
#: `admin` may call every route.
_COLUMNS = (
    Scope.SUBMIT,
    Scope.READ,
    Scope.OPERATE,
    Scope.WORKER,
    Scope.INVITE,
    Scope.REGISTER,
)


def is_offered(route: Route) -> bool:
    """Whether the route does anything: any token may call those that answer 501."""
    return not set(Scope) <= {route.scope, *route.also}


def _cell(route: Route, scope: Scope) -> str:
    if route.scope is None:
        return "open"
    if scope not in (route.scope, *route.also):
        return ""
    return "own" if scope is Scope.WORKER else "yes"


def table() -> str:
    """Return the table in Markdown."""
    heads = ["route", *(f"`{scope.value}`" for scope in _COLUMNS)]
    lines = [heads, ["---"] * len(heads)]
    for route in filter(is_offered, ROUTES + TASK_ROUTES):
        path = route.path.replace("{*", "{")
        cells = [_cell(route, scope) for scope in _COLUMNS]
        lines.append([f"`{route.method} {path}`", *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page() -> str:
    """Return the page with the table as it should be."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}{table()}{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page())
