"""The spare inputs of BS1200 twins: which signals of the pack are wired to them, and the counts they give."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from bench.errors import StationInvalid
from instruments.cells_bs1200_frames import VOLT_PER_COUNT, AnalogInput, Bs1200Options
from instruments.terminals import MeterTerminal

_SWITCHES = ("main_minus", "main_plus", "precharge", "charge", "pyro")
_SENSED = ("current_a", "pack_v", "link_v", "charger_v", "fan_rpm")
_MOST_COUNTS = 0xFFFF
_NO_COUNTS = bytes(8)

Sense = Callable[[], float]


class WiredInputs:
    """Analog and digital inputs of all boxes, read from the pack's meter terminal.

    Parameters
    ----------
    meter
        What can be sensed.
    options
        Which trace is wired to which input.
    generator
        Source of the conditioners' errors, which stay within their accuracy.
    """

    def __init__(self, meter: MeterTerminal, options: Bs1200Options, generator: np.random.Generator) -> None:
        self._digital = [
            [(wired.bit, _sense(meter, wired.trace)) for wired in options.digital if wired.box == box]
            for box in options.boxes
        ]
        self._analog: list[tuple[list[_Channel | None], list[_Channel | None]]] = []
        for box in options.boxes:
            channels: list[_Channel | None] = [None] * 8
            for wired in options.analog:
                if wired.box == box:
                    channels[wired.channel - 1] = _channel(meter, wired, generator.uniform(-1.0, 1.0))
            self._analog.append((channels[:4], channels[4:]))

    def states(self, box_index: int) -> int:
        """The lines of one box, bit 0 the first."""
        states = 0
        for bit, sense in self._digital[box_index]:
            states |= bool(sense()) << bit
        return states

    def counts(self, box_index: int, half: int) -> bytes:
        """Four analog inputs as in their frame: 1 to 4 (`half` 0) or 5 to 8 (`half` 1)."""
        channels = self._analog[box_index][half]
        if not any(channels):
            return _NO_COUNTS
        counts = [
            0 if channel is None else min(_MOST_COUNTS, max(0, int(channel[0]() * channel[1] + channel[2])))
            for channel in channels
        ]
        return struct.pack("<4H", *counts)


#: Where an input looks, and slope and intercept from there to counts.
_Channel = tuple[Sense, float, float]


def _channel(meter: MeterTerminal, wired: AnalogInput, error: float) -> _Channel:
    per_count = wired.scale * VOLT_PER_COUNT
    intercept = (error * wired.accuracy - wired.offset) / per_count + 0.5
    return _sense(meter, wired.trace), 1.0 / per_count, intercept


def _sense(meter: MeterTerminal, trace: str) -> Sense:
    kind, _, name = trace.rpartition(".")
    if kind == "switch" and name in _SWITCHES:
        index = _SWITCHES.index(name)
        return lambda: float(meter.switch_closed[index])
    if trace == "heater":
        return lambda: float(meter.heater_on)
    if trace in _SENSED:
        return lambda: float(getattr(meter, trace))
    known = (*_SENSED, "heater", *(f"switch.{switch}" for switch in _SWITCHES))
    raise StationInvalid(
        "options of the BS1200", expected=f"a trace of {', '.join(known)}", found=repr(trace)
    )
