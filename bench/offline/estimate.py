"""What one log tells of its cell: SOC over time, capacity, resistance, offset of the current, throughput."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

import numpy as np

from bench.cells import CellFile
from bench.errors import InvalidInput
from bench.foreign_log import Flag, ForeignLog
from bench.offline.cell_log import CellLog, cell_log
from bench.offline.doubts import Evidence, counted_ah, doubts
from bench.offline.health import USE_DOUBT, Pulses, capacity, capacity_from_use, pulses
from bench.record import Floats
from bench.reference.estimators.capacity import Capacity
from bench.reference.estimators.cell import CellModel
from bench.reference.estimators.cycles import SocCycles, Throughput, soc_cycles, throughput
from bench.reference.estimators.soc import SocTrack, estimate_soc

#: Shallower swings of the estimated SOC are no cycle, project default.
LEAST_DEPTH = 0.02
#: Where an initial SOC is stated without one: a display of a vehicle, a guess. As `estimate_soc` has it.
INITIAL_SOC_UNCERTAINTY = 0.3
_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class LogEstimate:
    """What a log tells. A part that it does not tell is None, with its reason in `untold`.

    Parameters
    ----------
    t_s, soc, lower, upper
        One entry for each row of the log, shape (rows,).
    track
        The estimate on the times of the current.
    cycles
        Swings of the SOC, counted back from its last estimate.
    capacity_ah
        Capacity that the estimate was made with: the stated one, else the cell file's.
    """

    t_s: Floats
    soc: Floats
    lower: Floats
    upper: Floats
    track: SocTrack
    capacity_ah: float
    capacity: Capacity | None
    pulses: Pulses | None
    throughput: Throughput | None
    cycles: SocCycles
    untold: tuple[str, ...]
    flags: tuple[Flag, ...]


def estimate_log(
    log: ForeignLog,
    cell: CellFile,
    *,
    capacity_ah: float | None = None,
    initial_soc: float | None = None,
    initial_soc_uncertainty: float | None = None,
    temperature_degc: float | None = None,
) -> LogEstimate:
    """Estimate what a log of one cell tells.

    Parameters
    ----------
    log
        With one column each of `i` and `v`, checked; `T` if there is one.
    cell
        Cell type.
    capacity_ah
        Present capacity at 25 °C [Ah]; default: that of the cell type.
    initial_soc, initial_soc_uncertainty
        SOC at the first sample, and about how far it may be off, 0..1; default: unknown.
    temperature_degc
        Of the cell [°C], where the log holds none.

    Raises
    ------
    InvalidInput
        If the log or an argument cannot be used.
    """
    samples = cell_log(log, temperature_degc=temperature_degc)
    if len(samples.t_s) < 2:
        raise InvalidInput(log.path, expected="two rows at least", found=f"{len(samples.t_s)}")
    run = partial(
        estimate_soc,
        samples.t_s,
        samples.current_a,
        samples.voltage_v,
        samples.temperature_degc,
        cell,
        capacity_ah=capacity_ah,
        initial_soc=initial_soc,
        initial_soc_uncertainty=(
            INITIAL_SOC_UNCERTAINTY if initial_soc_uncertainty is None else initial_soc_uncertainty
        ),
    )
    track = run()
    # A second run leaves capacity and resistance open; only where nothing else tells them.
    use = cache(lambda: run(doubt=USE_DOUBT))
    present_ah = cell.capacity_ah if capacity_ah is None else capacity_ah
    max_gap_s = log.gap_factor * float(np.median(np.diff(samples.t_s)))
    stated = None
    if initial_soc is not None and initial_soc_uncertainty is not None:
        stated = initial_soc, initial_soc_uncertainty
    soc, lower, upper = on_rows(log, samples, track)
    doubted = doubts(
        Evidence(samples, track, cell, present_ah, counted_ah(samples, max_gap_s)),
        initial=None
        if initial_soc is None
        else (initial_soc, initial_soc_uncertainty or INITIAL_SOC_UNCERTAINTY),
    )
    if any(flag.kind == "sign" for flag in log.flags):
        doubted = [flag for flag in doubted if flag.kind != "sign"]
    untold: list[str] = []
    return LogEstimate(
        t_s=log.t_s,
        soc=soc,
        lower=lower,
        upper=upper,
        track=track,
        capacity_ah=present_ah,
        capacity=_told(
            "capacity",
            lambda: _capacity(
                lambda: capacity(samples, cell, track, initial=stated, max_gap_s=max_gap_s),
                lambda: capacity_from_use(use(), present_ah),
            ),
            untold,
        ),
        pulses=_told(
            "resistance", lambda: pulses(samples, track, CellModel(cell, capacity_ah=present_ah), use), untold
        ),
        throughput=_told("throughput", lambda: _throughput(samples, track, max_gap_s), untold),
        cycles=soc_cycles(counted_back(samples, track, present_ah, max_gap_s), least_depth=LEAST_DEPTH),
        untold=tuple(untold),
        flags=(*log.flags, *_unused(log), *samples.flags, *_flags(track), *doubted),
    )


def _capacity(by_rests: Callable[[], Capacity], by_use: Callable[[], Capacity]) -> Capacity:
    try:
        return by_rests()
    except InvalidInput as first:
        try:
            return by_use()
        except InvalidInput as second:
            expected = f"{first.expected} (found {first.found}), or {second.expected}"
            raise InvalidInput("capacity", expected=expected, found=second.found) from second


def _throughput(samples: CellLog, track: SocTrack, max_gap_s: float) -> Throughput:
    return throughput(
        samples.t_s,
        samples.current_a,
        current_offset_a=float(track.current_offset_uncertainty_a[-1]),
        max_gap_s=max_gap_s,
    )


def counted_back(samples: CellLog, track: SocTrack, capacity_ah: float, max_gap_s: float) -> Floats:
    """SOC counted back from the last estimate, 0..1, shape (time,).

    The estimate itself begins where it was told or where it had to guess; its way from there to the truth
    would count as a swing of the cell. What flowed in gaps is not known, and does not count.
    """
    charge_ah = counted_ah(samples, max_gap_s, offset_a=float(track.current_offset_a[-1]))
    soc: Floats = np.clip(track.soc[-1] + (charge_ah - charge_ah[-1]) / capacity_ah, 0.0, 1.0)
    return soc


def on_rows(log: ForeignLog, samples: CellLog, track: SocTrack) -> tuple[Floats, Floats, Floats]:
    """SOC and its bounds at each row of the log, shape (rows,).

    Between two samples SOC is a straight line and the bounds are the wider of both ends.
    """
    last = np.clip(samples.row, 0, None)
    follows = np.minimum(last + 1, len(track.t_s) - 1)
    follows = np.where(track.t_s[last] == log.t_s, last, follows)
    soc = np.interp(log.t_s, track.t_s, track.soc)
    return (
        soc,
        np.minimum(track.lower[last], track.lower[follows]),
        np.maximum(track.upper[last], track.upper[follows]),
    )


def _told(name: str, part: Callable[[], _Part], untold: list[str]) -> _Part | None:
    """The part, or None with its reason: a log that does not tell one thing may tell the others."""
    try:
        return part()
    except InvalidInput as reason:
        untold.append(f"{name}: expected {reason.expected}, found {reason.found}")
        return None


def _unused(log: ForeignLog) -> list[Flag]:
    keys = dict.fromkeys(column.key for column in log.columns if column.key not in ("i", "v", "T"))
    return [Flag("unused", np.nan, 0, f"{key} is mapped, and no estimate uses it") for key in keys]


def _flags(track: SocTrack) -> list[Flag]:
    found = []
    for kind, where, text in (
        (
            "beyond",
            track.beyond,
            "estimates outside 0..1 were held to it: capacity or cell file may be wrong",
        ),
        ("bridged", track.bridged, "samples follow a gap or lack current or voltage: the bounds grow there"),
    ):
        if where.any():
            k = int(np.argmax(where))
            found.append(Flag(kind, float(track.t_s[k]), 0, f"{int(where.sum())} of {len(where)} {text}"))
    return found
