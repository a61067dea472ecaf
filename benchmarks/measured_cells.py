"""Measured logs of four cells as `bench.fit` takes them: in the project's sign, with the state each began in.

LG HG2: SOC is 1 less the cycler's counter over the C/20 capacity at that temperature. The cycler's own
temperature of the case is the cell's. What it calls a 1C discharge at 40 °C cooled to 0 °C under way and is
left out. A123: capacity at each temperature is what the dynamic test and its completion at 25 °C took out;
temperature is that of the chamber. 1.2 Ah LFP: the current is corrected by 0.9 mA, as the reference SOC of
its authors says. Leaf: temperature of the HPPC is that of the chamber, of the discharges that measured on the
middle of the cell.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.fit.heat import ThermalLog
from bench.fit.log import Floats, Log
from bench.fit.ocv import FirstOcv, first_ocv, tabled_ocv

HG2_AH = {-10: 2.5637, 0: 2.5986, 25: 2.7807, 40: 2.6899}
A123_FILES = {-15: "N15", 5: "P05", 25: "P25", 45: "P45"}
LFP_AH = 1.2
#: Net charge from full to empty in the HPPC at 25 °C, at 10 A [Ah].
LEAF_AH = 30.5


def _columns(path: Path) -> dict[str, Floats]:
    table = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8")
    return {name: np.asarray(table[name]) for name in table.dtype.names or ()}


def _hg2_file(data: Path, degc: int, cycle: str) -> dict[str, Floats]:
    name = f"n{-degc}degC" if degc < 0 else f"{degc}degC"
    return _columns(data / "lg_hg2" / f"{name}_{cycle}.csv")


def hg2(data: Path, degc: int, cycle: str, *, current_offset_a: float = 0.0, weight: float = 1.0) -> Log:
    """A drive cycle or `Cap_1C` of the LG HG2 from full; the offset is added to the current."""
    a = _hg2_file(data, degc, cycle)
    capacity_ah = HG2_AH[degc]
    log = Log(
        f"{degc} degC {cycle.removesuffix('_1s')}",
        a["t_s"],
        -a["i_A"],
        a["v_V"],
        a["temp_C"],
        soc=1.0 - float(a["ah_discharged"][0]) / capacity_ah,
        capacity_ah=capacity_ah,
        hysteresis=1.0,
        weight=weight,
    ).following(-a["ah_discharged"])
    return log if current_offset_a == 0.0 else log.offset(current_offset_a)


def hg2_slow(data: Path, degc: int, *, weight: float = 0.003) -> tuple[Log, Log]:
    """C/20 discharge and the charge after it, until 4.2 V; each with the capacity that it moved itself."""
    a = _hg2_file(data, degc, "C20DisCh")
    counter = a["ah_discharged"]
    empty = int(np.argmax(counter))
    full = empty + int(np.argmax(a["v_V"][empty:] > 4.1995))
    columns = (a["t_s"], -a["i_A"], a["v_V"], a["temp_C"])
    down = [column[: empty + 1] for column in columns]
    up = [column[empty:full] for column in columns]
    name = f"{degc} degC C/20"
    return (
        Log(f"{name} discharge", *down, 1.0, HG2_AH[degc], hysteresis=1.0, weight=weight),
        Log(f"{name} charge", *up, 0.0, float(counter[empty] - counter[full]), -1.0, weight),
    )


def hg2_ocv(data: Path) -> FirstOcv:
    """From C/20 at 25 °C."""
    return first_ocv(*hg2_slow(data, 25))


def lfp(data: Path) -> Log:
    """25 h of drive cycle between 20 and 80 %, 25 °C, begun after a discharge."""
    a = _columns(data / "lfp_flatzone_1p2ah" / "flatzone_25degC.csv")
    soc = a["soc_ref"]
    warm = np.full(len(soc), 25.0)
    log = Log("flat zone", a["t_s"].astype(float), -a["i_A"], a["v_V"], warm, float(soc[0]), LFP_AH, -1.0)
    return log.following(LFP_AH * soc, every_s=600.0)


def lfp_ocv(data: Path) -> FirstOcv:
    """Both branches as their authors print them."""
    a = _columns(data / "lfp_flatzone_1p2ah" / "ocv_25degC.csv")
    return tabled_ocv(a["soc"], a["ocv_discharge_V"], a["ocv_charge_V"])


def a123(data: Path, degc: int) -> Log:
    """Plett's dynamic test at 1 s."""
    code = A123_FILES[degc]
    a, rest = (_columns(data / "a123_lfp" / f"dyn_{code}_s{part}.csv") for part in (1, 2))
    taken_ah = sum(float(x["ah_discharged"][-1] - x["ah_charged"][-1]) for x in (a, rest))
    warm = np.full(len(a["t_s"]), float(degc))
    log = Log(f"{degc} degC dynamic", a["t_s"], -a["i_A"], a["v_V"], warm, 1.0, taken_ah, 1.0)
    return log.following(a["ah_charged"] - a["ah_discharged"])


def a123_slow(data: Path, degc: int, *, weight: float = 0.01) -> tuple[Log, Log]:
    """C/30 discharge and charge, over the capacity that each and its completion at 25 °C moved."""
    logs = []
    for first, second, sign in ((1, 2, -1.0), (3, 4, 1.0)):
        parts = [
            _columns(data / "a123_lfp" / f"ocv_{A123_FILES[degc]}_s{part}.csv") for part in (first, second)
        ]
        moved_ah = sum(abs(float(x["ah_discharged"][-1] - x["ah_charged"][-1])) for x in parts)
        a = parts[0]
        way = "charge" if sign > 0 else "discharge"
        columns = (a["t_s"], -a["i_A"], a["v_V"], np.full(len(a["t_s"]), float(degc)))
        soc = 0.0 if sign > 0 else 1.0
        logs.append(Log(f"{degc} degC C/30 {way}", *columns, soc, moved_ah, -sign, weight))
    return logs[0], logs[1]


def a123_ocv(data: Path) -> FirstOcv:
    """From C/30 at 25 °C."""
    return first_ocv(*a123_slow(data, 25))


def leaf_hppc(data: Path, degc: int) -> Log:
    """HPPC at 10 A steps, from the full charge on."""
    a = _columns(data / "leaf_33ah" / f"hppc_{degc}degC.csv")
    start = int(np.argmax(a["v_V"] > 4.1995))
    start += int(np.argmax(a["i_A"][start:] > -0.2))
    columns = [a[name][start:] for name in ("t_s", "i_A", "v_V")]
    warm = np.full(len(columns[0]), float(degc))
    return Log(f"{degc} degC HPPC", columns[0], -columns[1], columns[2], warm, 1.0, LEAF_AH, 1.0)


def leaf_discharge(data: Path, rate: str) -> Log:
    """First discharge from full at 1C or 3C, with half an hour of rest."""
    a = _columns(data / "leaf_33ah" / f"dis_{rate}.csv")
    heat = _columns(data / "leaf_33ah" / f"temp_{rate}.csv")
    begun = int(np.argmax(a["i_A"] > 5.0))
    end = int(np.searchsorted(a["t_s"], a["t_s"][begun] + 3500 + (1800 if rate == "1C" else 0)))
    part = slice(max(begun - 1, 0), end)
    warm = np.interp(a["t_s"][part], heat["t_s"], heat["tc2_middle_C"])
    return Log(f"25 degC {rate}", a["t_s"][part], -a["i_A"][part], a["v_V"][part], warm, 1.0, LEAF_AH, 1.0)


def leaf_heat(data: Path, rate: str, *, period_s: float = 5.0) -> ThermalLog:
    """The discharge test at 1C (five cycles) or 3C (the first 66 min) with the temperatures on the cell.

    The cell's temperature is the mean of the thermocouples at its tabs, middle and bottom; the fourth hangs
    in the chamber. Both clocks are taken to start together.
    """
    a = _columns(data / "leaf_33ah" / f"dis_{rate}.csv")
    heat = _columns(data / "leaf_33ah" / f"temp_{rate}.csv")
    # 1C begins empty, and the first charge is a full one; 3C begins full.
    soc = (0.0 if rate == "1C" else 1.0) - np.cumsum(a["i_A"] * np.diff(a["t_s"], prepend=a["t_s"][0])) / (
        3600.0 * LEAF_AH
    )
    at_s = np.arange(heat["t_s"][0], heat["t_s"][-1], period_s)
    on_cell = np.mean([heat[f"tc{k}_C"] for k in ("1_tabs", "2_middle", "3_bottom")], axis=0)
    return ThermalLog(
        period_s,
        -np.interp(at_s, a["t_s"], a["i_A"]),
        np.interp(at_s, a["t_s"], a["v_V"]),
        np.interp(at_s, a["t_s"], soc),
        np.interp(at_s, heat["t_s"], on_cell),
        np.interp(at_s, heat["t_s"], heat["tc4_C"]),
    )


def leaf_ocv(data: Path) -> FirstOcv:
    """From one C/15 cycle, the second of those after the change of temperature that stands for 24 °C."""
    a = _columns(data / "leaf_33ah" / "cycling_c15.csv")
    logs = []
    for way, first, last, sign in (("discharge", 8795, 9621, -1.0), ("charge", 9626, 10800, 1.0)):
        columns = [a[name][first:last] for name in ("t_s", "i_A", "v_V")]
        moved_ah = float(np.sum(np.abs(columns[1][1:]) * np.diff(columns[0])) / 3600.0)
        state = (0.0 if sign > 0 else 1.0, moved_ah, -sign)
        logs.append(
            Log(f"C/15 {way}", columns[0], -columns[1], columns[2], np.full(last - first, 24.0), *state)
        )
    return first_ocv(*logs)
