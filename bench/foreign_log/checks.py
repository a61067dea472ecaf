"""Whether a log can be what it says: units, sign, sensors that stand still. It is refused or flagged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bench.errors import InvalidInput
from bench.foreign_log.keys import key_of
from bench.foreign_log.log import Column, ForeignLog, listed
from bench.foreign_log.table import Flag
from bench.foreign_log.units import UNITS, Quantity, unit_of
from bench.record import Floats


@dataclass(frozen=True, slots=True)
class Plausible:
    """What values of a key can be, in its own unit. Project defaults, wide of any battery.

    The median must lie in `low` to `high`. Single samples outside `least` to `most` are no measurement (a
    sensor that was not there, a word of all ones) and are left out.
    """

    low: float
    high: float
    least: float
    most: float


PLAUSIBLE: dict[str, Plausible] = {
    "v": Plausible(0.05, 6.0, -1.0, 6.0),
    "T": Plausible(-60.0, 150.0, -100.0, 1000.0),
    "soc": Plausible(-0.1, 1.1, -0.5, 1.5),
    "soh": Plausible(0.1, 1.5, 0.0, 2.0),
    "pack_v": Plausible(0.5, 2000.0, -50.0, 3000.0),
}
#: Largest share of samples that may be left out as no measurement, project default; and if all of them are
#: one value, which is then a word for "not available".
MOST_WILD, MOST_SAME = 0.05, 0.5
#: Where a battery usually is [degC], and how far apart the samples of a logger usually are [s]: outside of
#: these a unit that nobody stated is doubted. Project defaults.
USUAL_DEGC, USUAL_PERIOD_S = (-45.0, 70.0), (0.02, 600.0)
#: Fewer samples say nothing about standing still.
_FEW = 10
#: A voltage that does not change for so many samples while the current does has stopped, project default.
_FROZEN = 60
#: Keys whose columns are watched for standing still.
_WATCHED = ("i", "v", "T", "pack_v")
#: A correlation this far below 0 between steps of current and of voltage is no chance, project default.
WRONG_WAY = -0.3


def checked(log: ForeignLog, *, max_current_a: float = float("inf")) -> ForeignLog:
    """The log without samples that are no measurement, with flags for what is doubtful.

    Parameters
    ----------
    max_current_a
        More than this cannot flow. Where it does in more than one sample of twenty, the unit is wrong.

    Raises
    ------
    InvalidInput
        A unit that cannot be right; names the column and the unit to try.
    """
    flags = list(log.flags)
    columns = tuple(_in_range(log, column, flags) for column in log.columns)
    log = replace(log, columns=columns)
    _check_clock(log, flags)
    for column in log.of("i"):
        _check_current(log, column, max_current_a, flags)
    _check_standing(log, flags)
    _check_frozen(log, flags)
    _check_sign(log, flags)
    return replace(log, flags=tuple(flags))


def _check_clock(log: ForeignLog, flags: list[Flag]) -> None:
    """Doubt the unit of a time that nobody stated: each estimate of charge hangs on it."""
    period_s = min(column.period_s for column in log.columns)
    if log.clock is None or log.clock[2] != "default" or not np.isfinite(period_s):
        return
    least_s, most_s = USUAL_PERIOD_S
    if least_s <= period_s <= most_s:
        return
    # The unit in which there is about one sample in a second.
    other = min(UNITS["time"], key=lambda unit: abs(np.log(period_s * unit.factor))).name
    text = (
        f"nobody says the unit of {log.clock[0]}; read in s, the samples are {period_s:.3g} s apart. State "
        f"--units t=s if that is right, or t={other}"
    )
    flags.append(Flag("clock", float(log.t_s[0]), int(log.line[0]), text))


def _in_range(log: ForeignLog, column: Column, flags: list[Flag]) -> Column:
    known = PLAUSIBLE.get(column.key)
    if known is None:
        return column
    wild = (column.value < known.least) | (column.value > known.most)
    share, same = float(wild.mean()), len(np.unique(column.value[wild])) == 1
    if wild.any() and (share <= MOST_WILD or (same and share <= MOST_SAME)):
        k = int(np.argmax(wild))
        text = (
            f"{column} ({column.name}): {wild.sum()} samples such as {_value(column, k)} are none, left out"
        )
        flags.append(Flag("implausible", float(column.t_s[k]), int(column.line[k]), text))
        column = replace(column, t_s=column.t_s[~wild], value=column.value[~wild], line=column.line[~wild])
        wild = wild[~wild]
    _demand_unit(log, column, known, flags)
    if wild.any():
        k = int(np.argmax(wild))
        raise InvalidInput(
            f"{log.path}:{column.line[k]}, column {column.name!r}",
            expected=f"{column.key} between {known.least:g} and {known.most:g}{_own_unit(column)}",
            found=f"{_value(column, k)}, and {wild.sum()} of {len(wild)} samples outside; "
            "is it the right column?",
        )
    return column


def _demand_unit(log: ForeignLog, column: Column, known: Plausible, flags: list[Flag]) -> None:
    """Refuse a column whose middle cannot be, and would be in another unit."""
    middle, own = float(np.median(column.value)), _own_unit(column)
    remedy = _unit_to_try(column, lambda value: known.low <= float(np.median(value)) <= known.high)
    if middle > known.high or (middle < known.low and (remedy or middle < known.least)):
        hint = f"; {remedy}" if remedy else "; no other unit fits, is it the right column?"
        raise InvalidInput(
            f"{log.path}, column {column.name!r}",
            expected=f"{column.key} between {known.low:g} and {known.high:g}{own}",
            found=f"{middle:g}{own} in the middle, read in {column.unit} (unit by {column.unit_from}){hint}",
        )
    usual = middle >= known.low and (column.key != "T" or USUAL_DEGC[0] <= middle <= USUAL_DEGC[1])
    if not usual and column.key == "T":
        hint = _unit_to_try(column, lambda value: USUAL_DEGC[0] <= float(np.median(value)) <= USUAL_DEGC[1])
        text = f"{column} ({column.name}): {middle:g}{own} in the middle is unusual" + (
            f"; {hint}?" if hint else ""
        )
        flags.append(Flag("implausible", float(column.t_s[0]), int(column.line[0]), text))
    elif not usual:
        text = f"{column} ({column.name}): {middle:g}{own} in the middle is unusually low"
        flags.append(Flag("implausible", float(column.t_s[0]), int(column.line[0]), text))


def _value(column: Column, k: int) -> str:
    return f"{column.value[k]:g}{_own_unit(column)}"


def _quantity(column: Column) -> Quantity:
    key = key_of(column.key)
    return key.quantity if key else "number"


def _own_unit(column: Column) -> str:
    name = UNITS[_quantity(column)][0].name
    return "" if name == "1" else f" {name}"


def _unit_to_try(column: Column, fits: Callable[[Floats], bool]) -> str:
    """The first other unit in which the column would fit, as a remedy; "" if there is none."""
    quantity = _quantity(column)
    used = unit_of(quantity, column.unit)
    if used is None:
        return ""
    written = (column.value - used.offset) / used.factor
    for unit in UNITS[quantity]:
        if unit.name != used.name and fits(written * unit.factor + unit.offset):
            equals = "=" if column.unit_from in ("default", "stated") else "=="
            return f"try --units {column.key}{equals}{unit.name}"
    return ""


def _check_current(log: ForeignLog, column: Column, max_current_a: float, flags: list[Flag]) -> None:
    over = np.abs(column.value) > max_current_a
    if not over.any():
        return
    k, count = int(np.argmax(over)), int(over.sum())
    line = int(column.line[k])
    if count > MOST_WILD * len(over):
        remedy = _unit_to_try(column, lambda v: float(np.mean(np.abs(v) > max_current_a)) <= MOST_WILD)
        offset_a = log.mapping.current_offset_a
        if abs(offset_a) > 0.5 * max_current_a:
            remedy = f"leave out --current-offset {offset_a:g}, which is in A"
        hint = f"; {remedy}, or --max-current if it is right" if remedy else ""
        raise InvalidInput(
            f"{log.path}:{line}, column {column.name!r}",
            expected=f"at most {max_current_a:g} A",
            found=f"{column.value[k]:g} A, read in {column.unit} (unit by {column.unit_from}), and more than "
            f"allowed in {count} of {len(over)} samples{hint}",
        )
    text = f"{count} samples above {max_current_a:g} A, such as {column.value[k]:g} A; kept as they are"
    flags.append(Flag("current", float(column.t_s[k]), line, text))


def _check_standing(log: ForeignLog, flags: list[Flag]) -> None:
    for reported in (False, True):
        for key in _WATCHED:
            columns = log.of(key, reported=reported)
            still = [c for c in columns if len(c.value) >= _FEW and float(np.ptp(c.value)) == 0.0]
            if still:
                who = listed([column.name for column in still])
                text = f"{key}: never changes in {len(still)} of {len(columns)} columns ({who}): stuck?"
                flags.append(Flag("stuck", np.nan, 0, text))


def _check_frozen(log: ForeignLog, flags: list[Flag]) -> None:
    """A voltage that stops while the current goes on, or the other way: an old value sent again and again."""
    currents, voltages = log.of("i"), log.of("v")
    if not currents or np.ptp(currents[0].value) == 0.0:
        return
    if len(voltages) == 1:
        _check_current_frozen(currents[0], voltages[0], flags)
    step_a = 0.2 * float(np.ptp(currents[0].value))
    found = [(column, k) for column in voltages if (k := _frozen_at(column, currents[0], step_a)) >= 0]
    if not found:
        return
    column, k = min(found, key=lambda entry: float(entry[0].t_s[entry[1]]))
    text = (
        f"{listed([column.name for column, _ in found])}: stands still for {_FROZEN} samples or more while "
        f"the current steps by {step_a:.3g} A and more, first {column.name} at {column.value[k]:g} V: stuck?"
    )
    flags.append(Flag("stuck", float(column.t_s[k]), int(column.line[k]), text))


def _check_current_frozen(current: Column, voltage: Column, flags: list[Flag]) -> None:
    """Of one cell only: a cell emulator moves the voltages of a pack without any current."""
    # Several jumps: at the start of a rest in the cold one is left of the load before it.
    k = _frozen_at(current, voltage, 0.2 * float(np.ptp(voltage.value)), times=3)
    if k >= 0:
        text = (
            f"{current.name}: stands still for {_FROZEN} samples or more while the voltage jumps, first at "
            f"{current.value[k]:g} A: stuck?"
        )
        flags.append(Flag("stuck", float(current.t_s[k]), int(current.line[k]), text))


def _frozen_at(column: Column, other: Column, step: float, *, times: int = 1) -> int:
    """Index at which the column stops first while the other steps `times` by more than `step`; -1: never."""
    if np.ptp(column.value) == 0.0:
        return -1
    moving = other.held(column.t_s)
    edges = np.flatnonzero(np.diff(column.value) != 0.0) + 1
    for first, last in zip(np.append(0, edges), np.append(edges, len(column.value)), strict=True):
        # By a step: while a charger holds the voltage the current dies away slowly.
        if last - first >= _FROZEN and np.sum(np.abs(np.diff(moving[first:last])) > step) >= times:
            return int(first)
    return -1


def _check_sign(log: ForeignLog, flags: list[Flag]) -> None:
    """Voltage must follow current: a step towards charge lifts it. At steps, because at rest noise speaks."""
    currents, voltages = log.of("i"), log.of("v") or log.of("pack_v")
    if not currents or not voltages:
        return
    current = currents[0]
    voltage_v = np.mean([v.held(current.t_s, max_age_s=2.0 * v.period_s) for v in voltages], axis=0)
    di, dv = np.diff(current.value), np.diff(voltage_v)
    steps = np.isfinite(dv) & (np.diff(current.t_s) <= log.gap_factor * current.period_s)
    steps &= np.abs(di) > 0.2 * float(np.max(np.abs(current.value)))
    if steps.sum() < 5 or np.ptp(di[steps]) == 0.0 or np.ptp(dv[steps]) == 0.0:
        return
    together = float(np.corrcoef(di[steps], dv[steps])[0, 1])
    if together > WRONG_WAY:
        return
    remedy = (
        "leave --discharge-positive out" if log.mapping.discharge_positive else "add --discharge-positive"
    )
    k = int(np.argmax(steps))
    text = (
        f"WRONG SIGN? At {int(steps.sum())} steps of the current the voltage goes the other way (correlation "
        f"{together:.2f}), with current positive on "
        f"{'discharge' if log.mapping.discharge_positive else 'charge'} in the log; {remedy}"
    )
    flags.append(Flag("sign", float(current.t_s[k]), int(current.line[k]), text))
