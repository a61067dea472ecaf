"""What a pack has been through: charge and energy, cycles of SOC, and time at temperatures.

Nothing is filled in. A step between two samples counts only if both are measured and it is no longer than
`max_gap_s`; what does not count is returned as `gap_s`, so a reader sees how much of the history is unknown.
The rainflow count is different: a turning point inside a gap would change the cycles, so it refuses nan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import rainflow
from numpy.typing import NDArray

from bench.errors import InvalidInput
from bench.record import Floats

BOLTZMANN_EV_PER_K = 8.617333262e-5
_ZERO_DEGC_K = 273.15
#: Longest time between two samples [s] that is not a gap, project default.
MAX_GAP_S = 10.0
#: Activation energy of ageing [eV], project default: about a factor of 2 for each 10 K near 25 degC.
AGEING_EV = 0.53


@dataclass(frozen=True, slots=True)
class Throughput:
    """Charge and energy, all magnitudes.

    Parameters
    ----------
    charged_ah, discharged_ah
        [Ah].
    charged_wh, discharged_wh
        [Wh]; nan if no voltage was given.
    bound_ah
        How wrong charged and discharged each may be [Ah]: offset of the current over the time counted, and
        what sampling may have hidden. What flowed in gaps is not in it.
    counted_s, gap_s
        Time [s] that was counted, and that was not.
    """

    charged_ah: float
    discharged_ah: float
    charged_wh: float
    discharged_wh: float
    bound_ah: float
    counted_s: float
    gap_s: float

    def equivalent_full_cycles(self, capacity_ah: float) -> float:
        """Half of the charge moved either way over the capacity [Ah], so one full cycle is 1."""
        if not capacity_ah > 0.0:
            raise InvalidInput("capacity", expected="above 0 Ah", found=f"{capacity_ah:g} Ah")
        return (self.charged_ah + self.discharged_ah) / (2.0 * capacity_ah)


def throughput(
    t_s: Floats,
    current_a: Floats,
    voltage_v: Floats | None = None,
    *,
    current_offset_a: float = 0.0,
    max_gap_s: float = MAX_GAP_S,
) -> Throughput:
    """Charge and energy through a pack or cell, each direction by itself.

    Between two samples the current is a straight line; where it changes sign the line is cut there.

    Parameters
    ----------
    t_s, current_a, voltage_v
        Times [s], strictly increasing, current [A] and voltage [V], shape (time,). nan: not measured.
    current_offset_a
        How wrong the current may be all the time [A].

    Raises
    ------
    InvalidInput
        If shapes differ, time is nan or does not increase, or no step counts.
    """
    # Floats first: products of integer samples may not fit their type.
    current_a = np.asarray(current_a, dtype=np.float64)
    columns = [current_a]
    if voltage_v is not None:
        columns.append(voltage_v := np.asarray(voltage_v, dtype=np.float64))
    step_s, counts = _steps(t_s, columns, max_gap_s)
    left, right = current_a[:-1][counts], current_a[1:][counts]
    into, out = _split(left, right, step_s[counts])
    wh = (np.nan, np.nan)
    if voltage_v is not None:
        mean_v = 0.5 * (voltage_v[:-1] + voltage_v[1:])[counts]
        wh = (float(into @ mean_v) / 3600.0, float(out @ mean_v) / 3600.0)
    counted_s = float(step_s[counts].sum())
    bound_as = current_offset_a * counted_s + 0.5 * float(np.abs(right - left) @ step_s[counts])
    return Throughput(
        charged_ah=float(into.sum()) / 3600.0,
        discharged_ah=float(out.sum()) / 3600.0,
        charged_wh=wh[0],
        discharged_wh=wh[1],
        bound_ah=bound_as / 3600.0,
        counted_s=counted_s,
        gap_s=float(step_s[~counts].sum()),
    )


def _split(left: Floats, right: Floats, step_s: Floats) -> tuple[Floats, Floats]:
    """Charge in and charge out [A s] of each step, exact for a straight line between its ends."""
    total = 0.5 * (left + right) * step_s
    across = left * right < 0.0
    span = np.where(across, np.abs(left) + np.abs(right), 1.0)
    # A line through zero: two triangles.
    high = 0.5 * np.maximum(left, right) ** 2 / span * step_s
    low = 0.5 * np.minimum(left, right) ** 2 / span * step_s
    into = np.where(across, high, np.maximum(total, 0.0))
    return into, np.where(across, low, np.maximum(-total, 0.0))


def _steps(t_s: Floats, columns: list[Floats], max_gap_s: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Length of each step [s], and whether it counts; both shape (time - 1,)."""
    times = np.asarray(t_s, dtype=np.float64)
    if times.ndim != 1 or any(column.shape != times.shape for column in columns) or len(times) < 2:
        found = ", ".join(str(column.shape) for column in (times, *columns))
        raise InvalidInput("history", expected="two samples or more, arrays of one length", found=found)
    step_s = np.diff(times)
    if not (step_s > 0.0).all():
        at = int(np.argmin(step_s > 0.0))
        raise InvalidInput("history", expected="strictly increasing time", found=f"a step at sample {at}")
    known = np.all([np.isfinite(column) for column in columns], axis=0)
    counts = known[:-1] & known[1:] & (step_s <= max_gap_s)
    if not counts.any():
        found = "only gaps and nan"
        raise InvalidInput("history", expected=f"samples at most {max_gap_s:g} s apart", found=found)
    return step_s, counts


@dataclass(frozen=True, slots=True)
class SocCycles:
    """Rainflow cycles of SOC, one entry each, shape (cycles,).

    Parameters
    ----------
    depth, mean_soc
        Range and middle of the cycle, 0..1.
    count
        1 for a closed cycle, 0.5 for a half.
    first, last
        Samples between which it began and ended.
    """

    depth: Floats
    mean_soc: Floats
    count: Floats
    first: NDArray[np.int_]
    last: NDArray[np.int_]

    @property
    def equivalent_full_cycles(self) -> float:
        """Depths added up by their counts: a cycle from 0 to 1 and back is 1."""
        return float(self.depth @ self.count)

    def deeper_than(self, depth: float) -> float:
        """Number of cycles of at least `depth`, halves as 0.5."""
        return float(self.count[self.depth >= depth].sum())


def soc_cycles(soc: Floats, *, least_depth: float = 0.0) -> SocCycles:
    """Count cycles of SOC by rainflow (ASTM E1049-85, as the `rainflow` library has it).

    Parameters
    ----------
    soc
        0..1, shape (time,), in the order of time.
    least_depth
        Cycles less deep than this are left out: noise of the estimate is not a cycle.

    Raises
    ------
    InvalidInput
        If a value is nan or outside 0..1 by more than 0.05, or there are fewer than two.
    """
    soc = np.asarray(soc, dtype=np.float64)
    if soc.ndim != 1 or len(soc) < 2 or not np.isfinite(soc).all():
        found = f"shape {soc.shape} with {int(np.sum(~np.isfinite(soc)))} nan or inf"
        raise InvalidInput("soc", expected="two known values or more, shape (time,)", found=found)
    if soc.min() < -0.05 or soc.max() > 1.05:
        raise InvalidInput("soc", expected="0 to 1", found=f"{soc.min():g} to {soc.max():g}")
    # The library needs three samples to see one way; the last one twice moves nothing.
    cycles = rainflow.extract_cycles(np.append(soc, soc[-1]))
    table = np.array(list(cycles), dtype=np.float64).reshape(-1, 5)
    table = table[(table[:, 0] >= least_depth) & (table[:, 0] > 0.0)]
    first, last = np.minimum(table[:, 3:].T.astype(np.int_), len(soc) - 1)
    return SocCycles(table[:, 0], table[:, 1], table[:, 2], first, last)


@dataclass(frozen=True, slots=True)
class ThermalLimits:
    """Temperatures that matter [degC]: outside them a cell ages fast or is in danger. From the profile."""

    low_degc: float
    high_degc: float
    charge_low_degc: float
    charge_high_degc: float


@dataclass(frozen=True, slots=True)
class ThermalHistory:
    """Time at temperatures.

    Parameters
    ----------
    edges_degc, band_s
        Edges of the bands [degC], shape (bands + 1,), and time in each [s], shape (bands,). A band holds its
        lower edge. Time outside all bands is in none.
    above_s, below_s
        Time with the hottest sensor above `high_degc`, and with the coldest below `low_degc` [s].
    charging_above_s, charging_below_s
        The same against the limits for charging, while charging [s]; nan if no current was given.
    equivalent_s
        Time at 25 degC that would age as much by Arrhenius [s].
    counted_s, gap_s
        Time that was counted, and that was not [s].
    """

    edges_degc: Floats
    band_s: Floats
    above_s: float
    below_s: float
    charging_above_s: float
    charging_below_s: float
    equivalent_s: float
    counted_s: float
    gap_s: float


def thermal_history(
    t_s: Floats,
    temperature_degc: Floats,
    limits: ThermalLimits,
    *,
    edges_degc: Floats,
    current_a: Floats | None = None,
    charging_from_a: float = 0.1,
    activation_ev: float = AGEING_EV,
    max_gap_s: float = MAX_GAP_S,
) -> ThermalHistory:
    """Time in temperature bands and beyond limits, and what it weighs.

    Bands and weight go by the hottest sensor, "below" by the coldest. Each step has the temperature and the
    current of its first sample.

    Parameters
    ----------
    t_s, current_a
        Times [s], strictly increasing, and current [A], shape (time,).
    temperature_degc
        Shape (time,) or (time, sensors). A sample with any sensor nan is not known: the missing one may have
        been the hottest.
    edges_degc
        Edges of the bands, increasing.
    charging_from_a
        Current [A] from which the pack is charging.
    activation_ev
        Of ageing [eV].

    Raises
    ------
    InvalidInput
        As `throughput`; or if the edges do not increase.
    """
    edges = np.asarray(edges_degc, dtype=np.float64)
    if len(edges) < 2 or not (np.diff(edges) > 0.0).all():
        raise InvalidInput("edges_degc", expected="two or more, increasing", found=f"{edges}")
    sensors = np.asarray(temperature_degc, dtype=np.float64)
    if sensors.ndim not in (1, 2) or not sensors.size:
        expected = "shape (time,) or (time, sensors)"
        raise InvalidInput("temperature_degc", expected=expected, found=f"{sensors.shape}")
    sensors = sensors if sensors.ndim == 2 else sensors[:, None]
    current_a = None if current_a is None else np.asarray(current_a, dtype=np.float64)
    # max and min hand a nan on, which makes the sample unknown.
    hottest, coldest = sensors.max(axis=1), sensors.min(axis=1)
    step_s, counts = _steps(t_s, [hottest] if current_a is None else [hottest, current_a], max_gap_s)
    hot, cold, span_s = hottest[:-1][counts], coldest[:-1][counts], step_s[counts]
    band = np.digitize(hot, edges) - 1
    inside = (band >= 0) & (band < len(edges) - 1)
    charging_s = np.full_like(span_s, np.nan)
    if current_a is not None:
        charging_s = np.where(current_a[:-1][counts] >= charging_from_a, span_s, 0.0)
    weight = np.exp(activation_ev / BOLTZMANN_EV_PER_K * (1.0 / 298.15 - 1.0 / (hot + _ZERO_DEGC_K)))
    return ThermalHistory(
        edges_degc=edges,
        band_s=np.bincount(band[inside], span_s[inside], len(edges) - 1).astype(np.float64),
        above_s=float(span_s[hot > limits.high_degc].sum()),
        below_s=float(span_s[cold < limits.low_degc].sum()),
        charging_above_s=_where(hot > limits.charge_high_degc, charging_s),
        charging_below_s=_where(cold < limits.charge_low_degc, charging_s),
        equivalent_s=float(weight @ span_s),
        counted_s=float(span_s.sum()),
        gap_s=float(step_s[~counts].sum()),
    )


def _where(condition: NDArray[np.bool_], span_s: Floats) -> float:
    """Sum where the condition holds; nan stays nan even where it never holds."""
    return float(np.where(condition, span_s, 0.0 * span_s).sum())
