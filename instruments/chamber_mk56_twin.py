"""Twin of a Binder MK climate chamber: its Modbus registers, on the air of `instruments.chamber_air`.

Registers of the MK56 (MB2 controller) and of the MK53 (MB1), float32 with the low word first, and exceptions
1 to 5: PyPI basil_daq 3.3.0, HL/binder_mk56.py and binder_mk53.py. Operation contacts 0x1158 and 0x1292 with
the idle bit, and single-register writes: P. Tobiska's driver for Binder MKFT 115 chambers. Basil and that
driver disagree on which of 0x1581 and 0x156F is the manual set point; here it is as in basil, which writes
both.

Not seen in any document, hence unverified: that a value out of range is exception 3, that a float is written
whole or not at all, and that mode 0 of an MK53 conditions nothing. Left out: programs, humidity, the door.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.clock import Clock
from bench.wires.modbus_server import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    ModbusServer,
    Refusal,
    Table,
)
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band
from instruments.chamber_air import ChamberAir, ChamberInside
from instruments.terminals import ChamberTerminal

ACCURACY = {
    "chamber_degc": Accuracy(
        "degC",
        (Band(full_scale=200.0, of_reading=0.0, of_range=0.005),),
        "no data sheet seen: ±1 K over the working space is a project default",
        "unverified",
    )
}

Model = Literal["mk56", "mk53"]
#: Exceptions of these controllers; 4 and 5 mean something else than in the standard.
EXCEPTIONS = {
    1: "invalid function",
    2: "invalid parameter address",
    3: "parameter value outside its range",
    4: "slave not ready",
    5: "write access to the parameter denied",
}
NOT_READY, WRITE_DENIED = 4, 5

ACTUAL, SET_POINT, MANUAL, BASIC = "actual", "set point", "manual set point", "basic set point"
#: Name of a temperature to its first register.
FLOATS: dict[Model, dict[str, int]] = {
    "mk56": {ACTUAL: 0x1004, SET_POINT: 0x10B2, MANUAL: 0x114C},
    "mk53": {ACTUAL: 0x11A9, SET_POINT: 0x1077, MANUAL: 0x1581, BASIC: 0x156F},
}
#: What is set, and read back elsewhere on an MK56: contacts with the idle bit, or the mode.
CONTACTS_WRITE, CONTACTS_READ, MODE = 0x1158, 0x1292, 0x1A22
IDLE_CONTACT = 1 << 1
MODE_BASIC, MODE_MANUAL, MODE_AUTO = 0x1000, 0x0800, 0x0400


class BinderOptions(BaseModel):
    """The `[roles.<name>.options]` table of a Binder chamber.

    Parameters
    ----------
    model
        Its register set: "mk56" (MB2 controller) or "mk53" (MB1).
    device_id
        Modbus address.
    coldest_degc, hottest_degc
        What it can be set to [°C]. Project defaults.
    ramp_step_s
        These controllers have no gradient in manual mode: the driver moves the set point this often [s].
    limiter_degc
        Where the over-temperature device is set [°C], by hand on the real one. Project default.
    delay_s
        What it takes to answer [s]. Project default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Model = "mk56"
    device_id: Annotated[int, Field(ge=1, le=247)] = 1
    coldest_degc: float = -40.0
    hottest_degc: float = 180.0
    ramp_step_s: Annotated[float, Field(gt=0)] = 5.0
    limiter_degc: float = 190.0
    delay_s: Annotated[float, Field(ge=0)] = 0.02
    baud: Annotated[int, Field(gt=0)] = 9600

    @model_validator(mode="after")
    def _limits_in_order(self) -> BinderOptions:
        if not self.coldest_degc < self.hottest_degc:
            raise ValueError("expected coldest_degc below hottest_degc")
        return self


def to_words(value: float) -> list[int]:
    """A float32 as two registers, the low word first."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return [low, high]


def to_float(words: Sequence[int]) -> float:
    """The float32 in two registers; inverse of `to_words`."""
    low, high = words
    return float(struct.unpack(">f", struct.pack(">HH", high, low))[0])


class BinderTwin:
    """Device side: the chamber on its line. A `MessageTwin`, and the register map behind it.

    Parameters
    ----------
    terminal
        The air around the pack.
    clock
        Whose time the air takes.
    options
        As the driver's.
    seed
        Of the sensor's error.
    """

    def __init__(
        self, terminal: ChamberTerminal, *, clock: Clock, options: BinderOptions, seed: int = 0
    ) -> None:
        self.options = options
        self.inside = ChamberInside(
            terminal,
            clock=clock,
            air=ChamberAir(coldest_degc=options.coldest_degc),
            accuracy=ACCURACY["chamber_degc"],
            seed=seed,
        )
        self.inside.limiter_degc = options.limiter_degc
        self._manual_degc = self._basic_degc = 25.0
        self._contacts, self._mode = IDLE_CONTACT, 0
        self._server = ModbusServer(self, device_ids=(options.device_id,), delay_s=options.delay_s)
        self._floats = {address: name for name, address in FLOATS[options.model].items()}
        self._obey()

    def handle(self, message: bytes) -> Reply | None:
        """Answer one RTU frame."""
        return self._server.handle(message)

    def read(self, table: Table, device_id: int, address: int, count: int) -> Sequence[int]:
        """Registers, of floats also in part."""
        if table != "holding_register":
            raise Refusal(ILLEGAL_FUNCTION)
        words: dict[int, int] = {}
        for first, name in self._floats.items():
            if first < address + count and address < first + 2:
                words.update(zip((first, first + 1), to_words(self._temperature_degc(name)), strict=True))
        words.update({register: read() for register, read in self._singles().items()})
        try:
            return [words[register] for register in range(address, address + count)]
        except KeyError:
            raise Refusal(ILLEGAL_ADDRESS) from None

    def write(self, table: Table, device_id: int, address: int, values: Sequence[int]) -> None:
        """One temperature or one single register."""
        if table != "holding_register":
            raise Refusal(ILLEGAL_FUNCTION)
        if address in self._singles() and len(values) == 1:
            self._write_single(address, values[0])
        elif address in self._floats:
            self._write_float(self._floats[address], values)
        else:
            raise Refusal(ILLEGAL_ADDRESS)
        self._obey()

    def _singles(self) -> dict[int, Callable[[], int]]:
        if self.options.model == "mk53":
            return {MODE: lambda: self._mode}
        return {CONTACTS_WRITE: lambda: self._contacts, CONTACTS_READ: lambda: self._contacts}

    def _temperature_degc(self, name: str) -> float:
        if name == ACTUAL:
            return self.inside.measure()
        return {
            SET_POINT: self.inside.target_degc,
            MANUAL: self._manual_degc,
            BASIC: self._basic_degc,
        }[name]

    def _write_single(self, address: int, value: int) -> None:
        if address == CONTACTS_READ:
            raise Refusal(WRITE_DENIED)
        if address == CONTACTS_WRITE:
            self._contacts = value
        elif value in (0, MODE_BASIC, MODE_MANUAL):
            self._mode = value
        else:  # a program, and there is none
            raise Refusal(NOT_READY)

    def _write_float(self, name: str, values: Sequence[int]) -> None:
        if name in (ACTUAL, SET_POINT):
            raise Refusal(WRITE_DENIED)
        if len(values) != 2:
            raise Refusal(ILLEGAL_VALUE)
        value_degc = to_float(values)
        if not self.options.coldest_degc <= value_degc <= self.options.hottest_degc:
            raise Refusal(ILLEGAL_VALUE)
        if name == MANUAL:
            self._manual_degc = value_degc
        else:
            self._basic_degc = value_degc

    def _obey(self) -> None:
        """Let the controller do what the registers say."""
        if self.options.model == "mk53":
            idle = self._mode == 0
            self.inside.target_degc = self._basic_degc if self._mode == MODE_BASIC else self._manual_degc
        else:
            idle = bool(self._contacts & IDLE_CONTACT)
            self.inside.target_degc = self._manual_degc
        if idle:
            self.inside.stop()
        else:
            self.inside.start()
