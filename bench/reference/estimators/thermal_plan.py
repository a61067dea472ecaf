"""What a map of temperatures permits and demands: currents, cooling, heating; and how long it stays so.

The map is known within an uncertainty, so each answer has two sides: what is surely due, and what is possibly
permitted. Between them a BMS may do as it likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.errors import InvalidInput
from bench.record import Floats
from bench.reference.derating import banded
from bench.reference.intervals import Mask, held
from dut_profiles.profile import DeratingTable, PathName, Profile, TemperatureLimit, ThermalManagement

#: Time [s] over which the present heating is looked at, project default.
HEATING_SPAN_S = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """Between what the coldest and the hottest sensor may lie at each time, all shape (time,) [°C].

    `hottest_high` is inf and `coldest_low` -inf where a sensor was not measured: it may be anywhere.
    """

    coldest_low: Floats
    coldest_high: Floats
    hottest_low: Floats
    hottest_high: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Duty:
    """When something has to run, and when it may; shape (time,) each."""

    due: Mask
    permitted: Mask


@dataclass(frozen=True, slots=True, eq=False)
class HotSpot:
    """How uneven the map is, shape (time,) each; nan where fewer than two sensors were measured.

    Parameters
    ----------
    spread_k
        Hottest less coldest.
    above_median_k
        Hottest less the median of all: a local hot spot, where the spread may also be a cold end.
    sensor
        Index of the hottest; -1 where none was measured.
    """

    spread_k: Floats
    above_median_k: Floats
    sensor: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class ThermalPlan:
    """What is permitted and due at each time of a map; fractions are of the maximum current.

    `charge_fraction` and `discharge_fraction` have shape (2, time): least and greatest that is right.
    `cooling` and `heating` are None for a profile that declares neither.
    """

    charge_fraction: Floats
    discharge_fraction: Floats
    cooling: Duty | None
    heating: Duty | None
    hot_spot: HotSpot
    time_to_charge_limit_s: Floats
    time_to_discharge_limit_s: Floats


def thermal_plan(
    profile: Profile,
    t_s: ArrayLike,
    map_degc: ArrayLike,
    *,
    uncertainty_k: float = 0.0,
    in_use: ArrayLike = True,
    cell_v: tuple[ArrayLike, ArrayLike] | None = None,
    ambient_degc: float | None = None,
    time_constant_s: float = np.inf,
) -> ThermalPlan:
    """Work out currents, cooling, heating and time to the next limit at each time of a map.

    Parameters
    ----------
    t_s, map_degc
        Times [s], rising, shape (time,), and temperatures, shape (time, sensors); nan: not measured.
    uncertainty_k
        Bound of each temperature [K].
    in_use
        Whether the pack is in a mode in which the heater may heat, shape (time,) or one for all. A charge
        that is asked for counts: a cold pack is heated before it is charged.
    cell_v
        Lowest and highest cell voltage [V], shape (time,) each, for its tables; None: leave those out.
    ambient_degc
        Air that the fan blows: it does not cool a sensor colder than that, so cooling is not due then.
    time_constant_s
        Of the pack towards its surroundings; inf: it heats on as at present.

    Raises
    ------
    InvalidInput
        If the times do not rise or the map does not fit them.
    """
    times, sensors = _checked(t_s, map_degc)
    extent = extent_of(sensors, uncertainty_k)
    declared, using = profile.thermal_management, np.broadcast_to(np.asarray(in_use, np.bool_), times.shape)
    cooling = heating = None
    if declared is not None:
        cooling, heating = cooling_duty(declared, extent), heating_duty(declared, extent, using, using)
        if ambient_degc is not None:
            cooling = Duty(cooling.due & (extent.hottest_low > ambient_degc), cooling.permitted)
    return ThermalPlan(
        charge_fraction=permitted_fraction(profile.derating.charge, extent, cell_v),
        discharge_fraction=permitted_fraction(profile.derating.discharge, extent, cell_v),
        cooling=cooling,
        heating=heating,
        hot_spot=hot_spot(sensors),
        time_to_charge_limit_s=time_to_limit_s(times, sensors, _hottest(profile, "charge"), time_constant_s),
        time_to_discharge_limit_s=time_to_limit_s(
            times, sensors, _hottest(profile, "discharge"), time_constant_s
        ),
    )


def extent_of(map_degc: Floats, uncertainty_k: float = 0.0) -> Extent:
    """Coldest and hottest of a map (time, sensors), each within `uncertainty_k` of what was measured."""
    least, most = np.fmin.reduce(map_degc, axis=1), np.fmax.reduce(map_degc, axis=1)
    unknown = np.isnan(map_degc).any(axis=1)
    return Extent(
        coldest_low=np.where(unknown, -np.inf, least - uncertainty_k),
        coldest_high=np.where(np.isnan(least), np.inf, least + uncertainty_k),
        hottest_low=np.where(np.isnan(most), -np.inf, most - uncertainty_k),
        hottest_high=np.where(unknown, np.inf, most + uncertainty_k),
    )


def permitted_fraction(
    tables: Mapping[str, DeratingTable],
    extent: Extent,
    cell_v: tuple[ArrayLike, ArrayLike] | None = None,
) -> Floats:
    """Least and greatest permitted fraction of the maximum current, shape (2, time).

    The lowest of the tables counts, each over the band in which its axis may lie; those over SOC, and over
    cell voltages that were not given, are left out.
    """
    found = np.ones((2, len(extent.hottest_low)))
    bands = {
        "coldest": (extent.coldest_low, extent.coldest_high),
        "hottest": (extent.hottest_low, extent.hottest_high),
    }
    if cell_v is not None:
        lowest, highest = (np.asarray(v, dtype=np.float64) for v in cell_v)
        bands |= {"lowest": (lowest, lowest), "highest": (highest, highest)}
    for table in tables.values():
        if table.soc is None and table.uses in bands:
            found = np.minimum(found, np.array(banded(table, *bands[table.uses])))
    return found


def cooling_duty(declared: ThermalManagement, extent: Extent) -> Duty:
    """When the fan has to run and when it may: on above one temperature until below another."""
    slack = declared.tolerance_k
    return _switched(
        surely_on=extent.hottest_low >= declared.cooling_on_degc + slack,
        maybe_on=extent.hottest_high >= declared.cooling_on_degc - slack,
        surely_off=extent.hottest_high < declared.cooling_off_degc - slack,
        maybe_off=extent.hottest_low < declared.cooling_off_degc + slack,
    )


def heating_duty(declared: ThermalManagement, extent: Extent, surely_used: Mask, maybe_used: Mask) -> Duty:
    """When the heater has to heat and when it may: on below one temperature until above another."""
    slack = declared.tolerance_k
    warm = np.inf if declared.heating_hottest_degc is None else declared.heating_hottest_degc
    # Where a sensor is unknown and no sensor may be hot, heating is never due.
    surely_not_hot = (extent.hottest_high < warm - slack) | np.isinf(warm)
    surely_hot = extent.hottest_low > warm + slack
    return _switched(
        surely_on=(extent.coldest_high <= declared.heating_on_degc - slack) & surely_used & surely_not_hot,
        maybe_on=(extent.coldest_low <= declared.heating_on_degc + slack) & maybe_used & ~surely_hot,
        surely_off=(extent.coldest_low > declared.heating_off_degc + slack) | ~maybe_used | surely_hot,
        maybe_off=(extent.coldest_high >= declared.heating_off_degc - slack) | ~surely_used | ~surely_not_hot,
    )


def _switched(*, surely_on: Mask, maybe_on: Mask, surely_off: Mask, maybe_off: Mask) -> Duty:
    # It may have been running before the first sample.
    before = np.zeros(len(maybe_on), dtype=np.bool_)
    before[:1] = True
    may_start: Mask = (maybe_on | before) & ~surely_off
    return Duty(held(surely_on, maybe_off), held(may_start, surely_off))


def hot_spot(map_degc: Floats) -> HotSpot:
    """Spread, local hot spot and where it is, for a map (time, sensors)."""
    few = np.isfinite(map_degc).sum(axis=1) < 2
    none: Mask = np.logical_and.reduce(np.isnan(map_degc), axis=1)
    filled = np.where(none[:, None], 0.0, map_degc)
    hottest = np.nanmax(filled, axis=1)
    spread = np.where(few, np.nan, hottest - np.nanmin(filled, axis=1))
    above = np.where(few, np.nan, hottest - np.nanmedian(filled, axis=1))
    return HotSpot(spread, above, np.where(none, -1, np.nanargmax(filled, axis=1)))


def heating_rate_k_per_s(t_s: Floats, map_degc: Floats, span_s: float = HEATING_SPAN_S) -> Floats:
    """Slope of each sensor over the last `span_s` [s] by least squares, shape (time, sensors) [K/s].

    nan until two samples were seen; a sensor that was not measured throughout the span has none.
    """
    count = np.arange(1, len(t_s) + 1)
    first = np.searchsorted(t_s, t_s - span_s)
    n = (count - first)[:, None].astype(np.float64)

    def over(value: Floats) -> Floats:
        total = np.concatenate((np.zeros((1, value.shape[1])), np.cumsum(value, axis=0)))
        return total[count] - total[first]

    # Counted from the middle, so that the sums lose no digits.
    x = (t_s - t_s.mean())[:, None]
    known = np.where(np.isnan(map_degc), 0.0, map_degc - 25.0)
    sx, sxx, sy, sxy = over(x), over(x * x), over(known), over(x * known)
    spread = n * sxx - sx * sx
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(spread > 0.0, (n * sxy - sx * sy) / spread, np.nan)
    return np.where(over(np.isnan(map_degc).astype(np.float64)) > 0.0, np.nan, slope)


def time_to_limit_s(
    t_s: Floats,
    map_degc: Floats,
    limit_degc: float,
    time_constant_s: float = np.inf,
    span_s: float = HEATING_SPAN_S,
) -> Floats:
    """Time until the first sensor reaches `limit_degc` if it heats on as at present, shape (time,) [s].

    0 at or above it; inf if no sensor ever will; nan where no slope is known. With a time constant the
    heating dies away: the temperature tends to the present one plus slope times time constant.
    """
    slope = heating_rate_k_per_s(t_s, map_degc, span_s)
    missing = limit_degc - map_degc
    with np.errstate(divide="ignore", invalid="ignore"):
        straight = missing / slope
        if np.isfinite(time_constant_s):
            part = straight / time_constant_s
            straight = np.where(part < 1.0, -time_constant_s * np.log1p(-np.minimum(part, 1.0)), np.inf)
        each = np.where(slope > 0.0, straight, np.inf)
    each = np.where(np.isnan(slope), np.nan, np.where(missing <= 0.0, 0.0, each))
    found: Floats = np.fmin.reduce(np.where(missing <= 0.0, 0.0, each), axis=1)
    return found


def _hottest(profile: Profile, path: PathName) -> float:
    """Lowest temperature at which a limit opens the path [°C]; inf if none does."""
    opening = [
        limit.trip
        for limit in profile.limits.values()
        if isinstance(limit, TemperatureLimit) and limit.side == "above" and path in limit.opens
    ]
    return min(opening, default=np.inf)


def _checked(t_s: ArrayLike, map_degc: ArrayLike) -> tuple[Floats, Floats]:
    times, sensors = np.asarray(t_s, dtype=np.float64), np.asarray(map_degc, dtype=np.float64)
    if times.ndim != 1 or not times.size or (np.diff(times) <= 0.0).any():
        raise InvalidInput("t_s", expected="rising times, shape (time,)", found=f"shape {times.shape}")
    if sensors.ndim != 2 or len(sensors) != len(times) or not sensors.shape[1]:
        raise InvalidInput(
            "map_degc", expected=f"shape ({len(times)}, sensors)", found=f"shape {sensors.shape}"
        )
    return times, sensors
