"""Frames and options of the Bloomy BS1200: what driver and twin both read out of the vendor's package.

Source of every identifier, layout and scale: PyPI package bs1200 1.3.6 (Bloomy), `can_frames.py` and
`driver.py`. Base identifiers, to which the number of the box (1 to 15) is added. Classic CAN, 11 bits,
1 Mbit/s, little-endian words. Not in any source seen: the length of the digital and status frames, the sign
of the current readback (taken as positive out of the channel), the range of the analog inputs.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from instruments.accuracy import Accuracy, Band

CELLS_PER_BOX = 12
FULL_SCALE_V = 5.0
MOST_A = 0.5

# To the box.
HIL_RUN = 0x080
HIL_CELL_V = (0x0A0, 0x0B0, 0x0C0)
SET_DIO = 0x200
SET_ANALOG_OUT = 0x220
CONFIGURE = 0x400
SET_LIMITS = 0x480
SET_ONE_SINK_LIMIT = 0x4A0
SET_ONE_SOURCE_LIMIT = 0x4B0
SET_ALL_V = 0x500
SET_ONE_V = 0x510
ENABLE_ALL = 0x540
ENABLE_ONE = 0x550

# From the box.
STATUS = 0x100
CELL_V = (0x120, 0x130, 0x140)
CELL_A = (0x180, 0x190, 0x1A0)
DIO = 0x280
ANALOG_IN = (0x2A0, 0x2B0)

VOLT_PER_COUNT = 1e-4
AMPERE_PER_COUNT = 1e-4
#: Count of a current readback of 0 A: A = (count / 10 - 3276.8) / 1000.
ZERO_AMPERE_COUNT = 32768
FANS_OK = 16

_NOT_SEEN = "no source seen: project default"
#: Of a channel, output and readback alike.
ACCURACY = {
    "cell_v": Accuracy("V", (Band(FULL_SCALE_V, 0.0, 2e-4),), _NOT_SEEN, "unverified"),
    "cell_a": Accuracy("A", (Band(MOST_A, 0.0, 2e-3),), _NOT_SEEN, "unverified"),
}


class AnalogInput(BaseModel):
    """A signal wired to an analog input through a conditioner: value = offset + scale x volts.

    `accuracy` is that of conditioner and input together, in `unit`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: Annotated[int, Field(ge=1, le=15)]
    channel: Annotated[int, Field(ge=1, le=8)]
    trace: str
    scale: float
    offset: float = 0.0
    unit: str = "V"
    accuracy: Annotated[float, Field(ge=0)] = 0.0


class DigitalInput(BaseModel):
    """A state wired to a digital line; the trace is 1 where the line is high."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: Annotated[int, Field(ge=1, le=15)]
    bit: Annotated[int, Field(ge=0, le=7)]
    trace: str


class Bs1200Options(BaseModel):
    """The `[roles.<name>.options]` table of one or more BS1200 on one bus.

    Parameters
    ----------
    cells
        Channels in use, from channel 1 of the first box on.
    first_cell
        Cell of the stack, from 0, that channel 1 of the first box feeds.
    boxes
        Numbers of the boxes, in the order of the cells; none: as many as the cells need, from 1.
    publish_s
        Publishing period [s]; at the real box it is the setting Write_Period_ms of its configuration page.
    analog, digital
        What the boxes' spare inputs are wired to.
    charge_path, discharge_path
        Digital traces that must all be 1 for the path to be closed; on one box.
    source_limit_a, sink_limit_a
        Current limits of every channel [A].
    slew_v_per_s
        How fast an output follows [V/s]. Project default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cells: Annotated[int, Field(ge=1)] = 24
    first_cell: Annotated[int, Field(ge=0)] = 0
    boxes: tuple[Annotated[int, Field(ge=1, le=15)], ...] = ()
    bitrate: Annotated[int, Field(gt=0)] = 1_000_000
    publish_s: Annotated[float, Field(ge=0.001)] = 0.01
    analog: tuple[AnalogInput, ...] = ()
    digital: tuple[DigitalInput, ...] = ()
    charge_path: tuple[str, ...] = ()
    discharge_path: tuple[str, ...] = ()
    source_limit_a: Annotated[float, Field(gt=0, le=MOST_A)] = MOST_A
    sink_limit_a: Annotated[float, Field(gt=0, le=MOST_A)] = MOST_A
    slew_v_per_s: Annotated[float, Field(gt=0)] = 500.0

    @model_validator(mode="before")
    @classmethod
    def _enough_boxes(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("boxes"):
            cells = given.get("cells", cls.model_fields["cells"].default)
            if isinstance(cells, int):
                given = {**given, "boxes": tuple(range(1, -(-cells // CELLS_PER_BOX) + 1))}
        return given

    @model_validator(mode="after")
    def _wired_once(self) -> Bs1200Options:
        if len(set(self.boxes)) != len(self.boxes) or self.cells > CELLS_PER_BOX * len(self.boxes):
            raise ValueError(
                f"expected different boxes with at least {self.cells} channels, found boxes {self.boxes}"
            )
        inputs = [(a.box, "analog", a.channel) for a in self.analog]
        inputs += [(d.box, "digital", d.bit) for d in self.digital]
        traces = [a.trace for a in self.analog] + [d.trace for d in self.digital]
        if len(set(inputs)) < len(inputs) or len(set(traces)) < len(traces):
            raise ValueError("expected each input and each trace of analog and digital once")
        if unknown := {box for box, _, _ in inputs} - set(self.boxes):
            raise ValueError(f"expected inputs on boxes {self.boxes}, found box {sorted(unknown)}")
        for path in (self.charge_path, self.discharge_path):
            if len({self._box_of(name) for name in path}) > 1:
                raise ValueError(f"expected the switches of a path on one box, found {path} on several")
        return self

    def _box_of(self, trace: str) -> int:
        for wired in self.digital:
            if wired.trace == trace:
                return wired.box
        raise ValueError(f"expected the name of a digital trace in a path, found {trace!r}")
