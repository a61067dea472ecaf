"""What one scenario asks of a bench: the worst of each quantity, by place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bench.envelope import Envelope, energy_wh, power_of
from bench.record import Trace

#: Quantity of a command to how it is called, and its unit.
COMMANDED = {
    "voltage_v": ("voltage", "V"),
    "current_a": ("current", "A"),
    "power_w": ("power", "W"),
    "temperature_degc": ("temperature", "degC"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity at its worst.

    Parameters
    ----------
    where
        A role, or `fuse`, `harness`, `contactors`, `pack`.
    what
        "highest commanded voltage", "energy", "overload", ...
    unit, value
        Of the worst.
    t_s
        When, in bench time of the scenario [s]; nan if that is not known.
    """

    where: str
    what: str
    unit: str
    value: float
    t_s: float = math.nan


@dataclass(frozen=True, slots=True)
class Demand:
    """What one scenario asked of the bench, as rehearsed.

    Parameters
    ----------
    nodeid, id
        Which one.
    duration_s
        Bench time from opening to closing [s].
    figures
        The worst of each quantity.
    objections
        What the rules for fault relays would have refused.
    remark
        Why it is not the whole truth: what ended the rehearsal early, or why there was none; "" if it is.
    applies
        Whether the scenario applies to this DUT on this station; if not, `remark` says why.
    """

    nodeid: str
    id: str
    duration_s: float
    figures: tuple[Figure, ...] = ()
    objections: tuple[str, ...] = ()
    remark: str = ""
    applies: bool = True


def commanded_figures(envelope: Envelope) -> Iterator[Figure]:
    """What was commanded: the highest, and of temperatures the lowest too."""
    for (role, quantity), extreme in envelope.commanded.items():
        name, unit = COMMANDED[quantity]
        yield Figure(role, f"highest commanded {name}", unit, extreme.highest, extreme.highest_s)
        if quantity == "temperature_degc":
            yield Figure(role, f"lowest commanded {name}", unit, extreme.lowest, extreme.lowest_s)


def power_figures(role: str, traces: Mapping[str, Trace]) -> Iterator[Figure]:
    """What a role with many channels measured: highest power, and the energy through it."""
    if (found := power_of(role, traces)) is not None and len(found[0]):
        t_s, power_w = found
        yield _highest(role, "highest reached power", "W", t_s, power_w)
        yield Figure(role, "energy", "Wh", energy_wh(t_s, power_w), float(t_s[-1]))


def temperature_figures(role: str, traces: Mapping[str, Trace]) -> Iterator[Figure]:
    """The hottest that a role measured, over all its points."""
    hottest = [
        _highest(role, "highest measured temperature", "degC", trace.t_s, trace.value)
        for trace in traces.values()
        if trace.origin.source == role and trace.unit == "degC" and not np.isnan(trace.value).all()
    ]
    if hottest:
        yield max(hottest, key=lambda figure: figure.value)


def _highest(where: str, what: str, unit: str, t_s: np.ndarray, value: np.ndarray) -> Figure:
    by_time = np.nanmax(value.reshape(len(t_s), -1), axis=1, initial=-math.inf)
    at = int(np.argmax(by_time))
    return Figure(where, what, unit, float(by_time[at]), float(t_s[at]))
