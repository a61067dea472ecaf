"""A DUT that speaks `hd_can`: it broadcasts, the host commands every 100 ms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from bench.clock import Clock, Job
from bench.dut.api import ANSWER_WITHIN_S, FEATURES, SILENT, STATES, LogEntry, Mode, Telemetry
from bench.dut.frame_log import Frame, FrameLog
from bench.dut.hd_can_traces import Reports
from bench.errors import WireError
from bench.record import Floats, Trace
from bench.wires.can import drain, send
from dut_profiles.profile import Profile
from dut_profiles.protocols import hd_can

HostFault = Literal[None, "frozen_counter", "wrong_crc"]

#: After the plant and the instruments' own jobs of the same instant.
_ORDER: Final = 50
#: A reset request is repeated, so that one lost frame does not lose it.
_RESET_FRAMES: Final = 3
#: Without a PackState for so many periods, the DUT is silent.
_SILENT_PERIODS: Final = 5
_LOG_BLOCK, _LOG_IDLE_S, _LOG_TRIES, _LOG_MOST = 16, 0.5, 2, 256
_LOG_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SWITCHES: Final = ("main_minus", "main_plus", "precharge", "charge")


def connect(profile: Profile, wire: Any, clock: Clock) -> HdCanDut:
    """The DUT on python-can's bus object `wire`."""
    return HdCanDut(profile, wire, clock)


class HdCanDut:
    """A `Dut`, and what communication tests need beyond it.

    Attributes
    ----------
    host_fault
        What is wrong with the host's commands: nothing, a counter that stands still, or a wrong check.
    balancing_enabled
        Goes out with every command.
    log
        Every frame, with the counts of those that were not believed.
    """

    def __init__(self, profile: Profile, wire: Any, clock: Clock) -> None:
        self.profile, self.features = profile, FEATURES
        self.host_fault: HostFault = None
        self.balancing_enabled = True
        self.log = FrameLog()
        self._wire, self._clock = wire, clock
        self._reports = Reports(profile.pack.cells, profile.pack.sensors)
        self._sent: list[Frame] = []
        self._log_frames: list[bytes] = []
        self._mode: Mode = "standby"
        self._talking, self._counter, self._reset_left = False, 0, 0
        self._job: Job | None = None

    def __repr__(self) -> str:
        return f"HdCanDut({self.profile.identity.model}, {self.state()})"

    def start(self) -> None:
        """As `Dut.start`."""
        self._talking = True
        if self._job is None:
            period_s = self.profile.communication.period_s
            self._job = self._clock.every(period_s, self._cycle, name="DUT host", order=_ORDER, first_s=0.0)
        start_s = self._clock.now_s
        if not self._clock.until(lambda: self._heard_s() > start_s, timeout_s=ANSWER_WITHIN_S):
            raise WireError(
                f"dut ({self.profile.identity.model}, hd_can): expected PackState (0x300) within "
                f"{ANSWER_WITHIN_S:g} s, found an address that nobody answers at {self._clock.now_s:.3f} s. "
                f"Is it powered, and on this bus? {len(self.frames())} frames were seen in all."
            )

    def stop(self) -> None:
        """As `Dut.stop`."""
        self._talking = False

    def request(self, mode: Mode) -> None:
        """As `Dut.request`."""
        self._mode = mode

    def wait_for(self, state: str, timeout_s: float) -> bool:
        """As `Dut.wait_for`."""
        return self._clock.until(lambda: self.state() == state, timeout_s=timeout_s)

    def reset_fault(self) -> None:
        """As `Dut.reset_fault`: the next few commands carry the request."""
        self._reset_left = _RESET_FRAMES

    def service_reset(self) -> None:
        """As `Dut.service_reset`."""
        self.send_raw(hd_can.SERVICE_RESET, hd_can.SERVICE_KEY)

    def send_raw(self, can_id: int, data: bytes) -> None:
        """Put any frame on the bus, now."""
        self._sent.append((self._clock.now_s, can_id, data))
        send(self._wire, ((can_id, data),))

    def state(self) -> str:
        """As `Dut.state`."""
        if self._clock.now_s - self._heard_s() > _SILENT_PERIODS * self.profile.communication.period_s:
            return SILENT
        number = self.log.newest[hd_can.PACK_STATE][1] & 0xF
        return STATES[number] if number < len(STATES) else f"state {number}"

    def alarms(self) -> frozenset[str]:
        """As `Dut.alarms`."""
        self._listen()
        self.log.look()
        word = self.log.newest.get(hd_can.ALARM_FLAGS, (0.0, 0))[1]
        return frozenset(name for bit, name in enumerate(hd_can.ALARMS) if word >> bit & 1)

    def telemetry(self) -> Telemetry:
        """As `Dut.telemetry`."""
        heard_s = self._heard_s()
        self._reports.add(self.log.fresh())
        last = self._reports.last
        scalars = {
            name: float(last(f"dut.{name}"))
            for name in (
                "pack_v", "link_v", "current_a", "soc", "soh", "charge_limit_a", "discharge_limit_a",
                "regen_limit_a", "fault_index",
            )
        }  # fmt: skip
        return Telemetry(
            t_s=heard_s,
            age_s=self._clock.now_s - heard_s,
            cell_v=self._array("cell_v", self.profile.pack.cells),
            bleeds=self._array("bleeds", self.profile.pack.cells),
            temperature_degc=self._array("temperature_degc", self.profile.pack.sensors),
            insulation_ohm=self._array("insulation_ohm", 2),
            state=self.state(),
            switches={name: bool(last(f"dut.switch.{name}") > 0.5) for name in _SWITCHES}
            | {"pyro": not last("dut.pyro_fired") > 0.5},
            alarms=self.alarms(),
            **scalars,
        )

    def read_log(self) -> list[LogEntry]:
        """As `Dut.read_log`.

        Raises
        ------
        WireError
            If entries do not come, asked for twice.
        """
        kept = self._ask_log(0, 1).get(0, {}).get("kept")
        entries: dict[int, dict[str, float | None]] = {}
        # The first entry is number 0 to 255, so there is no asking for more.
        total = min(int(kept or 0), _LOG_MOST)
        for first in range(0, total, _LOG_BLOCK):
            wanted = range(first, min(first + _LOG_BLOCK, total))
            for _ in range(_LOG_TRIES):
                entries |= self._ask_log(first, len(wanted))
                if all(number in entries for number in wanted):
                    break
            else:
                missing = [number for number in wanted if number not in entries]
                raise WireError(
                    f"dut ({self.profile.identity.model}, hd_can): expected {total} log entries, "
                    f"entries {missing} did not come at {self._clock.now_s:.3f} s."
                )
        return [self._log_entry(number, entries[number]) for number in range(total)]

    def traces(self) -> dict[str, Trace]:
        """As `Dut.traces`."""
        self._listen()
        self._reports.add(self.log.fresh())
        return self._reports.traces()

    def frames(self) -> list[Frame]:
        """As `Dut.frames`."""
        self._listen()
        return sorted(self.log.frames() + self._sent, key=lambda frame: frame[0])

    def _cycle(self) -> None:
        """Every period: hear what came, say what is wanted."""
        self._listen()
        if not self._talking:
            return
        data = hd_can.host_command(
            self._mode,
            counter=self._counter,
            reset_fault=self._reset_left > 0,
            balancing_enable=self.balancing_enabled,
        )
        if self.host_fault == "wrong_crc":
            data = data[:7] + bytes((data[7] ^ 0xFF,))
        self.send_raw(hd_can.HOST_COMMAND, data)
        self._reset_left = max(0, self._reset_left - 1)
        if self.host_fault != "frozen_counter":
            self._counter = (self._counter + 1) & 0xF

    def _listen(self) -> None:
        frames = drain(self._wire, self._clock)
        if frames:
            self.log.add(frames)
            self._log_frames += [data for _, can_id, data in frames if can_id == hd_can.LOG_ENTRY]

    def _heard_s(self) -> float:
        """When the newest good PackState arrived [s]; -inf if none did."""
        self._listen()
        self.log.look()
        return self.log.newest.get(hd_can.PACK_STATE, (-np.inf, 0))[0]

    def _array(self, name: str, channels: int) -> Floats:
        value = self._reports.last(f"dut.{name}")
        return value.copy() if value.shape == (channels,) else np.full(channels, np.nan)

    def _ask_log(self, first: int, number: int) -> dict[int, dict[str, float | None]]:
        """Ask once; the entries that came complete, by number."""
        self._listen()
        self._log_frames.clear()
        self.send_raw(hd_can.LOG_REQUEST, hd_can.log_request(first=first, number=number))
        coming = True
        while coming and len(self._log_frames) < hd_can.LOG_PARTS * number:
            more = partial(self._more_log_than, len(self._log_frames))
            coming = self._clock.until(more, timeout_s=_LOG_IDLE_S)
        parts: dict[int, dict[int, bytes]] = {}
        for data in self._log_frames:
            parts.setdefault(data[1], {})[data[0]] = data
        whole = {entry: found for entry, found in parts.items() if len(found) == hd_can.LOG_PARTS}
        return {entry: hd_can.log_entry(list(found.values())) for entry, found in whole.items()}

    def _more_log_than(self, count: int) -> bool:
        self._listen()
        return len(self._log_frames) > count

    def _log_entry(self, number: int, found: dict[str, float | None]) -> LogEntry:
        value = {name: np.nan if v is None else v for name, v in found.items()}
        t_utc = _LOG_EPOCH + timedelta(milliseconds=value["time"])
        code, state, index = int(value["code"]), int(value["state"]), found["index"]
        return LogEntry(
            number=number,
            t_utc=t_utc,
            t_s=(t_utc - self._clock.epoch).total_seconds(),
            code=hd_can.LOG_CODES.get(code, f"code_{code}"),
            index=None if index is None else int(index),
            level=int(value["level"]),
            kind={0: "trip", 1: "release"}.get(int(value["kind"]), "other"),
            current_a=value["current"],
            pack_v=value["pack_v"],
            soc=value["soc"] / 100,
            highest_cell_v=value["highest"] / 1000,
            lowest_cell_v=value["lowest"] / 1000,
            highest_cell=int(value["highest_index"]),
            lowest_cell=int(value["lowest_index"]),
            hottest_degc=value["hottest"],
            coldest_degc=value["coldest"],
            switches={name: bool(value[name]) for name in _SWITCHES},
            state=STATES[state] if state < len(STATES) else f"state {state}",
        )
