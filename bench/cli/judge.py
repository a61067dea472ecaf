"""`bmsbench judge`: a log that some other bench or vehicle wrote, judged against a profile, offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.foreign import (
    Columns,
    CurrentOffset,
    DischargePositive,
    GapFactor,
    LogFile,
    Units,
    flag_rows,
    mapping_rows,
    print_flags,
    print_json,
    print_mapping,
    quantities,
)
from bench.cli.program import DUT_HELP, STYLE, AsJson, app, console
from bench.errors import Inconclusive, InvalidInput

if TYPE_CHECKING:
    from bench.reference import Finding

#: Keys whose measurement may have a stated uncertainty.
_DOUBTED = ("v", "i", "T", "pack_v", "link_v", "charger_v", "cell_a", "insulation_ohm_per_v")
EXIT = {"pass": 0, "fail": 1, "inconclusive": Inconclusive.exit_code}


@app.command()
def judge(
    log_file: LogFile,
    profile_name: Annotated[str, typer.Option("--profile", envvar="BENCH_DUT", help=DUT_HELP)],
    columns: Columns,
    reported: Annotated[
        str,
        typer.Option(
            help="Columns that the DUT reported, as in --columns: v=bms_cell_*_mV,soc=bms_soc,alarm.*=flag_*."
        ),
    ] = "",
    units: Units = "",
    reported_units: Annotated[str, typer.Option(help="As --units, for the columns of --reported.")] = "",
    discharge_positive: DischargePositive = False,
    reported_discharge_positive: Annotated[
        bool, typer.Option("--reported-discharge-positive", help="As --discharge-positive, for --reported.")
    ] = False,
    current_offset: CurrentOffset = 0.0,
    uncertainty: Annotated[
        str,
        typer.Option(
            help="Expanded uncertainty (k = 2) of the instruments in V, A, K: v=0.002,i=0.5,T=1. Default: 0."
        ),
    ] = "",
    events: Annotated[
        Path | None,
        typer.Option(
            help="What was done to the DUT: one JSON object in each line, such as "
            '{"t_s": 4.5, "kind": "mode", "mode": "charge"}.'
        ),
    ] = None,
    max_current: Annotated[
        float, typer.Option(help="More ampere than this cannot flow, so the unit is wrong.")
    ] = float("inf"),
    gap_factor: GapFactor = 10.0,
    as_json: AsJson = False,
) -> None:
    """Judge a foreign log against what the maker of the DUT declares.

    --columns names what instruments measured, --reported what the DUT said.
    Only what was measured can oblige the DUT to act.

    For example:

    bmsbench judge bench7.csv --profile hd_lfp_24s --uncertainty v=0.002
    --columns t=t_s,i=i_A,v=cell_*_mV,charge_path=K1 --reported soc=bms_soc

    More in docs/how-to/judge-a-log.md.

    Exit code: 0 explained, 1 findings, 20 nothing could be judged, 4 no usable log.
    """
    from bench.foreign_log import checked, read_log, read_mapping
    from bench.foreign_log.events import read_events
    from bench.offline import judge_log
    from dut_profiles.profile import load_profile

    profile = load_profile(profile_name)
    doubt = quantities(uncertainty, "--uncertainty", _DOUBTED)
    measured = read_mapping(
        columns, units, discharge_positive=discharge_positive, current_offset_a=current_offset
    )
    said = read_mapping(
        reported, reported_units, discharge_positive=reported_discharge_positive, option="--reported"
    )
    if not max_current > 0.0:
        raise InvalidInput("--max-current", expected="a number above 0", found=f"{max_current:g}")
    log = checked(read_log(log_file, measured, said, gap_factor=gap_factor), max_current_a=max_current)
    found = judge_log(log, profile, uncertainty=doubt, events=read_events(events) if events else [])
    flags = [*log.flags, *found.flags]
    result: dict[str, Any] = {
        "log": log.path,
        "profile": profile.identity.model,
        "verdict": found.verdict,
        "findings": [asdict(finding) for finding in found.findings],
        "judged": list(found.judged),
        "undecided": list(found.undecided),
        "stretches": found.stretches,
        "uncertainty": doubt,
        "mapping": mapping_rows(log),
        "flags": flag_rows(flags),
    }
    if as_json:
        print_json(result)
    else:
        print_mapping(log)
        print_flags(flags)
        _print(result, found.findings)
    raise typer.Exit(EXIT[found.verdict])


def _print(result: dict[str, Any], found: Sequence[Finding]) -> None:
    verdict = result["verdict"]
    if found:
        table = Table("t in s", "kind", "protection", "expected", "seen", title="Findings")
        for finding in found:
            words = (finding.kind, finding.protection, finding.expected, finding.seen)
            table.add_row(f"{finding.t_s:.3f}", *map(escape, words))
        console().print(table)
    typer.echo(f"Judged: {', '.join(result['judged']) or 'nothing'}")
    for reason in result["undecided"]:
        typer.echo(f"Not judged: {reason}")
    if result["stretches"] != 1:
        typer.echo(f"The log has gaps: {result['stretches']} stretches were judged one by one.")
    if not result["uncertainty"]:
        typer.echo("No --uncertainty was stated: the instruments count as exact.")
    style = STYLE[verdict]
    console().print(
        f"Verdict against {result['profile']}: [{style}]{verdict}[/], {len(found)} findings, "
        f"{len(result['judged'])} rules judged, {len(result['undecided'])} not, {len(result['flags'])} flags"
    )
