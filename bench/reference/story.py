"""What was done to the DUT, read from the events of a record: modes, faults, power, host, resets.

Kinds and their data are listed in docs/reference/record.md. An event of another kind is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from bench.record import Event, Floats
from bench.reference.intervals import nothing, union

#: Longest time [s] from power-up until a DUT protects, project default: a power cycle is not judged inside
#: it.
BOOT_S = 3.0
#: Longest time [s] from a mode request until the paths have followed, project default.
MODE_S = 2.0
#: How long [s] a fault still explains what the DUT does after it was removed, project default.
RECOVERY_S = 5.0

MODES = {1: "standby", 3: "drive", 4: "charge"}

#: Faults of the wiring, by the start of their names, and the quantities that the DUT then sees otherwise than
#: the bench. "all": nothing that it does is judged.
BLINDS: dict[str, tuple[str, ...]] = {
    "open_sense_wire": ("cell_voltage", "cell_spread"),
    "series_sense_wire": ("cell_voltage", "cell_spread"),
    "ntc_": ("temperature", "temperature_spread"),
    "insulation_": ("insulation",),
    "current_sensor": ("charge_current", "discharge_current"),
    "short_circuit": ("charge_current", "discharge_current", "cell_voltage", "cell_spread"),
    "hvil": (),
    "weld_": (),
    "feedback_": (),
    "precharge_resistor": (),
    "fan_stopped": (),
    "heater_stuck": (),
    "dut_supply_open": ("all",),
}
#: Faults that are no reason to open a path.
HARMLESS = ("fan_stopped", "heater_stuck", "precharge_resistor")


@dataclass(frozen=True, slots=True)
class Fault:
    """A wiring fault and the time [s] it was in; `end_s` is inf if it was never removed."""

    name: str
    start_s: float
    end_s: float

    @property
    def blinds(self) -> tuple[str, ...]:
        """Quantities that the DUT sees otherwise than the bench. An unknown fault blinds everything."""
        return next((seen for stem, seen in BLINDS.items() if self.name.startswith(stem)), ("all",))

    @property
    def may_open(self) -> bool:
        """Whether a DUT may open a path because of it."""
        return not self.name.startswith(HARMLESS)


@dataclass(frozen=True, slots=True)
class Story:
    """Events of a record as intervals and times in bench time [s]."""

    modes: tuple[tuple[float, str], ...] = ()
    faults: tuple[Fault, ...] = ()
    dark: Floats = field(default_factory=nothing)
    silent: Floats = field(default_factory=nothing)
    host_s: tuple[float, ...] = ()
    resets: tuple[tuple[float, bool | None], ...] = ()
    balancing: tuple[tuple[float, bool], ...] = ()

    def faulty(self, *stems: str) -> Floats:
        """When a fault whose name starts with one of `stems` (none: any) was in, plus `RECOVERY_S`."""
        spans = [
            (f.start_s, f.end_s + RECOVERY_S) for f in self.faults if not stems or f.name.startswith(stems)
        ]
        return union(np.array(spans, dtype=np.float64).reshape(-1, 2))

    def blind(self, quantity: str) -> Floats:
        """When the DUT saw `quantity` otherwise than the bench did, or was dark."""
        spans = [
            (f.start_s, f.end_s + RECOVERY_S)
            for f in self.faults
            if "all" in f.blinds or quantity in f.blinds
        ]
        return union(np.array(spans, dtype=np.float64).reshape(-1, 2), self.dark)

    def opening_faults(self) -> Floats:
        """When a fault was in (and `RECOVERY_S` after it) that may open a path."""
        spans = [(f.start_s, f.end_s + RECOVERY_S) for f in self.faults if f.may_open]
        return union(np.array(spans, dtype=np.float64).reshape(-1, 2))

    def mode_at(self, t_s: float) -> str | None:
        """The mode last asked for at `t_s` [s]; None if none was yet."""
        return next((mode for start_s, mode in reversed(self.modes) if start_s <= t_s), None)


def read_story(events: Iterable[Event], *, end_s: float) -> Story:
    """Read the events of a record.

    Parameters
    ----------
    events
        In any order; those with a time of nan are left out.
    end_s
        End of the record [s]: what is still on then stays on to the end.
    """
    timed = sorted((e for e in events if np.isfinite(e.t_s)), key=lambda event: event.t_s)
    power = [(e.t_s, _flag(e, "on", default=True)) for e in timed if e.kind == "power"]
    host = [(e.t_s, not _flag(e, "talking", default=True)) for e in timed if e.kind == "host"]
    if host and not host[0][1]:
        # Before the host first talks the DUT hears nothing either.
        host.insert(0, (-np.inf, True))
    faults = _faults([e for e in timed if e.kind == "fault"])
    unpowered = [
        (f.start_s, f.end_s) for f in faults if "all" in f.blinds and f.name.startswith("dut_supply")
    ]
    off = _spans([(t_s, not on) for t_s, on in power], end_s) + unpowered
    # A power-on without a power-off before it is a restart too.
    ups = [(t_s, t_s) for t_s, on in power if on]
    dark = [(start_s, stop_s + BOOT_S) for start_s, stop_s in [*off, *ups]]
    return Story(
        modes=tuple((e.t_s, mode) for e in timed if e.kind == "mode" and (mode := _mode(e))),
        faults=tuple(faults),
        dark=union(np.array(dark, dtype=np.float64).reshape(-1, 2)),
        silent=np.array(_spans(host, end_s), dtype=np.float64).reshape(-1, 2),
        host_s=tuple(e.t_s for e in timed if e.kind == "host"),
        resets=tuple((e.t_s, _known(e, "service")) for e in timed if e.kind == "reset"),
        balancing=tuple((e.t_s, _flag(e, "enabled", default=True)) for e in timed if e.kind == "balancing"),
    )


def _flag(event: Event, key: str, *, default: bool) -> bool:
    return bool(event.data.get(key, default))


def _known(event: Event, key: str) -> bool | None:
    return bool(event.data[key]) if key in event.data else None


def _mode(event: Event) -> str | None:
    """Mode by name or by the number that hd_can gives it; None if it is neither."""
    asked = event.data.get("mode")
    if isinstance(asked, int | float) and not isinstance(asked, bool):
        return MODES.get(int(asked))
    return str(asked).lower() if asked is not None and str(asked).lower() in MODES.values() else None


def _spans(changes: list[tuple[float, bool]], end_s: float) -> list[tuple[float, float]]:
    """Intervals in which the last change was True; open ones run beyond the record."""
    spans: list[tuple[float, float]] = []
    since: float | None = None
    for t_s, on in changes:
        if on and since is None:
            since = t_s
        elif not on and since is not None:
            spans.append((since, t_s))
            since = None
    if since is not None:
        spans.append((since, max(end_s, since) + BOOT_S))
    return spans


def _faults(events: list[Event]) -> list[Fault]:
    """Pair each insertion with its removal. `active=False` without a name removes every fault."""
    open_since: dict[str, float] = {}
    found: list[Fault] = []
    for event in events:
        name = str(event.data.get("fault", event.data.get("name", "")))
        active = bool(event.data.get("active", event.data.get("inserted", True)))
        if active:
            open_since.setdefault(name or "unnamed", event.t_s)
            continue
        for gone in [name] if name else list(open_since):
            if gone in open_since:
                found.append(Fault(gone, open_since.pop(gone), event.t_s))
    found += [Fault(name, start_s, np.inf) for name, start_s in open_since.items()]
    return sorted(found, key=lambda fault: fault.start_s)
