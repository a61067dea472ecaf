"""Twin of a Bloomy BS1200 whose analog outputs feed the shunt input of a board; its channels are open."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.clock import Clock
from bench.wires.can import CanHub
from instruments import cells_bs1200_frames as frames
from instruments.accuracy import Accuracy, Band, Deviation
from instruments.cells_bs1200_frames import CELLS_PER_BOX, Bs1200Options
from instruments.cells_bs1200_twin import Bs1200Twin
from instruments.terminals import ShuntTerminal

ACCURACY = {
    "analog_out_v": Accuracy(
        "V",
        (Band(frames.FULL_SCALE_V, 2e-4, 1e-4),),
        "no source seen: project default, output and divider together",
        "unverified",
    )
}


class Bs1200ShuntOptions(BaseModel):
    """The `[roles.<name>.options]` table of a BS1200 that stands in for a shunt.

    Parameters
    ----------
    box
        Number of the box.
    shunt_ohm
        Of the shunt that the board is made for.
    divider
        Volts between the outputs for one volt at the shunt input.
    bitrate, publish_s
        As of a BS1200 that emulates cells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: Annotated[int, Field(ge=1, le=15)] = 1
    shunt_ohm: Annotated[float, Field(gt=0, description="of the shunt the board is made for [ohm]")] = 50e-6
    divider: Annotated[float, Field(gt=0, description="output volts for one volt at the input")] = 50.0
    bitrate: Annotated[int, Field(gt=0)] = 1_000_000
    publish_s: Annotated[float, Field(ge=0.001)] = 0.01

    @property
    def v_per_a(self) -> float:
        """Volts at an output for one ampere."""
        return self.shunt_ohm * self.divider

    @property
    def range_a(self) -> float:
        """What full scale of an output stands for [A]."""
        return frames.FULL_SCALE_V / self.v_per_a


class Bs1200ShuntTwin:
    """Device side.

    Parameters
    ----------
    terminal
        The shunt input of a board.
    clock
        Publishing runs on it.
    options
        As the driver's.
    seed
        Of the errors.
    """

    accuracy = ACCURACY

    def __init__(
        self, terminal: ShuntTerminal, *, clock: Clock, options: Bs1200ShuntOptions, seed: int = 0
    ) -> None:
        self.options, self._terminal = options, terminal
        nothing = SimpleNamespace(cells=_OpenChannels(), meter=None)
        boxes = Bs1200Options(cells=CELLS_PER_BOX, boxes=(options.box,), publish_s=options.publish_s)
        self._box = Bs1200Twin(nothing, clock=clock, options=boxes, seed=seed)
        self._box.outputs_changed = self._drive
        generator = np.random.default_rng(seed)
        self._outputs = [Deviation.within(ACCURACY["analog_out_v"], generator) for _ in range(2)]
        terminal.connected = True
        terminal.voltage_v = 0.0

    def attach(self, hub: CanHub) -> None:
        """Connect the box to a bus and start to publish."""
        self._box.attach(hub)

    def _drive(self) -> None:
        # An output that is at zero is held there by its switch, without an offset: nothing is nothing.
        charge_v, discharge_v = (
            output.read(volts) if volts else 0.0
            for output, volts in zip(self._outputs, self._box.analog_out_v[0], strict=True)
        )
        self._terminal.voltage_v = (charge_v - discharge_v) / self.options.divider


class _OpenChannels:
    """Twelve channels with nothing at their ends."""

    def __init__(self) -> None:
        self.connected = np.zeros(CELLS_PER_BOX, dtype=np.bool_)
        self.opened = np.zeros(CELLS_PER_BOX, dtype=np.bool_)
        self.voltage_v = np.zeros(CELLS_PER_BOX)
        self.actual_current_a = np.zeros(CELLS_PER_BOX)

    @property
    def actual_voltage_v(self) -> np.ndarray:
        return np.where(self.connected, self.voltage_v, 0.0)
