"""Compute the cell files of measured cells from their logs.

    python benchmarks/fit_measured_cells.py <data folder> [--only lg_hg2_3ah,...] [--out bench/cells]

The data folder holds the logs named in each file's `source`; it is not part of the repository, only the
computed tables are. Some ten seconds for each cell. Each file says which logs it was fitted on; the errors
in it are the plant's, with the current of the log and nothing else.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import measured_cells as measured
import numpy as np

from bench.cells import CellFile
from bench.cells.cell_file import Entropy
from bench.fit.cell_fit import Fit, fit_cell
from bench.fit.heat import fit_heat
from bench.fit.log import Log
from bench.fit.solve import Weights
from bench.fit.write import SMALL_CELL, About, cell_toml, write_measured

Cases = tuple[tuple[int, str], ...]
#: Two ways to part the drive cycles of the LG HG2, and two files. The gentle cycles agree on the charge that
#: belongs to a voltage, so SOC is best found with them; US06 stays unseen. The cycles with the highest loads
#: foretell the voltage of gentle ones better than the reverse.
HG2_GENTLE = ((25, "Mixed1_1s"), (25, "LA92_1s"), (40, "Mixed1_1s"), (0, "LA92_1s"), (-10, "Mixed1_1s"))
HG2_GENTLE_TESTED = ((25, "Mixed2_1s"), (25, "US06_1s"), (40, "US06_1s"), (0, "US06_1s"), (-10, "US06_1s"))
HG2_HIGH_LOAD = (
    (25, "US06_1s"),
    (25, "LA92_1s"),
    (25, "Mixed1_1s"),
    (40, "US06_1s"),
    (0, "US06_1s"),
    (-10, "US06_1s"),
)
HG2_HIGH_LOAD_TESTED = ((25, "Mixed2_1s"), (40, "Mixed1_1s"), (0, "LA92_1s"), (-10, "Mixed1_1s"))
#: A sample each 10 s counts as ten of the drive cycles'.
HG2_CAP_WEIGHT = 10.0
HG2_CAP_AT = (25, 0, -10)
LFP_FITTED_S = 5 * 3600.0
#: The authors' OCV is less in doubt than one from a slow current; halves of the first 5 h foretell each other
#: best with this or less.
OF_RESTED_OCV = Weights(ocv_v=0.005)
#: These logs are given back no better (by less than 0.5 mV) if the slow pair may leave Ohm's law too.
OHMIC_BUT_FIRST = (1,)
A123_FITTED = (-15, 25, 45)


@dataclass(frozen=True, slots=True)
class Cell:
    """A fit, what is to be said of the cell, and the logs that its error is about, with a start [s]."""

    fit: Fit
    about: About
    fitted: list[str]
    tested: list[tuple[Log, float]]


def fit_hg2(data: Path, fitted: Sequence[tuple[int, str]], *, offset_a: float = 0.0) -> Fit:
    """The joint fit over four temperatures: drive cycles, 1C and C/20."""
    logs = [measured.hg2(data, *case, current_offset_a=offset_a) for case in fitted]
    for degc in HG2_CAP_AT:
        logs.append(measured.hg2(data, degc, "Cap_1C", current_offset_a=offset_a, weight=HG2_CAP_WEIGHT))
    slow = [log for degc in measured.HG2_AH for log in measured.hg2_slow(data, degc)]
    return fit_cell([*logs, *slow], measured.hg2_ocv(data), temperatures_degc=sorted(measured.HG2_AH))


def hg2(data: Path) -> Cell:
    """From gentle cycles."""
    return _hg2(data, "lg_hg2_3ah", HG2_GENTLE, HG2_GENTLE_TESTED)


def hg2_high_load(data: Path) -> Cell:
    """From the highest loads."""
    return _hg2(data, "lg_hg2_3ah_high_load", HG2_HIGH_LOAD, HG2_HIGH_LOAD_TESTED)


def _hg2(data: Path, name: str, fitted: Cases, tested: Cases) -> Cell:
    at_25 = measured.HG2_AH[25]
    about = About(
        name=name,
        chemistry="NMC",
        capacity_ah=at_25,
        nominal_v=3.6,
        source="LG 18650HG2 measurements of Kollmeyer et al., doi:10.17632/cp3473x7xv.3: joint least squares "
        "over drive cycles at 25, 40, 0 and -10 degC, 1C at 25, 0 and -10 degC and C/20 at all four",
        thermal=SMALL_CELL,
        usable={float(degc): ah / at_25 for degc, ah in measured.HG2_AH.items()},
    )
    names = [f"{degc} degC {cycle.removesuffix('_1s')}" for degc, cycle in fitted]
    names += ["1C at 25, 0, -10 degC", "C/20 at 40, 25, 0, -10 degC"]
    logs = [(measured.hg2(data, *case), 0.0) for case in (*fitted, *tested)]
    return Cell(fit_hg2(data, fitted), about, names, logs)


def lfp(data: Path) -> Cell:
    log = measured.lfp(data)
    about = About(
        name="lfp_1p2ah",
        chemistry="LFP",
        capacity_ah=measured.LFP_AH,
        nominal_v=3.2,
        source="1.2 Ah LFP cell at 25 degC, terencetaothucb/LFP-SOC-Estimation-Fisher-Information-Fusion "
        "(MIT): OCV curves and the first 5 h of the flat-zone cycle; resistances seen from 20 to 80 % SOC",
        thermal=SMALL_CELL,
        usable={},
    )
    fit = fit_cell([log.part(0.0, LFP_FITTED_S)], measured.lfp_ocv(data), weights=OF_RESTED_OCV)
    tested = [
        (replace(log.part(0.0, LFP_FITTED_S), name="flat zone, first 5 h"), 0.0),
        (replace(log, name="flat zone, hours 5 to 25, driven from 0 h on"), LFP_FITTED_S),
    ]
    return Cell(fit, about, ["flat zone, first 5 h", "OCV curves"], tested)


def fit_a123(data: Path, fitted: Sequence[int] = A123_FITTED) -> Fit:
    """Dynamic tests and C/30 at some temperatures."""
    slow = [log for degc in fitted for log in measured.a123_slow(data, degc)]
    logs = [measured.a123(data, degc) for degc in fitted]
    return fit_cell([*logs, *slow], measured.a123_ocv(data), temperatures_degc=fitted, bent=OHMIC_BUT_FIRST)


def a123(data: Path) -> Cell:
    capacities_ah = {degc: measured.a123_slow(data, degc)[0].moved_ah.sum() for degc in measured.A123_FILES}
    about = About(
        name="a123_2ah_lfp",
        chemistry="LFP",
        capacity_ah=float(-capacities_ah[25]),
        nominal_v=3.3,
        source="A123 26650, ESC toolbox of G. Plett (batterysim/esctoolbox-python, MIT): joint least squares "
        "over the dynamic tests and C/30 at -15, 25 and 45 degC; chamber temperature",
        thermal=SMALL_CELL,
        usable={float(degc): float(ah / capacities_ah[25]) for degc, ah in capacities_ah.items()},
    )
    names = [f"{degc} degC dynamic and C/30" for degc in A123_FITTED]
    return Cell(
        fit_a123(data), about, names, [(measured.a123(data, degc), 0.0) for degc in measured.A123_FILES]
    )


LEAF_SOURCE = "2013 Nissan Leaf cell, ORNL (batterysim/nissan-leaf-data, MIT, doi:10.5281/zenodo.2580327)"


def leaf_heat(data: Path, fit: Fit, about: About) -> About:
    """Heat capacity, cooling and entropy from the temperatures of the 1C cycles."""
    plain = CellFile.model_validate(tomllib.loads(cell_toml(fit, about)))
    found = fit_heat([measured.leaf_heat(data, "1C")], plain)
    source = f"{LEAF_SOURCE}: temperatures of five 1C cycles, rms {found.rms_k:.2f} K"
    thermal = about.thermal.model_copy(
        update={
            "heat_capacity_j_per_k": round(found.heat_capacity_j_per_k),
            "ambient_w_per_k": round(found.ambient_w_per_k, 3),
            "source": f"{source}, one node with what it is clamped in; neighbours and fan: project default",
        }
    )
    v_per_k = np.round(found.entropy_v_per_k, 6)
    return replace(
        about, thermal=thermal, entropy=Entropy(soc=found.entropy_soc, v_per_k=v_per_k, source=source)
    )


def leaf(data: Path) -> Cell:
    about = About(
        name="leaf_33ah",
        chemistry="LMO",
        capacity_ah=measured.LEAF_AH,
        nominal_v=3.75,
        source=f"{LEAF_SOURCE}: HPPC at 10 and 25 degC and a 3C discharge, C/15 for the first OCV",
        thermal=SMALL_CELL,
        usable={},
    )
    fitted = [*(measured.leaf_hppc(data, degc) for degc in (10, 25)), measured.leaf_discharge(data, "3C")]
    tested = [(log, 0.0) for log in (*fitted, measured.leaf_discharge(data, "1C"))]
    fit = fit_cell(fitted, measured.leaf_ocv(data), temperatures_degc=(10, 25))
    names = ["10 and 25 degC HPPC", "25 degC 3C", "C/15 as first OCV"]
    return Cell(fit, leaf_heat(data, fit, about), names, tested)


CELLS: dict[str, Callable[[Path], Cell]] = {
    "lg_hg2_3ah": hg2,
    "lg_hg2_3ah_high_load": hg2_high_load,
    "lfp_1p2ah": lfp,
    "a123_2ah_lfp": a123,
    "leaf_33ah": leaf,
}
HEADER = "Computed by benchmarks/fit_measured_cells.py; edit that, not this."


def write(cell: Cell, out: Path) -> Path:
    """Write the cell file, measure with what was written, and write it with the errors."""
    path = out / f"{cell.about.name}.toml"
    logs, starts_s = zip(*cell.tested, strict=True)
    errors = write_measured(path, cell.fit, cell.about, cell.fitted, logs, starts_s)
    for error in errors:
        print(f"{cell.about.name:14} {error.tested:45} {error.rms_mv:6.2f} mV rms {error.max_mv:6.1f} mV max")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Cell files from measured logs.")
    parser.add_argument("data", type=Path, help="folder with the measured cells")
    parser.add_argument("--only", default=",".join(CELLS), help=f"some of: {', '.join(CELLS)}")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "bench" / "cells")
    given = parser.parse_args()
    for name in given.only.split(","):
        cell = CELLS[name](given.data)
        write(replace(cell, about=replace(cell.about, header=HEADER)), given.out)


if __name__ == "__main__":
    main()
