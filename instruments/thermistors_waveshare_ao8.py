"""Thermistors imitated by Waveshare Modbus RTU Analog Output 8CH (B) units: driver, and its exchanges.

Each input of the DUT is driven with the voltage that its divider would have at the wanted temperature, 0 to
10 V in steps of 1 mV. How an input is handed back to the pack's own sensor is told in
`thermistors_waveshare_ao8_twin.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pymodbus.client.base import ModbusBaseSyncClient

from bench.clock import Clock
from bench.errors import InstrumentRefused, StationInvalid, WireError
from bench.record import Floats, Origin, Trace
from bench.wires.modbus import raise_modbus_errors
from instruments.broadcast import Growing
from instruments.exchange import Exchange
from instruments.thermistors_waveshare_ao8_twin import (
    ACCURACY,
    CHANNELS,
    VERSION_REGISTER,
    WaveshareAo8Options,
    WaveshareAo8Twin,
)

_WIKI = "waveshare.com/wiki/Modbus_RTU_Analog_Output_8CH, software test: the current output of the family"
_NOTES = (
    "a public driver's notes on waveshare.com/wiki/Modbus_RTU_Analog_Output_8CH_(B), development protocol"
)


def _noted(request: str, reply: str | None, note: str = "") -> Exchange:
    return Exchange(
        bytes.fromhex(request), bytes.fromhex(reply) if reply else None, _NOTES, "public driver", note
    )


#: Whole RTU frames.
EXCHANGES = (
    Exchange(bytes.fromhex("0106000003E88974"), bytes.fromhex("0106000003E88974"), _WIKI, "manual"),
    _noted("010600011388D55C", "010600011388D55C", "5 V on channel 2"),
    _noted("01100002000306" + 3 * "07D0" + "840E", None, "2 V on channels 3 to 5"),
    _noted("01100000000810" + 8 * "03E8" + "3C05", "011000000008C1CF", "1 V on all channels"),
    _noted("010300000008440C", "010310" + 8 * "03E8" + "C191", "after that"),
    _noted("000340000001901B", "01030200017984", "the address, with one unit on the line"),
    _noted("000380000001AC1B", "0103020064B9AF", "the version, 1.00, with one unit on the line"),
)

_KELVIN = 273.15
_T25_K = 25.0 + _KELVIN


def input_voltage_v(temperature_degc: Floats, options: WaveshareAo8Options) -> Floats:
    """Voltage [V] at an input whose NTC has `temperature_degc` [°C]; any shape.

    NTC to ground below a pull-up: V = Vref R / (R + Rp), R = R25 exp(B (1/T - 1/298.15 K)).
    """
    exponent = options.beta_k * (1.0 / (np.asarray(temperature_degc) + _KELVIN) - 1.0 / _T25_K)
    ohm = options.r25_ohm * np.exp(exponent)
    voltage: Floats = options.reference_v * ohm / (ohm + options.pullup_ohm)
    return voltage


def input_temperature_degc(voltage_v: Floats, options: WaveshareAo8Options) -> Floats:
    """Temperature [°C] that an input at `voltage_v` [V] looks like; inverse of `input_voltage_v`."""
    voltage = np.asarray(voltage_v, dtype=np.float64)
    ohm = options.pullup_ohm * voltage / (options.reference_v - voltage)
    temperature: Floats = 1.0 / (1.0 / _T25_K + np.log(ohm / options.r25_ohm) / options.beta_k) - _KELVIN
    return temperature


#: An acknowledgement that takes longer leaves open when the outputs changed [s]: two frames at 9600 baud and
#: the unit's own time are half of it.
_SLOW_S = 0.15


class WaveshareAo8:
    """Waveshare analog output units as `roles.Thermistors`.

    Parameters
    ----------
    wire
        pymodbus client, RTU, 9600 8N1 from the factory.
    clock
        Bench time.
    role
        Role of the station file, in messages and as origin of the traces.
    max_v
        What the station allows on an input [V].
    max_a
        And into an output [A]: through the DUT's pull-up it is at most reference_v / pullup_ohm.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "modbus"
    twin = WaveshareAo8Twin
    Options = WaveshareAo8Options
    idn = ("waveshare", "analog output")
    idn_options: ClassVar[dict[str, Any]] = {
        "sensors": 1, "r25_ohm": 1e4, "beta_k": 3435.0, "pullup_ohm": 1e4, "reference_v": 5.0
    }  # fmt: skip
    nameless = True
    watchdog = "none: the outputs hold when the host falls silent, and drop out with the unit's supply"

    def __init__(
        self,
        wire: ModbusBaseSyncClient,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: WaveshareAo8Options,
    ) -> None:
        if options.reference_v / options.pullup_ohm > max_a:
            raise StationInvalid(
                f"[roles.{role}] max_a",
                expected=f"at least {options.reference_v / options.pullup_ohm:g} A for the DUT's pull-up",
                found=f"{max_a:g} A",
            )
        self._wire, self._clock, self._role, self._options = wire, clock, role, options
        self.sensors = options.sensors
        self._max_v = min(max_v, options.reference_v)
        self._uncertainty_k = _uncertainty_k(options)
        self._t_s, self._temperature_degc = Growing(0), Growing(options.sensors)

    def identity(self) -> str:
        versions = [
            f"address {unit} version {self._read(unit, VERSION_REGISTER, 1)[0] / 100:.2f}"
            for unit in self._options.device_ids
        ]
        return f"Waveshare Modbus RTU Analog Output 8CH (B), {', '.join(versions)}"

    def prepare(self) -> None:
        """Hand all inputs back."""
        self.off()

    def set(self, *, temperature_degc: float | Sequence[float], sensor: int | None = None) -> None:
        if sensor is not None:
            if not 0 <= sensor < self.sensors:
                raise self._refusal(f"sensor {sensor}", f"one of 0 to {self.sensors - 1}")
            self._write(sensor, self._millivolts(np.array([temperature_degc], dtype=np.float64)))
            return
        wanted = np.atleast_1d(np.asarray(temperature_degc, dtype=np.float64))
        if wanted.size not in (1, self.sensors):
            raise self._refusal(f"{wanted.size} temperatures", f"{self.sensors}, one for each sensor")
        self._write(0, self._millivolts(np.broadcast_to(wanted, self.sensors)))

    def off(self) -> None:
        self._write(0, [0] * self.sensors)

    def is_off(self) -> bool:
        """Whether the output registers of all inputs read 0 mV, so that the break-out relays are out."""
        return not any(self._read_all())

    def traces(self) -> dict[str, Trace]:
        """`temperature_degc`: the output registers as read back, as temperatures.

        A register is read when it was written, and holds until the next write: the trace repeats it every
        `hold_s`. A step stands at the time at which the unit had acknowledged it; if that took long, because
        the host was held up, the values are nan from the request on: the DUT may have seen either.
        """
        if not len(self._t_s):
            return {}
        self._hold(self._clock.now_s)
        name, origin = "temperature_degc", Origin("measured", self._role)
        t_s, values = self._t_s.view(), self._temperature_degc.view()
        return {name: Trace(name, "degC", t_s, values, origin, self._uncertainty_k)}

    def _hold(self, until_s: float) -> None:
        """Repeat the newest value up to, and without, `until_s` [s]."""
        newest_s = self._t_s.view()[-1]
        t_s = np.arange(newest_s + self._options.hold_s, until_s, self._options.hold_s)
        t_s = t_s[t_s < until_s]  # arange may round one in
        self._t_s.append(t_s)
        self._temperature_degc.append(np.tile(self._temperature_degc.view()[-1], (len(t_s), 1)))

    def _millivolts(self, temperature_degc: Floats) -> list[int]:
        voltage_v = input_voltage_v(temperature_degc, self._options)
        least_v = self._options.handover_mv / 1000
        bad = ~((voltage_v >= least_v) & (voltage_v <= self._max_v))
        if bad.any():
            raise self._refusal(
                f"{temperature_degc[bad][0]:g} °C ({voltage_v[bad][0]:.3f} V)",
                f"an input voltage of {least_v:g} to {self._max_v:g} V",
            )
        return [round(volts * 1000) for volts in voltage_v]

    def _write(self, first: int, millivolts: list[int]) -> None:
        """Write outputs from sensor `first` on, read all back, and note them."""
        sent_s, position = self._clock.now_s, 0
        while position < len(millivolts):
            unit, channel = divmod(first + position, CHANNELS)
            part = millivolts[position : position + CHANNELS - channel]
            device_id = self._options.device_ids[unit]
            if len(part) == 1:
                response = self._wire.write_register(channel, part[0], device_id=device_id)
            else:
                response = self._wire.write_registers(channel, part, device_id=device_id)
            raise_modbus_errors(
                response,
                role=self._role,
                request=f"set output {channel + 1} of {device_id}",
                clock=self._clock,
            )
            position += len(part)
        acknowledged_s = self._clock.now_s
        found = self._read_all()
        if found[first : first + len(millivolts)] != millivolts:
            raise WireError(
                f"{self._role}: expected outputs {millivolts} mV from sensor {first} on to read back, found "
                f"{found[first : first + len(millivolts)]} at {self._clock.now_s:.3f} s."
            )
        if acknowledged_s - sent_s > _SLOW_S and len(self._t_s):
            self._note_unknown(sent_s, slice(first, first + len(millivolts)))
        self._note(acknowledged_s, found)

    def _note_unknown(self, t_s: float, sensors: slice) -> None:
        """From `t_s` [s] on, nobody knows any more what these sensors are driven to."""
        self._hold(t_s)
        known = self._temperature_degc.view()[-1].copy()
        known[sensors] = np.nan
        self._t_s.append(np.array([t_s]))
        self._temperature_degc.append(known[np.newaxis])

    def _note(self, t_s: float, millivolts: list[int]) -> None:
        volts = np.array(millivolts) / 1000
        driven = volts * 1000 >= self._options.handover_mv
        temperature_degc = np.full(self.sensors, np.nan)
        # At or above the reference no NTC gives this voltage: as if the sensor were infinitely cold.
        sensible = driven & (volts < self._options.reference_v)
        temperature_degc[sensible] = input_temperature_degc(volts[sensible], self._options)
        temperature_degc[driven & ~sensible] = -_KELVIN
        if len(self._t_s):
            self._hold(t_s)
        self._t_s.append(np.array([t_s]))
        self._temperature_degc.append(temperature_degc[np.newaxis])

    def _read_all(self) -> list[int]:
        found: list[int] = []
        for unit in self._options.device_ids:
            count = min(CHANNELS, self.sensors - len(found))
            if count > 0:
                found += self._read(unit, 0, count)
        return found

    def _read(self, device_id: int, address: int, count: int) -> list[int]:
        response = self._wire.read_holding_registers(address, count=count, device_id=device_id)
        return raise_modbus_errors(
            response, role=self._role, request=f"read register {address:#x} of {device_id}", clock=self._clock
        )

    def _refusal(self, asked: str, expected: str) -> InstrumentRefused:
        return InstrumentRefused(
            f"{self._role} refused {asked} at {self._clock.now_s:.3f} s: expected {expected}; "
            "nothing was sent."
        )


def _uncertainty_k(options: WaveshareAo8Options) -> float:
    """Expanded uncertainty (k = 2) [K] from 0 to 60 °C: output error and half a step, both rectangular."""
    grid = np.linspace(0.0, 60.0, 61)
    volt_per_kelvin = np.abs(np.gradient(input_voltage_v(grid, options), grid))
    error_v = 2.0 * np.hypot(ACCURACY["output_v"].limit(options.reference_v), 0.0005) / np.sqrt(3.0)
    return float(error_v / volt_per_kelvin.min())
