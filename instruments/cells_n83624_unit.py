"""One N83624 as the bench uses it, whichever connector it is reached by.

The three drivers are one instrument: what its verbs do is told here once, and a `Link` says how a setting and
a reading cross the wire. So, other than elsewhere, the driver classes share a base.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from bench.clock import Clock
from bench.errors import InstrumentRefused, WireError
from bench.record import Origin, Samples, Trace
from instruments import cells_n83624_data as data
from instruments.broadcast import Growing
from instruments.cells_n83624_data import ACCURACY, ALL, RELAYS, N83624Options, State

#: What an order does: quantity, channels from 1, one value for each.
Order = tuple[str, Sequence[int], Sequence[float]]

_WORDS = {
    State.OVER_VOLTAGE: "over-voltage",
    State.OVER_CURRENT: "over-current",
    State.OVER_POWER: "over-power",
    State.OVER_TEMPERATURE: "over-temperature",
    State.RELAY_LIVE: "voltage or current at the port of a fault relay",
    State.RELAY_MODE: "a fault relay outside source mode",
}
_POLL_ORDER = 60


class Link(Protocol):
    """How settings and readings of channels cross one kind of wire."""

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        ...

    def identity(self) -> str:
        """Who answers."""
        ...

    def clear(self) -> None:
        """Forget what somebody left behind on the wire."""
        ...

    def put(self, orders: Sequence[Order]) -> None:
        """Set, and read back where the wire can. Raises `InstrumentRefused` if it is not what was set."""
        ...

    def get(self, name: str, channels: Sequence[int]) -> list[float]:
        """Read settings or "state", one for each channel."""
        ...

    def off(self) -> None:
        """Switch all 24 outputs off with one order, also while an answer is awaited."""
        ...

    def measure(self, channels: Sequence[int]) -> tuple[float, list[float], list[float]]:
        """When it was sampled [s], voltages [V] and currents [A] of the channels."""
        ...


class N83624Unit:
    """A `roles.CellEmulator` and a `roles.FaultBox` over a link; a driver adds transport and link.

    Faults are `channel_open_3`, `channel_short_3` and `channel_reverse_3`, by the cell of the stack. The
    relays may only move with no voltage or current at the port (guide, 6.10): all channels of the unit are
    switched off together, never one inside a live stack, and on again together, with the fault in.

    Parameters
    ----------
    link
        To the unit.
    clock
        Bench time.
    role
        Role of the station file, in messages and as origin of the traces.
    max_v, max_a
        What the station allows per cell [V], [A].
    options
        The `[roles.<name>.options]` table.
    """

    def __init__(
        self, link: Any, *, clock: Clock, role: str, max_v: float, max_a: float, options: N83624Options
    ) -> None:
        self._link: Link = link
        self._clock, self._role, self._options = clock, role, options
        self.max_v = min(max_v, options.rated_v)
        self._limit_a = min(max_a, options.rated_a, options.current_limit_a)
        self.cells, self.first_cell = options.cells, options.first_cell
        self.hot_switching = options.hot_switching
        self._channels = ALL[: options.cells]
        self.faults = tuple(
            f"channel_{kind}_{self.first_cell + k}" for kind in RELAYS for k in range(self.cells)
        )
        origin = Origin("measured", role)
        self._faults_in = {fault: Samples(f"fault.{fault}", "1", origin) for fault in self.faults}
        self._origin = origin
        self._t_s = Growing(0)
        self._rows = {"cell_v": Growing(self.cells), "cell_a": Growing(self.cells)}
        clock.every(options.sample_s, self.poll, name=f"{role} sampling", order=_POLL_ORDER)

    def identity(self) -> str:
        return self._link.identity()

    def prepare(self) -> None:
        """Off, no fault, source mode, fast sampling, limits and over-voltage protection; all read back."""
        self._link.clear()
        self.off()
        count = len(self._channels)
        ovp_v = min(self.max_v * self._options.ovp_margin, data.RATED_V)
        for name, value in (
            ("mode", data.SOURCE),
            ("range", data.HIGH_RANGE),
            ("sampling", 0),
            ("source_v", 0.0),
            ("source_ma", self._limit_a * 1e3),
            ("ovp_v", ovp_v),
            # The current limit keeps max_a; 0, as from the factory, is no protection.
            ("ocp_ma", 0.0),
            ("opp_mw", 0.0),
        ):
            self._link.put([(name, self._channels, [float(value)] * count)])

    def set(self, *, voltage_v: float | Sequence[float], cell: int | None = None) -> None:
        channels, wanted = self._wanted(voltage_v, cell)
        for volts in wanted:
            if not 0.0 <= volts <= self.max_v:
                raise self._refusal(
                    f"{volts:g} V", f"0 to {self.max_v:g} V, the least of rating and max_v; nothing was sent"
                )
        self._link.put([("source_v", channels, wanted), ("on", channels, [1.0] * len(channels))])

    def off(self) -> None:
        """All channels at once; then the fault relays, when the ports have emptied."""
        self._link.off()
        if self._link.busy:
            return
        self._remove_all()

    def disconnect(self) -> None:
        """Switch all channels off at once, and leave the faults where they are."""
        self._link.off()

    def is_off(self) -> bool:
        """Every channel says that it is off, none gives current, and no fault relay is set."""
        states = self._link.get("state", ALL)
        if any(int(state) & State.ON for state in states) or any(self._relays()):
            return False
        _, _, amperes = self._link.measure(self._channels)
        limit_a = 2 * ACCURACY["cell_a"].limit(0.0, full_scale=data.RATED_A)
        return all(abs(ampere) <= limit_a for ampere in amperes)

    def tripped(self) -> dict[int, str]:
        """Cells whose channel says that a protection, or the lock of its fault relay, has acted."""
        states = self._link.get("state", self._channels)
        return {
            self.first_cell + k: ", ".join(words)
            for k, state in enumerate(states)
            if (words := [text for bit, text in _WORDS.items() if int(state) & bit])
        }

    def insert(self, fault: str) -> None:
        channel, code = self._relay(fault)
        relay = self._relays()[channel - 1]
        if relay not in (data.NORMAL, code):
            raise self._refusal(
                f"to insert {fault}", f"no other fault of channel {channel}, found relay {relay:g}"
            )
        self._move({channel: code})
        self._note(fault, 1.0)

    def remove(self, fault: str) -> None:
        channel, code = self._relay(fault)
        if self._relays()[channel - 1] == code:
            self._move({channel: data.NORMAL})
        self._note(fault, 0.0)

    def poll(self) -> None:
        """Measure once into the traces, unless another answer is awaited."""
        if self._link.busy:
            return
        self._keep(*self._link.measure(self._channels))

    def traces(self) -> dict[str, Trace]:
        found = {samples.name: samples.trace() for samples in self._faults_in.values() if len(samples)}
        if len(self._t_s):
            for name, unit, most in (("cell_v", "V", self.max_v), ("cell_a", "A", self._limit_a)):
                uncertainty = ACCURACY[name].uncertainty(most)
                rows = self._rows[name].view()
                found[name] = Trace(name, unit, self._t_s.view(), rows, self._origin, uncertainty)
        return found

    def _keep(self, t_s: float, volts: list[float], amperes: list[float]) -> None:
        """Add a row, unless there is one of that time already."""
        known_s = self._t_s.view()
        if len(known_s) and t_s <= known_s[-1]:
            return
        self._t_s.append(np.array([t_s]))
        self._rows["cell_v"].append(np.array([volts]))
        self._rows["cell_a"].append(np.array([amperes]))

    def _wanted(
        self, voltage_v: float | Sequence[float], cell: int | None
    ) -> tuple[Sequence[int], list[float]]:
        """Channels, and a voltage for each."""
        values = [float(v) for v in np.atleast_1d(np.asarray(voltage_v, dtype=np.float64))]
        if cell is not None:
            if not 0 <= cell < self.cells or len(values) != 1:
                raise self._refusal(
                    f"{len(values)} voltages on cell {cell}",
                    f"one, on one of 0 to {self.cells - 1}; nothing was sent",
                )
            return (cell + 1,), values
        if isinstance(voltage_v, (int, float)):
            values *= self.cells
        if len(values) != self.cells:
            raise self._refusal(
                f"{len(values)} voltages", f"{self.cells}, one for each cell; nothing was sent"
            )
        return self._channels, values

    def _relays(self) -> list[float]:
        return self._link.get("relay", self._channels)

    def _relay(self, fault: str) -> tuple[int, int]:
        """Channel and code of a fault."""
        if fault not in self.faults:
            raise self._refusal(
                f"{fault!r}",
                f"channel_open, channel_short or channel_reverse with a cell of {self.first_cell} to "
                f"{self.first_cell + self.cells - 1}, as channel_open_{self.first_cell}",
            )
        _, kind, cell = fault.split("_")
        return int(cell) - self.first_cell + 1, RELAYS[kind]

    def _remove_all(self) -> None:
        stuck = {
            channel: data.NORMAL
            for channel, relay in zip(self._channels, self._relays(), strict=True)
            if relay
        }
        if stuck:
            self._move(stuck)
        for fault, samples in self._faults_in.items():
            if len(samples):
                self._note(fault, 0.0)

    def _move(self, codes: dict[int, int]) -> None:
        """Move fault relays with the whole unit off, and bring it back as it was."""
        on = [channel for channel, state in zip(ALL, self._link.get("on", ALL), strict=True) if state]
        if on:
            self._link.off()
        # Also if it was off: nobody says for how long.
        self._clock.sleep(self._options.discharge_s)
        self._link.put([("relay", tuple(codes), [float(code) for code in codes.values()])])
        if on:
            self._link.put([("on", on, [1.0] * len(on))])

    def _note(self, fault: str, state: float) -> None:
        self._faults_in[fault].append(self._clock.now_s, state)

    def _refusal(self, asked: str, expected: str) -> InstrumentRefused:
        return InstrumentRefused(
            f"{self._role} refused {asked} at {self._clock.now_s:.3f} s: expected {expected}."
        )


def confirm(
    role: str, clock: Clock, order: Order, found: Sequence[float], *, tolerance: float = 1e-4
) -> None:
    """Compare what was read back with what was ordered.

    Raises
    ------
    InstrumentRefused
        With the channels that differ: the unit took the order and did something else.
    """
    name, channels, wanted = order
    if len(found) != len(channels):
        raise WireError(
            f"{role}: expected {len(channels)} values of {name} at {clock.now_s:.3f} s, found {len(found)}"
        )
    wrong = [
        f"channel {channel}: {got:g} instead of {want:g}"
        for channel, want, got in zip(channels, wanted, found, strict=True)
        if not abs(got - want) <= tolerance * max(1.0, abs(want))
    ]
    if wrong:
        hint = (
            " Is there voltage or current at its port, or another mode than source?"
            if name == "relay"
            else ""
        )
        raise InstrumentRefused(
            f"{role} took {name} otherwise at {clock.now_s:.3f} s: {'; '.join(wrong)}.{hint}"
        )
