"""Twin of Waveshare Modbus RTU Analog Output 8CH (B) units with their hand-over relays, on NTC inputs.

Wiring that it stands in for: each output feeds one thermistor input through a break-out relay whose coil
driver picks up from a few millivolts of the same output on. At 0 V the relay is out and the input has the
pack's own sensor back. So an input cannot be driven to 0 V: a shorted sensor is the fault box's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.clock import Clock
from bench.errors import StationInvalid
from bench.wires.modbus_server import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusServer, Refusal, Table, crc16, rtu
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band
from instruments.terminals import NtcTerminals

CHANNELS = 8
MOST_MV = 10_000
UART_REGISTER, ADDRESS_REGISTER, VERSION_REGISTER = 0x2000, 0x4000, 0x8000
_VERSION = 100
#: 0.02 % of the output span.
ACCURACY = {
    "output_v": Accuracy(
        "V", (Band(MOST_MV / 1000, 0.0, 2e-4),), "no source seen: project default", "unverified"
    )
}
_BAUD_CODES = (4800, 9600, 19_200, 38_400, 57_600, 115_200, 128_000, 256_000)


class WaveshareAo8Options(BaseModel):
    """The `[roles.<name>.options]` table: the DUT's sensors, and the units that imitate them.

    Parameters
    ----------
    sensors
        Inputs in use, from channel 1 of the first unit on.
    device_ids
        Modbus addresses of the units, in the order of the sensors; none: as many as needed, from 1.
    r25_ohm, beta_k
        NTC by the beta equation [ohm], [K].
    pullup_ohm, reference_v
        Divider at the DUT's input [ohm], [V].
    handover_mv
        From this output voltage on the break-out relays connect the output [mV].
    delay_s
        What a unit takes to answer [s]. Project default.
    hold_s
        Between two exchanges an output holds; its trace repeats the value this often [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensors: Annotated[int, Field(ge=1)]
    device_ids: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()
    r25_ohm: Annotated[float, Field(gt=0)]
    beta_k: Annotated[float, Field(gt=0)]
    pullup_ohm: Annotated[float, Field(gt=0)]
    reference_v: Annotated[float, Field(gt=0, le=MOST_MV / 1000)]
    handover_mv: Annotated[int, Field(ge=1)] = 20
    delay_s: Annotated[float, Field(ge=0)] = 0.005
    hold_s: Annotated[float, Field(gt=0)] = 0.1
    baud: Annotated[int, Field(gt=0)] = 9600

    @model_validator(mode="before")
    @classmethod
    def _number_units(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("device_ids") and isinstance(given.get("sensors"), int):
            return {**given, "device_ids": tuple(range(1, -(-given["sensors"] // CHANNELS) + 1))}
        return given

    @model_validator(mode="after")
    def _enough_units(self) -> WaveshareAo8Options:
        if len(set(self.device_ids)) < len(self.device_ids):
            raise ValueError(f"expected different device_ids, found {self.device_ids}")
        if self.sensors > CHANNELS * len(self.device_ids):
            raise ValueError(f"expected at most {CHANNELS} sensors for each of {len(self.device_ids)} units")
        return self


class WaveshareAo8Twin:
    """Device side of the units on one RS-485 line. A `MessageTwin`, and the register map behind it.

    Parameters
    ----------
    terminal
        The thermistor inputs.
    clock
        Kept for the common form of twins; an output settles within one character on the line.
    options
        As the driver's.
    seed
        Of the errors of the outputs.

    Raises
    ------
    StationInvalid
        If the DUT has fewer inputs than there are sensors.
    """

    accuracy = ACCURACY

    def __init__(
        self, terminal: NtcTerminals, *, clock: Clock, options: WaveshareAo8Options, seed: int = 0
    ) -> None:
        if len(terminal.connected) < options.sensors:
            raise StationInvalid(
                "options of the thermistors",
                expected=f"at most {len(terminal.connected)} sensors",
                found=str(options.sensors),
            )
        self.terminal, self.clock, self.options = terminal, clock, options
        channels = CHANNELS * len(options.device_ids)
        generator = np.random.default_rng(seed)
        most_v = self.accuracy["output_v"].limit(MOST_MV / 1000)
        self._offset_v = generator.uniform(-0.5, 0.5, channels) * most_v
        self._gain = 1.0 + generator.uniform(-0.5, 0.5, channels) * most_v * 1000 / MOST_MV
        self._mv = [0] * channels
        self._server = ModbusServer(self, device_ids=options.device_ids, delay_s=options.delay_s)

    def handle(self, message: bytes) -> Reply | None:
        """Answer one RTU frame; a unit that is alone on its line answers reads of address 0 too."""
        ids = self.options.device_ids
        if message[:2] == b"\x00\x03" and len(ids) == 1 and crc16(message[:-2]) == message[-2:]:
            message = rtu(ids[0], message[1:-2])
        return self._server.handle(message)

    def read(self, table: Table, device_id: int, address: int, count: int) -> Sequence[int]:
        """Outputs [mV], or one of the setting registers."""
        self._must_hold(table)
        if count == 1 and address in (UART_REGISTER, ADDRESS_REGISTER, VERSION_REGISTER):
            uart = _BAUD_CODES.index(self.options.baud) if self.options.baud in _BAUD_CODES else 1
            return [{UART_REGISTER: uart, ADDRESS_REGISTER: device_id, VERSION_REGISTER: _VERSION}[address]]
        first = self._first(device_id, address, count)
        return self._mv[first : first + count]

    def write(self, table: Table, device_id: int, address: int, values: Sequence[int]) -> None:
        """Set outputs [mV]. Address and line settings are not for a test to change."""
        self._must_hold(table)
        first = self._first(device_id, address, len(values))
        if any(value > MOST_MV for value in values):
            raise Refusal(ILLEGAL_VALUE)
        for channel, value in enumerate(values, start=first):
            self._mv[channel] = value
            if channel < self.options.sensors:
                self._drive(channel, value)

    def _drive(self, sensor: int, millivolts: int) -> None:
        voltage_v = millivolts / 1000 * self._gain[sensor] + self._offset_v[sensor]
        self.terminal.voltage_v[sensor] = max(0.0, voltage_v)
        self.terminal.connected[sensor] = millivolts >= self.options.handover_mv

    def _must_hold(self, table: Table) -> None:
        if table != "holding_register":
            raise Refusal(ILLEGAL_ADDRESS)

    def _first(self, device_id: int, address: int, count: int) -> int:
        if address + count > CHANNELS:
            raise Refusal(ILLEGAL_ADDRESS)
        return CHANNELS * self.options.device_ids.index(device_id) + address
