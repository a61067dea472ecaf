"""`bmsbench fit-cell`: a cell file from measured logs, and its error on logs that were not fitted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.foreign import Columns, CurrentOffset, DischargePositive, GapFactor, Units
from bench.cli.program import app, console
from bench.errors import InvalidInput

if TYPE_CHECKING:
    from bench.cells.cell_file import FitError
    from bench.fit.log import Log

LOG_HELP = (
    "LOG or LOG@T=25,soc=1,ah=2.78,h=1,w=1: temperature, SOC, capacity, branch (1 charged, -1), weight."
)
CHEMISTRIES = ("LFP", "NMC", "NCA", "LMO", "LCO")
#: Weight of a sample of a slow log: it tells the OCV, and is not what the cell is to be good at.
SLOW_WEIGHT = 0.003


@app.command("fit-cell")
def fit_cell(
    columns: Columns,
    fit: Annotated[list[str], typer.Option("--fit", help=f"A log to fit; again for more. {LOG_HELP}")],
    ocv_discharge: Annotated[
        str, typer.Option(help="A slow discharge (C/20) from full to empty. LOG[@T=25]")
    ],
    capacity_ah: Annotated[float, typer.Option(help="At 25 °C; of a log that states no other with @ah=.")],
    chemistry: Annotated[str, typer.Option(help=f"One of {', '.join(CHEMISTRIES)}.")],
    name: Annotated[str, typer.Option(help="Of the cell type; the file's own name without .toml.")],
    source: Annotated[str, typer.Option(help="Where the logs come from; goes into every table.")],
    out: Annotated[Path, typer.Option(help="Cell file to write.")],
    test: Annotated[list[str] | None, typer.Option("--test", help="A log that is only tested.")] = None,
    ocv_charge: Annotated[str | None, typer.Option(help="A slow charge from empty to full.")] = None,
    units: Units = "",
    discharge_positive: DischargePositive = False,
    current_offset: CurrentOffset = 0.0,
    gap_factor: GapFactor = 10.0,
    initial_soc: Annotated[float, typer.Option(help="SOC at the first row of a log that states none.")] = 1.0,
    temperature: Annotated[float | None, typer.Option(help="In °C, of logs with no T and no @T=.")] = None,
    pairs: Annotated[int, typer.Option(help="RC pairs, 2 or 3.")] = 3,
    ohmic: Annotated[bool, typer.Option("--ohmic", help="Hold all pairs to Ohm's law.")] = False,
) -> None:
    """Fit resistances, RC pairs, OCV and hysteresis to logs of one cell, all at once.

    Prints the error of every log, with the plant as the simulator, and writes the cell file. For example:

    bmsbench fit-cell --fit drive_25C.csv --fit drive_0C.csv@ah=2.60 --test other_25C.csv
    --ocv-discharge c20.csv --columns t=t_s,i=i_A,v=v_V,T=temp_C --discharge-positive
    --capacity-ah 2.78 --chemistry NMC --source "cell 17, May" --name my_cell --out my_cell.toml

    More in docs/how-to/fit-a-cell.md.
    """
    from bench.fit import cell_fit, ocv, read, write
    from bench.foreign_log import read_mapping

    _demand("--chemistry", chemistry in CHEMISTRIES, f"one of {', '.join(CHEMISTRIES)}", repr(chemistry))
    _demand("--capacity-ah", 1e-3 <= capacity_ah <= 1e5, "0.001 to 100000", f"{capacity_ah:g}")
    _demand("--initial-soc", 0.0 <= initial_soc <= 1.0, "0 to 1", f"{initial_soc:g}")
    _demand("--pairs", pairs in (2, 3), "2 or 3", str(pairs))
    _demand("--name", out.stem == name and '"' not in name, f"{out.stem} as in --out", repr(name))
    _demand("--source", len(source) >= 4 and not set('"\\\n') & set(source), "words, no quotes", repr(source))
    _demand("--out", out.suffix == ".toml" and out.parent.is_dir(), "NAME.toml in a folder", str(out))
    mapping = read_mapping(
        columns, units, discharge_positive=discharge_positive, current_offset_a=current_offset
    )

    def log_of(text: str, option: str) -> Log:
        return read.read_named(
            read.named(text, option),
            mapping,
            capacity_ah=capacity_ah,
            soc=initial_soc,
            temperature_degc=temperature,
            gap_factor=gap_factor,
        )

    fitted = [log_of(text, "--fit") for text in fit]
    tested = [log_of(text, "--test") for text in test or []]
    slow = [read.slow_log(log_of(ocv_discharge, "--ocv-discharge"), charging=False, weight=SLOW_WEIGHT)]
    if ocv_charge:
        slow.append(read.slow_log(log_of(ocv_charge, "--ocv-charge"), charging=True, weight=SLOW_WEIGHT))
    bent = () if ohmic else (1, pairs)
    found = cell_fit.fit_cell([*fitted, *slow], ocv.first_ocv(*slow), pairs=pairs, bent=bent)
    about = write.About(
        name, chemistry, capacity_ah, float(found.base_v.mean()), source, write.SMALL_CELL, {}
    )
    errors = write.write_measured(out, found, about, [log.name for log in fitted], [*fitted, *tested])
    _print(errors)
    typer.echo(f"Wrote {out}. Its [thermal] table is a default; measure and edit it.")


def _demand(option: str, holds: bool, expected: str, found: str) -> None:
    if not holds:
        raise InvalidInput(option, expected=expected, found=found)


def _print(errors: list[FitError]) -> None:
    table = Table("log", "part", "rms [mV]", "largest [mV]", title="Voltage of the plant less measured")
    for error in errors:
        part = "fitted" if error.tested in error.fitted else "tested"
        table.add_row(escape(error.tested), part, f"{error.rms_mv:.2f}", f"{error.max_mv:.1f}")
    console().print(table)
