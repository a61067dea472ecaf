"""Prognosis on measured cells: ageing that speeds up in CALCE CS2, heat along a 2013 Leaf cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.reference.prognosis import Due, Rule, Sensing, Warned, due_windows, warnings_of
from bench.reference.prognosis.local_heating import RULE, heating_indication
from bench.reference.prognosis.resistance_growth import DAY_S, pack_indication
from tables.table import Row, Table

#: The cell that noise and rule come from, and the one that they are tried on.
FITTED, TESTED = "CS2_35", "CS2_37"
#: Cycles in which nothing is wrong, for the noise.
CALM = 300
BLOCK = 20
#: Growth per cycle: 0.015 % is what the fitted cell does over its calm half, and about three times that.
AGEING = Rule(abnormal=5e-4, tolerated=1.5e-4, false_alarm_s=10_000.0 * DAY_S)
LEAF_SENSORS = ("tc1_tabs_C", "tc2_middle_C", "tc3_bottom_C")
#: When a fault is put into the Leaf cell's bottom sensor [s], and the noise of a DUT's sensor [K].
ONSET_S, SENSOR_K = 40_000.0, 0.5


def tables(data: Path, plots: Path) -> list[Table]:
    """Warnings of resistance growth, and of local heating; no plots."""
    return [_resistance(data / "calce_cs2"), _heating(data / "leaf_33ah")]


def _columns(path: Path) -> np.ndarray:
    return np.genfromtxt(path, delimiter=",", names=True)


def _resistance(folder: Path) -> Table:
    fitted = _columns(folder / f"{FITTED}_cycles.csv")
    sigma = _noise(np.log(fitted["arbin_resistance_ohm"][:CALM]))
    rows = []
    for name in (FITTED, TESTED):
        cycles = _columns(folder / f"{name}_cycles.csv")
        indication = pack_indication(
            t_s=cycles["cycle"] * DAY_S,
            resistance_ohm=cycles["arbin_resistance_ohm"],
            temperature_degc=np.full(len(cycles), 25.0),
            block_s=BLOCK * DAY_S,
        )
        warned = [warning.t_s / DAY_S for warning in warnings_of(indication, sigma=sigma, rule=AGEING)]
        slight, worn = _passes(cycles, 0.9), _passes(cycles, 0.7)
        early = sum(cycle < slight for cycle in warned)
        first = warned[0] if warned else float(cycles["cycle"][-1])
        told = f"warned at cycle {first:.0f}" if warned else "no warning to the end"
        rows += [
            Row(f"{name}: warnings before 90 % of capacity", FITTED, name, early, 0.0, f"cycle {slight:.0f}"),
            # How far ahead of worn out a warning has to come is nowhere asked for: a figure, not a goal.
            Row(f"{name}: first warning after 70 % of capacity", FITTED, name, first - worn,
                note=f"cycle {worn:.0f}; {told}"),
        ]  # fmt: skip
    title = (
        f"Resistance growth, CALCE CS2, cycles for days, blocks of {BLOCK}; abnormal "
        f"{100 * AGEING.abnormal:g} % a cycle, tolerated {100 * AGEING.tolerated:g} %; noise of an estimate "
        f"{100 * sigma:.1f} %"
    )
    return Table(title, "cycles or warnings", rows)


def _noise(logs: np.ndarray) -> float:
    """Noise of one estimate that has the same effect on a block's mean if estimates were independent."""
    trend = np.polyval(np.polyfit(np.arange(len(logs)), logs, 1), np.arange(len(logs)))
    means = (logs - trend)[: len(logs) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1)
    return float(np.std(means, ddof=2) * np.sqrt(BLOCK))


def _passes(cycles: np.ndarray, share: float) -> float:
    """Cycle at which the capacity, as a median of eleven, first lies below `share` of its first."""
    capacity = cycles["discharge_capacity_Ah"]
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(capacity, 5, mode="edge"), 11), axis=1)
    return float(cycles["cycle"][int(np.argmax(smooth < share * np.median(capacity[:10])))])


def _heating(folder: Path) -> Table:
    heat, load = _columns(folder / "temp_1C.csv"), _columns(folder / "dis_1C.csv")
    t_s = heat["t_s"]
    # Positive when it charges; the offset between the two clocks is unknown but within seconds.
    index = np.clip(np.searchsorted(load["t_s"], t_s, side="right") - 1, 0, None)
    current_a = -load["i_A"][index]
    measured = np.column_stack([heat[name] for name in LEAF_SENSORS])
    rng = np.random.default_rng(5)
    rows = []
    for rate in (0.0, 0.25, 0.5, 1.0):
        true = measured.copy()
        true[:, 2] += rate * 30.0 * -np.expm1(-np.maximum(t_s - ONSET_S, 0.0) / 1800.0)
        noisy = [true + rng.normal(0.0, SENSOR_K, true.shape) for _ in range(20)]
        sensing = Sensing(SENSOR_K, 0.05)
        make = {"t_s": t_s, "current_a": current_a}
        dues = due_windows(heating_indication(**make, temperature_degc=true), sensing=sensing, rule=RULE)
        warned = [
            warnings_of(heating_indication(**make, temperature_degc=degc), sigma=SENSOR_K, rule=RULE)
            for degc in noisy
        ]
        rows += _told(rate, dues, warned)
    return Table(
        "Local heating, 2013 Leaf cell at 1C, three thermocouples; a fault is added to the bottom one",
        "count or min",
        rows,
    )


def _told(rate: float, dues: tuple[Due, ...], warned: list[tuple[Warned, ...]]) -> list[Row]:
    source = "leaf_33ah temp_1C"
    if rate == 0.0:
        return [
            Row("as measured: warnings due", "-", source, len(dues), 0.0, "the bench's 0.05 K"),
            Row("as measured: false warnings of 20 sets of sensors", "-", source, sum(map(len, warned)), 0.0,
                f"{SENSOR_K} K of noise added"),
        ]  # fmt: skip
    delays = [(w.t_s - ONSET_S) / 60.0 for found in warned for w in found if w.channel == 2]
    mine = [due for due in dues if due.channel == 2 and due.demanded]
    others = sum(w.channel != 2 for found in warned for w in found)
    latest = (mine[0].window.latest - ONSET_S) / 60.0 if mine else np.nan
    note = (
        f"{len(delays)} of 20 found, {others} on other sensors, due by {latest:.0f} min"
        if mine
        else "not demanded"
    )
    slowest = max(delays) if len(delays) == 20 else np.inf
    return [Row(f"{rate:g} K/min added: slowest of 20 warnings", "-", source, slowest, latest, note)]
