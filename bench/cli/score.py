"""`bmsbench score`: what of the seeded defects the suite catches."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from bench.cli.program import AsJson, DutOption, app, console


@app.command()
def score(
    dut: DutOption = "hd_lfp_24s",
    defects_from: Annotated[
        str, typer.Option("--defects-from", help="A Python file with further defects.")
    ] = "",
    only: Annotated[list[str] | None, typer.Option(help="Score only this defect; may be repeated.")] = None,
    seeds: Annotated[int, typer.Option(min=0, help="Seeds on which the sound BMS must have no finding.")] = 3,
    listed: Annotated[
        bool, typer.Option(help="Run only the scenarios that a defect names as its catchers.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Run the suite against every seeded defect and against the sound BMS: what is caught, what is missed."""
    from bench.score import Scorer, score_rows

    scorer = Scorer(dut=dut, defects_from=defects_from, listed=listed, jobs=jobs)
    done: list[Any] = []
    for row in scorer.run(only=only or [], seeds=seeds):
        done.append(row)
        typer.echo(row.line(), err=True)
    result = score_rows(done)
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        table = Table("defect", "seen as", "by", title="Score", show_lines=False)
        for row in done:
            table.add_row(row.name, row.verdict, ", ".join(row.scenarios) or "-")
        console().print(table)
        caught = f"caught {result['caught']} of {result['defects']}"
        typer.echo(f"{caught}, sound BMS: {result['false_findings']} findings")
    raise typer.Exit(0 if result["green"] else 1)
