"""Twin of Bloomy BS1200 boxes: obeys their CAN frames, acts on cell terminals, publishes what it measures.

Outputs slew, limit their source current and err within `ACCURACY`, as the readbacks do; readings are rounded
to counts. The sink limit is stored only: nothing in a pack pushes into a channel. In HIL mode the auxiliary
frames are obeyed and published as configured, which is not at all before the first configuration, else always
(README of bs1200 1.3.6). The boxes stay at 25 °C.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.clock import Clock, Job
from bench.record import Floats
from bench.wires.can import CanHub, CanNode
from instruments import cells_bs1200_frames as frames
from instruments.cells_bs1200_frames import CELLS_PER_BOX, Bs1200Options
from instruments.cells_bs1200_inputs import WiredInputs
from instruments.stacks import section
from instruments.terminals import CellTerminals, MeterTerminal

_SLEW_STEP_S = 0.001
_STATUS_EVERY_S = 0.05
_TEMPERATURE_DEGC = 25
_NO_COUNTS = bytes(8)


class Bs1200Terminal(Protocol):
    """What the boxes touch: cells, and the signals wired to their spare inputs."""

    cells: CellTerminals
    meter: MeterTerminal


class Bs1200Twin:
    """Device side of the boxes of one bus.

    Parameters
    ----------
    terminal
        `cells`, and `meter` for the wired inputs.
    clock
        Publishing and slew run on it.
    options
        As the driver's.
    seed
        Of the errors.
    """

    accuracy = frames.ACCURACY

    def __init__(
        self, terminal: Bs1200Terminal, *, clock: Clock, options: Bs1200Options, seed: int = 0
    ) -> None:
        self.clock, self.options = clock, options
        # A channel beyond the cells in use is not wired.
        self._used = options.cells
        self._cells = section(terminal.cells, first=options.first_cell, cells=options.cells)
        generator = np.random.default_rng(seed)
        volt_error = self.accuracy["cell_v"].limit(frames.FULL_SCALE_V)
        self._output = _errors(generator, self._used, volt_error)
        self._voltmeter = _errors(generator, self._used, volt_error)
        self._ammeter = _errors(generator, self._used, self.accuracy["cell_a"].limit(frames.MOST_A))
        self._target_v = np.zeros(self._used)
        self._output_v = np.zeros(self._used)
        self._source_limit_a = np.full(self._used, frames.MOST_A)
        self.sink_limit_a = np.full(self._used, frames.MOST_A)
        self._limiting = False
        channels = CELLS_PER_BOX * len(options.boxes)
        self._volt_counts = np.zeros(channels, dtype=np.uint16)
        self._ampere_counts = np.full(channels, frames.ZERO_AMPERE_COUNT, dtype=np.uint16)
        self._work = np.zeros(self._used)
        self._hil = [False] * len(options.boxes)
        self._obeyed_in_hil = [(False, False)] * len(options.boxes)
        self._published_in_hil = [(False, False, False)] * len(options.boxes)
        self._dio = [(0, 0)] * len(options.boxes)
        #: Set voltages of the two analog outputs of each box [V].
        self.analog_out_v = [(0.0, 0.0)] * len(options.boxes)
        #: Called when they were set, for who has something wired to them.
        self.outputs_changed: Callable[[], object] | None = None
        wired = bool(options.analog or options.digital)
        self._inputs = WiredInputs(terminal.meter, options, generator) if wired else None
        self._volt_slices = _slices(options.boxes, frames.CELL_V)
        self._ampere_slices = _slices(options.boxes, frames.CELL_A)
        self._handlers = self._dispatch()
        self._node: CanNode | None = None
        self._publish_job: Job | None = None
        self._slew_job: Job | None = None
        self._status_due_ns = 0

    def attach(self, hub: CanHub) -> None:
        """Connect the boxes to a bus and start to publish."""
        self._node = hub.attach("BS1200", self.receive, accepts=frozenset(self._handlers))
        hub.service_ports["bs1200.publish_s"] = self.set_publish_period
        self.set_publish_period(self.options.publish_s)

    def set_publish_period(self, publish_s: float) -> None:
        """What the configuration page of the box calls Write_Period_ms, here in [s]."""
        if self._publish_job is not None:
            self._publish_job.cancel()
        self._publish_job = self.clock.every(publish_s, self.publish, name="BS1200 publishing")

    def receive(self, _t_s: float, can_id: int, data: bytes) -> None:
        """Obey one frame; what is too short or addresses no channel is ignored, as CAN has no answer."""
        handler, box, size = self._handlers[can_id]
        if len(data) >= size:
            handler(box, data)

    def publish(self) -> None:
        """Sample everything and queue the frames of all boxes."""
        if self._node is None:
            return
        used, work = self._used, self._work
        ampere = self._cells.actual_current_a[:used]
        gain, offset = self._ammeter
        np.multiply(ampere, gain / frames.AMPERE_PER_COUNT, out=work)
        work += offset / frames.AMPERE_PER_COUNT + (frames.ZERO_AMPERE_COUNT + 0.5)
        _to_counts(work, self._ampere_counts[:used])
        gain, offset = self._voltmeter
        np.multiply(self._cells.actual_voltage_v[:used], gain / frames.VOLT_PER_COUNT, out=work)
        work += offset / frames.VOLT_PER_COUNT + 0.5
        _to_counts(work, self._volt_counts[:used])
        if self._limiting or ampere.max() > self._source_limit_a.min():
            self._limit_current(ampere)
        volts, amperes = self._volt_counts.tobytes(), self._ampere_counts.tobytes()
        batch = [(can_id, volts[start : start + 8]) for can_id, start in self._volt_slices]
        batch += [(can_id, amperes[start : start + 8]) for can_id, start in self._ampere_slices]
        for k, box in enumerate(self.options.boxes):
            batch += self._auxiliary(k, box)
        if self.clock.now_ns >= self._status_due_ns:
            self._status_due_ns = self.clock.now_ns + round(_STATUS_EVERY_S * 1e9)
            status = bytes([frames.FANS_OK, *3 * [_TEMPERATURE_DEGC]])
            batch += [(frames.STATUS + box, status) for box in self.options.boxes]
        self._node.send_batch(batch)

    def _auxiliary(self, k: int, box: int) -> list[tuple[int, bytes]]:
        dio, *analog = self._published_in_hil[k] if self._hil[k] else (True, True, True)
        inputs = self._inputs
        batch = []
        if dio:
            value, direction = self._dio[k]
            states = value & direction | (inputs.states(k) & ~direction if inputs else 0)
            batch.append((frames.DIO + box, bytes((states, direction))))
        for half, base in enumerate(frames.ANALOG_IN):
            if analog[half]:
                batch.append((base + box, inputs.counts(k, half) if inputs else _NO_COUNTS))
        return batch

    def _limit_current(self, ampere: Floats) -> None:
        """Fold back what drives more than its limit: a resistive load gets the voltage at which it holds."""
        terminal_v = self._cells.voltage_v[: self._used]
        loaded = ampere > 1e-6
        load_ohm = np.where(loaded, terminal_v / np.where(loaded, ampere, 1.0), np.inf)
        held_v = np.minimum(self._output_v, self._source_limit_a * load_ohm)
        self._limiting = bool((held_v < self._output_v).any())
        terminal_v[:] = held_v

    # Frames to the boxes.

    def _dispatch(self) -> dict[int, tuple[Callable[[int, bytes], None], int, int]]:
        table: dict[int, tuple[Callable[[int, bytes], None], int]] = {
            frames.HIL_RUN: (self._run_hil, 1),
            frames.CONFIGURE: (self._configure, 2),
            frames.SET_DIO: (self._set_dio, 2),
            frames.SET_ANALOG_OUT: (self._set_analog_out, 4),
            frames.SET_LIMITS: (self._set_limits, 4),
            frames.SET_ONE_SINK_LIMIT: (self._set_sink_limit, 3),
            frames.SET_ONE_SOURCE_LIMIT: (self._set_source_limit, 3),
            frames.SET_ALL_V: (self._set_all, 2),
            frames.SET_ONE_V: (self._set_one, 3),
            frames.ENABLE_ALL: (self._enable_all, 1),
            frames.ENABLE_ONE: (self._enable_one, 2),
        }
        for quarter, base in enumerate(frames.HIL_CELL_V):
            table[base] = (self._hil_setter(4 * quarter), 8)
        return {
            base + box: (handler, k, size)
            for k, box in enumerate(self.options.boxes)
            for base, (handler, size) in table.items()
        }

    def _run_hil(self, box: int, data: bytes) -> None:
        self._hil[box] = bool(data[0])

    def _configure(self, box: int, data: bytes) -> None:
        if not self._hil[box]:
            self._obeyed_in_hil[box] = (bool(data[0] & 1), bool(data[0] & 2))
            self._published_in_hil[box] = (bool(data[1] & 1), bool(data[1] & 2), bool(data[1] & 4))

    def _set_dio(self, box: int, data: bytes) -> None:
        if not self._hil[box] or self._obeyed_in_hil[box][0]:
            self._dio[box] = (data[0], data[1])

    def _set_analog_out(self, box: int, data: bytes) -> None:
        if not self._hil[box] or self._obeyed_in_hil[box][1]:
            first, second = struct.unpack_from("<HH", data)
            self.analog_out_v[box] = (first * frames.VOLT_PER_COUNT, second * frames.VOLT_PER_COUNT)
            if self.outputs_changed is not None:
                self.outputs_changed()

    def _set_limits(self, box: int, data: bytes) -> None:
        sink, source = struct.unpack_from("<HH", data)
        self.sink_limit_a[self._channels(box)] = min(sink * frames.AMPERE_PER_COUNT, frames.MOST_A)
        self._source_limit_a[self._channels(box)] = min(source * frames.AMPERE_PER_COUNT, frames.MOST_A)

    def _set_sink_limit(self, box: int, data: bytes) -> None:
        channel, count = struct.unpack_from("<BH", data)
        self.sink_limit_a[self._channels(box, channel)] = min(count * frames.AMPERE_PER_COUNT, frames.MOST_A)

    def _set_source_limit(self, box: int, data: bytes) -> None:
        channel, count = struct.unpack_from("<BH", data)
        limit_a = min(count * frames.AMPERE_PER_COUNT, frames.MOST_A)
        self._source_limit_a[self._channels(box, channel)] = limit_a

    def _set_all(self, box: int, data: bytes) -> None:
        (count,) = struct.unpack_from("<H", data)
        self._set_target(self._channels(box), np.float64(count * frames.VOLT_PER_COUNT))

    def _set_one(self, box: int, data: bytes) -> None:
        channel, count = struct.unpack_from("<BH", data)
        self._set_target(self._channels(box, channel), np.float64(count * frames.VOLT_PER_COUNT))

    def _hil_setter(self, first: int) -> Callable[[int, bytes], None]:
        def set_four(box: int, data: bytes) -> None:
            if self._hil[box]:
                for k, value in enumerate(struct.unpack_from("<4e", data)):
                    if np.isfinite(value):
                        self._set_target(self._channels(box, first + k), np.float64(value))

        return set_four

    def _enable_all(self, box: int, data: bytes) -> None:
        self._enable(self._channels(box), bool(data[0]))

    def _enable_one(self, box: int, data: bytes) -> None:
        self._enable(self._channels(box, data[0]), bool(data[1]))

    # Outputs.

    def _channels(self, box: int, channel: int | None = None) -> slice:
        """Where the channels of a box, or one of them, are among the cells; empty beyond the last."""
        first = CELLS_PER_BOX * box
        last = min(first + CELLS_PER_BOX, self._used)
        if channel is None:
            return slice(first, last)
        return slice(first + channel, min(first + channel + 1, last) if channel < CELLS_PER_BOX else 0)

    def _set_target(self, channels: slice, voltage_v: Any) -> None:
        gain, offset = self._output
        wanted = np.clip(voltage_v, 0.0, frames.FULL_SCALE_V)
        self._target_v[channels] = wanted * gain[channels] + offset[channels]
        off = ~self._cells.connected[: self._used]
        # A channel that is off settles behind its open relay.
        self._output_v[off] = self._target_v[off]
        if self._slew_job is None or self._slew_job.cancelled:
            self._slew_job = self.clock.after(_SLEW_STEP_S, self._slew, name="BS1200 slew")

    def _enable(self, channels: slice, on: bool) -> None:
        self._cells.connected[channels] = on
        self._cells.voltage_v[channels] = self._output_v[channels]

    def _slew(self) -> None:
        """Move the outputs by what they can in one step, until all are there."""
        step_v = self.options.slew_v_per_s * _SLEW_STEP_S
        self._output_v += np.clip(self._target_v - self._output_v, -step_v, step_v)
        self._cells.voltage_v[: self._used] = self._output_v
        if (self._output_v != self._target_v).any():
            self._slew_job = self.clock.after(_SLEW_STEP_S, self._slew, name="BS1200 slew")


def _errors(generator: np.random.Generator, channels: int, accuracy: float) -> tuple[Floats, Floats]:
    """Gain and offset of each channel; together within `accuracy` up to full scale."""
    gain = 1.0 + generator.uniform(-0.5, 0.5, channels) * accuracy / frames.FULL_SCALE_V
    return gain, generator.uniform(-0.5, 0.5, channels) * accuracy


def _to_counts(value: Floats, counts: NDArray[np.uint16]) -> None:
    np.maximum(value, 0.0, out=value)
    np.minimum(value, 65535.0, out=value)
    counts[:] = value


def _slices(boxes: tuple[int, ...], bases: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Identifier and first byte of each frame in the joined counts of all boxes."""
    return [
        (base + box, 2 * (CELLS_PER_BOX * k + 4 * quarter))
        for k, box in enumerate(boxes)
        for quarter, base in enumerate(bases)
    ]
