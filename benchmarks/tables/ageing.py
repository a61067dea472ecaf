"""Ageing: the plant's laws against life curves of BLAST-Lite, and resistance over fade against retired cells.

The life curves are the output of a model, so the first table says that the laws were carried over rightly,
not that cells age like that. The second is about measured cells.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from bench.plant.ageing.cells import LAWS, NMC_RESISTANCE_PER_FADE
from bench.plant.ageing.usage import Usage
from bench.plant.ageing.wear import Wear
from tables.table import Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIFE_CURVES = "cell_tables/blast_life.csv"
LAW_OF = {
    "Lfp_Gr_250AhPrismatic": "lfp_250ah",
    "NMC_Gr_75Ah_A": "nmc_75ah_a",
    "NMC_Gr_50Ah_B1": "nmc_50ah_b1",
}
#: The table gives the cycle but not the hours that the cell waits at its bottom. They were found from the
#: first year of one curve and used for all; that a pack which is empty too early waits there, from the last
#: years of another.
HOURS_AT_THE_BOTTOM = 4.0
DUTY_FROM = "duty: LFP 25 degC 80 %, year 1; B1 45 degC, years 6 to 10"
CHARGE_C, DISCHARGE_C = 0.4, 0.5
GOAL_PERCENT = 0.3

RETIRED = {"NMC 21 Ah": "pulsebat/nmc_21ah_pulse5s.csv", "LFP 35 Ah": "pulsebat/lfp_35ah_pulse5s.csv"}
FITTED_AT_PERCENT, TESTED_AT_PERCENT = 50, (20, 30, 40)

Curve = list[tuple[float, float, float]]


def tables(data: Path, plots: Path) -> list[Table]:
    """Return the error against the life curves, and resistance against fade of retired cells."""
    curves = _curves(data / LIFE_CURVES)
    figure = Figure(figsize=(15, 9), layout="constrained")
    axes = figure.subplots(2, 3)
    first = Table(
        "Ageing: relative capacity over up to ten years, against BLAST-Lite 1.1.1", "% of the new capacity"
    )
    for (model, temperature_degc, depth, _soc_high), curve in curves.items():
        years, expected, found = (np.array(column) for column in zip(*curve, strict=True))
        worst = float(np.abs(found - expected).max()) * 100
        column = list(LAW_OF).index(model)
        label = f"{temperature_degc:g} °C, {depth:.0%}"
        axes[0, column].plot(years, expected, "o", markersize=4, color=f"C{_order(axes[0, column])}")
        axes[0, column].plot(years, found, color=axes[0, column].lines[-1].get_color(), label=label)
        axes[1, column].plot(years, 100 * (found - expected), label=label)
        case = f"{model}, {temperature_degc:g} degC, depth {depth:.0%}, {years[-1]:g} years"
        first.rows.append(Row(case, DUTY_FROM, "the whole curve", worst, GOAL_PERCENT, "largest error"))
    for column, model in enumerate(LAW_OF):
        axes[0, column].set(title=f"{model}: dots BLAST-Lite, lines ours", ylabel="relative capacity")
        axes[1, column].set(xlabel="years", ylabel="ours - BLAST-Lite [% of new]", ylim=(-0.35, 0.35))
        axes[0, column].legend()
        axes[1, column].grid(visible=True)
    figure.savefig(plots / "ageing_life.png", dpi=90)
    return [first, _retired(data, plots)]


def _order(axes: Axes) -> int:
    return len(axes.lines) // 2


def _curves(file: Path) -> dict[tuple[str, float, float, float], Curve]:
    """Points (years, expected, found) of each model, temperature, depth and upper SOC."""
    rows: dict[tuple[str, float, float, float], list[tuple[float, float]]] = defaultdict(list)
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            case = (row["model"], float(row["temp_C"]), float(row["dod"]), float(row["soc_high"]))
            rows[case].append((float(row["years"]), float(row["capacity_rel"])))
    return {case: _walk(*case, points) for case, points in rows.items()}


def _walk(
    model: str, temperature_degc: float, depth: float, soc_high: float, points: list[tuple[float, float]]
) -> Curve:
    hours_at_rest = 24 - depth / CHARGE_C - depth / DISCHARGE_C
    usage = Usage(
        temperature_degc=temperature_degc,
        full_cycles_per_day=depth,
        depth=depth,
        soc_high=soc_high,
        rest_low=HOURS_AT_THE_BOTTOM / hours_at_rest,
        charge_rate_c=CHARGE_C,
        discharge_rate_c=DISCHARGE_C,
    )
    wear, before, curve = Wear.fresh(LAWS[LAW_OF[model]], 1, spread=0.0), 0.0, []
    for years, expected in points:
        wear, before = wear.after(usage, years=years - before), years
        curve.append((years, expected, float(wear.capacity[0])))
    return curve


def _retired(data: Path, plots: Path) -> Table:
    table = Table("Ageing: resistance over capacity fade of retired cells (5 s, 1 C, charging)", "1 or %")
    figure = Figure(figsize=(12, 5), layout="constrained")
    for axes, (name, file) in zip(figure.subplots(1, len(RETIRED)), RETIRED.items(), strict=True):
        fade, resistance = _pulses(data / file, FITTED_AT_PERCENT)
        slope, fresh_ohm = np.polyfit(fade, resistance, 1)
        relation = float(np.corrcoef(fade, resistance)[0, 1])
        at = f"{name}, {FITTED_AT_PERCENT} % SOC"
        note = f"r = {relation:.2f}; {np.sum(fade > 0.02)} of {fade.size} cells have lost more than 2 %"
        table.rows.append(Row(f"{name}: growth per fade [1]", at, "the same", slope / fresh_ohm, note=note))
        axes.plot(fade, resistance / fresh_ohm, "o", label=f"{file}, {FITTED_AT_PERCENT} % SOC")
        ends = np.array([0.0, fade.max()])
        axes.plot(ends, 1 + slope / fresh_ohm * ends, label=f"fit, {slope / fresh_ohm:.2f} per fade")
        if name.startswith("NMC"):
            axes.plot(ends, 1 + NMC_RESISTANCE_PER_FADE * ends, "--", label="law")
            table.rows.extend(_rest(name, data / file, percent) for percent in TESTED_AT_PERCENT)
        else:
            _draw_law(axes)
        axes.set(xlabel="1 - capacity", ylabel="resistance over that when new", title=name)
        axes.legend()
    figure.savefig(plots / "ageing_resistance.png", dpi=90)
    return table


def _rest(name: str, file: Path, percent: int) -> Row:
    """Scatter of measured cells around the law, at a SOC that its slope was not fitted at."""
    fade, resistance = _pulses(file, percent)
    law = 1 + NMC_RESISTANCE_PER_FADE * fade
    fresh_ohm = np.mean(resistance / law)
    rms = float(np.sqrt(np.mean((resistance / fresh_ohm / law - 1) ** 2))) * 100
    spread = float(np.std(resistance) / np.mean(resistance)) * 100
    note = f"scatter of the cells around the law; without it {spread:.1f} %"
    return Row(
        f"{name}: law of {NMC_RESISTANCE_PER_FADE:g} per fade [%]",
        f"{FITTED_AT_PERCENT} % SOC",
        f"same cells at {percent} % SOC",
        rms,
        note=note,
    )


def _draw_law(axes: Axes) -> None:
    for temperature_degc in (25.0, 35.0):
        wear, points = Wear.fresh(LAWS["lfp_250ah"], 1, spread=0.0), []
        for _year in range(15):
            wear = wear.after(Usage(temperature_degc=temperature_degc), years=1.0)
            points.append((1 - wear.capacity[0], wear.resistance[0]))
        axes.plot(
            *zip(*points, strict=True), "--", label=f"law, 15 years, {temperature_degc:g} °C, daily 80 %"
        )


def _pulses(file: Path, percent: int) -> tuple[np.ndarray, np.ndarray]:
    """Capacity fade and 5 s resistance at 1 C [ohm] of each cell, shape (cells,).

    U9 is the rest before the pulse of 1 C, U10 its first and U11 its last sample.
    """
    with file.open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if float(row["soc_percent_of_nominal"]) == percent]
    fade = np.array([1 - float(row["soh"]) for row in rows])
    rise_v = np.array([float(row["U11"]) - float(row["U9"]) for row in rows])
    return fade, rise_v / float(rows[0]["q_nominal_Ah"])
