"""The Daly A5 front end: the same BMS behind another dialect, answering 13-byte requests at 9600 baud.

Bytes are put together here by hand and share nothing with the host's decoder. On this wire a discharge is
positive, and numbers of cells and sensors start at 1.

Source: dreadnought/python-daly-bms (dalybms/daly_bms.py, error_codes.py), jblance/mpp-solar
(mppsolar/protocols/daly.py), ai-republic/bms-to-inverter (DalyMessageHandler).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import INVALID
from bench.emulated_bms.board import CHARGE, MAIN_MINUS, MAIN_PLUS
from bench.wires.twin import Reply

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms

_START, _LENGTH, _FRAME = 0xA5, 8, 13
#: A request to board n comes with 0x3F + n (RS-485, UART) or 0x7F + n (Bluetooth).
_HOSTS = (0x3F, 0x7F)
_SLOTS_PER_FRAME, _SENSORS_PER_FRAME = 3, 7
_ZERO_CURRENT, _ZERO_DEGC = 30_000, 40
#: Below this the mode is "idle" [mA]; above the offset of the shunt.
_IDLE_MA = 1000
_MS_PER_H = 3_600_000

#: Bit of each alarm in 0x98, counted from bit 0 of d0. What Daly has no word for is not told.
_ALARM_BITS = {
    "cell_overvoltage_warning": 0, "cell_overvoltage": 1, "cell_overvoltage_lock": 1,
    "cell_undervoltage_warning": 2, "cell_undervoltage": 3, "cell_undervoltage_lock": 3,
    "charge_overtemperature": 9, "charge_undertemperature": 11,
    "discharge_overtemperature": 13, "overtemperature_lock": 13, "thermal_runaway": 13,
    "discharge_undertemperature": 15,
    "charge_overcurrent": 17,
    "discharge_overcurrent_1": 18, "discharge_overcurrent_2": 19, "discharge_overcurrent_3": 19,
    "cell_imbalance": 24, "temperature_spread": 26,
    "afe_fault": 40, "frozen_cell": 40, "open_sense_wire": 41, "thermistor_fault": 42, "memory_fault": 43,
    "precharge_failed": 45, "current_sensor": 48, "sum_of_cells": 49, "short_circuit": 50,
}  # fmt: skip
#: Alarms of a switch: bit for the charge contactor, bit for the others.
_SWITCH_BITS = {"contactor_weld": (36, 37), "current_on_open_path": (36, 37), "contactor_feedback": (38, 39)}


class DalyFront:
    """A `MessageTwin` for the far end of the host's serial line.

    Parameters
    ----------
    bms
        Whose values are told, and who is commanded.
    board
        Board number, from 1.
    all_slots
        Whether 0x95 is answered with 16 frames (48 slots), as some firmware does, or with as many as needed.
    turnaround_s
        From the last bit of a request to the first of the answer [s]; project default.

    Attributes
    ----------
    answers
        Command to function `(d0 to d7) -> data fields of the answer`.
    filters
        Functions `(command, frame) -> frame or None` on each finished 13-byte frame of an answer.
    """

    def __init__(
        self, bms: EmulatedBms, *, board: int = 1, all_slots: bool = False, turnaround_s: float = 0.01
    ) -> None:
        self._bms, self._board = bms, board
        self._all_slots, self._turnaround_s = all_slots, turnaround_s
        self._received = b""
        self._life = 0
        self._charge_on = self._discharge_on = False
        self.filters: list[Callable[[int, bytes], bytes | None]] = []
        self.answers: dict[int, Callable[[bytes], Iterable[bytes]]] = {
            0x00: self.restart,
            0x21: self.set_soc,
            0x50: self.rated,
            0x59: self.cell_levels,
            0x5A: self.pack_levels,
            0x5B: self.current_levels,
            0x5E: self.difference_levels,
            0x5F: self.balancing_levels,
            0x90: self.pack,
            0x91: self.cell_range,
            0x92: self.temperature_range,
            0x93: self.switches,
            0x94: self.status,
            0x95: self.cells,
            0x96: self.temperatures,
            0x97: self.balancing,
            0x98: self.failures,
            0xD9: self.set_discharge,
            0xDA: self.set_charge,
        }

    def handle(self, message: bytes) -> Reply | None:
        """Take bytes in, in any pieces; answer what is a request to this board. A dark BMS says nothing."""
        if not self._bms.powered or not self._bms.ready:
            self._received = b""
            return None
        told = b"".join(self._answer(command, data) for command, data in self._requests(message))
        return Reply(told, self._turnaround_s) if told else None

    def _requests(self, message: bytes) -> list[tuple[int, bytes]]:
        """The complete requests to this board in what was received; a beginning is kept."""
        received, found = self._received + message, []
        while (start := received.find(_START)) >= 0 and len(received) - start >= _FRAME:
            frame = received[start : start + _FRAME]
            good = frame[3] == _LENGTH and sum(frame[:12]) & 0xFF == frame[12]
            if good and frame[1] - self._board in _HOSTS:
                found.append((frame[2], frame[4:12]))
            received = received[start + (_FRAME if good else 1) :]
        self._received = received[start:] if start >= 0 else b""
        return found

    def _answer(self, command: int, data: bytes) -> bytes:
        answer = self.answers.get(command)
        return b"".join(self._framed(command, field) for field in answer(data)) if answer else b""

    def _framed(self, command: int, data: bytes) -> bytes:
        head = bytes((_START, self._board, command, _LENGTH)) + data.ljust(_LENGTH, b"\0")
        frame: bytes | None = head + bytes((sum(head) & 0xFF,))
        for change in self.filters:
            if frame is not None:
                frame = change(command, frame)
        return frame or b""

    def pack(self, _: bytes) -> list[bytes]:
        """0x90: pack voltage, nothing, current, state of charge."""
        readings = self._bms.readings
        current = _ZERO_CURRENT - round(readings.current_ma.value / 100)
        return [
            struct.pack(
                ">HHHH", _decivolt(readings.pack_mv.value), 0, _u16(current), self._bms.estimator.soc_permille
            )
        ]

    def cell_range(self, _: bytes) -> list[bytes]:
        """0x91: highest and lowest cell."""
        seen = self._bms.seen
        high, low = _u16(seen.highest_mv), _u16(seen.lowest_mv)
        return [
            struct.pack(">HBHB", high, (seen.highest_index + 1) & 0xFF, low, (seen.lowest_index + 1) & 0xFF)
        ]

    def temperature_range(self, _: bytes) -> list[bytes]:
        """0x92: hottest and coldest sensor."""
        seen = self._bms.seen
        hottest, coldest = _celsius(seen.hottest_ddegc), _celsius(seen.coldest_ddegc)
        return [bytes((hottest, (seen.hottest_index + 1) & 0xFF, coldest, (seen.coldest_index + 1) & 0xFF))]

    def switches(self, _: bytes) -> list[bytes]:
        """0x93: direction of the current, the two switches as they are, sign of life, remaining charge."""
        bms, feedback = self._bms, self._bms.readings.feedback.value
        current_ma = bms.readings.current_ma.value
        mode = 1 if current_ma > _IDLE_MA else 2 if current_ma < -_IDLE_MA else 0
        charge = feedback[MAIN_MINUS] and feedback[CHARGE]
        discharge = feedback[MAIN_MINUS] and feedback[MAIN_PLUS]
        self._life = (self._life + 1) & 0xFF
        return [struct.pack(">BBBBI", mode, charge, discharge, self._life, bms.estimator.remaining_mah)]

    def status(self, _: bytes) -> list[bytes]:
        """0x94: what there is."""
        bms = self._bms
        charger = bms.readings.charger_mv.value > bms.readings.pack_mv.value // 2
        cycles = _u16(bms.estimator.cycles_tenths // 10)
        sensors = len(bms.readings.temperature_ddegc.value)
        return [struct.pack(">BBBBBHB", bms.cells, sensors, charger, 0, 0, cycles, 0)]

    def cells(self, _: bytes) -> list[bytes]:
        """0x95: three cells a frame; a cell that cannot be read says 0."""
        cell_mv = [_u16(mv) for mv in self._bms.readings.cell_mv.value]
        number = 16 if self._all_slots else -(-len(cell_mv) // _SLOTS_PER_FRAME)
        cell_mv += [0] * (number * _SLOTS_PER_FRAME - len(cell_mv))
        return [struct.pack(">B3H", n + 1, *cell_mv[3 * n : 3 * n + 3]) for n in range(number)]

    def temperatures(self, _: bytes) -> list[bytes]:
        """0x96: seven sensors a frame."""
        degc = bytes(_celsius(ddegc) for ddegc in self._bms.readings.temperature_ddegc.value)
        starts = range(0, len(degc), _SENSORS_PER_FRAME)
        return [bytes((n + 1,)) + degc[at : at + _SENSORS_PER_FRAME] for n, at in enumerate(starts)]

    def balancing(self, _: bytes) -> list[bytes]:
        """0x97: a bit per cell that bleeds."""
        word = sum(1 << cell for cell, bleeds in enumerate(self._bms.outputs.bleed.value[:48]) if bleeds)
        return [word.to_bytes(6, "little")]

    def failures(self, _: bytes) -> list[bytes]:
        """0x98: a bit per alarm."""
        word = 0
        for name in self._bms.alarms:
            if name in _ALARM_BITS:
                word |= 1 << _ALARM_BITS[name]
            elif name in _SWITCH_BITS:
                charge, other = _SWITCH_BITS[name]
                word |= 1 << (charge if self._bms.protections[name].index == CHARGE else other)
        return [word.to_bytes(7, "little")]

    def rated(self, _: bytes) -> list[bytes]:
        """0x50: capacity and voltage of a cell."""
        pack = self._bms.profile.pack
        return [struct.pack(">II", round(pack.capacity_ah * 1000), round(pack.nominal_v * 1000 / pack.cells))]

    def cell_levels(self, _: bytes) -> list[bytes]:
        """0x59: overvoltage 1, 2, undervoltage 1, 2 of a cell."""
        return [struct.pack(">4H", *self._cell_trips_mv())]

    def pack_levels(self, _: bytes) -> list[bytes]:
        """0x5A: the same of the pack; this BMS looks at cells only, so it is their sum."""
        return [struct.pack(">4H", *(_decivolt(mv * self._bms.cells) for mv in self._cell_trips_mv()))]

    def current_levels(self, _: bytes) -> list[bytes]:
        """0x5B: discharge 1, 2, charge 1, 2, each as a current on the wire would be."""
        discharge = (self._trip("discharge_overcurrent_1"), self._trip("discharge_overcurrent_2"))
        charge = self._trip("charge_overcurrent")
        raw = [_u16(_ZERO_CURRENT + round(ma / 100)) for ma in (*discharge, -charge, -charge)]
        return [struct.pack(">4H", *raw)]

    def difference_levels(self, _: bytes) -> list[bytes]:
        """0x5E: spread of cells, twice, and of temperatures, twice."""
        cells, kelvin = self._trip("cell_imbalance"), self._trip("temperature_spread") // 10
        return [struct.pack(">HHBB", cells, cells, kelvin, kelvin)]

    def balancing_levels(self, _: bytes) -> list[bytes]:
        """0x5F: start of balancing, and the spread at which it starts."""
        declared = self._bms.profile.balancing
        return [struct.pack(">HH", round(declared.start_v * 1000), round(declared.start_spread_v * 1000))]

    def set_discharge(self, data: bytes) -> list[bytes]:
        """0xD9: the discharge switch."""
        self._forget_after_power_up()
        self._discharge_on = data[0] != 0
        return self._switched(data)

    def set_charge(self, data: bytes) -> list[bytes]:
        """0xDA: the charge switch."""
        self._forget_after_power_up()
        self._charge_on = data[0] != 0
        return self._switched(data)

    def set_soc(self, data: bytes) -> list[bytes]:
        """0x21: the state of charge in d6 and d7; the clock in d0 to d5 is left as it is."""
        estimator = self._bms.estimator
        permille = min(1000, int.from_bytes(data[6:8], "big"))
        estimator.charge_mams = permille * estimator.capacity_mah * _MS_PER_H // 1000
        return [data]

    def restart(self, data: bytes) -> list[bytes]:
        """0x00: clear what a reset may clear, and start again; locks stay. Daly has no other reset."""
        bms = self._bms
        bms.reset_faults()
        if not bms.memory_broken:
            bms.estimator.store(bms.memory)
        bms.power_up()
        return [data]

    def _forget_after_power_up(self) -> None:
        """Both switches are off after a power-up, and the firmware is told so: nothing closes by itself."""
        if self._bms.mode is None:
            self._charge_on = self._discharge_on = False
            self._bms.command(mode="standby")

    def _switched(self, data: bytes) -> list[bytes]:
        mode = "charge" if self._charge_on else "drive" if self._discharge_on else "standby"
        self._bms.command(mode=mode)
        return [bytes((data[0] != 0,))]

    def _trip(self, name: str) -> int:
        """Trip level in the firmware's unit; 0 if it has no such limit."""
        limit = self._bms.parameters.limits.get(name)
        return 0 if limit is None else limit.trip

    def _cell_trips_mv(self) -> list[int]:
        names = (
            "cell_overvoltage_warning",
            "cell_overvoltage",
            "cell_undervoltage_warning",
            "cell_undervoltage",
        )
        return [self._trip(name) for name in names]


def _u16(value: int) -> int:
    return min(max(value, 0), 0xFFFF)


def _decivolt(mv: int) -> int:
    return _u16((mv + 50) // 100)


def _celsius(ddegc: int) -> int:
    """Whole degrees with the offset of the wire; a lost sensor looks like -40 °C."""
    return 0 if ddegc == INVALID else min(max(round(ddegc / 10) + _ZERO_DEGC, 0), 0xFF)
