"""A foreign log as records, so that the reference model can judge it like a run of the bench."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.errors import InvalidInput
from bench.foreign_log.keys import key_of
from bench.foreign_log.log import Column, ForeignLog, listed
from bench.foreign_log.table import Flag
from bench.foreign_log.timebase import longer_than
from bench.record import Event, Floats, Origin, Record, Trace

#: A sample stands for its channel for so many of its own periods, project default.
HELD_PERIODS = 2.5
#: Unit of each kind of trace.
_UNIT = {"current": "A", "voltage": "V", "temperature": "degC", "resistance": "ohm"}


class LogTraces:
    """The traces of one stretch of a log, as a `TraceSource`."""

    def __init__(self, traces: AnyMapping[str, Trace]) -> None:
        self._traces = dict(traces)

    def traces(self) -> dict[str, Trace]:
        """By standard name."""
        return self._traces


def traces_of(
    log: ForeignLog, *, channels: AnyMapping[str, int], uncertainty: AnyMapping[str, float]
) -> tuple[dict[str, Trace], list[Flag]]:
    """Every mapped column as a trace under its standard name, reported ones with `dut.` before it.

    Parameters
    ----------
    channels
        How many channels each key has in the profile (`v`: cells, `T`: sensors). Missing ones count as not
        measured, and are flagged.
    uncertainty
        Expanded uncertainty (k = 2) of one measured sample by key, in V, A, K; 0 where not stated.

    Raises
    ------
    InvalidInput
        More columns than the profile has channels.
    """
    found: dict[str, Trace] = {}
    flags: list[Flag] = []
    for reported in (False, True):
        for name in dict.fromkeys(column.key for column in log.columns if column.reported == reported):
            columns, key = log.of(name, reported=reported), key_of(name)
            assert key is not None, "the log was read with known keys"
            trace = ("dut." if reported else "") + key.trace
            origin = Origin("reported", "dut") if reported else Origin("measured", log.path)
            if key.many:
                t_s, value = _side_by_side(log, name, columns, channels.get(name, len(columns)), flags)
            else:
                t_s, value = columns[0].t_s, columns[0].value
            doubt = 0.0 if reported else uncertainty.get(name, 0.0)
            found[trace] = Trace(trace, _UNIT.get(key.quantity, "1"), t_s, value, origin, doubt)
    return found, flags


def records_of(log: ForeignLog, traces: AnyMapping[str, Trace], events: Sequence[Event]) -> list[Record]:
    """One record for each stretch of the log between two gaps.

    Across a gap nothing is known, neither that a limit was exceeded nor that it was not, so no stretch is
    judged by what came before it. Stretches of a single sample say nothing and are left out. An event `end`
    ends the last one: behind it a bench took its own instruments away.
    """
    starts = log.t_s[log.gap]
    last_s = max((float(trace.t_s[-1]) for trace in traces.values()), default=0.0) + 1.0
    last_s = min([last_s, *(event.t_s for event in events if event.kind == "end")])
    edges = np.concatenate(([-np.inf], starts[starts < last_s], [last_s]))
    records = []
    for k, start_s in enumerate(edges[:-1]):
        end_s = float(np.nextafter(edges[k + 1], -np.inf))
        parts = {name: trace.between(float(start_s), end_s) for name, trace in traces.items()}
        parts = {name: _with_silence(part, log.gap_factor) for name, part in parts.items() if len(part) > 1}
        if not parts:
            continue
        record = Record([LogTraces(parts)])
        # What was done before a stretch, such as a request of a mode, still holds in it.
        record.events = [event for event in events if event.t_s <= end_s]
        records.append(record)
    return records


def _with_silence(trace: Trace, gap_factor: float) -> Trace:
    """A sample of nan into each pause of a measured trace: nobody measured there, so nobody may conclude.

    A report that stays away is the DUT's own affair, and is judged as such.
    """
    late = np.flatnonzero(longer_than(trace.t_s, gap_factor))
    if not len(late) or trace.origin.kind != "measured":
        return trace
    silent_s = trace.t_s[late - 1] + trace.period_s
    t_s, value = np.insert(trace.t_s, late, silent_s), np.insert(trace.value, late, np.nan, axis=0)
    return replace(trace, t_s=t_s, value=value)


def _side_by_side(
    log: ForeignLog, key: str, columns: Sequence[Column], channels: int, flags: list[Flag]
) -> tuple[Floats, Floats]:
    """Columns on the times of the one with most samples, shape (time, channels)."""
    if len(columns) > channels:
        raise InvalidInput(
            f"{log.path}, {key}",
            expected=f"{channels} columns, as many as the profile has",
            found=f"{len(columns)}",
        )
    if len(columns) < channels:
        text = (
            f"{key}: {len(columns)} of {channels} mapped; {key}{len(columns)} and above count as not measured"
        )
        flags.append(Flag("channels", np.nan, 0, text))
    base = max(columns, key=lambda column: len(column.t_s))
    value = np.full((len(base.t_s), channels), np.nan)
    for k, column in enumerate(columns):
        value[:, k] = column.held(base.t_s, max_age_s=HELD_PERIODS * column.period_s)
    late = [column for column in columns if not np.array_equal(column.t_s, base.t_s)]
    if late:
        text = (
            f"{key}: {listed([column.name for column in late])} sampled at other times than {base.name}: the "
            f"newest value is held for {HELD_PERIODS:g} periods at most"
        )
        flags.append(Flag("held", float(base.t_s[0]), 0, text))
    return base.t_s, value
