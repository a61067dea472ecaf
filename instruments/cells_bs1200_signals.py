"""What BS1200 frames mean: which of them make a trace, and how counts become volts, amperes and states."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.record import Floats
from instruments import cells_bs1200_frames as frames
from instruments.accuracy import expanded_uncertainty
from instruments.broadcast import FrameTable, Raw, Signal
from instruments.cells_bs1200_frames import AnalogInput, Bs1200Options


def tables(options: Bs1200Options) -> list[FrameTable]:
    """What to gather from the boxes of `options`, and the traces that come out of it."""
    volts = _scaled(frames.VOLT_PER_COUNT, 0.0, options.cells)
    amperes = _scaled(
        frames.AMPERE_PER_COUNT, -frames.ZERO_AMPERE_COUNT * frames.AMPERE_PER_COUNT, options.cells
    )
    volt_error = frames.ACCURACY["cell_v"].uncertainty(frames.FULL_SCALE_V)
    ampere_error = frames.ACCURACY["cell_a"].uncertainty(frames.MOST_A)
    found = [
        FrameTable(
            [base + box for box in options.boxes for base in bases],
            4,
            [Signal(name, unit, decode, error, options.cells)],
        )
        for bases, name, unit, decode, error in (
            (frames.CELL_V, "cell_v", "V", volts, volt_error),
            (frames.CELL_A, "cell_a", "A", amperes, ampere_error),
        )
    ]
    for box in options.boxes:
        for half, base in enumerate(frames.ANALOG_IN):
            wired = [a for a in options.analog if a.box == box and (a.channel - 1) // 4 == half]
            if wired:
                found.append(FrameTable([base + box], 4, [_analog(a) for a in wired]))
        states = {d.trace: d.bit for d in options.digital if d.box == box}
        signals = [Signal(name, "1", _all_high((bit,))) for name, bit in states.items()]
        for name, path in (("charge_path", options.charge_path), ("discharge_path", options.discharge_path)):
            if path and set(path) <= set(states):
                signals.append(Signal(name, "1", _all_high([states[switch] for switch in path])))
        if signals:
            found.append(FrameTable([frames.DIO + box], 1, signals))
    return found


def _analog(wired: AnalogInput) -> Signal:
    column = (wired.channel - 1) % 4

    def decode(raw: Raw) -> Floats:
        return wired.offset + wired.scale * frames.VOLT_PER_COUNT * raw[:, column].astype(np.float64)

    return Signal(wired.trace, wired.unit, decode, expanded_uncertainty(0.0, wired.accuracy, 0.0))


def _scaled(scale: float, offset: float, channels: int) -> Callable[[Raw], Floats]:
    def decode(raw: Raw) -> Floats:
        return offset + scale * raw[:, :channels].astype(np.float64)

    return decode


def _all_high(bits: Sequence[int]) -> Callable[[Raw], Floats]:
    mask = sum(1 << bit for bit in bits)

    def decode(raw: Raw) -> Floats:
        high: Floats = ((raw[:, 0] & mask) == mask).astype(np.float64)
        return high

    return decode
