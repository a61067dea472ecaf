"""The drill: a little energy on everything that can give some, for the safe state to take away.

What is switched on needs no pack: a few volts with open contactors, a fraction of a volt on each channel.
That it was on is measured, or the drill would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.bringup.readings import measured_text
from bench.bringup.rows import Row, judged
from bench.errors import BenchError
from bench.station import SafeReport, Station
from bench.station.drivers import kind_of

#: What is switched on [V], [A], [°C]; less where the station allows less. Project default.
SOURCE_V, SOURCE_A, SINK_A = 5.0, 1.0, 0.5
CELL_V, SENSOR_DEGC = 0.3, 25.0
SETTLE_S = 1.0


def energise(station: Station, *, wired: bool = False) -> list[Row]:
    """Switch a little of everything on and measure that it is; a refusal is a row, not an end.

    `wired`: the wiring is known to be right, so cells get what cells have and the DUT may be fed.
    """
    rows: list[Row] = []
    pack = station.profile.pack
    cell_v = pack.nominal_v / pack.cells if wired else CELL_V
    acts: dict[str, Callable[[Station, str], Row | None]] = {
        "cells": partial(_cells, cell_v=cell_v),
        "thermistors": _thermistors,
        "charger": _source,
        "regen": _source,
        "load": _load,
    }
    for kind, act in acts.items():
        for role in station.instruments:
            if kind_of(role) == kind and not station.file.roles[role].is_model:
                try:
                    row = act(station, role)
                except BenchError as error:
                    row = Row(role, "energised", "a little", str(error), "wrong")
                rows += [row] if row else []
    if wired:
        station.feed_dut()
    return rows or [Row("drill", "energised", "something to switch off", "no role gives energy", "note")]


def told(report: SafeReport, what: str = "safe state") -> Row:
    """What making safe came to."""
    expected = "everything off and read back as off"
    found = f"{report}, read back" if report.confirmed else str(report)
    return Row("drill", what, expected, found, judged(report.confirmed))


def _cells(station: Station, role: str, *, cell_v: float) -> Row:
    emulator = station.role(role)
    wanted_v = min(cell_v, station.file.roles[role].max_v or cell_v)
    emulator.set(voltage_v=wanted_v)
    station.clock.sleep(SETTLE_S)
    mark = judged(not emulator.is_off())
    return Row(role, "energised", f"channels at {wanted_v:.2g} V", measured_text(role, emulator), mark)


def _thermistors(station: Station, role: str) -> None:
    station.role(role).set(temperature_degc=SENSOR_DEGC)


def _source(station: Station, role: str) -> Row:
    entry, supply = station.file.roles[role], station.role(role)
    wanted_v = min(SOURCE_V, (entry.max_v or SOURCE_V) / 2)
    supply.source(voltage_v=wanted_v, current_a=min(SOURCE_A, entry.max_a or SOURCE_A))
    station.clock.sleep(SETTLE_S)
    found_v, _ = supply.measure()
    return Row(role, "energised", f"{wanted_v:g} V", f"{found_v:.2f} V", judged(found_v > wanted_v / 2))


def _load(station: Station, role: str) -> Row:
    """Drawing a little; without a source on its bus there is nothing to draw, and its input is on."""
    entry, load = station.file.roles[role], station.role(role)
    wanted_a = min(SINK_A, entry.max_a or SINK_A)
    load.sink(current_a=wanted_a)
    station.clock.sleep(SETTLE_S)
    _, found_a = load.measure()
    is_on = not load.is_off()
    return Row(role, "energised", f"input on at {wanted_a:g} A", f"{found_a:.2f} A", judged(is_on))
