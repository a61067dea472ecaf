"""Twin of a Modbus relay module: one coil per relay, over TCP and on RS-485, on one set of contacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from bench.clock import Clock
from bench.wires.modbus_server import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ModbusServer, Refusal, Table
from instruments.relay_contacts import Contacts, RelayOptions, relay_beyond
from instruments.terminals import FaultTerminal


class ModbusCoilsOptions(RelayOptions):
    """The `[roles.<name>.options]` table of a Modbus relay module; relays count from 0, as its coils.

    Parameters
    ----------
    coils
        Of the module.
    device_id
        Modbus address of the module.
    contact_v, contact_a
        Rating of a contact [V], [A]. 30 V DC and 10 A: waveshare.com/wiki/Modbus_POE_ETH_Relay_(B).
    delay_s
        What the module takes to answer [s]. Project default.
    baud
        Of a serial line; TCP has none.
    """

    coils: Annotated[int, Field(ge=1, le=64)] = 8
    device_id: Annotated[int, Field(ge=1, le=247)] = 1
    contact_v: Annotated[float, Field(gt=0)] = 30.0
    contact_a: Annotated[float, Field(gt=0)] = 10.0
    delay_s: Annotated[float, Field(ge=0)] = 0.005
    baud: Annotated[int, Field(gt=0)] = 9600

    @model_validator(mode="after")
    def _relays_exist(self) -> ModbusCoilsOptions:
        relay_beyond(self, 0, self.coils - 1)
        return self


class ModbusCoilsTwin:
    """Device side: coils on a fault terminal, with the contacts of `instruments.relay_contacts`.

    Parameters
    ----------
    terminal
        Where the contacts are.
    clock
        Contacts take their time on it.
    options
        As the driver's.
    seed
        Of how fast each relay is.

    Raises
    ------
    StationInvalid
        If a relay is wired to a fault that the terminal does not have.
    """

    def __init__(
        self, terminal: FaultTerminal, *, clock: Clock, options: ModbusCoilsOptions, seed: int = 0
    ) -> None:
        self.options = options
        self._contacts = Contacts(terminal, clock=clock, options=options, seed=seed)
        device_ids, delay_s = (options.device_id,), options.delay_s
        self.faces = {
            "tcp": ModbusServer(self, device_ids=device_ids, framing="tcp", delay_s=delay_s),
            "rtu": ModbusServer(self, device_ids=device_ids, framing="rtu", delay_s=delay_s),
        }

    def read(self, table: Table, device_id: int, address: int, count: int) -> Sequence[int]:
        """Coils, as they are energised."""
        self._check(table, address, count)
        return [int(self._contacts.energised(number)) for number in range(address, address + count)]

    def write(self, table: Table, device_id: int, address: int, values: Sequence[int]) -> None:
        """Energise or release coils."""
        self._check(table, address, len(values))
        for number, value in enumerate(values, start=address):
            self._contacts.switch(number, bool(value))

    def _check(self, table: Table, address: int, count: int) -> None:
        if table != "coil":
            raise Refusal(ILLEGAL_FUNCTION)
        if address + count > self.options.coils:
            raise Refusal(ILLEGAL_ADDRESS)
