"""How the cells of one string answer a constant current or a constant power for some seconds.

Many rows (horizons, hypotheses about the state) are worked out at once; arrays have shape (rows, cells). Each
cell heats by its own losses alone: nothing is cooled in a horizon of seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.cells import CellFile
from bench.reference.estimators.cell import KELVIN, CellModel, arrhenius

Floats = NDArray[np.float64]

#: Times at which the answer is looked at, as parts of the horizon: close together where it moves fastest.
PARTS = np.array([0.0, 0.01, 0.03, 0.07, 0.13, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.78, 0.86, 0.93, 1.0])
_SOC = np.linspace(0.0, 1.0, 201)
_DEGC = np.arange(-50.0, 101.0)


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """A cell file on grids that are quick to look up, straight in between (1 K and 0.5 % of SOC).

    Parameters
    ----------
    values
        Ohmic resistance [ohm], entropic coefficient [V/K], charge-transfer current [A] (0: none), then
        resistance [ohm] and time constant [s] of each pair; shape (temperatures * socs, quantities).
    ocv_soc, charge_v, discharge_v
        Branches of the open-circuit voltage, shape (points,).
    beyond_v_per_soc
        Slopes below SOC 0 and above SOC 1.
    """

    values: Floats
    pairs: int
    ocv_soc: Floats
    charge_v: Floats
    discharge_v: Floats
    beyond_v_per_soc: tuple[float, float]
    hysteresis_rate: float
    heat_capacity_j_per_k: float
    capacity_ah: float

    def at(self, soc: Floats, temperature_degc: Floats) -> Floats:
        """Every quantity at each point, shape (quantities, *points); held at the ends of the grids."""
        column = np.clip(soc, 0.0, 1.0) * (len(_SOC) - 1)
        row = np.clip(temperature_degc - _DEGC[0], 0.0, len(_DEGC) - 1.0)
        j = np.minimum(column.astype(np.intp), len(_SOC) - 2)
        i = np.minimum(row.astype(np.intp), len(_DEGC) - 2)
        a, b = row - i, column - j
        corner, a, b = i * len(_SOC) + j, a[..., None], b[..., None]
        low, high = (
            self.values.take(at, axis=0) * (1.0 - b) + self.values.take(at + 1, axis=0) * b
            for at in (corner, corner + len(_SOC))
        )
        return np.moveaxis(low + (high - low) * a, -1, 0)

    def resistances(self, looked_up: Floats) -> Floats:
        """Ohmic resistance and that of each pair [ohm] out of `at`, shape (1 + pairs, *points)."""
        return looked_up[[0, *range(2, 2 + self.pairs)]]

    def extremes_within(
        self, low_soc: Floats, high_soc: Floats, temperature_degc: Floats
    ) -> tuple[Floats, Floats]:
        """Least and greatest of each resistance over a band of SOC, both shape (1 + pairs, *points)."""
        ends = [self.resistances(self.at(z, temperature_degc)) for z in (low_soc, high_soc)]
        nodes = np.broadcast_to(_SOC, (*low_soc.shape, len(_SOC)))
        inner = self.resistances(self.at(nodes, temperature_degc[..., None]))
        outside = (nodes < low_soc[..., None]) | (nodes > high_soc[..., None])
        least = np.where(outside, np.inf, inner).min(axis=-1)
        most = np.where(outside, -np.inf, inner).max(axis=-1)
        return np.minimum(least, np.minimum(*ends)), np.maximum(most, np.maximum(*ends))

    def open_circuit_v(self, soc: Floats, branch: Floats, direction: int) -> tuple[Floats, Floats]:
        """Open-circuit voltage at 25 °C, and how far of it is hysteresis [V].

        The branches are held monotone against `direction` (+1 charge: never lower than at a lower SOC), so
        that a doubt about SOC cannot help.
        """
        charge_v, discharge_v = (_monotone(v, direction) for v in (self.charge_v, self.discharge_v))
        upper = np.interp(soc, self.ocv_soc, charge_v)
        lower = np.interp(soc, self.ocv_soc, discharge_v)
        below, above = self.beyond_v_per_soc
        beyond = above * np.maximum(soc - 1.0, 0.0) + below * np.minimum(soc, 0.0)
        half = 0.5 * branch * (upper - lower)
        return 0.5 * (upper + lower) + half + beyond, half


def _monotone(curve: Floats, direction: int) -> Floats:
    if direction > 0:
        return np.maximum.accumulate(curve)
    return np.minimum.accumulate(curve[::-1])[::-1]


class _Same:
    """A cell file that equals itself alone: comparing the tables of two would cost more than it saves."""

    __slots__ = ("file",)

    def __init__(self, file: CellFile) -> None:
        self.file = file

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.file is self.file

    def __hash__(self) -> int:
        return id(self.file)


def tables_of(file: CellFile) -> Tables:
    """The tables of a cell file; computed once for each file."""
    return _tables_of(_Same(file))


@lru_cache(maxsize=16)
def _tables_of(same: _Same) -> Tables:
    file = same.file
    model = CellModel(file)
    soc, degc = np.meshgrid(_SOC, _DEGC)
    knees = [
        np.zeros_like(degc)
        if pair.linear_a is None
        else arrhenius(degc, pair.temperature_degc, pair.linear_a)
        for pair in file.rc
    ]
    of_pairs = [part for k in range(model.pairs) for part in model.pair(k, soc, degc)]
    values = np.array(
        [model.r0_ohm(soc, degc), model.entropy_v_per_k(soc), *of_pairs[::2], *of_pairs[1::2], *knees]
    )
    ocv = file.ocv
    return Tables(
        np.ascontiguousarray(values.reshape(len(values), -1).T),
        model.pairs,
        ocv.soc,
        ocv.charge_v,
        ocv.discharge_v,
        (ocv.overdischarge_v_per_soc, ocv.overcharge_v_per_soc),
        file.hysteresis.rate,
        file.thermal.heat_capacity_j_per_k,
        file.capacity_ah,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """State and size of the cells when the current begins, each array shape (rows, cells).

    Parameters
    ----------
    soc, temperature_degc, branch
        As `CellModel` takes them.
    overvoltage_v
        Voltage of each RC pair [V], shape (pairs, rows, cells).
    capacity_ah
        Present capacity [Ah].
    factor
        Multiplies the ohmic resistance and that of each pair, shape (1 + pairs, rows, cells).
    shift_v
        Added to each terminal voltage [V].
    size
        How many times as heavy as the cell of the file.
    horizon_s
        How long the current lasts [s], shape (rows, 1).
    """

    soc: Floats
    temperature_degc: Floats
    branch: Floats
    overvoltage_v: Floats
    capacity_ah: Floats
    factor: Floats
    shift_v: Floats
    size: Floats
    horizon_s: Floats

    def first(self, rows: int) -> Start:
        """The first `rows` of it."""
        return Start(
            **{
                name: getattr(self, name)[:, :rows]
                if name in ("overvoltage_v", "factor")
                else getattr(self, name)[:rows]
                for name in self.__dataclass_fields__
            }
        )


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Extremes over the horizon, each shape (rows, cells).

    Parameters
    ----------
    voltage_v
        The terminal voltage that is farthest in the direction of the current [V].
    soc, temperature_degc
        At the end; the temperature is the greatest.
    current_a
        Greatest magnitude of the current [A]; inf where no current gives the power.
    """

    voltage_v: Floats
    soc: Floats
    temperature_degc: Floats
    current_a: Floats


def answer(
    tables: Tables,
    start: Start,
    direction: int,
    *,
    current_a: Floats | None = None,
    power_w: Floats | None = None,
    driver: NDArray[np.intp] | None = None,
) -> Answer:
    """Let a constant current or power act for the horizon.

    Parameters
    ----------
    direction
        +1 charges, -1 discharges.
    current_a
        Magnitude [A], shape (rows, cells) or (rows, 1): each cell on its own.
    power_w
        Magnitude of the power of the whole string [W], shape (rows, 1): one current for all cells of a row.
    driver
        Row whose string turns the power of each row into a current, shape (rows,); default: its own.
    """
    z, degc, branch = start.soc, start.temperature_degc, start.branch
    pair_v = start.overvoltage_v
    capacity_j_per_k = tables.heat_capacity_j_per_k * start.size
    looked_up = tables.at(z, degc)
    emf_v, hysteresis_v, slope = _emf(tables, start, direction, z, degc, branch, pair_v, looked_up)
    ohm = start.factor * tables.resistances(looked_up)
    i, most = _current(emf_v, ohm[0], direction, current_a, power_w, driver)
    farthest, hottest, most_degc = direction * (emf_v + ohm[0] * i), degc, degc
    begun, rise, last = i, 0.0 * i, 1.0
    for part in np.diff(PARTS):
        dt = part * start.horizon_s
        # A constant power draws more current towards its end: half a step ahead, straight on.
        i = begun + 0.5 * rise * part / last
        moved = i * dt / (3600.0 * start.capacity_ah)
        heat_w = i * (i * ohm[0] + hysteresis_v + (degc + KELVIN) * slope)
        # How much of its power a pair keeps is not known: the least warms the resistances, the most counts.
        taken_w, made_w = i * pair_v, pair_v**2 / ohm[1:]
        degc = degc + (heat_w + np.minimum(taken_w, made_w).sum(axis=0)) * dt / capacity_j_per_k
        most_degc = most_degc + (heat_w + np.maximum(taken_w, made_w).sum(axis=0)) * dt / capacity_j_per_k
        z = z + moved
        branch = direction + (branch - direction) * np.exp(-tables.hysteresis_rate * np.abs(moved))
        before = ohm
        looked_up = tables.at(z, degc)
        ohm = start.factor * tables.resistances(looked_up)
        reached = (
            0.5 * (before[1:] + ohm[1:]) * _transferred(tables, start, i, looked_up[2 + 2 * tables.pairs :])
        )
        pair_v = reached + (pair_v - reached) * np.exp(
            -dt / looked_up[2 + tables.pairs : 2 + 2 * tables.pairs]
        )
        emf_v, hysteresis_v, slope = _emf(tables, start, direction, z, degc, branch, pair_v, looked_up)
        i, size = _current(emf_v, ohm[0], direction, current_a, power_w, driver)
        begun, rise, last = i, i - begun, part
        farthest = np.maximum(farthest, direction * (emf_v + ohm[0] * i))
        hottest, most = np.maximum(hottest, most_degc), np.maximum(most, size)
    return Answer(direction * farthest, z, hottest, most)


def _emf(
    tables: Tables,
    start: Start,
    direction: int,
    z: Floats,
    degc: Floats,
    branch: Floats,
    pair_v: Floats,
    looked_up: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Voltage without the ohmic part, its hysteresis, and the entropic coefficient."""
    ocv_v, hysteresis_v = tables.open_circuit_v(z, branch, direction)
    slope = looked_up[1]
    return ocv_v + slope * (degc - 25.0) + pair_v.sum(axis=0) + start.shift_v, hysteresis_v, slope


def _transferred(tables: Tables, start: Start, i: Floats, knee_a: Floats) -> Floats:
    """Current that each pair sees as Ohm's law would, shape (pairs, rows, cells); a knee of 0 is none."""
    seen = np.repeat(i[None], tables.pairs, axis=0)
    for k in range(tables.pairs):
        if (knee_a[k] > 0.0).all():
            knee = knee_a[k] * start.capacity_ah / tables.capacity_ah
            seen[k] = knee * np.arcsinh(i / knee)
    return seen


def _current(
    emf_v: Floats,
    ohm: Floats,
    direction: int,
    current_a: Floats | None,
    power_w: Floats | None,
    driver: NDArray[np.intp] | None,
) -> tuple[Floats, Floats]:
    """Signed current [A] and its magnitude, both (rows, cells); of a power from the string's voltage.

    Where no current gives the power, that of the greatest power flows and its magnitude is inf.
    """
    if power_w is None:
        size = np.broadcast_to(np.asarray(current_a), emf_v.shape)
        return direction * size, size
    emf, ohms = emf_v.sum(axis=1, keepdims=True), ohm.sum(axis=1, keepdims=True)
    if driver is not None:
        emf, ohms = emf[driver], ohms[driver]
    room = emf**2 + 4.0 * ohms * direction * power_w
    # The root that goes to zero with the power, in the form that loses no digits.
    found = 2.0 * power_w / (emf + np.sqrt(np.maximum(room, 0.0)))
    i = np.broadcast_to(direction * np.where(room < 0.0, emf / (2.0 * ohms), found), emf_v.shape)
    return i, np.where(room < 0.0, np.inf, np.abs(i))
