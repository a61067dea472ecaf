"""`bmsbench verify`: whether the evidence of a run is complete and unaltered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.program import AsJson, RunFolder, app
from bench.cli.report import demand_run


@app.command("verify")
def verify_command(
    run_folder: RunFolder = Path("results/latest"),
    seal: Annotated[str, typer.Option(help="The seal's hash as printed on the certificate.")] = "",
    as_json: AsJson = False,
) -> None:
    """Check that the evidence of a run is complete and unaltered."""
    from bench.evidence import interruption, verify

    demand_run(run_folder)
    found = verify(run_folder, head=seal or None)
    interrupted = interruption(run_folder)
    if as_json:
        row = {"intact": True, "files": found.entries, "seal": found.head, "interrupted": interrupted or None}
        print(json.dumps(row))
        return
    typer.echo(f"intact: {found.entries} files, seal {found.head}")
    if interrupted:
        typer.echo(f"INTERRUPTED, the run did not end by itself: {interrupted}")
