"""The project's own CAN dialect, both directions: `docs/reference/hd_can.md`, database `hd_can.dbc`.

Signals come from the database; what a database cannot say is here: the check over each frame, the key of the
service reset, how five frames make one log entry. `bench.dut` decides when to send and what to believe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from bench.errors import FrameInvalid
from dut_profiles.protocols.exchange import Exchange
from dut_profiles.protocols.signals import Field, Layout, Words, layouts

if TYPE_CHECKING:
    from cantools.database.can import Database

TITLE: Final = "hd_can: CAN 2.0A, 500 kbit/s, broadcast every 100 ms"
PROTOCOL: Final = "hd_can"
DBC: Final = Path(__file__).with_suffix(".dbc")

HOST_COMMAND, LOG_REQUEST, SERVICE_RESET = 0x200, 0x202, 0x203
PACK_STATE, PACK_VALUES, LIMITS, ALARM_FLAGS, CELL_EXTREMES = 0x300, 0x301, 0x302, 0x303, 0x304
TEMPERATURE_EXTREMES, INSULATION, POWER, COUNTERS = 0x305, 0x306, 0x307, 0x308
CELL_VOLTAGES, CELL_TEMPERATURES, LOG_ENTRY = 0x310, 0x311, 0x320

SERVICE_KEY: Final = bytes.fromhex("B51E5E471CE00F01")
STATES: Final = ("off", "standby", "precharge", "drive", "charge", "fault", "locked")
MODES: Final = {"standby": 1, "drive": 3, "charge": 4}
LOG_PARTS: Final = 5

#: In the order of their bits in 0x303, which are also the codes of the log.
ALARMS: Final = (
    "cell_overvoltage_warning", "cell_overvoltage", "cell_overvoltage_lock", "cell_undervoltage_warning",
    "cell_undervoltage", "cell_undervoltage_lock", "charge_overcurrent", "discharge_overcurrent_1",
    "discharge_overcurrent_2", "discharge_overcurrent_3", "short_circuit", "charge_overtemperature",
    "discharge_overtemperature", "overtemperature_lock", "charge_undertemperature",
    "discharge_undertemperature", "temperature_spread", "cell_imbalance", "insulation_warning",
    "insulation_fault", "open_sense_wire", "thermistor_fault", "sum_of_cells", "frozen_cell",
    "current_sensor", "contactor_feedback", "contactor_weld", "precharge_failed", "hvil_open",
    "host_timeout", "host_frame_rejected", "cooling_failure", "memory_fault", "afe_fault",
    "supply_undervoltage", "thermal_runaway", "balancing_fault", "current_on_open_path",
)  # fmt: skip
LOG_CODES: Final = dict(enumerate(ALARMS)) | {
    0xF0: "power_up", 0xF1: "mode_change", 0xF2: "reset", 0xF3: "power_lost",
}  # fmt: skip


def _table(polynomial: int) -> bytes:
    """CRC-8 of each byte value, most significant bit first."""
    found = []
    for value in range(256):
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value & 0x80 else 0)
        found.append(value & 0xFF)
    return bytes(found)


#: SAE J1850: polynomial 0x1D; initial value and final XOR are 0xFF.
_CRC: Final = _table(0x1D)
_CRC_ARRAY: Final = np.frombuffer(_CRC, dtype=np.uint8)
_COUNTER_SHIFT, _CRC_SHIFT = 52, 56


@cache
def database() -> Database:
    """The database, read once in a process."""
    import cantools.database

    found = cantools.database.load_file(DBC, strict=True)
    assert isinstance(found, cantools.database.Database)
    return found


@cache
def messages() -> Mapping[int, Layout]:
    """Every message as a table of fields, by identifier."""
    return layouts(database().messages)


def is_protected(can_id: int) -> bool:
    """Whether frames of this identifier end with a counter and a check."""
    return "crc" in messages()[can_id].fields


def crc(can_id: int, data: bytes) -> int:
    """The check over identifier and data bytes 0 to 6."""
    found = _CRC[_CRC[0xFF ^ can_id & 0xFF] ^ can_id >> 8]
    for byte in data[:7]:
        found = _CRC[found ^ byte]
    return found ^ 0xFF


def crc_matches(can_id: NDArray[np.uint16], data: Words) -> NDArray[np.bool_]:
    """Whether the check of each frame is right, shape (frames,)."""
    octets = data.view(np.uint8).reshape(-1, 8)
    found = _CRC_ARRAY[_CRC_ARRAY[0xFF ^ (can_id & 0xFF)] ^ (can_id >> 8)]
    for index in range(7):
        found = _CRC_ARRAY[found ^ octets[:, index]]
    right: NDArray[np.bool_] = (found ^ 0xFF) == octets[:, 7]
    return right


def counters(data: Words) -> NDArray[np.uint8]:
    """The rolling counter of each protected frame, shape (frames,)."""
    return ((data >> np.uint64(_COUNTER_SHIFT)) & np.uint64(0xF)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Message:
    """One frame as signals.

    `values` are in units of the database, None where not available; `counter` is None where there is none.
    """

    can_id: int
    name: str
    values: Mapping[str, float | None]
    counter: int | None = None


def build(can_id: int, values: Mapping[str, float | None], *, counter: int | None = None) -> bytes:
    """The data field of one frame.

    Parameters
    ----------
    can_id
        An identifier of the database.
    values
        By signal name, in the units of the database; None: not available; left out: 0.
    counter
        0 to 15 on protected messages, None on the others.

    Raises
    ------
    FrameInvalid
        If there is no such message or signal, or a value does not fit.
    """
    layout = _layout(can_id, b"")
    unknown = [name for name in values if name not in layout.fields]
    if unknown or is_protected(can_id) != (counter is not None):
        wanted = f"signals of {layout.name}{' and a counter' if is_protected(can_id) else ' and no counter'}"
        raise FrameInvalid(PROTOCOL, b"", expected=wanted, found=f"{unknown or ''} counter {counter}")
    data = layout.encode(values).to_bytes(8, "little")
    return data if counter is None else protect(can_id, data, counter)


def protect(can_id: int, data: bytes, counter: int) -> bytes:
    """`data` with `counter` and check put in."""
    head = bytes((*data[:6], data[6] & 0x0F | (counter & 0xF) << 4))
    return bytes((*head, crc(can_id, head)))


def parse(can_id: int, data: bytes) -> Message:
    """Check one frame and read its signals.

    Raises
    ------
    FrameInvalid
        If the identifier or the group is unknown, the length is not 8 or the check is wrong.
    """
    layout = _layout(can_id, data)
    if len(data) != 8:
        raise FrameInvalid(PROTOCOL, data, expected="8 bytes", found=str(len(data)))
    if is_protected(can_id) and data[7] != (right := crc(can_id, data)):
        raise FrameInvalid(PROTOCOL, data, expected=f"crc 0x{right:02X}", found=f"0x{data[7]:02X}")
    if can_id == SERVICE_RESET and data != SERVICE_KEY:
        raise FrameInvalid(PROTOCOL, data, expected=f"the key {SERVICE_KEY.hex(' ')}", found=data.hex(" "))
    word = int.from_bytes(data, "little")
    present = layout.present(word)
    if layout.multiplexor and not any(field.mux for field in present):
        found = str(layout.multiplexor.raw(word))
        raise FrameInvalid(PROTOCOL, data, expected=f"a known {layout.multiplexor.name}", found=found)
    values = {field.name: _known(field, word) for field in present if field.name not in ("counter", "crc")}
    counter = layout.fields["counter"].raw(word) if "counter" in layout.fields else None
    return Message(can_id, layout.name, values, counter)


def _known(field: Field, word: int) -> float | None:
    value = field.value(word)
    return None if value != value else value


def _layout(can_id: int, data: bytes) -> Layout:
    layout = messages().get(can_id)
    if layout is None:
        raise FrameInvalid(PROTOCOL, data, expected="an identifier of hd_can.dbc", found=f"0x{can_id:X}")
    return layout


def host_command(
    mode: str, *, counter: int, reset_fault: bool = False, balancing_enable: bool = True
) -> bytes:
    """HostCommand: the mode that the vehicle wants; sent every 100 ms."""
    word = MODES[mode] | reset_fault << 4 | balancing_enable << 5
    return protect(HOST_COMMAND, word.to_bytes(8, "little"), counter)


def log_request(*, first: int, number: int) -> bytes:
    """LogRequest: `number` entries from `first` on; 0 is the oldest kept."""
    return bytes((first, number, 0, 0, 0, 0, 0, 0))


def log_entry(parts: Sequence[bytes]) -> dict[str, float | None]:
    """The five frames of one log entry, in any order, as one table of signals.

    Raises
    ------
    FrameInvalid
        If a part is missing or belongs to another entry.
    """
    found = [parse(LOG_ENTRY, data).values for data in parts]
    entry: dict[str, float | None] = {name: value for values in found for name, value in values.items()}
    given = sorted((values["part"], values["entry"]) for values in found)
    if given != [(part, entry.get("entry")) for part in range(LOG_PARTS)]:
        raise FrameInvalid(PROTOCOL, b"".join(parts), expected="parts 0 to 4 of one entry", found=str(given))
    return entry


_SI: Final = {
    "V": ("_v", 1.0), "mV": ("_v", 1e-3), "A": ("_a", 1.0), "%": ("", 0.01), "kohm": ("_ohm", 1e3),
    "degC": ("_degc", 1.0), "W": ("_w", 1.0), "Ah": ("_ah", 1.0), "ms": ("_s", 1e-3), "": ("", 1.0),
}  # fmt: skip


def decode(data: bytes, *, can_id: int | None = None) -> dict[str, object]:
    """One frame in SI units, see `dut_profiles.protocols.Dialect`."""
    if can_id is None:
        raise FrameInvalid(PROTOCOL, data, expected="the identifier of the frame (--id 0x301)", found="none")
    message = parse(can_id, data)
    host = can_id < PACK_STATE
    told: dict[str, object] = {
        "protocol": PROTOCOL,
        "can_id": f"0x{can_id:03X}",
        "message": message.name,
        "direction": "host->bms" if host else "bms->bus",
    }
    if can_id == ALARM_FLAGS:
        told["alarms"] = [name for name in ALARMS if message.values[name]]
    elif can_id in (CELL_VOLTAGES, CELL_TEMPERATURES):
        told |= _group(message)
    else:
        told |= dict(_told(message.name, name, value) for name, value in message.values.items())
    return told if message.counter is None else told | {"counter": message.counter}


def _group(message: Message) -> dict[str, object]:
    """A multiplexed frame as lists, with the index of the first channel."""
    lists: dict[str, list[object]] = {}
    for name, value in message.values.items():
        key, item = _told(message.name, name, value)
        kind = {"_bleeds": "bleeds", "_v": "cell_voltages_v", "_degc": "temperatures_degc"}
        found = next((plural for suffix, plural in kind.items() if key.endswith(suffix)), None)
        if found:
            lists.setdefault(found, []).append(item)
    group = int(message.values["group"] or 0)
    return {"group": group, "first": 3 * group, **lists}


def _told(message: str, name: str, value: float | None) -> tuple[str, object]:
    """One signal with its unit in its name; choices by name, single bits as truth values."""
    signal = database().get_message_by_name(message).get_signal_by_name(name)
    suffix, factor = _SI[signal.unit or ""]
    key = f"{name.removesuffix('_v')}_voltage{suffix}" if signal.unit == "V" else f"{name}{suffix}"
    if value is None:
        return key, None
    choices: Mapping[int, object] = signal.choices or {}
    choice = choices.get(round(value))
    if choice is not None and not signal.unit:
        return key, str(choice)
    if signal.length == 1:
        return key, bool(value)
    return key, round(value * factor, 9) if signal.unit or value % 1 else int(value)


_DOC: Final = "docs/reference/hd_can.md"


def _frame(can_id: int, hexadecimal: str, **means: object) -> Exchange:
    """A frame put together by hand from the reference page; checks by the bitwise definition of the CRC."""
    data, found = bytes.fromhex(hexadecimal), tuple(means.items())
    if can_id < PACK_STATE:
        return Exchange(data, None, _DOC, "manual", can_id=can_id, means=found)
    return Exchange(b"", data, _DOC, "manual", can_id=can_id, means=found)


EXCHANGES: Final = (
    _frame(0x200, "23 00 00 00 00 00 50 94", mode="drive", reset_fault=False,
           balancing_enable=True, counter=5),
    _frame(0x202, "0A 05 00 00 00 00 00 00", first=10, number=5),
    _frame(0x203, "B5 1E 5E 47 1C E0 0F 01", message="ServiceReset"),
    _frame(0x300, "33 70 F4 FD FF 0F 00 CA", state="drive", main_minus=True, charge=False, soc=0.5, soh=None,
           fault_index=None, hvil_closed=True, counter=0),
    _frame(0x301, "F0 1E C7 CF 8F E7 31 06", pack_voltage_v=79.2, current_a=-123.45, link_voltage_v=78.0),
    _frame(0x303, "02 00 00 00 20 00 10 75", alarms=["cell_overvoltage", "current_on_open_path"]),
    _frame(0x310, "07 E5 CC 9C FD 7F F1 CD", first=21, cell_voltages_v=[3.301, 3.302, None],
           bleeds=[False, True, False]),
    _frame(0x311, "01 C9 DF 0F 00 08 20 9C", first=3, temperatures_degc=[-5.5, 25.3, None]),
    _frame(0x320, "01 02 39 30 00 00 00 00", entry=2, time_s=12.345),
    _frame(0x320, "02 02 C7 CF FF F0 1E 64", current_a=-123.45, pack_voltage_v=79.2, soc=0.5),
)  # fmt: skip
