"""Polarity of the power path, at a voltage far below the pack's and with open contactors.

A source's own reading is taken between its own terminals and cannot know how its wires arrive; whoever
measures at the charge port or at the link bus can.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.bringup.rows import Row, judged
from bench.station import Station
from instruments import roles

#: Least voltage that is put on [V], and the most current that may flow while it is [A]. Project default.
LEAST_V, MOST_A = 1.0, 0.5
#: The voltage has to be this many times the uncertainty of who sees it.
UNCERTAINTIES = 6.0
#: Never more than this share of the pack's nominal voltage.
SHARE_OF_PACK = 0.25
SETTLE_S = 1.0

#: Source to the trace of what it feeds.
FED = (("charger", "charger_v"), ("regen", "link_v"))


def check_polarity(station: Station) -> list[Row]:
    """Put a low voltage on the charge port and on the link bus, one after the other, and see it arrive."""
    rows: list[Row] = []
    for role, trace in FED:
        if role in station.instruments and station.file.roles[role].is_model:
            rows.append(
                Row(role, "polarity", "a source", "computed by the pack model: it has no wires", "note")
            )
        elif role in station.instruments:
            rows += _source(station, role, trace)
        else:
            rows.append(Row(role, "polarity", "a source", f"no role {role}", "note"))
    if "load" in station.instruments and "regen" not in station.instruments:
        found = "nothing feeds the link bus while the contactors are open"
        rows.append(Row("load", "polarity", "a voltage to measure", found, "note"))
    return rows


def _source(station: Station, role: str, trace: str) -> list[Row]:
    seen = dict(_watchers(station, trace))
    if not seen:
        return [Row(role, "polarity", f"somebody who measures {trace}", "nobody", "note")]
    entry, supply, clock = station.file.roles[role], station.role(role), station.clock
    voltage_v = max([LEAST_V, *(UNCERTAINTIES * uncertainty_v for _, uncertainty_v in seen.values())])
    most_v = min(SHARE_OF_PACK * station.profile.pack.nominal_v, entry.max_v or 0.0)
    if voltage_v > most_v:
        found = f"{voltage_v:.3g} V would be needed for who measures it, {most_v:.3g} V are permitted"
        return [Row(role, "polarity", "a voltage far below the pack's", found, "note")]
    if closed := _closed(station):
        return [Row(role, "polarity", "open contactors", f"closed: {', '.join(closed)}", "wrong")]
    if standing := {name: v for name, (v, _) in seen.items() if abs(v) > voltage_v / 2}:
        name, value_v = next(iter(standing.items()))
        found = f"{value_v:.2f} V by {name}, before anything was switched on"
        return [Row(role, "polarity", f"a dead {trace.removesuffix('_v')}", found, "wrong")]
    try:
        supply.source(voltage_v=voltage_v, current_a=min(MOST_A, entry.max_a or MOST_A))
        clock.sleep(SETTLE_S)
        own_v, _ = supply.measure()
        rows = [_row(role, f"{role}'s own reading", voltage_v, own_v)]
        rows += [_row(role, name, voltage_v, value_v) for name, (value_v, _) in _watchers(station, trace)]
        if role == "regen" and "load" in station.instruments:
            rows.append(_row("load", "load's own reading", voltage_v, station.role("load").measure()[0]))
    finally:
        supply.off()
    return rows


def _row(role: str, name: str, voltage_v: float, value_v: float) -> Row:
    ok = value_v > voltage_v / 2
    if ok:
        wrong = ""
    elif value_v < -voltage_v / 2:
        wrong = ": reversed"
    else:  # many inputs have no reading below 0
        wrong = ": does not arrive, or arrives reversed"
    return Row(role, f"polarity by {name}", f"{voltage_v:+.2f} V", f"{value_v:+.2f} V{wrong}", judged(ok))


def _watchers(station: Station, trace: str) -> Iterator[tuple[str, tuple[float, float]]]:
    """Who measures `trace`: name to newest value and uncertainty [V]. The DUT says it with a prefix."""
    for name, instrument in station.instruments.items():
        found = instrument.traces().get(trace)
        if found is not None and len(found):
            yield name, (float(found.last), float(found.uncertainty))
        elif isinstance(instrument, roles.Scanner) and trace in (scanned := instrument.scan()):
            yield name, (scanned[trace], 0.0)
    reported = station.dut.traces().get(f"dut.{trace}")
    if reported is not None and len(reported) and math.isfinite(float(reported.last)):
        uncertainty_v = station.profile.measurement.pack_tolerance_fraction * float(abs(reported.last))
        yield "the DUT", (float(reported.last), uncertainty_v)


def _closed(station: Station) -> list[str]:
    """Contacts of the main path that are measured as closed."""
    traces = station.traces()
    paths = {*station.profile.switches.charge_path, *station.profile.switches.discharge_path}
    return [
        name
        for name in sorted(paths)
        if (trace := traces.get(f"switch.{name}")) is not None and len(trace) and float(trace.last)
    ]
