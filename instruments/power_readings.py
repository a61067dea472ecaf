"""Voltage and current at one pair of terminals: what the driver of a supply notes, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.clock import Clock
from bench.errors import InstrumentRefused
from bench.record import Origin, Samples, Trace
from instruments.accuracy import Accuracy


def of_rating(accuracy: Accuracy, full_scale: float) -> Accuracy:
    """`accuracy` of a model of the same family whose range ends at `full_scale`; the shares stay."""
    return replace(accuracy, bands=tuple(replace(band, full_scale=full_scale) for band in accuracy.bands))


class PowerReadings:
    """The traces `<role>.voltage_v` [V] and `<role>.current_a` [A], with the uncertainty of the instrument.

    Parameters
    ----------
    role
        Role of the station file; names the traces and their origin.
    accuracy
        The module's ACCURACY; needs "voltage_v" and "current_a".
    rated_v, rated_a
        Ends of the ranges of this model [V], [A].
    max_v, max_a
        What the station allows [V], [A]: the largest readings there will be.
    """

    def __init__(
        self,
        role: str,
        accuracy: Mapping[str, Accuracy],
        *,
        rated_v: float,
        rated_a: float,
        max_v: float,
        max_a: float,
    ) -> None:
        of_voltage = of_rating(accuracy["voltage_v"], rated_v)
        of_current = of_rating(accuracy["current_a"], rated_a)
        origin = Origin("measured", role)
        uncertainty_v = of_voltage.uncertainty(min(max_v, rated_v), full_scale=rated_v)
        uncertainty_a = of_current.uncertainty(min(max_a, rated_a), full_scale=rated_a)
        self._voltage_v = Samples(f"{role}.voltage_v", "V", origin, uncertainty=uncertainty_v)
        self._current_a = Samples(f"{role}.current_a", "A", origin, uncertainty=uncertainty_a)
        self.dead_a = 2.0 * of_current.limit(0.0, full_scale=rated_a)
        """Current [A] that the ammeter may show where none flows, twice."""

    def append(self, t_s: float, voltage_v: float, current_a: float) -> None:
        """Note one reading of both, taken at `t_s` [s]."""
        self._voltage_v.append(t_s, voltage_v)
        self._current_a.append(t_s, current_a)

    def traces(self) -> dict[str, Trace]:
        """What was noted so far, by name."""
        return {
            samples.name: samples.trace() for samples in (self._voltage_v, self._current_a) if len(samples)
        }


def refuse_outside(role: str, name: str, value: float, limit: float, unit: str, *, clock: Clock) -> None:
    """Refuse what is below 0 or above what the station allows, before anything is sent.

    Raises
    ------
    InstrumentRefused
        If `value` is outside 0 to `limit`.
    """
    if not 0.0 <= value <= limit:
        raise InstrumentRefused(
            f"{role}: {name} {value:g} {unit} at {clock.now_s:.3f} s is outside 0 to {limit:g} {unit}, "
            f"what [roles.{role}] allows; nothing was sent."
        )
