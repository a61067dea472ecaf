"""What a log of one cell says that this cell cannot do: unit, sign, capacity or cell type may be wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.cells import CellFile
from bench.foreign_log import Flag
from bench.foreign_log.checks import WRONG_WAY
from bench.offline.cell_log import CellLog
from bench.record import Floats
from bench.reference.estimators.soc import SocTrack

#: A count of charge cannot span more than this of the capacity, an offset of the sensor included; one that
#: spans less than `TELLING` does not tell the sign. Project defaults, as are all below.
MOST_SPAN, TELLING = 1.5, 0.1
#: A log whose largest current is smaller, in capacities per hour, is of a cell at rest or in another unit.
LEAST_PER_H = 1.0 / 50.0
#: Voltage beyond the open-circuit curve in the middle of a log [V]: more than a load makes for so long.
BEYOND_V = 0.1
#: So far from the temperatures of a cell file [K] its resistances are a guess.
FAR_K = 10.0
#: Offset of a sensor that is not one any more, of the mean current.
MOST_OFFSET = 0.2
#: And in capacities per hour: at rest any offset is much of the mean current.
LEAST_OFFSET_PER_H = 0.02
#: Width of the bounds at the end of a log above which it is said that the SOC is hardly told.
WIDE = 0.3


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is held against the cell.

    Parameters
    ----------
    capacity_ah
        With which the estimate was made.
    charge_ah
        Counted from the first sample, charge positive, shape (time,).
    """

    samples: CellLog
    track: SocTrack
    cell: CellFile
    capacity_ah: float
    charge_ah: Floats


def counted_ah(samples: CellLog, max_gap_s: float, *, offset_a: float = 0.0) -> Floats:
    """Charge since the first sample [Ah], shape (time,); what flowed in gaps is not counted."""
    current_a = np.nan_to_num(samples.current_a - offset_a)
    step_s = np.diff(samples.t_s)
    moved_as = 0.5 * (current_a[1:] + current_a[:-1]) * np.where(step_s > max_gap_s, 0.0, step_s)
    counted: Floats = np.concatenate(([0.0], np.cumsum(moved_as))) / 3600.0
    return counted


def doubts(evidence: Evidence, *, initial: tuple[float, float] | None = None) -> list[Flag]:
    """Flags for what this cell cannot do.

    Parameters
    ----------
    initial
        Stated SOC at the first sample, and how far it may be off.
    """
    told = [
        ("charge", _span(evidence)),
        ("sign", _sign(evidence)),
        ("current", _small(evidence)),
        ("cell", _beyond(evidence)),
        ("temperature", _elsewhere(evidence)),
        ("offset", _offset(evidence)),
        ("initial", _start(evidence, initial)),
        ("wide", _wide(evidence)),
    ]
    return [Flag(kind, np.nan, 0, text) for kind, text in told if text]


def _span(evidence: Evidence) -> str:
    span_ah = float(np.ptp(evidence.charge_ah))
    if span_ah <= MOST_SPAN * evidence.capacity_ah:
        return ""
    return (
        f"the count of the current spans {span_ah:.3g} Ah, {span_ah / evidence.capacity_ah:.3g} times the "
        f"capacity of {evidence.capacity_ah:g} Ah. Check the units of time and current, --capacity-ah, and "
        "the offset of the current"
    )


def _sign(evidence: Evidence) -> str:
    """Where the current hardly steps, the voltage must follow the count."""
    voltage_v, charge_ah = evidence.samples.voltage_v, evidence.charge_ah
    known = np.isfinite(voltage_v)
    if (
        np.ptp(charge_ah) < TELLING * evidence.capacity_ah
        or known.sum() < 3
        or np.ptp(voltage_v[known]) == 0.0
    ):
        return ""
    together = float(np.corrcoef(charge_ah[known], voltage_v[known])[0, 1])
    if not together < 2.0 * WRONG_WAY:
        return ""
    return (
        f"WRONG SIGN? The voltage falls as the count of the current rises (correlation {together:.2f}); try "
        "with --discharge-positive, or without if it is there"
    )


def _small(evidence: Evidence) -> str:
    most_a = float(np.nanmax(np.abs(evidence.samples.current_a)))
    if not 0.0 < most_a < LEAST_PER_H * evidence.capacity_ah:
        return ""
    return (
        f"the current never exceeds {most_a:.3g} A, very little for {evidence.capacity_ah:g} Ah. Check its "
        "unit and --capacity-ah, unless the cell only rested"
    )


def _beyond(evidence: Evidence) -> str:
    ocv = evidence.cell.ocv
    low_v, high_v = float(np.min(ocv.mean_v - ocv.half_v)), float(np.max(ocv.mean_v + ocv.half_v))
    middle_v = float(np.nanmedian(evidence.samples.voltage_v))
    if low_v - BEYOND_V <= middle_v <= high_v + BEYOND_V:
        return ""
    return (
        f"{middle_v:.3f} V in the middle of the log, but {evidence.cell.name} has an open-circuit voltage of "
        f"{low_v:.3f} to {high_v:.3f} V: is --cell of another chemistry? The SOC means nothing then"
    )


def _elsewhere(evidence: Evidence) -> str:
    known_degc = evidence.cell.r0.temperature_degc
    low_degc, high_degc = float(np.min(known_degc)), float(np.max(known_degc))
    middle_degc = float(np.nanmedian(evidence.samples.temperature_degc))
    if low_degc - FAR_K <= middle_degc <= high_degc + FAR_K:
        return ""
    return (
        f"{middle_degc:.0f} degC in the middle of the log, but {evidence.cell.name} has resistances from "
        f"{low_degc:.0f} to {high_degc:.0f} degC only: bounds may be too narrow"
    )


def _offset(evidence: Evidence) -> str:
    offset_a = float(evidence.track.current_offset_a[-1])
    surely_a = abs(offset_a) - float(evidence.track.current_offset_uncertainty_a[-1])
    mean_a = float(np.nanmean(np.abs(evidence.samples.current_a)))
    if mean_a == 0.0 or surely_a <= max(MOST_OFFSET * mean_a, LEAST_OFFSET_PER_H * evidence.capacity_ah):
        return ""
    return (
        f"voltage and count of the current only agree if the current shows {abs(offset_a):.3g} A too much "
        f"or too little, {100.0 * abs(offset_a) / mean_a:.0f} % of its mean size. Check sign, unit, --cell "
        "and --capacity-ah"
    )


def _start(evidence: Evidence, initial: tuple[float, float] | None) -> str:
    """Whether the count back from the last estimate meets the stated SOC."""
    if initial is None:
        return ""
    track, stated = evidence.track, initial[0]
    hours = float(track.t_s[-1] - track.t_s[0]) / 3600.0
    moved = (evidence.charge_ah[-1] - track.current_offset_a[-1] * hours) / evidence.capacity_ah
    began = float(np.clip(track.soc[-1] - moved, 0.0, 1.0))
    doubt = 0.5 * float(track.upper[-1] - track.lower[-1])
    doubt += float(track.current_offset_uncertainty_a[-1]) * hours / evidence.capacity_ah
    if abs(began - stated) <= initial[1] + doubt:
        return ""
    return (
        f"--initial-soc {stated:g} does not fit: counted back from its end the log began at {began:.2f} "
        f"+- {doubt:.2f}"
    )


def _wide(evidence: Evidence) -> str:
    low, high = float(evidence.track.lower[-1]), float(evidence.track.upper[-1])
    if high - low <= WIDE:
        return ""
    return (
        f"the log hardly tells the SOC: at its end it is within {100 * low:.0f} to {100 * high:.0f} %. A "
        "longer log, an --initial-soc or a fitting --cell and --capacity-ah would tell more"
    )
