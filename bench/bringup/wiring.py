"""Wiring: each channel of the cell emulator, each thermistor and each source followed to where it arrives.

At millivolts, so that a swapped or reversed wire does no harm. A DUT that reports nothing at such a voltage
is tried higher, up to `LEVELS_V`, never above its lowest permitted cell voltage.
"""

from __future__ import annotations

import numpy as np

from bench.bringup.eyes import DutEyes, Eyes, scanners_of
from bench.bringup.mapping import Arrival, arrivals, swapped
from bench.bringup.rows import Mark, Row
from bench.errors import WireError
from bench.station import Station
from bench.station.drivers import kind_of
from dut_profiles.profile import Profile
from instruments import roles

#: Voltage of the channel that is followed [V], lowest first; the others stand at half of it. Project default.
LEVELS_V = (0.08, 0.3, 1.0, 2.0)
#: A step has to be this many times what the DUT may be wrong by.
STEP_TOLERANCES = 4.0
#: All sensors but one [°C], and how much warmer that one is [K]: less than spreads that alarm.
REST_DEGC, WARMER_K = 25.0, 8.0


def check_wiring(station: Station) -> list[Row]:
    """Follow cells and thermistors on an open station; its sources are off. Energy stays below `LEVELS_V`."""
    rows = [_start(station)]
    answers = rows[0].mark == "ok"
    rows += _cells(station, answers) + _thermistors(station, answers)
    return [*rows, _alarms(station)] if "cells" in station.by_role else rows


def _start(station: Station) -> Row:
    """Let the DUT talk. With a cell emulator the cells stand at the lowest level by then."""
    if "cells" in station.by_role:
        station.role("cells").set(voltage_v=LEVELS_V[0] / 2)
    station.feed_dut()
    try:
        station.dut.start()
    except WireError as error:
        return Row("dut", "telemetry", "an answer", str(error), "wrong")
    return Row("dut", "telemetry", "an answer", f"state {station.dut.state()}")


def _alarms(station: Station) -> Row:
    alarms = ", ".join(sorted(station.dut.alarms())) or "none"
    expected = "what millivolts on its cells make it report"
    return Row("dut", "alarms left", expected, f"{alarms}; reset them before a run", "note")


# -- cells --------------------------------------------------------------------------------------------------


def _cells(station: Station, answers: bool) -> list[Row]:
    profile = station.profile
    watching: list[Eyes] = list(scanners_of(station))
    if answers:
        period_s = profile.measurement.cell_period_s
        watching.append(DutEyes(station, "dut.cell_v", profile.pack.cells, period_s))
    if "cells" not in station.by_role:
        return _cells_compared(watching, profile)
    emulator, rows = station.role("cells"), list[Row]()
    for eyes in watching:
        rows += _cells_by(eyes, emulator, station)
    if not watching:
        rows.append(Row("cells", "order and polarity", "somebody who sees them", "nobody", "wrong"))
    emulator.off()
    return rows


def _cells_compared(watching: list[Eyes], profile: Profile) -> list[Row]:
    """Cells that nobody can move: whoever sees them has to see the same. Alike cells prove no order."""
    if len(watching) < 2:
        return [Row("cells", "order", "a cell emulator, or a scanner and the DUT", "neither", "note")]
    (first, second), tolerance_v = watching[:2], profile.measurement.cell_tolerance_v
    seen_v, told_v = first.look(), second.look()
    apart_v = np.abs(seen_v - told_v)
    rows = [
        Row(
            "cells",
            f"cell {k}",
            f"{seen_v[k]:.3f} V by {first.name}",
            f"{told_v[k]:.3f} V by {second.name}",
            "wrong",
        )
        for k in np.flatnonzero(apart_v > 2.0 * tolerance_v)
    ]
    spread_v = np.diff(np.sort(told_v))
    alike = int((spread_v <= 2.0 * tolerance_v).sum())
    expected = f"{first.name} and {second.name} within {2.0 * tolerance_v:g} V"
    found = f"at most {np.nanmax(apart_v):.4f} V apart"
    if alike:
        found += f"; {alike} pairs of cells are too alike to tell their order"
    return [Row("cells", "order", expected, found, "ok" if not alike and not rows else "note"), *rows]


def _cells_by(eyes: Eyes, emulator: roles.CellEmulator, station: Station) -> list[Row]:
    level_v, rows = _readable_level(eyes, emulator, station)
    if level_v is None:
        return rows
    rest_v, cells = level_v / 2, emulator.cells

    def move(cell: int | None) -> None:
        emulator.set(voltage_v=[level_v if k == cell else rest_v for k in range(cells)])

    found = arrivals(eyes.look, move, channels=cells, step=level_v - rest_v)
    how = f"{level_v:g} V in turn over {rest_v:g} V, seen by {eyes.name}"
    return rows + _told("cells", "order and polarity", found, how, "cell", "V")


def _readable_level(
    eyes: Eyes, emulator: roles.CellEmulator, station: Station
) -> tuple[float | None, list[Row]]:
    """The lowest level [V] at which most cells are read, and what was tried in vain."""
    pack, tolerance_v = station.profile.pack, station.profile.measurement.cell_tolerance_v
    least_v = 2.0 * STEP_TOLERANCES * tolerance_v
    ceilings_v = [
        entry.max_v or 0.0 for name, entry in station.file.roles.items() if kind_of(name) == "cells"
    ]
    highest_v = min(pack.lower_limit_discharging_v, *ceilings_v)
    tried = [level_v for level_v in LEVELS_V if least_v <= level_v <= highest_v]
    rows: list[Row] = []
    for level_v in tried:
        emulator.set(voltage_v=level_v / 2)
        # One cell may be miswired, so it takes most of them to say that a voltage can be read.
        if np.mean(np.abs(eyes.look() - level_v / 2) < level_v / 4) > 0.5:
            return level_v, rows
        expected = f"{level_v / 2:g} V on every cell"
        found = f"{eyes.name} does not report so low a voltage"
        rows.append(Row("cells", "lowest voltage", expected, found, "note"))
    levels = ", ".join(f"{level_v / 2:g} V" for level_v in tried) or "no level that is permitted"
    found = f"{eyes.name} reports it at none of {levels}"
    rows.append(Row("cells", "order and polarity", "the driven voltage on most cells", found, "wrong"))
    return None, rows


# -- thermistors --------------------------------------------------------------------------------------------


def _thermistors(station: Station, answers: bool) -> list[Row]:
    if "thermistors" not in station.instruments:
        return [Row("thermistors", "order", "imitated thermistors", "no role thermistors", "note")]
    if not answers:
        return [Row("thermistors", "order", "a DUT that reports", "it does not answer", "wrong")]
    driver: roles.Thermistors = station.role("thermistors")
    period_s = station.profile.measurement.temperature_period_s
    eyes = DutEyes(station, "dut.temperature_degc", driver.sensors, period_s)

    def move(sensor: int | None) -> None:
        driver.set(temperature_degc=[REST_DEGC + WARMER_K * (k == sensor) for k in range(driver.sensors)])

    found = arrivals(eyes.look, move, channels=driver.sensors, step=WARMER_K)
    driver.off()
    how = f"{WARMER_K:g} K warmer in turn than {REST_DEGC:g} °C, seen by {eyes.name}"
    return _told("thermistors", "order", found, how, "sensor", "°C")


# -- in words -----------------------------------------------------------------------------------------------


def _told(where: str, what: str, found: list[Arrival], how: str, thing: str, unit: str) -> list[Row]:
    """One row for all that is right, one for each channel that is not."""
    right = [arrival for arrival in found if arrival.is_right]
    partner = {a: b for pair in swapped(found) for a, b in (pair, pair[::-1])}
    mark: Mark = "ok" if right == found else "note"
    rows = [Row(where, what, how, f"{len(right)} of {len(found)} on their own {thing}", mark)]
    for arrival in found:
        if arrival.is_right:
            continue
        k = arrival.channel
        text = f"channel {k} {arrival.told(thing, unit)}"
        if k in partner:
            text += f"; swapped with channel {partner[k]}"
        elif _is_wire_pair(arrival):
            text += f"; the two sense wires of {thing} {k} are swapped"
        rows.append(Row(where, f"channel {k}", f"{thing} {k}", text, "wrong"))
    return rows


def _is_wire_pair(arrival: Arrival) -> bool:
    """Both sense wires of a cell swapped: it is reversed, and its neighbours stand on its voltage too."""
    k, shows = arrival.channel, arrival.shows
    return shows.get(k - 1, 0.0) > 0.0 and shows.get(k + 1, 0.0) > 0.0 and not shows.get(k, 0.0) > 0.0
