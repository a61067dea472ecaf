"""`bmsbench estimate`: what a log of one cell tells of it, with bounds."""

from __future__ import annotations

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
)
from bench.cli.program import AsJson, app, console
from bench.errors import InvalidInput

if TYPE_CHECKING:
    from bench.cells import CellFile
    from bench.foreign_log import ForeignLog
    from bench.offline import LogEstimate

HEADER = "t_s,soc,soc_lower,soc_upper"
#: More current than this multiple of the capacity per hour is taken for a wrong unit, project default.
MOST_PER_H = 50.0


@app.command()
def estimate(
    log_file: LogFile,
    cell: Annotated[str, typer.Option(help="Cell type: a name in bench/cells, or a TOML file.")],
    columns: Columns,
    units: Units = "",
    discharge_positive: DischargePositive = False,
    current_offset: CurrentOffset = 0.0,
    initial_soc: Annotated[
        float | None, typer.Option(help="SOC at the first row, 0..1. Default: unknown.")
    ] = None,
    initial_soc_uncertainty: Annotated[
        float | None, typer.Option(help="About how far --initial-soc may be off, 0..1. Default: 0.3.")
    ] = None,
    capacity_ah: Annotated[
        float | None, typer.Option(help="Present capacity at 25 °C. Default: the cell file's.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of the cell in °C, if the log has no T. Default: 25, flagged.")
    ] = None,
    max_current: Annotated[
        float | None, typer.Option(help="More ampere than this cannot flow. Default: capacity x 50 / h.")
    ] = None,
    gap_factor: GapFactor = 10.0,
    out: Annotated[Path | None, typer.Option(help=f"CSV file to write: {HEADER}.")] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate SOC over time, capacity, resistance and current offset from a log of one cell.

    The log needs columns for t, i and v, and T if there is one. For example:

    bmsbench estimate drive.csv --cell lg_hg2_3ah --out soc.csv
    --columns t=t_s,i=i_A,v=v_V,T=temp_C --discharge-positive

    More in docs/how-to/estimate-a-log.md.
    """
    from bench.cells import load_cell
    from bench.foreign_log import checked, read_log, read_mapping
    from bench.offline import estimate_log

    file = load_cell(cell)
    _demand_place(out, log_file)
    _demand("--initial-soc", initial_soc, 0.0, 1.0)
    _demand("--initial-soc-uncertainty", initial_soc_uncertainty, 1e-6, 1.0)
    if initial_soc is None and initial_soc_uncertainty is not None:
        raise InvalidInput("--initial-soc-uncertainty", expected="an --initial-soc with it", found="none")
    _demand("--capacity-ah", capacity_ah, 1e-3, 1e5)
    _demand("--temperature", temperature, -60.0, 120.0)
    _demand("--max-current", max_current, 1e-9, 1e6)
    most_a = MOST_PER_H * (capacity_ah or file.capacity_ah) if max_current is None else max_current
    mapping = read_mapping(
        columns, units, discharge_positive=discharge_positive, current_offset_a=current_offset
    )
    log = checked(read_log(log_file, mapping, gap_factor=gap_factor), max_current_a=most_a)
    found = estimate_log(
        log,
        file,
        capacity_ah=capacity_ah,
        initial_soc=initial_soc,
        initial_soc_uncertainty=initial_soc_uncertainty,
        temperature_degc=temperature,
    )
    if out is not None:
        _write(out, found)
    result = _result(log, file, found) | {"out": None if out is None else str(out)}
    if as_json:
        print_json(result)
    else:
        print_mapping(log)
        print_flags(found.flags)
        _print(result)


def _demand(option: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:  # nan is refused too
        raise InvalidInput(option, expected=f"{least:g} to {most:g}", found=f"{value:g}")


def _demand_place(out: Path | None, log_file: Path) -> None:
    """Refuse now what could only fail after minutes of work."""
    if out is None:
        return
    if not out.parent.is_dir():
        raise InvalidInput("--out", expected="a file in a folder that exists", found=str(out))
    if out.exists() and log_file.exists() and out.samefile(log_file):
        raise InvalidInput("--out", expected="another file than the log", found=str(out))


def _write(path: Path, found: LogEstimate) -> None:
    rows = zip(found.t_s.tolist(), found.soc, found.lower, found.upper, strict=True)
    lines = [HEADER, *(f"{t!r},{soc:.6f},{low:.6f},{high:.6f}" for t, soc, low, high in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _result(log: ForeignLog, file: CellFile, found: LogEstimate) -> dict[str, Any]:
    track, moved, now, new_ah = found.track, found.throughput, found.capacity, file.capacity_ah
    # What a meter shows too much in the log's own sign is what --current-offset has to take away.
    sign = -1.0 if log.mapping.discharge_positive else 1.0
    offset_a, doubt_a = float(track.current_offset_a[-1]), float(track.current_offset_uncertainty_a[-1])
    return {
        "log": log.path,
        "cell": file.name,
        "rows": len(found.t_s),
        "duration_s": float(found.t_s[-1] - found.t_s[0]),
        "capacity_used_ah": found.capacity_ah,
        "soc_start": _bounded(found.soc[0], found.lower[0], found.upper[0]),
        "soc_end": _bounded(found.soc[-1], found.lower[-1], found.upper[-1]),
        "current_offset_a": _around(offset_a, doubt_a),
        "current_offset_in_log_a": _around(sign * offset_a, doubt_a),
        "capacity_ah": None if now is None else _around(now.capacity_ah, now.bound_ah),
        "soh_capacity": None if now is None else _around(now.capacity_ah / new_ah, now.bound_ah / new_ah),
        **_resistance(found),
        "charged_ah": moved and moved.charged_ah,
        "discharged_ah": moved and moved.discharged_ah,
        "counted_s": moved and moved.counted_s,
        "gap_s": moved and moved.gap_s,
        "equivalent_full_cycles": moved and moved.equivalent_full_cycles(found.capacity_ah),
        "soc_cycles": float(found.cycles.count.sum()),
        "deepest_cycle": float(found.cycles.depth.max(initial=0.0)),
        "untold": list(found.untold),
        "mapping": mapping_rows(log),
        "flags": flag_rows(found.flags),
    }


def _resistance(found: LogEstimate) -> dict[str, Any]:
    pulses = found.pulses
    if pulses is None:
        return {"ohmic_ohm": None, "pulse_ohm": None, "resistance_growth": None}
    pulse = pulses.pulse
    return {
        "ohmic_ohm": _around(pulses.ohmic.resistance_ohm, pulses.ohmic.bound_ohm),
        "ohmic_interval_s": pulses.interval_s,
        "ohmic_steps": pulses.ohmic.steps,
        "pulse_ohm": None if pulse is None else _around(pulse.resistance_ohm, pulse.bound_ohm),
        "pulse_s": pulses.pulse_s,
        "resistance_soc": [pulses.soc_low, pulses.soc_high],
        "resistance_degc": [pulses.coldest_degc, pulses.hottest_degc],
        "resistance_growth": _around(pulses.grown.resistance_ohm, pulses.grown.bound_ohm),
    }


def _bounded(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": float(value), "lower": float(low), "upper": float(high)}


def _around(value: float, half: float) -> dict[str, float]:
    return _bounded(value, value - half, value + half)


#: What is printed: key, words, format of the number, unit, factor.
_SHOWN = (
    ("soc_start", "SOC at the first row", ".1f", "%", 100.0),
    ("soc_end", "SOC at the last row", ".1f", "%", 100.0),
    ("capacity_ah", "Capacity", ".3f", "Ah", 1.0),
    ("soh_capacity", "Capacity over the cell file's", ".1f", "%", 100.0),
    ("ohmic_ohm", "Mean resistance between two samples", ".3f", "mΩ", 1e3),
    ("pulse_ohm", "Mean pulse resistance", ".3f", "mΩ", 1e3),
    ("resistance_growth", "Resistance over the cell file's", ".2f", "", 1.0),
    ("current_offset_in_log_a", "The log's current shows too much, in its own sign", ".3f", "A", 1.0),
)


def _print(result: dict[str, Any]) -> None:
    table = Table(
        "", "estimate", "lower", "upper", "unit", title=escape(f"{result['log']} as {result['cell']}")
    )
    for key, words, form, unit, factor in _SHOWN:
        known = result[key]
        if known is None:
            table.add_row(words, "not told", "", "", "")
            continue
        numbers = [f"{factor * known[name]:{form}}" for name in ("value", "lower", "upper")]
        table.add_row(_with_conditions(words, key, result), *numbers, unit)
    console().print(table)
    if result["charged_ah"] is not None:
        cycles, deepest = result["soc_cycles"], 100.0 * result["deepest_cycle"]
        typer.echo(
            f"As measured in {result['counted_s']:g} s: charged {result['charged_ah']:.3f} Ah, discharged "
            f"{result['discharged_ah']:.3f} Ah, {result['equivalent_full_cycles']:.2f} equivalent full "
            f"cycles, {cycles:g} swings of SOC, the deepest {deepest:.1f} %"
        )
        if result["gap_s"] > 0.0:
            typer.echo(f"NOT COUNTED in this: {result['gap_s']:g} s of gaps. What flowed then is not known.")
    typer.echo("Bounds are meant to hold the truth in 95 % of cases.")
    for reason in result["untold"]:
        typer.echo(f"Not told: {reason}")
    if result["out"]:
        typer.echo(f"{result['rows']} rows in {result['out']}")


def _with_conditions(words: str, key: str, result: dict[str, Any]) -> str:
    if key == "ohmic_ohm":
        soc, degc = result["resistance_soc"], result["resistance_degc"]
        return (
            f"{words}, {result['ohmic_interval_s']:g} s apart ({result['ohmic_steps']} steps, SOC "
            f"{100 * soc[0]:.0f} to {100 * soc[1]:.0f} %, {degc[0]:.0f} to {degc[1]:.0f} °C)"
        )
    if key == "pulse_ohm":
        return f"{words} at {result['pulse_s']:g} s"
    return words
