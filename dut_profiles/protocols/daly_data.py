"""The eight data bytes of Daly's commands, which its UART, RS-485 and CAN frames have in common.

Numbers are big-endian. On the wire a discharge is positive; here a charge is. Cells, sensors and frames are
numbered from 1 on the wire, and so are the fields called `..._number`; lists start with the first.

Source: dreadnought/python-daly-bms (dalybms/daly_bms.py; dalybms/error_codes.py: alarm bits as in Daly's
"Part 4, RS485+UART protocol"), jblance/mpp-solar (mppsolar/protocols/daly.py), ai-republic/bms-to-inverter
(DalyMessageHandler: 0x50, 0x5A, 0x5B; DalyCommand: 0x21). The layouts of 0x59, 0x5E and 0x5F, and the sign
of the charge current in 0x5B, are unverified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.errors import FrameInvalid

DATA_LENGTH: Final = 8
CELL_SLOTS, SENSOR_SLOTS, CELLS_PER_FRAME, SENSORS_PER_FRAME = 48, 16, 3, 7

PACK, CELL_RANGE, TEMPERATURE_RANGE, MOS, STATUS = 0x90, 0x91, 0x92, 0x93, 0x94
CELLS, TEMPERATURES, BALANCING, FAILURES = 0x95, 0x96, 0x97, 0x98
RATED, CELL_LEVELS, PACK_LEVELS, CURRENT_LEVELS, DIFFERENCE_LEVELS, BALANCING_LEVELS = (
    0x50, 0x59, 0x5A, 0x5B, 0x5E, 0x5F,
)  # fmt: skip
RESET, SET_SOC, DISCHARGE_FET, CHARGE_FET = 0x00, 0x21, 0xD9, 0xDA

MODES: Final = ("idle", "charge", "discharge")
DIGITAL_IO: Final = ("DI1", "DI2", "DI3", "DI4", "DO1", "DO2", "DO3", "DO4")


@dataclass(frozen=True, slots=True)
class Field:
    """A number in d0 to d7: value = (raw - bias) * scale. A scale of 0 means a truth value."""

    name: str
    offset: int
    size: int
    scale: float = 1.0
    bias: int = 0

    def read(self, data: bytes) -> float | int | bool:
        """The value in the eight bytes `data`."""
        raw = int.from_bytes(data[self.offset : self.offset + self.size], "big")
        if self.scale == 0:
            return raw != 0
        # Decimal digits as on the wire: 532 * 0.1 is 53.2, not 53.2000000007.
        return round((raw - self.bias) * self.scale, 6) if self.scale != 1 else raw - self.bias

    def write(self, data: bytearray, value: float) -> None:
        """Put `value` into the eight bytes `data`; held at the end of its range, as firmware does."""
        raw = int(bool(value)) if self.scale == 0 else round(value / self.scale) + self.bias
        raw = min(max(raw, 0), (1 << 8 * self.size) - 1)
        data[self.offset : self.offset + self.size] = raw.to_bytes(self.size, "big")


def _levels(what: str, unit: str, scale: float) -> tuple[Field, ...]:
    names = (f"{what}_{side}voltage_{level}_{unit}" for side in ("over", "under") for level in (1, 2))
    return tuple(Field(name, 2 * index, 2, scale) for index, name in enumerate(names))


#: Replies of one frame. 0x95 to 0x98 are lists, see below.
FIELDS: Final[Mapping[int, tuple[Field, ...]]] = {
    PACK: (
        Field("pack_voltage_v", 0, 2, 0.1),
        Field("acquisition_voltage_v", 2, 2, 0.1),
        Field("current_a", 4, 2, -0.1, 30000),
        Field("soc", 6, 2, 0.001),
    ),
    CELL_RANGE: (
        Field("max_cell_voltage_v", 0, 2, 0.001),
        Field("max_cell_number", 2, 1),
        Field("min_cell_voltage_v", 3, 2, 0.001),
        Field("min_cell_number", 5, 1),
    ),
    TEMPERATURE_RANGE: (
        Field("max_temperature_degc", 0, 1, bias=40),
        Field("max_temperature_number", 1, 1),
        Field("min_temperature_degc", 2, 1, bias=40),
        Field("min_temperature_number", 3, 1),
    ),
    MOS: (
        Field("mode", 0, 1),
        Field("charge_fet", 1, 1, 0),
        Field("discharge_fet", 2, 1, 0),
        Field("bms_life", 3, 1),
        Field("remaining_ah", 4, 4, 0.001),
    ),
    STATUS: (
        Field("cells", 0, 1),
        Field("temperature_sensors", 1, 1),
        Field("charger_connected", 2, 1, 0),
        Field("load_connected", 3, 1, 0),
        Field("digital_io", 4, 1),
        Field("cycles", 5, 2),
    ),
    RATED: (Field("rated_capacity_ah", 0, 4, 0.001), Field("rated_cell_voltage_v", 4, 4, 0.001)),
    CELL_LEVELS: _levels("cell", "v", 0.001),
    PACK_LEVELS: _levels("pack", "v", 0.1),
    CURRENT_LEVELS: (
        Field("discharge_overcurrent_1_a", 0, 2, 0.1, 30000),
        Field("discharge_overcurrent_2_a", 2, 2, 0.1, 30000),
        Field("charge_overcurrent_1_a", 4, 2, -0.1, 30000),
        Field("charge_overcurrent_2_a", 6, 2, -0.1, 30000),
    ),
    DIFFERENCE_LEVELS: (
        Field("cell_difference_1_v", 0, 2, 0.001),
        Field("cell_difference_2_v", 2, 2, 0.001),
        Field("temperature_difference_1_k", 4, 1),
        Field("temperature_difference_2_k", 5, 1),
    ),
    BALANCING_LEVELS: (
        Field("balancing_start_voltage_v", 0, 2, 0.001),
        Field("balancing_difference_v", 2, 2, 0.001),
    ),
    DISCHARGE_FET: (Field("discharge_fet", 0, 1, 0),),
    CHARGE_FET: (Field("charge_fet", 0, 1, 0),),
}

#: Requests that carry something; the data of all others is ignored.
REQUEST_FIELDS: Final[Mapping[int, tuple[Field, ...]]] = {
    DISCHARGE_FET: FIELDS[DISCHARGE_FET],
    CHARGE_FET: FIELDS[CHARGE_FET],
    # Bytes 0 to 5 are year, month, day, hour, minute, second of the clock of the BMS.
    SET_SOC: (Field("soc", 6, 2, 0.001),),
}


def _both_levels(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}_{level}" for name in names for level in (1, 2))


#: Bits of 0x98, byte 0 bit 0 first. Level 1 warns, level 2 protects.
ALARMS: Final = (
    *_both_levels("cell_overvoltage", "cell_undervoltage", "pack_overvoltage", "pack_undervoltage"),
    *_both_levels("charge_overtemperature", "charge_undertemperature"),
    *_both_levels("discharge_overtemperature", "discharge_undertemperature"),
    *_both_levels("charge_overcurrent", "discharge_overcurrent", "soc_high", "soc_low"),
    *_both_levels("cell_difference", "temperature_difference"),
    *(f"reserved_{bit}" for bit in range(28, 32)),
    "charge_mos_overtemperature", "discharge_mos_overtemperature",
    "charge_mos_sensor", "discharge_mos_sensor", "charge_mos_stuck_closed",
    "discharge_mos_stuck_closed", "charge_mos_stuck_open", "discharge_mos_stuck_open",
    "afe_fault", "cell_wire_lost", "cell_sensor_fault", "eeprom_fault",
    "rtc_fault", "precharge_failed", "vehicle_communication", "internal_communication",
    "current_module", "pack_voltage_module", "short_circuit", "undervoltage_forbids_charge",
    *(f"reserved_{bit}" for bit in range(52, 56)),
)  # fmt: skip


def pack(fields: Iterable[Field], values: Mapping[str, float], *, fill: int = 0) -> bytes:
    """Eight bytes with `values` in them; all else is `fill`.

    Raises
    ------
    FrameInvalid
        If there is no field of that name.
    """
    data = bytearray([fill] * DATA_LENGTH)
    known = {field.name: field for field in fields}
    for name, value in values.items():
        if name not in known:
            raise FrameInvalid("daly", b"", expected=f"one of {', '.join(known) or 'nothing'}", found=name)
        known[name].write(data, value)
    return bytes(data)


def read(fields: Iterable[Field], data: bytes) -> dict[str, float | int | bool]:
    """The values in eight bytes, by name."""
    return {field.name: field.read(data) for field in fields}


def pack_cells(voltage_v: Sequence[float], *, frames: int | None = None) -> list[bytes]:
    """0x95: as many data fields as the cells [V] need, or `frames` (16 where firmware sends all 48 slots)."""
    raw = [min(max(round(v * 1000), 0), 0xFFFF) for v in voltage_v]
    threes = _numbered(raw, CELLS_PER_FRAME, frames)
    return [bytes((number, *b"".join(mv.to_bytes(2, "big") for mv in three), 0)) for number, three in threes]


def pack_temperatures(temperature_degc: Sequence[float], *, frames: int | None = None) -> list[bytes]:
    """0x96: as many data fields as the sensors [°C] need, or `frames` of them."""
    raw = [min(max(round(t) + 40, 0), 0xFF) for t in temperature_degc]
    return [bytes((number, *seven)) for number, seven in _numbered(raw, SENSORS_PER_FRAME, frames)]


def _numbered(raw: list[int], each: int, frames: int | None) -> list[tuple[int, list[int]]]:
    """`raw` in groups of `each`, padded with 0, with frame numbers from 1."""
    number = frames or -(-len(raw) // each)
    padded = raw + [0] * (number * each - len(raw))
    return [(index + 1, padded[each * index : each * (index + 1)]) for index in range(number)]


def pack_bits(bits: Iterable[int], *, code: int = 0) -> bytes:
    """0x97 (bit per bleeding cell, from 0) or 0x98 (bit per alarm as in `ALARMS`, and the fault code)."""
    return sum(1 << bit for bit in set(bits)).to_bytes(7, "little") + bytes((code,))


def cell_voltages(data: Sequence[bytes], *, cells: int | None = None) -> list[float]:
    """Voltages [V] in the data of consecutive 0x95 frames, lowest cell first.

    Parameters
    ----------
    data
        Eight bytes each, in order; byte 0 is the frame number.
    cells
        How many there are (0x94 says it); None: up to the last slot that is not 0.

    Raises
    ------
    FrameInvalid
        If a frame is missing or out of order, or there are fewer slots than `cells`.
    """
    _check_numbers(data)
    raw = [int.from_bytes(field[at : at + 2], "big") for field in data for at in (1, 3, 5)]
    return [mv / 1000 for mv in _used(raw, cells, data)]


def temperatures(data: Sequence[bytes], *, sensors: int | None = None) -> list[float]:
    """Temperatures [°C] in the data of consecutive 0x96 frames, as `cell_voltages`.

    Without `sensors` a last sensor at -40 °C cannot be told from an unused slot, and is left out.
    """
    _check_numbers(data)
    return [float(raw - 40) for raw in _used([raw for field in data for raw in field[1:]], sensors, data)]


def set_bits(data: bytes) -> list[int]:
    """Numbers of the bits that are set in d0 to d6, lowest bit of d0 first."""
    word = int.from_bytes(data[:7], "little")
    return [bit for bit in range(56) if word >> bit & 1]


def _check_numbers(data: Sequence[bytes]) -> None:
    numbers = [field[0] for field in data]
    most = CELL_SLOTS // CELLS_PER_FRAME
    if (
        not numbers
        or not 1 <= numbers[0] <= numbers[-1] <= most
        or set(map(int.__sub__, numbers[1:], numbers)) - {1}
    ):
        wanted = f"frame numbers that follow each other, 1 to {most}"
        raise FrameInvalid("daly", b"".join(data), expected=wanted, found=str(numbers))


def _used(raw: list[int], number: int | None, data: Sequence[bytes]) -> list[int]:
    if number is None:
        number = max((index + 1 for index, value in enumerate(raw) if value), default=0)
    if len(raw) < number:
        raise FrameInvalid("daly", b"".join(data), expected=f"{number} values", found=f"{len(raw)} slots")
    return raw[:number]


def explain(command: int, data: Sequence[bytes], *, from_host: bool) -> dict[str, object]:
    """What the data fields of one command say, ready for JSON.

    Raises
    ------
    FrameInvalid
        If frames of a list are missing or out of order.
    """
    first = data[0]
    if from_host:
        return dict(read(REQUEST_FIELDS.get(command, ()), first))
    if command == CELLS:
        start, slots = CELLS_PER_FRAME * (first[0] - 1), CELLS_PER_FRAME * len(data)
        return {"first_cell": start, "cell_slots": slots, "cell_voltages_v": cell_voltages(data)}
    if command == TEMPERATURES:
        return {"temperatures_degc": temperatures(data)}
    if command == BALANCING:
        return {"bleeds": [bit in set_bits(first) for bit in range(CELL_SLOTS)]}
    if command == FAILURES:
        return {"alarms": [ALARMS[bit] for bit in set_bits(first)], "fault_code": first[7]}
    told: dict[str, object] = dict(read(FIELDS.get(command, ()), data[-1]))
    if command == MOS:
        told["mode_name"] = MODES[first[0]] if first[0] < len(MODES) else "unknown"
    if command == STATUS:
        told["digital_io"] = [name for bit, name in enumerate(DIGITAL_IO) if first[4] >> bit & 1]
    return told or {"data": first.hex(" ")}
