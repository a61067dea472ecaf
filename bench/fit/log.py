"""A measured log of one cell, as the fit and the test of a cell file take it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.errors import InvalidInput

Floats = NDArray[np.float64]
#: Samples that a log has to have.
SHORTEST = 20


@dataclass(frozen=True, slots=True, repr=False)
class Log:
    """Current, voltage and temperature of one cell over time, and the state that it began in.

    Samples are means over the time since the sample before them, as a cycler's block means are.

    Parameters
    ----------
    name
        For tables and messages.
    t_s, current_a, voltage_v, temperature_degc
        Shape (time,). Current is positive when it charges.
    soc
        At the first sample.
    capacity_ah
        Charge from SOC 0 to 1 in this log, at its temperature and the age that the cell had.
    hysteresis
        Branch at the first sample: 1 after a full charge, -1 after a full discharge.
    weight
        Of its samples in the sum of squares.
    """

    name: str
    t_s: Floats
    current_a: Floats
    voltage_v: Floats
    temperature_degc: Floats
    soc: float
    capacity_ah: float
    hysteresis: float = 0.0
    weight: float = 1.0

    def __repr__(self) -> str:
        return f"Log({self.name}, {len(self.t_s)} samples, {self.t_s[-1] - self.t_s[0]:.0f} s)"

    @property
    def step_s(self) -> Floats:
        """Time since the sample before [s], shape (time,); 0 for the first."""
        return np.diff(self.t_s, prepend=self.t_s[0])

    @property
    def moved_ah(self) -> Floats:
        """Charge moved since the sample before [Ah], shape (time,)."""
        return self.current_a * self.step_s / 3600.0

    @property
    def soc_trace(self) -> Floats:
        """State of charge, shape (time,): the charge counted from `soc` on."""
        return self.soc + np.cumsum(self.moved_ah) / self.capacity_ah

    def part(self, from_s: float, to_s: float) -> Self:
        """The samples from `from_s` until before `to_s`; it begins in the SOC counted until then."""
        since = self.t_s - self.t_s[0]
        inside = (since >= from_s) & (since < to_s)
        if inside.sum() < SHORTEST:
            found = f"{inside.sum()} from {from_s:g} to {to_s:g} s of {since[-1]:g} s"
            raise InvalidInput(self.name, expected=f"{SHORTEST} samples at least", found=found)
        first = int(np.argmax(inside))
        return replace(
            self,
            t_s=self.t_s[inside],
            current_a=self.current_a[inside],
            voltage_v=self.voltage_v[inside],
            temperature_degc=self.temperature_degc[inside],
            soc=float(self.soc_trace[first]),
        )

    def following(self, counter_ah: Floats, *, every_s: float = 60.0) -> Self:
        """The log with its current corrected, by some milliampere, so that it adds up to a cycler's counter.

        Parameters
        ----------
        counter_ah
            Charge that the cycler counted [Ah], positive when it charges, shape (time,).
        every_s
            Between the corrections the sum of the current decides.
        """
        missing_ah = (counter_ah - counter_ah[0]) - np.cumsum(self.moved_ah)
        knots_s = np.append(np.arange(self.t_s[0], self.t_s[-1], every_s), self.t_s[-1])
        smooth_ah = np.interp(self.t_s, knots_s, np.interp(knots_s, self.t_s, missing_ah))
        step_s = np.where(self.step_s > 0, self.step_s, np.inf)
        added_a = 3600.0 * np.diff(smooth_ah, prepend=smooth_ah[0]) / step_s
        return replace(self, current_a=self.current_a + added_a)

    def offset(self, current_a: float) -> Self:
        """The log with this much added to its current: what a sensor shows too little."""
        return replace(self, current_a=self.current_a + current_a)


def checked(log: Log) -> Log:
    """The log, if a cell can be fitted to it.

    Raises
    ------
    InvalidInput
        Arrays of several lengths, too few samples, values missing, time that does not rise, a current that
        charges while the voltage falls, a cell outside what the model can say.
    """
    arrays = (log.t_s, log.current_a, log.voltage_v, log.temperature_degc)
    _demand(
        log,
        len({array.shape for array in arrays}) == 1,
        "columns of one length",
        str([a.shape for a in arrays]),
    )
    _demand(log, len(log.t_s) >= SHORTEST, f"{SHORTEST} samples at least", str(len(log.t_s)))
    finite = np.isfinite(np.stack(arrays)).all(axis=0)
    _demand(log, bool(finite.all()), "a number everywhere", f"none in sample {np.argmin(finite)}")
    rising = np.diff(log.t_s) > 0
    _demand(
        log,
        bool(rising.all()),
        "a time that rises",
        f"sample {np.argmin(rising) + 1} not after the one before",
    )
    _demand(log, log.capacity_ah > 0, "a capacity above 0 Ah", f"{log.capacity_ah:g}")
    _demand(
        log, bool(np.ptp(log.current_a) > 0), "a current that changes", f"{log.current_a[0]:g} A throughout"
    )
    _demand_sign(log)
    trace = log.soc_trace
    wrong = f"{trace.min():.3f} to {trace.max():.3f} with {log.capacity_ah:g} Ah from {log.soc:g} on"
    _demand(
        log, trace.min() > -0.1 and trace.max() < 1.1, "a SOC between 0 and 1; check --capacity-ah", wrong
    )
    volts = f"{log.voltage_v.min():g} to {log.voltage_v.max():g} V"
    _demand(log, log.voltage_v.min() > 0.5 and log.voltage_v.max() < 6.0, "one cell's voltage in V", volts)
    degrees = log.temperature_degc
    _demand(
        log,
        degrees.min() > -60 and degrees.max() < 100,
        "degrees Celsius",
        f"{degrees.min():g} to {degrees.max():g}",
    )
    return log


def _demand_sign(log: Log) -> None:
    """A step of current up lifts the voltage, in any cell: else the sign is the other one."""
    steps = np.diff(log.current_a)
    slope = float(steps @ np.diff(log.voltage_v))
    _demand(
        log,
        slope > 0,
        "a voltage that rises with a charging (positive) current",
        "one that falls; is the current of this log positive when it discharges?",
    )


def _demand(log: Log, holds: bool, expected: str, found: str) -> None:
    if not holds:
        raise InvalidInput(f"log {log.name}", expected=expected, found=found)
