"""Readings: what an instrument measures now, and what its station allows, in one line each."""

from __future__ import annotations

import numpy as np

from bench.station.safe_state import readings_of
from bench.station_file import RoleEntry
from instruments import roles

#: Ending of a reading's name to format and unit.
_FORMS = (("voltage_v", ".2f", "V"), ("current_a", ".2f", "A"), ("temperature_degc", ".1f", "°C"))
#: Signals of the pack that are wired to an instrument: trace to name, format and unit.
_SIGNALS = {
    "current_a": ("pack", ".1f", "A"),
    "pack_v": ("pack", ".1f", "V"),
    "link_v": ("link", ".1f", "V"),
    "charger_v": ("charge port", ".1f", "V"),
}


def measured_text(name: str, instrument: roles.Instrument) -> str:
    """What `instrument` measures now, or measured last: `82.01 V, 9.98 A`."""
    parts: list[str] = []
    own = isinstance(instrument, roles.Supply | roles.Load | roles.Chamber)
    found = readings_of(name, instrument) if own else {}
    for ending, form, unit in _FORMS:
        if (key := f"{name}.{ending}") in found:
            parts.append(f"{found[key]:{form}} {unit}")
    if isinstance(instrument, roles.Voltmeter) and not parts:
        parts.append(f"{instrument.measure():.4g}")
    traces = instrument.traces()
    for trace, label, form, unit in (
        ("cell_v", "cells", ".3f", "V"),
        ("temperature_degc", "sensors", ".1f", "°C"),
    ):
        if trace in traces and len(traces[trace]):
            parts.append(_span(label, np.atleast_1d(traces[trace].last), form, unit))
    parts += [
        f"{signal} {float(traces[trace].last):{form}} {unit}"
        for trace, (signal, form, unit) in _SIGNALS.items()
        if trace in traces and len(traces[trace])
    ]
    if isinstance(instrument, roles.FaultBox):
        inserted = [fault for fault in instrument.faults if _is_in(fault, instrument)]
        parts.append(f"in: {', '.join(inserted)}" if inserted else "no fault in")
    return ", ".join(parts)


def _span(label: str, values: np.ndarray, form: str, unit: str) -> str:
    """`cells 3.300 to 3.302 V`; a value that is not driven is none."""
    known = values[~np.isnan(values)]
    if not len(known):
        return f"{label} not driven"
    low, high = f"{known.min():{form}}", f"{known.max():{form}}"
    return f"{label} {low} {unit}" if low == high else f"{label} {low} to {high} {unit}"


def _is_in(fault: str, box: roles.FaultBox) -> bool:
    trace = box.traces().get(f"fault.{fault}")
    return trace is not None and len(trace) > 0 and bool(trace.last)


def ceilings_text(entry: RoleEntry) -> str:
    """What the station allows a role: `150 V, 240 A`."""
    known = [(entry.max_v, "V"), (entry.max_a, "A"), (entry.max_w, "W"), (entry.max_wh, "Wh")]
    parts = [f"{value:g} {unit}" for value, unit in known if value is not None]
    low, high = entry.min_degc, entry.max_degc
    if low is not None or high is not None:
        ends = [f"{end:g}" for end in (low, high) if end is not None]
        parts.append(f"{' to '.join(ends)} °C")
    return ", ".join(parts)
