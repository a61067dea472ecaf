"""What was measured and what was reported: traces with time, unit, origin and uncertainty.

A record keeps the three columns apart that a certificate shows: *measured* by an instrument, *reported*
by the DUT, *commanded* by the test. Nothing here interprets; the reference does.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
OriginKind = Literal["measured", "reported", "commanded"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says so: the kind, and the role (`cells`) or DUT node (`dut`) behind it."""

    kind: OriginKind
    source: str

    def __str__(self) -> str:
        return f"{self.kind} by {self.source}"


@dataclass(frozen=True, slots=True)
class Trace:
    """One quantity over time.

    Parameters
    ----------
    name
        Standard name, see `docs/reference/record.md`; the unit is not part of it.
    unit
        "V", "A", "degC", "Ah", "ohm", "1" (fractions, states), ...
    t_s
        Bench time [s], strictly increasing, shape (time,). The time of the sample, not of its arrival.
    value
        float64, shape (time,) or (time, channels); nan where the source said "not available".
    origin
        Who measured or reported it.
    uncertainty
        Expanded uncertainty (k = 2) of one sample, in `unit`. 0 if the source declares none.
    """

    name: str
    unit: str
    t_s: Floats
    value: Floats
    origin: Origin
    uncertainty: float = 0.0

    def __repr__(self) -> str:
        return f"Trace({self.name} [{self.unit}], {self.value.shape}, {self.origin})"

    def __len__(self) -> int:
        return len(self.t_s)

    @property
    def period_s(self) -> float:
        """Median sampling period [s]; nan for fewer than two samples."""
        return float(np.median(np.diff(self.t_s))) if len(self.t_s) > 1 else float("nan")

    @property
    def last(self) -> Floats:
        """The newest sample, shape () or (channels,). Raises `ValueError` on an empty trace."""
        if not len(self.t_s):
            raise ValueError(f"trace {self.name} ({self.origin}) has no sample yet")
        newest: Floats = np.asarray(self.value[-1])
        return newest

    def channel(self, index: int) -> Trace:
        """One channel of a (time, channels) trace."""
        return Trace(
            f"{self.name}[{index}]", self.unit, self.t_s, self.value[:, index], self.origin, self.uncertainty
        )

    def between(self, start_s: float, end_s: float) -> Trace:
        """The part with `start_s <= t <= end_s` [s]."""
        part = slice(*np.searchsorted(self.t_s, (start_s, np.nextafter(end_s, np.inf))))
        return Trace(self.name, self.unit, self.t_s[part], self.value[part], self.origin, self.uncertainty)

    def at(self, t_s: float) -> Floats:
        """The newest sample not later than `t_s` [s]; nan before the first."""
        index = int(np.searchsorted(self.t_s, t_s, side="right")) - 1
        if index < 0:
            return np.full(self.value.shape[1:], np.nan)
        sample: Floats = np.asarray(self.value[index])
        return sample

    def first(self, condition: Callable[[Floats], NDArray[np.bool_]]) -> float:
        """Time [s] of the first sample for which `condition(value)` holds (in any channel); nan if never."""
        channels = tuple(range(1, self.value.ndim))
        hits = np.flatnonzero(condition(self.value).any(axis=channels))
        return float(self.t_s[hits[0]]) if hits.size else float("nan")

    def ever(self, condition: Callable[[Floats], NDArray[np.bool_]]) -> bool:
        """Whether `condition(value)` holds at any sample."""
        return bool(np.any(condition(self.value)))

    def always(self, condition: Callable[[Floats], NDArray[np.bool_]]) -> bool:
        """Whether `condition(value)` holds at every sample; False on an empty trace."""
        return bool(len(self.t_s)) and bool(np.all(condition(self.value)))


class Samples:
    """A growing trace: cheap to append to, a `Trace` when asked.

    Parameters
    ----------
    channels
        0 for a scalar quantity, else the number of channels of every sample.
    """

    def __init__(
        self, name: str, unit: str, origin: Origin, *, channels: int = 0, uncertainty: float = 0.0
    ) -> None:
        self.name, self.unit, self.origin = name, unit, origin
        self.channels, self.uncertainty = channels, uncertainty
        self._t_s = array("d")
        self._value = array("d")

    def __len__(self) -> int:
        return len(self._t_s)

    def append(self, t_s: float, value: float | Iterable[float]) -> None:
        """Add one sample; a sample not later than the newest one replaces nothing and is dropped."""
        if self._t_s and t_s <= self._t_s[-1]:
            return
        if self.channels:
            sample = array("d", value)  # type: ignore[arg-type]
            if len(sample) != self.channels:
                raise ValueError(
                    f"{self.name}: expected {self.channels} values in a sample, "
                    f"found {len(sample)} at {t_s:.6f} s"
                )
            self._value.extend(sample)
        else:
            self._value.append(value)  # type: ignore[arg-type]
        self._t_s.append(t_s)

    def trace(self) -> Trace:
        """Everything so far."""
        t_s = np.array(self._t_s, dtype=np.float64)
        value = np.array(self._value, dtype=np.float64)
        if self.channels:
            value = value.reshape(-1, self.channels)
        return Trace(self.name, self.unit, t_s, value, self.origin, self.uncertainty)


@runtime_checkable
class TraceSource(Protocol):
    """Something that keeps traces: a driver, a DUT."""

    def traces(self) -> dict[str, Trace]:
        """Every trace so far, by standard name. Empty traces are left out."""
        ...


@dataclass(frozen=True, slots=True)
class Path:
    """A current path (charge or discharge) as *measured* at its switches: 1 closed, 0 open.

    A sample that is nan says nothing: it neither opens nor closes the path.
    """

    trace: Trace

    @property
    def closed(self) -> bool:
        """Whether it is closed now, by the newest sample that says so."""
        _, state = self._known()
        return bool(state.size) and bool(state[-1])

    @property
    def opened(self) -> bool:
        """Whether it ever went from closed to open."""
        return bool(self.openings_s.size)

    @property
    def openings_s(self) -> Floats:
        """Times [s] of the first open sample after each closed one, shape (openings,)."""
        t_s, state = self._known()
        found: Floats = t_s[1:][state[:-1] & ~state[1:]]
        return found

    @property
    def closings_s(self) -> Floats:
        """Times [s] of the first closed sample after each open one, shape (closings,)."""
        t_s, state = self._known()
        found: Floats = t_s[1:][~state[:-1] & state[1:]]
        return found

    @property
    def opened_s(self) -> float:
        """Time [s] of the first opening; nan if it never opened."""
        return float(self.openings_s[0]) if self.opened else float("nan")

    def _known(self) -> tuple[Floats, NDArray[np.bool_]]:
        known = np.isfinite(self.trace.value)
        return self.trace.t_s[known], self.trace.value[known] >= 0.5


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened once: a stimulus, a mode request, a log entry read from the DUT."""

    t_s: float
    kind: str
    text: str
    data: dict[str, object] = field(default_factory=dict)


class Record:
    """All traces and events of one test.

    Traces come from sources that are asked when they are needed, so a record is always up to date.
    Lookup is by standard name (`record["cell_v"]`); reported ones carry the prefix `dut.`. `observer` is
    called with each event as it is noted.
    """

    def __init__(
        self, sources: Iterable[TraceSource] = (), *, now_s: Callable[[], float] = lambda: float("nan")
    ) -> None:
        self._sources = list(sources)
        self._now_s = now_s
        self.events: list[Event] = []
        self.observer: Callable[[Event], object] | None = None

    def __iter__(self) -> Iterator[Trace]:
        return iter(self.traces().values())

    def __contains__(self, name: str) -> bool:
        return name in self.traces()

    def __getitem__(self, name: str) -> Trace:
        found = self.traces()
        if name not in found:
            raise KeyError(f"no trace {name!r} in the record; it has {', '.join(sorted(found)) or 'none'}")
        return found[name]

    def traces(self) -> dict[str, Trace]:
        """Every trace by name. A later source wins a name that two give."""
        found: dict[str, Trace] = {}
        for source in self._sources:
            found.update(source.traces())
        return found

    def note(self, kind: str, text: str, **data: object) -> None:
        """Write down that something happened now."""
        event = Event(self._now_s(), kind, text, data)
        self.events.append(event)
        if self.observer is not None:
            self.observer(event)

    @property
    def cell_v(self) -> Trace:
        """Measured cell voltages [V], shape (time, cells)."""
        return self["cell_v"]

    @property
    def current_a(self) -> Trace:
        """Measured pack current [A], positive when it charges, shape (time,)."""
        return self["current_a"]

    @property
    def temperature_degc(self) -> Trace:
        """Temperatures that the sensors were made to see [°C], shape (time, sensors)."""
        return self["temperature_degc"]

    @property
    def charge_path(self) -> Path:
        """The path through which a charger feeds the pack."""
        return Path(self["charge_path"])

    @property
    def discharge_path(self) -> Path:
        """The path through which the machine draws from the pack (and feeds back into it)."""
        return Path(self["discharge_path"])
