"""The two analog outputs of a Bloomy BS1200 as the signal of a shunt: driver and exchanges.

A divider between the outputs and the shunt input of a BMS board brings volts down to millivolts. The outputs
work against each other: one drives the direction of charge, the other that of discharge, so a box without
power is a shunt without current. The twin is in `shunt_bs1200_twin.py`.
"""

from __future__ import annotations

import struct

import can
import numpy as np

from bench.clock import Clock
from bench.errors import InstrumentRefused, WireError
from bench.record import Origin, Samples, Trace
from bench.wires.can import drain, send
from instruments import cells_bs1200_frames as frames
from instruments.exchange import Exchange
from instruments.shunt_bs1200_twin import ACCURACY, Bs1200ShuntOptions, Bs1200ShuntTwin

__all__ = ["ACCURACY", "EXCHANGES", "Bs1200Shunt"]

#: As `<identifier>#<data>` in hexadecimal.
EXCHANGES = (
    Exchange(
        b"221#1027881300000000",
        None,
        "PyPI bs1200 1.3.6, can_frames.py, ao_set_1_2 called for box 1",
        "public driver",
        "1 V and 0.5 V",
    ),
    Exchange(b"081#00", None, "PyPI bs1200 1.3.6, can_frames.py, called for box 1", "public driver"),
)

_ANSWER_S = 1.0


class Bs1200Shunt:
    """Both analog outputs of one BS1200 as a `roles.ShuntSimulator`.

    Trace: `<role>.current_a` [A], what the output was told, which is commanded and not measured.

    Parameters
    ----------
    wire
        python-can bus of the box; a cell emulator may use the same.
    clock
        Bench time.
    role
        Role of the station file.
    max_a
        Largest magnitude that the station allows [A].
    options
        The `[roles.<name>.options]` table.
    """

    transport = "can"
    twin = Bs1200ShuntTwin
    Options = Bs1200ShuntOptions
    watchdog = "none: the outputs hold their millivolts, which carry no energy, when the host falls silent"

    def __init__(
        self,
        wire: can.BusABC,
        *,
        clock: Clock,
        role: str,
        max_a: float,
        options: Bs1200ShuntOptions | None = None,
    ) -> None:
        self._wire, self._clock, self._role = wire, clock, role
        self._options = options = options or Bs1200ShuntOptions()
        self.range_a = min(max_a, options.range_a)
        self._told: bool | None = None
        self._status_s = float("nan")
        limit_a = ACCURACY["analog_out_v"].uncertainty(frames.FULL_SCALE_V) / options.v_per_a
        self._samples = Samples(
            f"{role}.current_a", "A", Origin("commanded", role), uncertainty=float(limit_a)
        )

    def identity(self) -> str:
        """Which box publishes; over CAN a BS1200 tells neither serial number nor firmware."""
        asked_s = self._clock.now_s

        def published() -> bool:
            self._drain()
            return self._status_s >= asked_s

        if not self._clock.until(published, timeout_s=_ANSWER_S):
            raise WireError(
                f"{self._role}: expected the status of box {self._options.box} to be published within "
                f"{_ANSWER_S:g} s, found none at {self._clock.now_s:.3f} s. Is the box on, its number right?"
            )
        return f"Bloomy BS1200 box {self._options.box}, analog outputs"

    def prepare(self) -> None:
        """Leave HIL mode, in which the outputs may not obey; then no current."""
        self._send(frames.HIL_RUN, b"\0")
        self.off()

    def set(self, *, current_a: float) -> None:
        if not abs(current_a) <= self.range_a:
            raise InstrumentRefused(
                f"{self._role} refused {current_a:g} A at {self._clock.now_s:.3f} s: expected at most "
                f"{self.range_a:g} A, the least of max_a and what 5 V at the output make; nothing was sent."
            )
        self._put(current_a)

    def off(self) -> None:
        self._put(0.0)

    def is_off(self) -> bool:
        """Whether no current was the last that the box was told.

        Outputs are not published, but everybody on the bus hears what a box is told. Who has just come and
        has heard nothing does not know, and says no.
        """
        self._drain()
        return self._told is False

    def traces(self) -> dict[str, Trace]:
        return {self._samples.name: self._samples.trace()} if len(self._samples) else {}

    def _put(self, current_a: float) -> None:
        counts = round(abs(current_a) * self._options.v_per_a / frames.VOLT_PER_COUNT)
        pair = (counts, 0) if current_a > 0.0 else (0, counts)
        self._send(frames.SET_ANALOG_OUT, struct.pack("<HHI", *pair, 0))
        self._told = counts != 0
        sign = float(np.sign(current_a))
        self._samples.append(self._clock.now_s, sign * counts * frames.VOLT_PER_COUNT / self._options.v_per_a)

    def _send(self, base: int, data: bytes) -> None:
        self._drain()  # what others ordered before
        send(self._wire, [(base + self._options.box, data)])

    def _drain(self) -> None:
        box = self._options.box
        for t_s, can_id, data in drain(self._wire, self._clock):
            if can_id == frames.STATUS + box:
                self._status_s = t_s
            elif can_id == frames.SET_ANALOG_OUT + box and len(data) >= 4:
                self._told = any(data[:4])
