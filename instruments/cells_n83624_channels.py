"""The 24 channels of an N83624 twin: what they are set to, what they put on the cells, what they measure.

All connectors act on this one object. Left out: over-temperature (the unit stays cool) and what
`HMI:DISConnect:ENABle` does when the interface board falls silent, which no source tells.

The sense pair of a channel is taken to be at the tap, so a channel that is off measures the cell that is
there; whether a fault relay may move is judged by the channel's own port, which empties when it is off.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.clock import Clock, Job
from bench.record import Floats
from instruments import cells_n83624_data as data
from instruments.accuracy import Deviation
from instruments.cells_n83624_data import CHANNELS, N83624Options, State
from instruments.cells_n83624_programs import Discharge, Editor, Step, sequence
from instruments.stacks import section
from instruments.terminals import CellTerminals

TICK_S = 0.01
#: Ticks from one sample to the next: 10, 120 and 480 ms (guide, MEASure:CAPRate).
_SAMPLED_EVERY = np.array([1, 12, 48])
#: A port empties with this time constant [s], and counts as empty below these. Project defaults.
_PORT_S, _DEAD_V, _DEAD_A = 0.03, 0.1, 0.01
_LEAST_A = 1e-6


class Channels:
    """Settings, outputs and readings; channels count from 0 here.

    Parameters
    ----------
    cells
        The stack, of which this unit feeds `options.cells` from `options.first_cell` on.
    clock
        Sampling, protections and programs run on it.
    options
        As the driver's.
    seed
        Of the errors, which stay within `ACCURACY`.
    """

    def __init__(self, cells: CellTerminals, *, clock: Clock, options: N83624Options, seed: int) -> None:
        self.clock, self.options = clock, options
        self._cells = section(cells, first=options.first_cell, cells=options.cells)
        self._used = options.cells
        generator = np.random.default_rng(seed)
        volts, amperes = data.ACCURACY["cell_v"], data.ACCURACY["cell_a"]
        self._output = [Deviation.within(volts, generator) for _ in range(CHANNELS)]
        self._voltmeter = [Deviation.within(volts, generator) for _ in range(CHANNELS)]
        self._ammeter = {
            full_scale: [Deviation.within(amperes, generator, full_scale=full_scale) for _ in range(CHANNELS)]
            for full_scale in (data.LOW_RANGE_A, data.RATED_A)
        }
        self._off_s = np.full(CHANNELS, -np.inf)
        self._left_v = np.zeros(CHANNELS)
        self._ticks = 0
        self._sample_v, self._sample_a = np.zeros(CHANNELS), np.zeros(CHANNELS)
        self._seen_v, self._seen_a = np.zeros(CHANNELS), np.zeros(CHANNELS)
        #: Whether outputs were set since the last tick, and the sampling rates when they are worked out.
        self._moved = False
        self._every: int | NDArray[np.int_] | None = None
        self._jobs: dict[int, Job] = {}
        self.reset()
        clock.every(TICK_S, self._tick, name="N83624 sampling", first_s=0.0)

    def reset(self) -> None:
        """Factory settings (guide, *RST)."""
        for job in self._jobs.values():
            job.cancel()
        self.values = {
            q.name: np.full(CHANNELS, q.default) for q in data.QUANTITIES if not q.program and q.name != "on"
        }
        self.on: NDArray[np.bool_] = np.zeros(CHANNELS, dtype=bool)
        self.editors = {p: [Editor(p) for _ in range(CHANNELS)] for p in ("soc", "seq")}
        self._soc: list[Discharge | None] = [None] * CHANNELS
        self._seq_step: list[tuple[int, int, Step] | None] = [None] * CHANNELS
        self._seq_start_s = np.zeros(CHANNELS)
        self.state = np.zeros(CHANNELS, dtype=np.int64)
        self.event = np.zeros(CHANNELS, dtype=np.int64)
        self.capacity_mah = np.zeros(CHANNELS)
        self._emf_v, self._ohm, self._limit_a = np.zeros(CHANNELS), np.zeros(CHANNELS), np.zeros(CHANNELS)
        self._drive()

    # Settings.

    def get(self, program: str, name: str, channel: int) -> float:
        """What a channel is set to, in the unit of the wire."""
        if program:
            return self.editors[program][channel].get(name)
        return float(self.on[channel]) if name == "on" else float(self.values[name][channel])

    def put(self, program: str, name: str, channels: Sequence[int], value: float) -> None:
        """Set it on some channels, and act on it on all of them together."""
        for channel in channels:
            if program:
                self.editors[program][channel].put(name, value)
            elif name == "on":
                self._switch(channel, bool(value))
            elif name == "relay":
                self._move_relay(channel, int(value))
            else:
                self.values[name][channel] = value
                if name == "mode" and self.on[channel]:
                    self._start(channel)
        if not program:
            self._drive()

    def _switch(self, channel: int, on: bool) -> None:
        if on == bool(self.on[channel]):
            return
        self.on[channel] = on
        if on:
            self.state[channel] &= ~int(data.PROTECTIONS)
            self.event[channel] |= State.ON
            self._start(channel)
            return
        self._off_s[channel] = self.clock.now_s
        self._left_v[channel] = abs(self._emf_v[channel])
        if (job := self._jobs.pop(channel, None)) is not None:
            job.cancel()

    def _move_relay(self, channel: int, code: int) -> None:
        """Obey, unless something is at the port or the mode is not source: then a bit says so, no more."""
        if self.values["mode"][channel] != data.SOURCE:
            self._tell(channel, State.RELAY_MODE)
        elif self.port_v(channel) > _DEAD_V or abs(self._true_a()[channel]) > _DEAD_A:
            self._tell(channel, State.RELAY_LIVE)
        else:
            self.state[channel] &= ~int(State.RELAY_MODE | State.RELAY_LIVE)
            self.values["relay"][channel] = code

    def port_v(self, channel: int) -> float:
        """Voltage at the channel's own port [V]; behind the contacts that part it from the stack when off."""
        if self.on[channel]:
            return abs(float(self._emf_v[channel]))
        passed_s = self.clock.now_s - float(self._off_s[channel])
        return float(self._left_v[channel]) * math.exp(-passed_s / _PORT_S)

    def _tell(self, channel: int, bits: State) -> None:
        self.state[channel] |= int(bits)
        self.event[channel] |= int(bits)

    # Programs.

    def _start(self, channel: int) -> None:
        mode = self.values["mode"][channel]
        if (job := self._jobs.pop(channel, None)) is not None:
            job.cancel()
        if mode == data.SOC:
            editor = self.editors["soc"][channel]
            file = int(editor.get("file"))
            self._soc[channel] = Discharge(editor.steps(file), editor.value("start_v", file))
        elif mode == data.SEQUENCE:
            editor = self.editors["seq"][channel]
            file = int(editor.get("run_file"))
            steps = editor.steps(file)
            order = sequence(steps, int(editor.value("cycles", file)))
            self._seq_start_s[channel] = self.clock.now_s
            self._seq_step[channel] = None
            self._next_step(channel, steps, order)

    def _next_step(self, channel: int, steps: list[Step], order: Iterator[tuple[int, int]]) -> None:
        """Take the next step, and come back when it is over; at the end the last one is held."""
        for cycle, k in itertools.islice(order, 1):
            self._seq_step[channel] = (cycle, k, steps[k])
            self._jobs[channel] = self.clock.after(
                steps[k]["duration_s"],
                partial(self._next_step, channel, steps, order),
                name=f"N83624 sequence of channel {channel + 1}",
            )
        self._drive()

    def running(self, what: str, channel: int) -> float:
        """What the channel's program says of itself, by the name that the face gives it."""
        run, place = self._soc[channel], self._seq_step[channel]
        step = run.step if run is not None else None
        match what:
            case "soc_step":
                return float(run.index + 1) if run is not None and step is not None else 0.0
            case "soc_mah":
                return run.capacity_mah if run is not None else 0.0
            case "soc_v":
                return step["voltage_v"] if step is not None else 0.0
            case "soc_mohm":
                return step["resistance_mohm"] if step is not None else 0.0
            case "seq_step":
                return float(place[1] + 1) if place is not None else 0.0
            case "seq_cycle":
                return float(place[0] + 1) if place is not None else 0.0
        running = self.on[channel] and self.values["mode"][channel] == data.SEQUENCE
        return self.clock.now_s - float(self._seq_start_s[channel]) if running else 0.0

    # Outputs.

    def _true_a(self) -> Floats:
        """Out of each channel now [A]. A short across the output is fed up to the limit."""
        ampere = np.zeros(CHANNELS)
        ampere[: self._used] = self._cells.actual_current_a
        if (relay := self.values["relay"]).any():
            shorted = self.on & (relay == data.SHORT) & (self._emf_v > 0.0)
            return np.where(shorted, self._limit_a, ampere)
        return ampere

    def _true_v(self) -> Floats:
        """At the taps of each channel now [V]; nothing where no cell is wired."""
        volt = np.zeros(CHANNELS)
        volt[: self._used] = self._cells.actual_voltage_v
        return volt

    def _aim(self) -> None:
        """Open voltage, resistance and limit of each channel, as its mode says."""
        for k, mode in enumerate(self.values["mode"].tolist()):
            run, place = self._soc[k], self._seq_step[k]
            step = place[2] if place is not None and mode == data.SEQUENCE else None
            if mode == data.SOC and run is not None:
                step = run.step
            if mode == data.SOURCE:
                volt, milliohm, milliampere = self.values["source_v"][k], 0.0, self.values["source_ma"][k]
            elif mode == data.CHARGE:
                volt, milliohm = self.values["charge_v"][k], self.values["charge_mohm"][k]
                milliampere = self.values["charge_ma"][k]
            elif step is not None:
                volt, milliohm, milliampere = step["voltage_v"], step["resistance_mohm"], step["current_ma"]
            else:
                volt = milliohm = milliampere = 0.0
            low = mode == data.SOURCE and self.values["range"][k] == data.LOW_RANGE
            limit_a = milliampere / 1e3
            self._emf_v[k] = self._output[k].set(float(volt))
            self._ohm[k] = milliohm / 1e3
            self._limit_a[k] = min(limit_a, data.LOW_RANGE_A) if low else limit_a

    def _drive(self) -> None:
        """Put on the cells what the settings and programs say now."""
        self._moved, self._every = True, None
        self._aim()
        self._regulate()

    def _regulate(self) -> None:
        used, relay = self._used, self.values["relay"][: self._used]
        ampere = self._cells.actual_current_a
        volt = self._emf_v[:used] - self._ohm[:used] * ampere
        # What is driven beyond its limit gets the voltage at which a resistive load takes just that.
        held_v = np.abs(self._cells.voltage_v)
        loaded = np.abs(ampere) > _LEAST_A
        load_ohm = np.where(loaded, held_v / np.where(loaded, np.abs(ampere), 1.0), np.inf)
        with np.errstate(invalid="ignore"):
            most_v = np.where(self._limit_a[:used] > 0.0, self._limit_a[:used] * load_ohm, 0.0)
        volt = np.clip(np.minimum(volt, most_v), 0.0, None)
        on = self.on[:used]
        self._cells.connected[:] = on
        self._cells.opened[:] = on & ((relay == data.OPEN_POSITIVE) | (relay == data.OPEN_NEGATIVE))
        self._cells.voltage_v[:] = np.where(
            relay == data.SHORT, 0.0, np.where(relay == data.REVERSE, -volt, volt)
        )

    # Time.

    def _tick(self) -> None:
        ampere, volt = self._true_a(), self._true_v()
        self._sample(volt, ampere)
        if self.on.any():
            self.capacity_mah += np.where(self.on, ampere, 0.0) * (1e3 * TICK_S / 3600.0)
            for k in np.flatnonzero(self.on & (self.values["mode"] == data.SOC)).tolist():
                run = self._soc[k]
                if run is not None and run.draw(float(ampere[k]) * 1e3 * TICK_S / 3600.0):
                    self._drive()
            if self._moved or not (
                np.array_equal(ampere, self._seen_a) and np.array_equal(volt, self._seen_v)
            ):
                self._moved = False
                self._regulate()
                self._protect(np.abs(volt), ampere)
        self._seen_v, self._seen_a = volt, ampere
        self._ticks += 1

    def _sample(self, volt: Floats, ampere: Floats) -> None:
        if (every := self._every) is None:
            rates = _SAMPLED_EVERY[self.values["sampling"].astype(int)]
            every = self._every = int(rates[0]) if (rates == rates[0]).all() else rates
        if isinstance(every, int):
            if self._ticks % every == 0:
                self._sample_v, self._sample_a = volt, ampere
            return
        due = self._ticks % every == 0
        self._sample_v = np.where(due, volt, self._sample_v)
        self._sample_a = np.where(due, ampere, self._sample_a)

    def _protect(self, volt: Floats, ampere: Floats) -> None:
        """Switch off what is beyond a protection; 0, the factory setting, is none."""
        values = self.values
        for bit, seen, most in (
            (State.OVER_VOLTAGE, volt, values["ovp_v"]),
            (State.OVER_CURRENT, np.abs(ampere) * 1e3, values["ocp_ma"]),
            (State.OVER_POWER, np.abs(ampere) * volt * 1e3, values["opp_mw"]),
        ):
            for k in np.flatnonzero(self.on & (most > 0.0) & (seen > most)).tolist():
                self._switch(k, False)
                self._tell(k, bit)
                self._drive()

    # Readings.

    def volts(self, channel: int) -> float:
        """Measured voltage [V]."""
        return self._voltmeter[channel].read(float(self._sample_v[channel]))

    def amperes(self, channel: int) -> float:
        """Measured current out of the channel [A]."""
        full_scale = data.LOW_RANGE_A if self.reads_low(channel) else data.RATED_A
        return self._ammeter[full_scale][channel].read(float(self._sample_a[channel]))

    def milliohms(self, channel: int) -> float:
        """Simulated resistance [mohm], which is what a reading of it can mean here (unverified)."""
        return float(self._ohm[channel]) * 1e3

    def reads_low(self, channel: int) -> bool:
        """Whether the current is read in the low range."""
        chosen = self.values["range"][channel]
        small = abs(float(self._sample_a[channel])) <= data.LOW_RANGE_A
        # Charge mode knows the high range only (guide, 7.2); so do SOC and SEQ, as far as is known.
        source = self.values["mode"][channel] == data.SOURCE
        return bool(source and (chosen == data.LOW_RANGE or (chosen == data.AUTO_RANGE and small)))

    def status(self, channel: int) -> int:
        """The bits of `OUTPut:STATe?`."""
        range_bits = 2 * self.reads_low(channel) << data.RANGE_SHIFT
        return int(self.state[channel]) | int(self.on[channel]) | range_bits

    def read_event(self, channel: int) -> int:
        """The bits that came up since the last reading (which clears them: unverified), and the state's."""
        event, self.event[channel] = int(self.event[channel]), 0
        return event | (self.status(channel) & ~int(data.PROTECTIONS))
