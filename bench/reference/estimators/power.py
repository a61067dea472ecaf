"""State of power: the largest current and power that keep every cell within its bounds for a horizon.

The limit is found by bisection over the answer of the cells (`response`), so that a voltage that moves, a
charge transfer that is not linear and a cell that heats are all in it. Two limits are given: what is expected
of the state as estimated, and what is guaranteed whatever the true state is within its uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.cells import CellFile
from bench.errors import InvalidInput
from bench.reference.estimators.largest import STEPS, largest
from bench.reference.estimators.response import Answer, Tables, answer, tables_of
from bench.reference.estimators.states import CellStates, Known, Rows, hypotheses
from dut_profiles.profile import PathName, Profile, TemperatureLimit

Floats = NDArray[np.float64]
Bound = Literal["current", "voltage", "soc", "temperature"]

HORIZONS_S = (2.0, 10.0, 30.0)
#: In the order in which `_excess` gives them.
BOUNDS: tuple[Bound, ...] = ("current", "voltage", "soc", "temperature")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What no cell may leave while a current flows in one direction.

    Parameters
    ----------
    voltage_v
        Highest while charging, lowest while discharging [V].
    current_a
        Greatest magnitude [A].
    soc
        Highest at the end of a charge, lowest at the end of a discharge.
    coldest_degc, hottest_degc
        Between these the current may flow at all, and none may be hotter at the end.
    """

    voltage_v: float
    current_a: float
    soc: float
    coldest_degc: float = -np.inf
    hottest_degc: float = np.inf

    def __post_init__(self) -> None:
        if not (np.isfinite(self.current_a) and self.current_a > 0.0):
            raise InvalidInput("Bounds.current_a", expected="a positive number", found=f"{self.current_a}")
        if not self.coldest_degc < self.hottest_degc:
            raise InvalidInput(
                "Bounds", expected="coldest_degc below hottest_degc",
                found=f"{self.coldest_degc} and {self.hottest_degc}",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, and what makes it one.

    Parameters
    ----------
    value
        Magnitude, in A or W (at the terminals of the cells, all together).
    cell
        The cell that would leave its bounds first; None if the current bound of the string is reached.
    bound
        The bound that it would leave.
    """

    value: float
    cell: int | None
    bound: Bound


@dataclass(frozen=True, slots=True)
class PowerLimits:
    """Limits of one direction and horizon."""

    direction: PathName
    horizon_s: float
    expected_a: Limit
    guaranteed_a: Limit
    expected_w: Limit
    guaranteed_w: Limit


def power_limits(
    file: CellFile,
    cells: CellStates,
    *,
    charge: Bounds,
    discharge: Bounds,
    horizons_s: Sequence[float] = HORIZONS_S,
) -> tuple[PowerLimits, ...]:
    """Largest constant current and power of one string, for each horizon: first charge, then discharge.

    A longer horizon never gives a higher limit, nor does a greater uncertainty a higher guaranteed one.

    Raises
    ------
    InvalidInput
        If a state is not a finite number for each cell, or a horizon is not positive.
    """
    known = Known.of(file, cells)
    horizons = np.array(sorted(horizons_s), dtype=np.float64)
    if not horizons.size or not (np.isfinite(horizons).all() and horizons[0] > 0.0):
        raise InvalidInput("horizons_s", expected="positive numbers", found=f"{list(horizons_s)}")
    tables = tables_of(file)
    found: list[PowerLimits] = []
    both: tuple[tuple[PathName, int, Bounds], ...] = (("charge", 1, charge), ("discharge", -1, discharge))
    # Both directions take the power of the same voltage as the greatest, so that they are equally fine.
    most_w = np.shape(known.soc)[0] * max(charge.voltage_v, discharge.voltage_v)
    for name, direction, bounds in both:
        rows = hypotheses(tables, known, direction, horizons)
        amperes = _limits_a(tables, rows, direction, bounds, len(horizons))
        watts = _limits_w(tables, rows, direction, bounds, len(horizons), most_w * bounds.current_a)
        for k, horizon_s in enumerate(horizons):
            found.append(
                PowerLimits(name, float(horizon_s), amperes[0][k], amperes[1][k], watts[0][k], watts[1][k])
            )
    return tuple(found)


def bounds_of(profile: Profile, direction: PathName, *, soc: float) -> Bounds:
    """What a profile permits in one direction: its level-2 limits less their tolerance, and the pack's own.

    Parameters
    ----------
    soc
        End of the SOC window in this direction; no profile declares one.
    """
    pack, charging = profile.pack, direction == "charge"
    side = "above" if charging else "below"
    acting = [limit for limit in profile.limits.values() if direction in limit.opens]
    voltages = [lim for lim in acting if lim.quantity == "cell_voltage" and lim.side == side]
    heat = [limit for limit in acting if isinstance(limit, TemperatureLimit)]
    hottest = [limit.trip - limit.tolerance for limit in heat if limit.side == "above"]
    coldest = [limit.trip + limit.tolerance for limit in heat if limit.side == "below"]
    if charging:
        voltage_v = min([pack.upper_limit_charging_v, *(lim.trip - lim.tolerance for lim in voltages)])
    else:
        voltage_v = max([pack.lower_limit_discharging_v, *(lim.trip + lim.tolerance for lim in voltages)])
    return Bounds(
        voltage_v=voltage_v,
        current_a=pack.max_charge_a if charging else pack.max_discharge_a,
        soc=soc,
        coldest_degc=max(coldest, default=-np.inf),
        hottest_degc=min(hottest, default=np.inf),
    )


def _excess(rows: Rows, bounds: Bounds, direction: int, given: Answer) -> Floats:
    """How far each bound is left, shape (bounds, rows, cells); above 0 where it is."""
    count = len(given.soc)
    warmest = given.temperature_degc + rows.warmer_k[:count]
    return np.array(
        [
            given.current_a / bounds.current_a - 1.0,
            direction * (given.voltage_v - bounds.voltage_v),
            direction * (given.soc - bounds.soc),
            np.maximum(
                warmest - bounds.hottest_degc, bounds.coldest_degc - rows.start.temperature_degc[:count]
            ),
        ]
    )


def _limits_a(
    tables: Tables, rows: Rows, direction: int, bounds: Bounds, count: int
) -> tuple[list[Limit], list[Limit]]:
    """Limits of the current, as expected and guaranteed, for each horizon."""
    start = rows.start.first(2 * count)

    def excess(current_a: Floats) -> Floats:
        return _excess(rows, bounds, direction, answer(tables, start, direction, current_a=current_a))

    found = largest(excess, bounds.current_a, start.soc.shape)
    beyond = excess(found + bounds.current_a / STEPS)
    weakest = found.argmin(axis=1)
    made = [
        _limit(found[row, cell], int(cell), beyond[:, row, cell], full=found[row, cell] >= bounds.current_a)
        for row, cell in enumerate(weakest)
    ]
    return _falling(made[:count]), _falling(made[count:])


def _limits_w(
    tables: Tables, rows: Rows, direction: int, bounds: Bounds, count: int, most_w: float
) -> tuple[list[Limit], list[Limit]]:
    """Limits of the power, as expected and guaranteed, for each horizon."""

    def each(power_w: Floats) -> Floats:
        # The third hypothesis only says how large a current the same power makes at worst.
        all_w = np.concatenate((power_w, power_w[count:]))
        given = answer(tables, rows.start, direction, power_w=all_w, driver=rows.driver)
        return _excess(rows, bounds, direction, given)[:, : 2 * count]

    found = largest(lambda power_w: each(power_w).max(axis=2)[..., None], most_w, (2 * count, 1))
    beyond = each(found + most_w / STEPS)
    made = []
    for row in range(2 * count):
        bound, cell = np.unravel_index(np.argmax(beyond[:, row]), beyond[:, row].shape)
        made.append(_limit(found[row, 0], int(cell), beyond[:, row, cell], full=bound == 0))
    return _falling(made[:count]), _falling(made[count:])


def _limit(value: float, cell: int, excess: Floats, *, full: bool) -> Limit:
    if full:
        return Limit(float(value), None, "current")
    return Limit(float(value), cell, BOUNDS[int(np.argmax(excess))])


def _falling(limits: list[Limit]) -> list[Limit]:
    """Whoever holds out longer holds out shorter too: no horizon has more than one before it."""
    kept: list[Limit] = []
    for limit in limits:
        kept.append(kept[-1] if kept and kept[-1].value < limit.value else limit)
    return kept
