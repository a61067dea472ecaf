"""Traces, samples, paths and records: what was measured, untouched."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.record import Origin, Path, Record, Samples, Trace, TraceSource

MEASURED = Origin("measured", "cells")


def trace(t_s, value, name="cell_v", unit="V"):
    return Trace(name, unit, np.array(t_s, float), np.array(value, float), MEASURED)


class Source:
    def __init__(self, *traces):
        self._traces = {one.name: one for one in traces}

    def traces(self):
        return self._traces


RISING = trace([0.0, 0.1, 0.2, 0.4], [3.5, 3.6, 3.7, 3.6])
CELLS = trace([0.0, 0.1, 0.2], [[3.5, 3.5], [3.5, 3.8], [3.9, 3.5]])


def test_first_ever_and_always():
    assert RISING.first(lambda v: v > 3.55) == 0.1
    assert RISING.ever(lambda v: v > 3.65)
    assert not RISING.always(lambda v: v > 3.55)
    assert RISING.always(lambda v: v > 3.4)


def test_what_never_happens_has_no_time():
    assert math.isnan(RISING.first(lambda v: v > 4.0))
    assert math.isnan(trace([], []).first(lambda v: v > 0.0))


def test_first_of_many_channels_is_a_time_not_an_index():
    assert CELLS.first(lambda v: v > 3.85) == 0.2
    assert CELLS.first(lambda v: v > 3.75) == 0.1


def test_an_empty_trace_never_always_holds():
    assert not trace([], []).always(lambda v: v > -1e9)


def test_not_available_fulfils_no_condition():
    gap = trace([0.0, 1.0], [math.nan, 3.6])

    assert gap.first(lambda v: v > 3.0) == 1.0
    assert not gap.always(lambda v: v > 3.0)


def test_at_gives_the_newest_sample_not_later():
    assert RISING.at(0.3) == 3.7
    assert RISING.at(0.2) == 3.7
    assert RISING.at(99.0) == 3.6
    assert math.isnan(RISING.at(-0.001))
    assert np.isnan(CELLS.at(-1.0)).tolist() == [True, True]


def test_between_includes_both_ends():
    part = RISING.between(0.1, 0.2)

    assert part.t_s.tolist() == [0.1, 0.2]
    assert part.value.tolist() == [3.6, 3.7]
    assert len(RISING.between(0.21, 0.39)) == 0
    assert len(RISING.between(0.4, 0.1)) == 0


def test_one_channel_keeps_origin_and_uncertainty():
    cells = Trace("cell_v", "V", CELLS.t_s, CELLS.value, MEASURED, 0.002)

    one = cells.channel(1)

    assert (one.name, one.origin, one.uncertainty) == ("cell_v[1]", MEASURED, 0.002)
    assert one.value.tolist() == [3.5, 3.8, 3.5]


def test_period_is_the_median_and_needs_two_samples():
    assert RISING.period_s == pytest.approx(0.1)
    assert math.isnan(trace([0.0], [1.0]).period_s)


def test_last_of_nothing_is_an_error_that_names_the_trace():
    with pytest.raises(ValueError, match=r"trace cell_v \(measured by cells\) has no sample yet"):
        _ = trace([], []).last


def test_samples_grow_into_a_trace():
    samples = Samples("current_a", "A", MEASURED, uncertainty=0.1)
    samples.append(0.0, -10)
    samples.append(0.1, 5.5)

    made = samples.trace()

    assert made.t_s.tolist() == [0.0, 0.1]
    assert made.value.tolist() == [-10.0, 5.5]
    assert made.uncertainty == 0.1


def test_samples_never_go_back_in_time():
    samples = Samples("current_a", "A", MEASURED)
    for t_s, value in ((1.0, 1.0), (1.0, 2.0), (0.5, 3.0), (1.5, 4.0)):
        samples.append(t_s, value)

    assert samples.trace().t_s.tolist() == [1.0, 1.5]
    assert samples.trace().value.tolist() == [1.0, 4.0]


def broken():
    yield 3.3
    raise RuntimeError("frame lost")


def test_a_sample_of_the_wrong_width_leaves_nothing_behind():
    samples = Samples("cell_v", "V", MEASURED, channels=3)
    samples.append(0.0, [3.1, 3.2, 3.3])

    with pytest.raises(ValueError, match=r"cell_v: expected 3 values in a sample, found 2 at 1\.0"):
        samples.append(1.0, [3.1, 3.2])
    with pytest.raises(RuntimeError, match="frame lost"):
        samples.append(1.0, broken())
    samples.append(2.0, (3.4, 3.5, 3.6))

    assert samples.trace().value.tolist() == [[3.1, 3.2, 3.3], [3.4, 3.5, 3.6]]


def test_an_empty_trace_of_channels_has_their_number():
    assert Samples("cell_v", "V", MEASURED, channels=24).trace().value.shape == (0, 24)


def path(*states):
    return Path(trace(np.arange(len(states)) * 0.1, states, "charge_path", "1"))


def test_a_path_opens_at_its_first_open_sample():
    moved = path(0, 1, 1, 0, 0, 1, 0)

    assert moved.openings_s == pytest.approx([0.3, 0.6])
    assert moved.closings_s == pytest.approx([0.1, 0.5])
    assert moved.opened_s == pytest.approx(0.3)
    assert not moved.closed


def test_a_path_that_was_open_all_along_never_opened():
    assert not path(0, 0, 0).opened
    assert math.isnan(path(0, 0).opened_s)
    assert math.isnan(path(1, 1).opened_s)
    assert path(1, 1).closed


def test_a_missing_sample_neither_opens_nor_closes_a_path():
    gap = path(1, math.nan, 1, math.nan)

    assert not gap.opened
    assert not gap.closings_s.size
    assert gap.closed
    assert path(1, math.nan, 0).opened_s == pytest.approx(0.2)


def test_an_empty_path_is_not_closed():
    assert not path().closed
    assert not path().opened


def test_a_record_asks_its_sources_each_time():
    samples = Samples("cell_v", "V", MEASURED)

    class Growing:
        def traces(self):
            return {"cell_v": samples.trace()} if len(samples) else {}

    record = Record([Growing(), Source(trace([0.0], [1.0], "charge_path", "1"))])
    assert "cell_v" not in record

    samples.append(0.0, 3.3)

    assert record.cell_v.last == 3.3
    assert record.charge_path.closed
    assert sorted(one.name for one in record) == ["cell_v", "charge_path"]


def test_a_later_source_wins_a_name():
    record = Record([Source(trace([0.0], [1.0])), Source(trace([0.0], [2.0]))])

    assert record["cell_v"].last == 2.0


def test_a_missing_trace_is_named_with_those_that_are_there():
    with pytest.raises(KeyError, match="no trace 'current_a' in the record; it has cell_v"):
        _ = Record([Source(RISING)]).current_a
    with pytest.raises(KeyError, match="it has none"):
        _ = Record()["cell_v"]


def test_notes_carry_their_time():
    record = Record(now_s=lambda: 12.5)
    record.note("stimulus", "cell 7 to 3.65 V", cell=7)

    (event,) = record.events

    assert (event.t_s, event.kind, event.data) == (12.5, "stimulus", {"cell": 7})


def test_a_source_is_known_by_its_shape():
    assert isinstance(Source(), TraceSource)
    assert not isinstance(object(), TraceSource)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-1e3, 1e3)), max_size=40))
def test_a_trace_of_samples_is_strictly_rising_and_answers_for_each_of_them(rows):
    samples = Samples("x", "1", MEASURED)
    for t_s, value in rows:
        samples.append(t_s, value)

    made = samples.trace()

    assert np.all(np.diff(made.t_s) > 0)
    for t_s, value in zip(made.t_s, made.value, strict=True):
        assert made.at(t_s) == value
        assert len(made.between(t_s, t_s)) == 1


@given(st.lists(st.booleans(), max_size=30))
def test_openings_and_closings_alternate(states):
    moved = path(*[float(state) for state in states])

    changes = sorted([*((t, 0) for t in moved.openings_s), *((t, 1) for t in moved.closings_s)])

    assert all(a[1] != b[1] for a, b in itertools.pairwise(changes))
    if states:
        assert moved.closed == states[-1]
