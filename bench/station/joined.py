"""Traces that several channels, or several instruments, make together: as if one had measured them.

A scanner wired to single cells, thermocouples and contacts gives one trace for each. The reference knows the
stack, the sensors and the paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.record import Floats, Trace
from dut_profiles.profile import Profile


def joined(found: Mapping[str, Trace], profile: Profile) -> dict[str, Trace]:
    """What can be put together of `found` and is not in it: `cell_v`, `temperature_degc` and the paths.

    Parameters
    ----------
    found
        What instruments measured, by standard name.
    profile
        Says how many cells there are, which of them carry sensors, which contacts make a path.
    """
    pack, switches = profile.pack, profile.switches
    parts = {
        "cell_v": [f"cell_v[{cell}]" for cell in range(pack.cells)],
        "temperature_degc": [f"temperature_degc[{cell}]" for cell in pack.sensor_cells],
        "charge_path": [f"switch.{name}" for name in switches.charge_path],
        "discharge_path": [f"switch.{name}" for name in switches.discharge_path],
    }
    made = {}
    for name, wanted in parts.items():
        if name in found or not set(wanted) <= set(found):
            continue
        columns = [found[part] for part in wanted]
        made[name] = _path(name, columns) if name.endswith("_path") else _row(name, columns)
    return made


def _row(name: str, columns: Sequence[Trace]) -> Trace:
    """Channels side by side, shape (time, channels): one row for each turn of the scan, at its middle."""
    count = min(len(column) for column in columns)
    times = np.column_stack([column.t_s[:count] for column in columns])
    values = np.column_stack([column.value[:count] for column in columns])
    first = columns[0]
    worst = max(column.uncertainty for column in columns)
    return Trace(name, first.unit, times.mean(axis=1), values, first.origin, worst)


def _path(name: str, columns: Sequence[Trace]) -> Trace:
    """1 where every contact of a path was closed when it was read last, at the times of all readings."""
    t_s = np.unique(np.concatenate([column.t_s for column in columns]))
    closed = np.min([_held(column, t_s) for column in columns], axis=0)
    return Trace(name, columns[0].unit, t_s, closed, columns[0].origin)


def _held(column: Trace, t_s: Floats) -> Floats:
    """Each reading holds until the next, shape (time,); nan before the first."""
    index = np.searchsorted(column.t_s, t_s, side="right") - 1
    held: Floats = np.where(index >= 0, column.value[np.maximum(index, 0)], np.nan)
    return held
