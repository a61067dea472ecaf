"""NGI N83624 by Modbus: driver of one unit, and its exchanges. Every channel is a device of its own.

There is no order to all channels: they are set one after the other, and `off` takes 24 of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pymodbus.client.base import ModbusBaseSyncClient

from bench.clock import Clock
from bench.wires.modbus import raise_modbus_errors
from instruments.cells_n83624_data import ACCURACY, ALL, N83624Options
from instruments.cells_n83624_modbus_map import BY_NAME, value, words
from instruments.cells_n83624_twin import N83624Twin
from instruments.cells_n83624_unit import N83624Unit, Order, confirm
from instruments.exchange import Exchange

__all__ = ["ACCURACY", "EXCHANGES", "N83624Modbus"]

_GUIDE = (
    "N83624 Series Programming Guide, Modbus V20240130: map, functions and word order, frame made by hand"
)


def _frame(data: str, reply: str | None, note: str) -> Exchange:
    return Exchange(
        bytes.fromhex(data), bytes.fromhex(reply) if reply else None, _GUIDE, "manual", note, face="modbus"
    )


#: Whole Modbus TCP frames.
EXCHANGES = (
    _frame(
        "0001 0000 000B 03 10 0028 0002 04 CCCD 406C",
        "0001 0000 0006 03 10 0028 0002",
        "3.7 V (0x406CCCCD) on channel 3",
    ),
    _frame(
        "0002 0000 0006 03 03 0028 0002",
        "0002 0000 0007 03 03 04 CCCD 406C",
        "and read back from register 40",
    ),
    _frame(
        "0003 0000 000B 03 10 002A 0002 04 0000 447A",
        "0003 0000 0006 03 10 002A 0002",
        "limit 1000 mA (0x447A0000)",
    ),
    _frame("0004 0000 000B 03 10 0014 0002 04 0001 0000", "0004 0000 0006 03 10 0014 0002", "channel 3 on"),
    _frame("0005 0000 0006 03 03 0014 0002", "0005 0000 0007 03 03 04 0001 0000", "it is on"),
    _frame("0006 0000 0006 03 04 0006 0002", "0006 0000 0003 03 84 01", "function 4: unknown"),
    _frame("0007 0000 0006 03 03 0028 0001", "0007 0000 0003 03 83 03", "an odd count"),
    _frame("0008 0000 0006 03 03 0027 0002", "0008 0000 0003 03 83 02", "an odd address"),
)


class ModbusLink:
    """Registers of 24 devices on one line. See `cells_n83624_unit.Link`."""

    def __init__(self, wire: ModbusBaseSyncClient, *, clock: Clock, role: str) -> None:
        self._wire, self._clock, self._role = wire, clock, role
        self.busy = False

    def identity(self) -> str:
        """The map has no text: that channels 1 and 24 answer is all that can be said."""
        states = [int(self.get("state", (channel,))[0]) for channel in (ALL[0], ALL[-1])]
        return f"NGI N83624 on Modbus, channels 1 to 24, state {states[0]:#x} and {states[1]:#x}"

    def clear(self) -> None:
        """Nothing waits on this wire."""

    def put(self, orders: Sequence[Order]) -> None:
        with self._exchange():
            for name, channels, values in orders:
                # The sampling rate has no register in this map.
                if name not in BY_NAME:
                    continue
                for channel, wanted in zip(channels, values, strict=True):
                    self._write(name, channel, wanted)
                found = [self._read(name, channel) for channel in channels]
                confirm(self._role, self._clock, (name, channels, values), found)

    def get(self, name: str, channels: Sequence[int]) -> list[float]:
        with self._exchange():
            return [self._read(name, channel) for channel in channels]

    def off(self) -> None:
        for channel in ALL:
            self._write("on", channel, 0)

    def measure(self, channels: Sequence[int]) -> tuple[float, list[float], list[float]]:
        """The stamp is that of the first channel: the others come later."""
        t_s, address = self._clock.now_s, BY_NAME["volts"].address
        volts, amperes = [], []
        with self._exchange():
            for channel in channels:
                registers = self._registers(channel, address, 4)
                volts.append(value(registers[:2], "f32"))
                amperes.append(value(registers[2:], "f32") / 1e3)
        return t_s, volts, amperes

    def _read(self, name: str, channel: int) -> float:
        register = BY_NAME[name]
        return value(self._registers(channel, register.address, 2), register.kind)

    def _registers(self, channel: int, address: int, count: int) -> list[int]:
        response = self._wire.read_holding_registers(address, count=count, device_id=channel)
        request = f"read register {address} of channel {channel}"
        return raise_modbus_errors(response, role=self._role, request=request, clock=self._clock)

    def _write(self, name: str, channel: int, wanted: float) -> None:
        register = BY_NAME[name]
        response = self._wire.write_registers(
            register.address, words(wanted, register.kind), device_id=channel
        )
        request = f"set {name} of channel {channel} to {wanted:g}"
        raise_modbus_errors(response, role=self._role, request=request, clock=self._clock)

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        self.busy = True
        try:
            yield
        finally:
            self.busy = False


class N83624Modbus(N83624Unit):
    """An N83624 by Modbus TCP.

    Parameters
    ----------
    wire
        pymodbus client.
    clock, role, max_v, max_a, options
        As of `N83624Unit`.
    """

    transport = "modbus"
    framing = "tcp"
    face = "modbus"
    twin = N83624Twin
    Options = N83624Options
    idn = ("ngi", "n83624")
    nameless = True
    watchdog = "none: the channels hold their voltage when the host falls silent"

    def __init__(
        self,
        wire: ModbusBaseSyncClient,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: N83624Options | None = None,
    ) -> None:
        link = ModbusLink(wire, clock=clock, role=role)
        super().__init__(
            link, clock=clock, role=role, max_v=max_v, max_a=max_a, options=options or N83624Options()
        )
