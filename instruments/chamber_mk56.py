"""Binder MK56 and MK53 climate chambers on Modbus RTU: driver, and the exchanges it obeys.

The controllers follow a set point as fast as they can; a rate is kept by the driver, which moves the set
point in small steps. That a limiter has tripped is not in the registers that are known: the air shows it. The
twin is in `chamber_mk56_twin.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pymodbus.client.base import ModbusBaseSyncClient
from pymodbus.pdu import ModbusPDU

from bench.clock import Clock, Job
from bench.errors import InstrumentRefused, WireError
from bench.record import Origin, Samples, Trace
from bench.wires.modbus_server import Framing, rtu
from instruments.chamber_mk56_twin import (
    ACCURACY,
    ACTUAL,
    BASIC,
    CONTACTS_READ,
    CONTACTS_WRITE,
    EXCEPTIONS,
    FLOATS,
    IDLE_CONTACT,
    MANUAL,
    MODE,
    MODE_MANUAL,
    SET_POINT,
    BinderOptions,
    BinderTwin,
    to_float,
    to_words,
)
from instruments.exchange import Exchange

_BASIL = "PyPI basil_daq 3.3.0, HL/binder_mk56.py and binder_mk53.py"
_TOBISKA = "P. Tobiska's Python driver for Binder MKFT 115 chambers, class for the MB2 controller"


def _exchange(request: str, reply: str | None, source: str, note: str) -> Exchange:
    answer = None if reply is None else rtu(1, bytes.fromhex(reply))
    return Exchange(rtu(1, bytes.fromhex(request)), answer, source, "public driver", note)


#: Whole RTU frames to an MK56 with address 1, in the order of a session. 32.0 is 0x42000000, low word first.
EXCHANGES = (
    _exchange("03 1004 0002", None, _BASIL, "actual temperature"),
    _exchange("10 114C 0002 04 0000 4200", "10 114C 0002", _BASIL, "manual set point 32 °C"),
    _exchange("03 114C 0002", "03 04 0000 4200", _BASIL, "after that"),
    _exchange("03 10B2 0002", "03 04 0000 4200", _BASIL, "the set point in force"),
    _exchange("03 1292 0001", "03 02 0002", _TOBISKA, "operation contacts: idle"),
    _exchange("06 1158 0000", "06 1158 0000", _TOBISKA, "leave the idle mode"),
    _exchange("03 1292 0001", "03 02 0000", _TOBISKA, "after that"),
    _exchange("06 1158 0002", "06 1158 0002", _TOBISKA, "idle again"),
    _exchange("10 10B2 0002 04 0000 4200", "90 05", _BASIL, "exception 5: write access denied"),
    _exchange("03 2000 0001", "83 02", _BASIL, "exception 2: invalid address"),
)


class BinderChamber:
    """A Binder chamber as a `roles.Chamber`.

    Parameters
    ----------
    wire
        pymodbus client, RTU, 9600 8N1 as in the public drivers.
    clock
        Bench time; moves the set point when a rate was asked for.
    role
        Role of the station file, in messages and as origin of the trace.
    min_degc, max_degc
        What the station allows [°C]; default what the chamber can.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "modbus"
    framing: Framing = "rtu"
    twin = BinderTwin
    Options = BinderOptions
    idn = ("binder",)
    nameless = True
    watchdog = "none: the chamber holds its set point when the host falls silent; its limiter stays"

    def __init__(
        self,
        wire: ModbusBaseSyncClient,
        *,
        clock: Clock,
        role: str,
        min_degc: float | None = None,
        max_degc: float | None = None,
        options: BinderOptions,
    ) -> None:
        self._wire, self._clock, self._role, self.options = wire, clock, role, options
        self._lowest_degc = options.coldest_degc if min_degc is None else max(min_degc, options.coldest_degc)
        self._highest_degc = options.hottest_degc if max_degc is None else min(max_degc, options.hottest_degc)
        self._registers = FLOATS[options.model]
        self._busy = False
        self._ramp: Job | None = None
        self._samples = Samples(
            "chamber_degc",
            "degC",
            Origin("measured", role),
            uncertainty=ACCURACY["chamber_degc"].uncertainty(0.0),
        )

    def identity(self) -> str:
        """That a controller with the registers of its kind answers: it has no name to ask for."""
        self._read_float(ACTUAL)
        return f"Binder {self.options.model.upper()} at device {self.options.device_id}"

    def prepare(self) -> None:
        """Stop the chamber."""
        self.off()
        self.measure()

    def control(self, *, temperature_degc: float, rate_k_per_min: float | None = None) -> None:
        if not self._lowest_degc <= temperature_degc <= self._highest_degc:
            raise self._refusal(
                f"{temperature_degc:g} °C",
                f"{self._lowest_degc:g} to {self._highest_degc:g} °C; check [roles.{self._role}] min_degc "
                "and max_degc",
            )
        if rate_k_per_min is not None and not rate_k_per_min > 0.0:
            raise self._refusal(f"{rate_k_per_min:g} K/min", "a rate above 0")
        self._stop_ramp()
        start_degc = self.measure()
        if rate_k_per_min is None:
            self._set(temperature_degc)
        else:
            self._set(min(max(start_degc, self._lowest_degc), self._highest_degc))
            self._start_ramp(start_degc, temperature_degc, rate_k_per_min)
        self._run(True)
        if self.is_off():
            raise self._refusal("to leave its idle mode", "a chamber that runs; is its door closed?")

    def measure(self) -> float:
        found_degc = self._read_float(ACTUAL)
        self._samples.append(self._clock.now_s, found_degc)
        return found_degc

    def poll(self) -> None:
        """Take one reading, unless an answer is awaited."""
        if not self._busy:
            self.measure()

    def off(self) -> None:
        self._stop_ramp()
        self._run(False)

    def is_off(self) -> bool:
        """Whether the controller says that it conditions nothing."""
        if self.options.model == "mk53":
            return self._read(MODE, 1)[0] == 0
        return bool(self._read(CONTACTS_READ, 1)[0] & IDLE_CONTACT)

    def traces(self) -> dict[str, Trace]:
        return {self._samples.name: self._samples.trace()} if len(self._samples) else {}

    # The ramp.

    def _start_ramp(self, start_degc: float, end_degc: float, rate_k_per_min: float) -> None:
        start_s = self._clock.now_s

        def step() -> None:
            if self._busy:
                return  # the next step makes up for it: the set point is a function of time
            gone_k = rate_k_per_min / 60.0 * (self._clock.now_s - start_s)
            missing_k = end_degc - start_degc
            now_degc = start_degc + math.copysign(min(gone_k, abs(missing_k)), missing_k)
            self._set(min(max(now_degc, self._lowest_degc), self._highest_degc))
            if gone_k >= abs(missing_k):
                self._stop_ramp()

        self._ramp = self._clock.every(self.options.ramp_step_s, step, name=f"ramp of {self._role}")

    def _stop_ramp(self) -> None:
        if self._ramp is not None:
            self._ramp.cancel()
            self._ramp = None

    # Registers.

    def _set(self, temperature_degc: float) -> None:
        """Write the set point, of an MK53 that of both modes, and read back what is in force."""
        for name in (MANUAL, BASIC):
            if name in self._registers:
                self._write_float(name, temperature_degc)
        found_degc = self._read_float(SET_POINT)
        running_mode = self.options.model == "mk56" or not self.is_off()
        if running_mode and abs(found_degc - temperature_degc) > 0.05:
            raise self._refusal(
                f"{temperature_degc:.2f} °C", f"it as the set point in force, found {found_degc:.2f} °C"
            )

    def _run(self, on: bool) -> None:
        if self.options.model == "mk53":
            self._write_register(MODE, MODE_MANUAL if on else 0)
        else:
            contacts = self._read(CONTACTS_READ, 1)[0]
            wanted = contacts & ~IDLE_CONTACT if on else contacts | IDLE_CONTACT
            self._write_register(CONTACTS_WRITE, wanted)

    def _read_float(self, name: str) -> float:
        value = to_float(self._read(self._registers[name], 2))
        if not math.isfinite(value):
            raise WireError(
                f"{self._role}: expected a temperature as the {name}, found {value} at "
                f"{self._clock.now_s:.3f} s. Is [roles.{self._role}.options] model right?"
            )
        return value

    def _write_float(self, name: str, value: float) -> None:
        address = self._registers[name]
        self._exchange(
            f"set the {name} to {value:.2f} °C",
            lambda: self._wire.write_registers(address, to_words(value), device_id=self.options.device_id),
        )

    def _write_register(self, address: int, value: int) -> None:
        self._exchange(
            f"write {value:#06x} to register {address:#06x}",
            lambda: self._wire.write_register(address, value, device_id=self.options.device_id),
        )

    def _read(self, address: int, count: int) -> list[int]:
        response = self._exchange(
            f"read register {address:#06x}",
            lambda: self._wire.read_holding_registers(address, count=count, device_id=self.options.device_id),
        )
        return list(response.registers)

    def _exchange(self, request: str, ask: Callable[[], ModbusPDU]) -> ModbusPDU:
        if self._busy:
            raise WireError(
                f"{self._role}: to {request} at {self._clock.now_s:.3f} s while an answer is awaited; "
                "a clock job that talks to this chamber uses `poll`."
            )
        self._busy = True
        try:
            response = ask()
        finally:
            self._busy = False
        if response.isError():
            code = int(getattr(response, "exception_code", 0))
            meaning = EXCEPTIONS.get(code, "unknown")
            raise self._refusal(f"to {request}", f"no exception, found {code}, {meaning}")
        return response

    def _refusal(self, asked: str, expected: str) -> InstrumentRefused:
        return InstrumentRefused(
            f"{self._role} refused {asked} at {self._clock.now_s:.3f} s: expected {expected}."
        )
