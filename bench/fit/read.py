"""Logs of a fit as they are named on a command line, `run.csv@T=25,soc=1`, read from foreign files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bench.errors import InvalidInput
from bench.fit.log import Floats, Log, checked
from bench.foreign_log import ForeignLog, Mapping, read_log
from bench.foreign_log import checked as plausible

#: What may stand behind the @ of a log, and the least and most that it may be.
STATES = {
    "T": (-60.0, 100.0),
    "soc": (0.0, 1.0),
    "ah": (1e-3, 1e5),
    "h": (-1.0, 1.0),
    "w": (1e-6, 1e6),
}
#: A log that begins this close to full or empty came there by a charge or a discharge.
NEAR_END = 0.02
#: More current than this multiple of the capacity per hour is taken for a wrong unit, project default.
MOST_PER_H = 50.0


@dataclass(frozen=True, slots=True)
class Named:
    """A log of the command line: its file, and what was said about it.

    Parameters
    ----------
    states
        T: of the cell [°C]. soc, h: SOC and branch at the first row. ah: capacity in the log [Ah]. w: weight.
    """

    path: Path
    option: str
    states: dict[str, float] = field(default_factory=dict)


def named(text: str, option: str) -> Named:
    """Read `run.csv@T=25,soc=1`; a file whose own name has an @ needs another @ behind it.

    Raises
    ------
    InvalidInput
        An unknown key, or a number outside what it can be.
    """
    path, at, said = text.rpartition("@")
    if not at:
        return Named(Path(text), option)
    states: dict[str, float] = {}
    for one in filter(None, (part.strip() for part in said.split(","))):
        key, _, number = (part.strip() for part in one.partition("="))
        if key not in STATES:
            raise InvalidInput(
                option, expected=f"LOG@key=number, a key of {', '.join(STATES)}", found=repr(one)
            )
        states[key] = _within(key, number, option, one)
    return Named(Path(path), option, states)


def _within(key: str, number: str, option: str, one: str) -> float:
    least, most = STATES[key]
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise InvalidInput(option, expected=f"{key} from {least:g} to {most:g}", found=repr(one))
    return value


def read_named(
    entry: Named,
    mapping: Mapping,
    *,
    capacity_ah: float,
    soc: float = 1.0,
    temperature_degc: float | None = None,
    gap_factor: float = 10.0,
) -> Log:
    """Read one log; what it says itself behind the @ goes before what is said for all.

    Raises
    ------
    InvalidInput
        No column or no state where one is needed, a gap, or anything that `checked` refuses.
    """
    own_ah = entry.states.get("ah", capacity_ah)
    foreign = plausible(
        read_log(entry.path, mapping, gap_factor=gap_factor), max_current_a=MOST_PER_H * own_ah
    )
    _demand_no_gap(foreign, gap_factor)
    current, voltage = foreign.only("i"), foreign.only("v")
    start = entry.states.get("soc", soc)
    return checked(
        Log(
            entry.path.name,
            current.t_s,
            current.value,
            np.interp(current.t_s, voltage.t_s, voltage.value),
            _temperature(foreign, entry, current.t_s, temperature_degc),
            start,
            own_ah,
            entry.states.get("h", _branch(start)),
            entry.states.get("w", 1.0),
        )
    )


def slow_log(log: Log, *, charging: bool, weight: float) -> Log:
    """The longest charge (or discharge) of a slow log, counted against the charge that it moved itself.

    A constant-voltage end, below half of the usual current, is left out.

    Raises
    ------
    InvalidInput
        It moved less than half or more than one and a half of the stated capacity.
    """
    sign = 1.0 if charging else -1.0
    part = _longest(sign * log.current_a)
    moved_ah = sign * float(log.moved_ah[part][1:].sum())
    if not 0.5 * log.capacity_ah < moved_ah < 1.5 * log.capacity_ah:
        way = "charge" if charging else "discharge"
        found = f"{moved_ah:.4g} Ah moved, with {log.capacity_ah:g} Ah stated"
        raise InvalidInput(f"log {log.name}", expected=f"a slow {way} over the whole capacity", found=found)
    start, branch = (0.0, -1.0) if charging else (1.0, 1.0)
    return replace(
        log,
        t_s=log.t_s[part],
        current_a=log.current_a[part],
        voltage_v=log.voltage_v[part],
        temperature_degc=log.temperature_degc[part],
        soc=start,
        capacity_ah=moved_ah,
        hysteresis=branch,
        weight=weight,
    )


def _longest(current_a: Floats) -> slice:
    """The most samples in one row in which current flows, and the one before them."""
    flowing = current_a > 0
    if flowing.any():
        flowing = current_a > 0.5 * float(np.median(current_a[flowing]))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flowing.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return slice(0, 0)
    first, last = runs[int(np.argmax(runs[:, 1] - runs[:, 0]))]
    return slice(max(int(first) - 1, 0), int(last))


def _branch(soc: float) -> float:
    if soc >= 1.0 - NEAR_END:
        return 1.0
    return -1.0 if soc <= NEAR_END else 0.0


def _temperature(foreign: ForeignLog, entry: Named, t_s: Floats, degc: float | None) -> Floats:
    if "T" not in entry.states and foreign.of("T"):
        column = foreign.only("T")
        return np.interp(t_s, column.t_s, column.value)
    known = entry.states.get("T", degc)
    if known is None:
        raise InvalidInput(
            f"{entry.option} {entry.path}",
            expected="a temperature: T=COLUMN in --columns, LOG@T=25 or --temperature",
            found="none",
        )
    return np.full(len(t_s), known)


def _demand_no_gap(foreign: ForeignLog, gap_factor: float) -> None:
    if foreign.gap.any():
        first = int(np.argmax(foreign.gap))
        pause_s = float(foreign.t_s[first] - foreign.t_s[first - 1])
        raise InvalidInput(
            f"{foreign.path}, line {foreign.line[first]}",
            expected=f"no pause longer than {gap_factor:g} median periods (--gap-factor): its current is "
            "not known",
            found=f"{pause_s:g} s",
        )
