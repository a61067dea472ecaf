"""What every DUT offers, whatever it speaks: `Dut`, and the values that it hands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, get_args

import numpy as np

from bench.record import Floats, Trace
from dut_profiles.profile import Profile

Mode = Literal["standby", "drive", "charge"]
MODES: tuple[Mode, ...] = get_args(Mode)

#: By their number in the trace `dut.state`. "silent" is what `state()` says of a DUT that stopped talking.
STATES = ("off", "standby", "precharge", "drive", "charge", "fault", "locked")
SILENT = "silent"

#: What a dialect may or may not be able to do.
FEATURES = frozenset(
    {
        "mode", "reset", "service_reset", "limits", "log", "bleed_flags", "insulation", "switches", "state",
        "host_timeout", "soh", "link_v", "cell_extremes",
    }
)  # fmt: skip

#: A DUT that says nothing for so long after `start` is not there [s].
ANSWER_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What the DUT reported last. nan where its dialect does not say, or has not yet.

    Attributes
    ----------
    t_s, age_s
        Bench time [s] at which the newest report arrived, and how long ago that is; age inf: never.
    cell_v, bleeds
        Cell voltages [V], and 1 for each cell that bleeds, shape (cells,).
    temperature_degc
        Shape (sensors,) [°C].
    pack_v, link_v, current_a
        [V], [V], [A] positive when it charges the pack.
    soc, soh
        0..1.
    state
        One of `STATES`, or "silent".
    charge_limit_a, discharge_limit_a, regen_limit_a
        Permitted currents [A], all >= 0.
    insulation_ohm
        Positive and negative rail to chassis [ohm], shape (2,).
    fault_index
        Cell or sensor of the newest trip, from 0; nan if none.
    switches
        Closed or not, by name, as the DUT sees it; empty if it does not say.
    alarms
        Names of the active alarms.
    """

    t_s: float
    age_s: float
    cell_v: Floats
    bleeds: Floats
    temperature_degc: Floats
    pack_v: float = np.nan
    link_v: float = np.nan
    current_a: float = np.nan
    soc: float = np.nan
    soh: float = np.nan
    state: str = SILENT
    charge_limit_a: float = np.nan
    discharge_limit_a: float = np.nan
    regen_limit_a: float = np.nan
    insulation_ohm: Floats = field(default_factory=lambda: np.full(2, np.nan))
    fault_index: float = np.nan
    switches: Mapping[str, bool] = field(default_factory=dict)
    alarms: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return (
            f"Telemetry({self.state}, {self.pack_v:.2f} V, {self.current_a:.2f} A, SOC {self.soc:.3f}, "
            f"alarms {sorted(self.alarms)}, {self.age_s:.3f} s old)"
        )


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event of the DUT's log with its freeze frame: the values at the event, not at the read-out.

    Attributes
    ----------
    number
        Place in the log; 0 is the oldest kept.
    t_utc, t_s
        The DUT's own stamp, as calendar time and as bench time [s].
    code
        Name of an alarm, or "power_up", "mode_change", "reset", "power_lost", "code_<n>".
    index
        Cell or sensor, from 0; None if none.
    level
        Of the protection: 1 warn, 2 protect, 3 lock; 0 for other events.
    kind
        "trip", "release" or "other".
    """

    number: int
    t_utc: datetime
    t_s: float
    code: str
    index: int | None
    level: int
    kind: str
    current_a: float
    pack_v: float
    soc: float
    highest_cell_v: float
    lowest_cell_v: float
    highest_cell: int
    lowest_cell: int
    hottest_degc: float
    coldest_degc: float
    switches: Mapping[str, bool]
    state: str


class Dut(Protocol):
    """A BMS under test. It is also a `TraceSource`: reported traces carry the prefix `dut.`.

    Traces, each stamped when its frame had arrived: `dut.cell_v` (time, cells), `dut.temperature_degc`
    (time, sensors), `dut.bleeds` (time, cells), `dut.insulation_ohm` (time, 2), `dut.pack_v`, `dut.link_v`,
    `dut.current_a`, `dut.soc`, `dut.soh`, `dut.state` (index into `STATES`), `dut.charge_limit_a`,
    `dut.discharge_limit_a`, `dut.regen_limit_a`, `dut.fault_index`, and `dut.alarm.<name>` (0 or 1) for
    every alarm that the dialect knows. What a dialect does not say has no trace.
    """

    profile: Profile
    features: frozenset[str]

    def start(self) -> None:
        """Let the host talk (and keep talking), until `stop`; returns when the DUT has answered.

        Raises
        ------
        WireError
            If nobody answers within `ANSWER_WITHIN_S`.
        """
        ...

    def stop(self) -> None:
        """Let the host fall silent. What the DUT broadcasts is still recorded."""
        ...

    def request(self, mode: Mode) -> None:
        """Ask for a mode, from the host's next message on. Does not wait."""
        ...

    def wait_for(self, state: str, timeout_s: float) -> bool:
        """Let time pass until the DUT reports `state`, at most `timeout_s` [s]; return whether it did."""
        ...

    def reset_fault(self) -> None:
        """Ask to clear faults that may be cleared. Raises `NotReady` without the feature "reset"."""
        ...

    def service_reset(self) -> None:
        """The reset that only service may do. Raises `NotReady` without the feature "service_reset"."""
        ...

    def state(self) -> str:
        """The state that it reports now, or "silent"."""
        ...

    def alarms(self) -> frozenset[str]:
        """The alarms that it reported last."""
        ...

    def telemetry(self) -> Telemetry:
        """Everything that it reported last."""
        ...

    def read_log(self) -> list[LogEntry]:
        """Its event log, oldest first. Takes bench time. Raises `NotReady` without the feature "log"."""
        ...

    def traces(self) -> dict[str, Trace]:
        """Everything that it reported, by standard name."""
        ...

    def frames(self) -> list[tuple[float, int, bytes]]:
        """All CAN frames to and from it, by time, for the CAN log; none on serial lines."""
        ...
