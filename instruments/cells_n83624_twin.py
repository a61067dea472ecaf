"""Twin of an NGI N83624: its SCPI, on the port for all channels and on the ports for one each.

Port 7000 is the communication board, 7001 to 7024 are the channels (guide, 4). On a channel's own port a
suffix that is left out is that channel, and another one is out of range (unverified). The guide has no query
of the error queue: `SYSTem:ERRor?` is offered for the bench's own checks, no driver here needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol, cast

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.cells_n83624_can_frames import CanFace
from instruments.cells_n83624_channels import Channels
from instruments.cells_n83624_data import ALL, CHANNELS, QUANTITIES, N83624Options
from instruments.cells_n83624_modbus_map import ModbusFace
from instruments.scpi import Command, Dialect, Interpreter
from instruments.scpi_parameters import ChannelList, Number, Text
from instruments.scpi_status import ScpiError
from instruments.terminals import CellTerminals

#: How long a factory reset takes [s] (guide, *RST: about 10 s).
RESET_S = 10.0
#: How much quicker a channel's own port is. Project default: the guide only recommends it for speed.
_OWN_PORT = 8
#: Messages without an answer that it still works off, so that nonsense does not silence it for long.
#: Project default.
_MOST_WAITING = 100
_IDENTIFICATION = "NGI,N83624,0,V1.00"
_IP = "192.168.0.123"

_LIST = ChannelList("channels")

_READINGS = {
    "MEASure<n>:VOLTage": "volts",
    "MEASure<n>:CURRent": "milliamperes",
    "MEASure<n>:POWer": "watts",
    "MEASure<n>:MAH": "mah",
    "MEASure<n>:Res": "milliohms",
    # Not in the guide; the public driver has it.
    "MEASure<n>:TEMPerature": "degc",
    "CHARge<n>:ECHO:VOLTage": "volts",
    "CHARge<n>:ECHO:Q": "mah",
    "OUTPut<n>:STATe": "state",
    "OUTPut<n>:EVENt": "event",
    "SOC<n>:RUN:STEP": "soc_step",
    "SOC<n>:RUN:Q": "soc_mah",
    "SOC<n>:OPEN:VOLTage": "soc_v",
    "SOC<n>:SIM:RES": "soc_mohm",
    "SEQuence<n>:RUN:STEP": "seq_step",
    "SEQuence<n>:RUN:CYCle": "seq_cycle",
    "SEQuence<n>:RUN:Time": "seq_s",
    "CFG<n>:CANID": "can_id",
    "CFG<n>:CANRate": "can_rate",
    "CFG<n>:EXTCanid": "can_number",
}

#: Headers that the guide spells in two ways, or its examples in another than its headings.
_ALSO = {
    "SEQuence<n>:EDIT:CYCle": "SEQuence<n>:EDIT:C",
    "SEQuence<n>:RUN:CYCle": "SEQuence<n>:RUN:C",
    "SEQuence<n>:RUN:Time": "SEQuence<n>:RUN:T",
}

_SYSTEM = (
    Command("SYSTem<n>:COMMand:LAN:IPADdr", "ip", (Text(_IP),), run="board"),
    Command(
        "SYSTem<n>:COMMand:SERial:BAUDrate",
        "baud",
        (Number("", 9600, 115200, 115200, integer=True),),
        run="board",
    ),
    Command("SYSTem<n>:COMMand:LAN:TYPe", "lan_type", (Number("", 0, 1, 0, integer=True),), run="board"),
    Command("SYSTem<n>:SOUNd", "sound", (Number("", 0, 1, 1, integer=True),), run="board"),
    Command("SYSTem<n>:LANGuage", "language", (Number("", 0, 1, 1, integer=True),), run="board"),
    Command("SYSTem<n>:POWDown:SAVe", "save", (Number("", 0, 1, 0, integer=True),), run="board"),
    Command("HMI:DISConnect:ENABle", "hmi", (Number("", 0, 1, 0, integer=True),)),
    Command("SYSTem:ERRor[:NEXT]", query="next_error"),
)


@cache
def _rows() -> tuple[Command, ...]:
    rows = []
    for quantity in QUANTITIES:
        number = Number(
            quantity.unit, quantity.minimum, quantity.maximum, quantity.default, integer=quantity.integer
        )
        for header in filter(None, (quantity.header, _ALSO.get(quantity.header))):
            bound = (quantity.program, quantity.name)
            rows.append(Command(header, "", (number, _LIST), 1, run="put", query="get", bound=bound))
    for header, name in _READINGS.items():
        for spelled in filter(None, (header, _ALSO.get(header))):
            rows.append(Command(spelled, query="read", bound=(name,)))
    return (*rows, *_SYSTEM)


def _number(value: float) -> str:
    return f"{value:.7g}"


@cache
def _dialect(own_channel: int) -> Dialect:
    return Dialect(
        commands=_rows(),
        number=_number,
        no_error='0,"No error"',
        missing_suffix=own_channel or 1,
        glued_lists=True,
        no_query=-115,
        no_command=-116,
    )


_ALLOWED = {(q.program, q.name): q.allowed for q in QUANTITIES}
_INTEGER = {(q.program, q.name): q.integer for q in QUANTITIES}


class ScpiFace:
    """What answers on one TCP port. A `MessageTwin`.

    Parameters
    ----------
    unit
        The device.
    own_channel
        The channel whose port it is, from 1; 0: the port for all.
    """

    identification = _IDENTIFICATION

    def __init__(self, unit: N83624Twin, own_channel: int = 0) -> None:
        self.channels = (own_channel,) if own_channel else ALL
        self._unit, self._channels = unit, unit.channels
        self._latency_s = unit.options.latency_s / (_OWN_PORT if own_channel else 1)
        self._told_until_ns = 0
        self.ieee488 = Interpreter(_dialect(own_channel), self)

    def handle(self, message: bytes) -> Reply | None:
        """Run one message; the answer ends with CR LF, and comes when what was told before is done.

        Answers follow one another on the wire by themselves; here are the messages that get none.
        """
        answer = self.ieee488.execute(message)
        now_ns = self._unit.clock.now_ns
        done_ns = max(now_ns, self._told_until_ns) + round(self._latency_s * 1e9)
        if answer is None:
            self._told_until_ns = min(done_ns, now_ns + round(_MOST_WAITING * self._latency_s * 1e9))
            return None
        self._told_until_ns = now_ns
        delay_s = (max(done_ns, self._unit.resetting_until_ns) - now_ns) / 1e9
        return Reply(answer[:-1] + b"\r\n", delay_s)

    def put(self, program: str, name: str, suffix: int, value: float, channels: tuple[int, ...] = ()) -> None:
        """Set one channel by the suffix of its header, or those of a list."""
        allowed = _ALLOWED[program, name]
        if allowed and value not in allowed:
            raise ScpiError(-224)
        chosen = channels or self._one(suffix)
        self._channels.put(program, name, [channel - 1 for channel in chosen], value)

    def get(self, program: str, name: str, suffix: int, channels: str = "") -> str:
        """Settings, one for each channel."""
        written: Callable[[float], str] = _number
        if _INTEGER[program, name]:
            written = lambda value: str(int(value))  # noqa: E731
        return ",".join(
            written(self._channels.get(program, name, k - 1)) for k in self._listed(suffix, channels)
        )

    def read(self, name: str, suffix: int, channels: str = "") -> str:
        """Readings, one for each channel."""
        return ",".join(_number(self._unit.reading(name, k - 1)) for k in self._listed(suffix, channels))

    def board(self, suffix: int, _: object) -> None:
        """Settings of the communication board; there is but one."""
        if suffix != 1 and len(self.channels) != 1:
            raise ScpiError(-114)

    def next_error(self) -> str:
        """The oldest error, or that there is none."""
        return self.ieee488.next_error()

    def reset(self) -> None:
        """Factory settings, which the unit is busy to store for a while."""
        self._unit.reset()

    def _listed(self, suffix: int, channels: str) -> tuple[int, ...]:
        return _LIST.read(channels, self) if channels else self._one(suffix)

    def _one(self, suffix: int) -> tuple[int, ...]:
        if suffix not in self.channels:
            raise ScpiError(-114)
        return (suffix,)


class N83624Terminal(Protocol):
    """What the unit touches."""

    cells: CellTerminals


class N83624Twin:
    """Device side: one unit with its connectors, which are one device.

    Parameters
    ----------
    terminal
        The cell terminals, or something with them as `cells`.
    clock
        Everything that takes time runs on it.
    options
        As the driver's.
    seed
        Of the errors.
    """

    def __init__(
        self,
        terminal: CellTerminals | N83624Terminal,
        *,
        clock: Clock,
        options: N83624Options,
        seed: int = 0,
    ) -> None:
        self.clock, self.options = clock, options
        cells = cast("CellTerminals", getattr(terminal, "cells", terminal))
        self.channels = Channels(cells, clock=clock, options=options, seed=seed)
        #: Until when a factory reset keeps it from answering [ns].
        self.resetting_until_ns = 0
        self.faces: dict[str, ScpiFace | ModbusFace | CanFace] = {
            "scpi": ScpiFace(self),
            **{f"scpi:{k}": ScpiFace(self, k) for k in ALL},
            "modbus": ModbusFace(self.channels, latency_s=options.latency_s / _OWN_PORT, reset=self.reset),
            "can": CanFace(self.channels),
        }

    def handle(self, message: bytes) -> Reply | None:
        """What the port for all channels answers."""
        face = self.faces["scpi"]
        assert isinstance(face, ScpiFace)
        return face.handle(message)

    def reset(self) -> None:
        """Factory settings."""
        self.channels.reset()
        self.resetting_until_ns = self.clock.now_ns + round(RESET_S * 1e9)

    def reading(self, name: str, channel: int) -> float:
        """One reading of one channel, in the unit of the wire."""
        channels = self.channels
        match name:
            case "volts":
                return channels.volts(channel)
            case "milliamperes":
                return channels.amperes(channel) * 1e3
            case "watts":
                return channels.volts(channel) * channels.amperes(channel)
            case "mah":
                return float(channels.capacity_mah[channel])
            case "milliohms":
                return channels.milliohms(channel)
            case "degc":
                return 25.0
            case "state":
                return float(channels.status(channel))
            case "event":
                return float(channels.read_event(channel))
            case "can_id":
                return float(CHANNELS * (self.options.device_number - 1) + channel + 1)
            case "can_rate":
                return float(self.options.bitrate)
            case "can_number":
                return float(self.options.device_number)
        return channels.running(name, channel)
