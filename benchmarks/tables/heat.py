"""Temperature of a large pouch cell under load: the thermal law and the whole plant, beside thermocouples."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import measured_cells as measured
import numpy as np
from matplotlib import pyplot as plt

from bench.cells import CellFile, load_cell
from bench.fit.heat import Floats, ThermalLog, warmed
from bench.plant import Plant, PlantSpec
from tables.table import Row, Table

mpl.use("Agg")

FITTED = "25 degC, five cycles at 1C (voltages: HPPC, 3C)"
COUPLES = {"tabs": "tc1_tabs_C", "middle": "tc2_middle_C", "bottom": "tc3_bottom_C"}


def tables(data: Path, plots: Path) -> list[Table]:
    """Errors of the temperature [K]; no goal was set."""
    cell = load_cell("leaf_33ah")
    rows, curves = [], {}
    for rate in ("1C", "3C"):
        log = measured.leaf_heat(data, rate)
        law = by_law(log, cell)
        begin = int(np.argmax(log.current_a < -0.5 * measured.LEAF_AH))
        whole = by_plant(log, cell, begin, part_s=4000.0)
        tested = f"{rate} ({'fitted' if rate == '1C' else 'first discharge and rest'})"
        rows.append(_row(f"law, from measured voltage, {rate}", tested, law - log.cell_degc))
        rows.append(
            _row(
                f"plant, from current alone, {rate}, 4000 s",
                tested,
                whole - log.cell_degc[begin : begin + len(whole)],
            )
        )
        curves[rate] = (log, law, begin, whole)
    log, law, *_ = curves["3C"]
    heat = np.genfromtxt(data / "leaf_33ah" / "temp_3C.csv", delimiter=",", names=True)
    at_s = log.period_s * np.arange(len(law))
    for place, column in COUPLES.items():
        there = np.interp(at_s, heat["t_s"], heat[column])
        rows.append(
            _row(
                f"law against the thermocouple at the {place}, 3C",
                "3C",
                law - there,
                "one node has no inside",
            )
        )
    _plot(curves, heat, plots / "heat_leaf.png")
    return [
        Table(
            "Temperature of a 33 Ah Leaf cell (mean of the thermocouples at tabs, middle and bottom)",
            "K",
            rows,
        )
    ]


def by_law(log: ThermalLog, cell: CellFile) -> Floats:
    """Temperature from measured current and voltage, by heat capacity, cooling and entropy of the file."""
    assert cell.entropy is not None
    thermal = cell.thermal
    return warmed(
        log,
        cell,
        thermal.heat_capacity_j_per_k,
        thermal.ambient_w_per_k,
        cell.entropy.soc,
        cell.entropy.v_per_k,
    )


def by_plant(log: ThermalLog, cell: CellFile, begin: int, *, part_s: float) -> Floats:
    """Temperature of a plant of one cell, which gets the measured current; from sample `begin` on, full."""
    start = PlantSpec(
        cells=1,
        cell=cell.name,
        soc=float(log.soc[begin]),
        capacity_ah=measured.LEAF_AH,
        temperature_degc=float(log.cell_degc[begin]),
        hysteresis=1.0,
        break_rating_a=1e6,
    )
    plant = Plant(start)
    plant.port.coil[[0, 1, 3]] = True
    plant.step(0.1)
    charger, load = plant.terminal("charger"), plant.terminal("load")
    charger.voltage_v = 10.0
    charger.enabled = load.enabled = True
    found = []
    for current_a, ambient_degc in zip(log.current_a[begin:], log.ambient_degc[begin:], strict=True):
        if plant.time_s > part_s:
            break
        charger.current_a, load.current_a = max(current_a, 0.0), max(-current_a, 0.0)
        plant.ambient_degc = float(ambient_degc)
        found.append(float(plant.truth.temperature_degc[0]))
        plant.step(log.period_s)
    return np.array(found)


def _row(case: str, tested: str, error_k: Floats, note: str = "") -> Row:
    rms = float(np.sqrt(np.mean(error_k**2)))
    most = f"largest {np.max(np.abs(error_k)):.1f} K"
    return Row(case, FITTED, tested, rms, note=f"{most}; {note}" if note else most)


def _plot(curves: dict[str, tuple[ThermalLog, Floats, int, Floats]], heat: Floats, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for axis, (rate, (log, law, begin, whole)) in zip(axes, curves.items(), strict=True):
        minutes = log.period_s * np.arange(len(law)) / 60.0
        if rate == "3C":
            for place, column in COUPLES.items():
                axis.plot(heat["t_s"] / 60.0, heat[column], lw=0.8, label=f"measured, {place}")
        axis.plot(minutes, log.cell_degc, "k", lw=1.5, label="measured, mean")
        axis.plot(minutes, law, "C3--", lw=1.2, label="law, from measured voltage")
        axis.plot(
            minutes[begin : begin + len(whole)], whole, "C2-.", lw=1.2, label="plant, from current alone"
        )
        axis.set(xlabel="time [min]", ylabel="temperature [°C]", title=f"Leaf 33 Ah, {rate}")
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
