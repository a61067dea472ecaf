"""What the NGI N83624 is: options, quantities with their spellings, status bits, relays, accuracy.

Sources: "N83624 Series Programming Guide", SCPI protocol, V20240130 (NGI), for every header, unit and status
bit; its Modbus and CAN-DBC companions (V20240130, V20230904) for registers. The guides give no ratings in
numbers: 6 V and 5000 mA are those of the public driver ami3go/NGI-N83624-Battery-simulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from instruments.accuracy import Accuracy, Band

CHANNELS = 24
ALL = tuple(range(1, CHANNELS + 1))
RATED_V, RATED_A = 6.0, 5.0

SOURCE, CHARGE, SOC, SEQUENCE = 0, 1, 3, 128
HIGH_RANGE, LOW_RANGE, AUTO_RANGE = 0, 2, 3
#: Full scale of the low current range [A]. Project default: no source seen.
LOW_RANGE_A = 1e-3

#: What the fault relays can be told (guide, 6.10), and what that does to the output.
NORMAL, OPEN_POSITIVE, OPEN_NEGATIVE, SHORT, REVERSE = 0, 1, 4, 8, 96
RELAYS = {"open": OPEN_POSITIVE, "short": SHORT, "reverse": REVERSE}

_NOT_SEEN = "no source seen: project default"
ACCURACY = {
    "cell_v": Accuracy("V", (Band(RATED_V, 1e-4, 1e-4),), _NOT_SEEN, "unverified"),
    "cell_a": Accuracy(
        "A", (Band(LOW_RANGE_A, 1e-3, 1e-3), Band(RATED_A, 5e-4, 5e-4)), _NOT_SEEN, "unverified"
    ),
}


class State(IntFlag):
    """Bits of `OUTPut:STATe?` and `OUTPut:EVENt?` (guide, 6.3)."""

    ON = 1
    OVER_VOLTAGE = 2
    OVER_CURRENT = 4
    OVER_POWER = 8
    OVER_TEMPERATURE = 16
    #: A fault relay was told to move while there was voltage or current at the port.
    RELAY_LIVE = 32
    #: A fault relay was told to move in another mode than source.
    RELAY_MODE = 64


RANGE_SHIFT = 16

PROTECTIONS = State.OVER_VOLTAGE | State.OVER_CURRENT | State.OVER_POWER | State.OVER_TEMPERATURE


@dataclass(frozen=True, slots=True)
class Quantity:
    """One setting of a channel: header, unit on the wire, what it takes.

    `program` says in which program of the channel it is kept ("soc", "seq"; "" is the channel itself), and
    `of_step` that it belongs to the step under editing.
    """

    name: str
    header: str
    unit: str
    minimum: float
    maximum: float
    integer: bool = False
    allowed: tuple[int, ...] = ()
    program: str = ""
    of_step: bool = False
    default: float = 0.0


def _volts(name: str, header: str, program: str = "") -> Quantity:
    return Quantity(name, header, "V", 0.0, RATED_V, program=program, of_step=bool(program))


def _milliamperes(name: str, header: str, program: str = "") -> Quantity:
    return Quantity(name, header, "mA", 0.0, RATED_A * 1e3, program=program, of_step=bool(program))


def _milliohms(name: str, header: str, program: str = "") -> Quantity:
    # The guide prints MIN to MAX; 100 is what the public driver allows.
    return Quantity(name, header, "mOhm", 0.0, 100.0, program=program, of_step=bool(program))


def _whole(name: str, header: str, low: int, high: int, **how: object) -> Quantity:
    return Quantity(name, header, "", low, high, integer=True, **how)  # type: ignore[arg-type]


QUANTITIES = (
    _whole("mode", "OUTPut<n>:MODE", 0, 128, allowed=(SOURCE, CHARGE, SOC, SEQUENCE)),
    _whole("on", "OUTPut<n>:ONOFF", 0, 1),
    _whole("dwell_us", "OUTPut<n>:ONDWell", 0, 0xFFFFFFFE),
    _volts("source_v", "SOURce<n>:VOLTage"),
    _milliamperes("source_ma", "SOURce<n>:OUTCURRent"),
    _whole("range", "SOURce<n>:RANGe", 0, 3, allowed=(HIGH_RANGE, LOW_RANGE, AUTO_RANGE)),
    _volts("charge_v", "CHARge<n>:VOLTage"),
    _milliamperes("charge_ma", "CHARge<n>:OUTCURRent"),
    _milliohms("charge_mohm", "CHARge<n>:Res"),
    _whole("sampling", "MEASure<n>:CAPRate", 0, 2, default=1),
    _volts("ovp_v", "PRO<n>:VOLTage"),
    _milliamperes("ocp_ma", "PRO<n>:CURRent"),
    Quantity("opp_mw", "PRO<n>:POWEr", "mW", 0.0, RATED_V * RATED_A * 1e3),
    _whole(
        "relay", "FAULt<n>:SIMUlate", 0, 96, allowed=(NORMAL, OPEN_POSITIVE, OPEN_NEGATIVE, SHORT, REVERSE)
    ),
    _whole("upload_ms", "CFG<n>:UPTime", 0, 0xFFFFFFFF),
    _whole("file", "SOC<n>:EDIT:FILE", 1, 8, program="soc", default=1),
    _whole("length", "SOC<n>:EDIT:LENGth", 0, 200, program="soc"),
    _whole("step", "SOC<n>:EDIT:STEP", 1, 200, program="soc", default=1),
    _volts("voltage_v", "SOC<n>:EDIT:VOLTage", "soc"),
    _milliamperes("current_ma", "SOC<n>:EDIT:OUTCURRent", "soc"),
    _milliohms("resistance_mohm", "SOC<n>:EDIT:Res", "soc"),
    Quantity("capacity_mah", "SOC<n>:EDIT:Q", "mAh", 0.0, 1e9, program="soc", of_step=True),
    Quantity("start_v", "SOC<n>:EDIT:SVOLtage", "V", 0.0, RATED_V, program="soc"),
    _whole("file", "SEQuence<n>:EDIT:FILE", 1, 10, program="seq", default=1),
    _whole("length", "SEQuence<n>:EDIT:LENGth", 0, 200, program="seq"),
    _whole("step", "SEQuence<n>:EDIT:STEP", 1, 200, program="seq", default=1),
    _whole("cycles", "SEQuence<n>:EDIT:CYCle", 0, 100, program="seq"),
    _volts("voltage_v", "SEQuence<n>:EDIT:VOLTage", "seq"),
    _milliamperes("current_ma", "SEQuence<n>:EDIT:OUTCURRent", "seq"),
    _milliohms("resistance_mohm", "SEQuence<n>:EDIT:Res", "seq"),
    Quantity("duration_s", "SEQuence<n>:EDIT:RUNTime", "s", 0.0, 1e9, program="seq", of_step=True),
    _whole("link_start", "SEQuence<n>:EDIT:LINKStart", -1, 200, program="seq", of_step=True, default=-1),
    _whole("link_end", "SEQuence<n>:EDIT:LINKEnd", -1, 200, program="seq", of_step=True, default=-1),
    _whole("link_cycles", "SEQuence<n>:EDIT:LINKCycle", 0, 100, program="seq", of_step=True),
    _whole("run_file", "SEQuence<n>:RUN:FILE", 1, 10, program="seq", default=1),
)


class N83624Options(BaseModel):
    """The `[roles.<name>.options]` table of one N83624, whichever connector is used.

    Parameters
    ----------
    cells
        Channels in use, from channel 1 on.
    first_cell
        Cell of the stack, from 0, that channel 1 feeds.
    rated_v, rated_a
        Of a channel [V], [A].
    current_limit_a
        Limit of every channel [A]; what the station allows, if that is less.
    ovp_margin
        Over-voltage protection trips at this times `max_v`. Project default.
    sample_s
        How often the driver asks for voltages and currents [s]; on CAN, how often the unit uploads them.
    discharge_s
        After an output was switched off, its fault relays may move this much later [s]. Project default.
    hot_switching
        Whether a fault may be put in while the channels hold voltage. The driver then takes the whole unit
        off, moves the relay, and brings it back with the fault in. False: whoever asks switches off first.
    latency_s
        What the unit takes for one message to all channels [s]; an eighth of it to one channel's own port.
        Project default: public drivers leave 0.25 to 1 s between two commands, a user's measured mean is
        below 0.1 s.
    device_number
        Of the unit on its CAN bus.
    bitrate
        Of its CAN bus [bit/s]; 250 kbit/s from the factory (guide, *RST).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cells: Annotated[int, Field(ge=1, le=CHANNELS)] = CHANNELS
    first_cell: Annotated[int, Field(ge=0)] = 0
    rated_v: Annotated[float, Field(gt=0, le=RATED_V)] = RATED_V
    rated_a: Annotated[float, Field(gt=0, le=RATED_A)] = RATED_A
    current_limit_a: Annotated[float, Field(gt=0, le=RATED_A)] = RATED_A
    ovp_margin: Annotated[float, Field(gt=1.0)] = 1.05
    sample_s: Annotated[float, Field(ge=0.06)] = 0.1
    discharge_s: Annotated[float, Field(ge=0)] = 0.3
    hot_switching: bool = False
    latency_s: Annotated[float, Field(ge=0)] = 0.02
    device_number: Annotated[int, Field(ge=1, le=10)] = 1
    bitrate: Annotated[int, Field(gt=0)] = 250_000
    baud: Annotated[int, Field(gt=0)] = 115_200
