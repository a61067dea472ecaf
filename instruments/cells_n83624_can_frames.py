"""The N83624 on CAN: identifiers, scales, and the twin's end of the bus.

29 bits: direction in bit 28, channel from bit 16 on, register below; the channel of unit N is 24 (N - 1) + 1
to 24 N. Uploaded by the unit: register 1 (state and event), 3 (voltage in 1e-5 V and current in 1e-5 mA,
signed), 5 (power and capacity). Obeyed: 20 (voltage in 1e-6 V), 21 (current limit in 1e-6 mA), 10 (on or
off), 113 (upload period in ms, 0 for none). Source: CAN-DBC guide V20230904. Not seen in it, hence
unverified: that 1 is the direction from the unit, that words are little-endian, the scales of register 5.
"""

from __future__ import annotations

import struct

from bench.clock import Job
from bench.wires.can import CanHub, CanNode
from instruments.cells_n83624_channels import TICK_S, Channels
from instruments.cells_n83624_data import CHANNELS, RATED_A, RATED_V

FROM_UNIT = 1 << 28
STATE, READING, POWER = 1, 3, 5
SET_ON, SET_V, SET_A, SET_UPLOAD = 10, 20, 21, 113
#: Shortest upload period [ms] (SCPI guide, CFG:UPTime).
LEAST_UPLOAD_MS = 60

VOLT_PER_COUNT, MILLIAMPERE_PER_COUNT = 1e-5, 1e-5
#: Of register 5, W and mAh alike. Project default.
POWER_PER_COUNT = 1e-5
SET_VOLT_PER_COUNT, SET_MILLIAMPERE_PER_COUNT = 1e-6, 1e-6


def can_id(channel: int, register: int, *, unit: int = 1, from_unit: bool = False) -> int:
    """Identifier of a register of a channel (1 to 24) of a unit (from 1)."""
    number = CHANNELS * (unit - 1) + channel
    return (FROM_UNIT if from_unit else 0) | number << 16 | register


class CanFace:
    """The unit as a node of a bus.

    Parameters
    ----------
    channels
        The device.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._unit = channels.options.device_number
        self._place = {
            can_id(k + 1, register, unit=self._unit): (k, register)
            for k in range(CHANNELS)
            for register in (SET_ON, SET_V, SET_A, SET_UPLOAD)
        }
        self._node: CanNode | None = None
        self._ticks = 0
        self._job: Job | None = None

    def attach(self, hub: CanHub) -> None:
        """Connect to a bus."""
        self._node = hub.attach("N83624", self.receive, accepts=frozenset(self._place))
        self._job = self._channels.clock.every(TICK_S, self._upload, name="N83624 upload", order=1)

    def receive(self, _t_s: float, frame_id: int, frame: bytes) -> None:
        """Obey one frame; what is too short or out of range is ignored, as nobody answers on CAN."""
        if len(frame) < 4:
            return
        channel, register = self._place[frame_id]
        (count,) = struct.unpack_from("<I", frame)
        orders: dict[int, tuple[str, float, float]] = {
            SET_ON: ("on", count, 1),
            SET_V: ("source_v", count * SET_VOLT_PER_COUNT, RATED_V),
            SET_A: ("source_ma", count * SET_MILLIAMPERE_PER_COUNT, RATED_A * 1e3),
            SET_UPLOAD: ("upload_ms", count, 0xFFFFFFFF),
        }
        name, wanted, most = orders[register]
        if wanted <= most * (1 + 1e-9):
            self._channels.put("", name, (channel,), wanted)

    def _upload(self) -> None:
        """Send what is due: every channel by its own period, which the tick rounds up."""
        self._ticks += 1
        periods_ms = self._channels.values["upload_ms"]
        if self._node is None or not periods_ms.any():
            return
        batch: list[tuple[int, bytes]] = []
        for k, period_ms in enumerate(periods_ms.tolist()):
            every = -(-max(period_ms, LEAST_UPLOAD_MS) // (1e3 * TICK_S))
            if period_ms and self._ticks % every == 0:
                batch += self._frames(k)
        self._node.send_batch(batch)

    def _frames(self, channel: int) -> list[tuple[int, bytes]]:
        channels = self._channels
        volts, amperes = channels.volts(channel), channels.amperes(channel)
        volt_count = round(volts / VOLT_PER_COUNT)
        ampere_count = round(amperes * 1e3 / MILLIAMPERE_PER_COUNT)
        power = (volts * amperes, float(channels.capacity_mah[channel]))
        contents = {
            STATE: struct.pack("<II", channels.status(channel), channels.read_event(channel)),
            READING: struct.pack("<ii", volt_count, ampere_count),
            POWER: struct.pack("<ii", *(_clipped(value / POWER_PER_COUNT) for value in power)),
        }
        return [
            (can_id(channel + 1, register, unit=self._unit, from_unit=True), content)
            for register, content in contents.items()
        ]


def _clipped(count: float) -> int:
    return round(min(max(count, -0x8000_0000), 0x7FFF_FFFF))
