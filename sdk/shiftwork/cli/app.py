"""The command line: its help, and what its commands' errors become.

Only typer, the table of commands and what is as light are imported here, so that
`shiftwork --help` waits for nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shiftwork.cli.lazy_group import LazyGroup
from shiftwork.cli.quiet import IS_QUIET


class _App(LazyGroup):
    """Turns the errors of every command into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from .exit_codes import Exit

            raise typer.Exit(Exit.INTERRUPTED) from None
        except Exception as error:
            from shiftwork.api.errors import ShiftworkError

            from .exit_codes import exit_of

            if not isinstance(error, ShiftworkError):
                raise
            _complain(error)
            raise typer.Exit(exit_of(error)) from None


app = typer.Typer(
    cls=_App,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Shiftwork: requests made of steps and jobs, workers that do them, and workspaces that "
    "are on when they are needed.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 unreachable, "
    "6 unauthorized, 130 interrupted.",
    # Plain help: typer's other kinds are drawn with rich.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(version("shiftwork"))
        raise typer.Exit


@app.callback()
def _options(
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", envvar="SHIFTWORK_QUIET", help="Before a command: only say what fails."
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Say which version this is.", is_eager=True, callback=_say_version
        ),
    ] = False,
) -> None:
    """Take what holds for every command."""
    IS_QUIET.set(quiet)


def _complain(error: Exception) -> None:
    """Write everything that is wrong, and what to do next."""
    from shiftwork.cli.render.controls import visible
    from shiftwork.cli.routes_as_commands import as_commands

    message = visible(str(error))
    typer.echo(f"Error: {message}", err=True)
    faults = getattr(error, "faults", [])
    if not (len(faults) == 1 and faults[0].message in message):
        for fault in faults:
            typer.echo(visible(f"  {fault}"), err=True)
    if next_step := as_commands(str(getattr(error, "next_step", ""))):
        typer.echo(next_step[:1].upper() + next_step[1:], err=True)
