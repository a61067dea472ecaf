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
    return rows + _cells(station, answers) + _thermistors(station, answers) + [_alarms(station)]


def _start(station: Station) -> Row:
    """Let the DUT talk. With a cell emulator the cells stand at the lowest level by then."""
    if "cells" in station.instruments:
        station.role("cells").set(voltage_v=LEVELS_V[0] / 2)
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
    if "cells" not in station.instruments:
        return [Row("cells", "order and polarity", "a cell emulator", "no role cells", "note")]
    profile, emulator = station.profile, station.role("cells")
    watching: list[Eyes] = list(scanners_of(station))
    if answers:
        period_s = profile.measurement.cell_period_s
        watching.append(DutEyes(station, "dut.cell_v", profile.pack.cells, period_s))
    rows = []
    for eyes in watching:
        rows += _cells_by(eyes, emulator, station)
    if not watching:
        rows.append(Row("cells", "order and polarity", "somebody who sees them", "nobody", "wrong"))
    emulator.off()
    return rows


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
    highest_v = min(pack.lower_limit_discharging_v, station.file.roles["cells"].max_v or 0.0)
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
