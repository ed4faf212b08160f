"""The command that verifies a deployment with a throw-away stack."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.output import Format, Output, OutputOption


def verify(
    environment: Annotated[
        str,
        typer.Argument(help="An environment of samconfig.toml: its account and region are used."),
    ],
    skip: Annotated[
        list[str] | None,
        typer.Option(help="A demo not to run: demo, demo-workers or demo-workspaces."),
    ] = None,
    remove: Annotated[
        str,
        typer.Option(help="Only remove the throw-away stack of this name.", metavar="STACK"),
    ] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Deploy a throw-away stack, run the demos, count a step of 1,000 jobs, remove it, report.

    The report is Markdown, to attach to an issue. It has no account and no address.
    """
    from shiftwork.local.sources import find_checkout
    from shiftwork.local.verify.demos import DEMOS
    from shiftwork.local.verify.report import Verdict
    from shiftwork.local.verify.verification import STACK
    from shiftwork.local.verify.verification import remove as remove_stack
    from shiftwork.local.verify.verification import verify as verify_stack

    out, project = Output(output), find_checkout(Path.cwd())
    if unknown := set(skip or ()) - set(DEMOS):
        raise typer.BadParameter(f"there is no demo {min(unknown)!r}", param_hint="--skip")
    if remove:
        left = remove_stack(project, environment, remove, out.message)
        if out.is_json:
            out.json({"left": [asdict(one) for one in left]})
        for one in left if not out.is_json else []:
            out.fault(f"{one.what} is left: {one.why}\nRemove it with: {one.command}")
        raise typer.Exit(Exit.FAILED if left else Exit.OK)
    report = verify_stack(project, environment, skip or (), out.message)
    text = report.to_markdown()
    kept = project / ".shiftwork" / f"{report.facts[STACK]}.md"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(text)
    if out.is_json:
        out.json({"verdict": report.verdict, "report": text})
    else:
        typer.echo(text, nl=False)
    out.message(f"The report is in {kept}.")
    raise typer.Exit(Exit.OK if report.verdict is Verdict.PASSED else Exit.FAILED)
