"""What a log says that its cell cannot do is flagged; what a cell does is not."""

from __future__ import annotations

import numpy as np

from bench.cells import load_cell
from bench.offline.cell_log import CellLog
from bench.offline.doubts import Evidence, counted_ah, doubts
from bench.reference.estimators.soc import SocTrack

CELL = load_cell("nmc_58ah")
T_S = np.arange(0.0, 3601.0, 10.0)


def evidence(
    current_a: np.ndarray | float,
    *,
    capacity_ah: float = 58.0,
    voltage_v: np.ndarray | float | None = None,
    soc_end: float = 0.5,
    half: float = 0.02,
    offset_a: float = 0.0,
    offset_doubt_a: float = 0.1,
    degc: float = 25.0,
) -> Evidence:
    """An hour of `current_a`; the voltage follows the count by 0.5 V for the capacity, from 3.7 V on."""
    full = np.full(len(T_S), 1.0)
    samples = CellLog(T_S, full * current_a, full, degc * full, np.arange(len(T_S)), ())
    charge_ah = counted_ah(samples, 100.0)
    shown_v = 3.7 + 0.5 * charge_ah / capacity_ah if voltage_v is None else full * voltage_v
    samples = CellLog(T_S, full * current_a, shown_v, degc * full, np.arange(len(T_S)), ())
    no = np.zeros(len(T_S), dtype=bool)
    track = SocTrack(
        t_s=T_S,
        soc=soc_end * full,
        lower=(soc_end - half) * full,
        upper=(soc_end + half) * full,
        current_offset_a=offset_a * full,
        current_offset_uncertainty_a=offset_doubt_a * full,
        resistance_factor=full,
        resistance_factor_uncertainty=0.1 * full,
        capacity_factor=full,
        capacity_factor_uncertainty=0.1 * full,
        beyond=no,
        bridged=no,
        ocv_trusted=no,
    )
    return Evidence(samples, track, CELL, capacity_ah, charge_ah)


def told(*arguments, **named) -> list[str]:
    """Kinds of the flags."""
    return [flag.kind for flag in doubts(*arguments, **named)]


def test_the_count_is_current_times_time_without_gaps() -> None:
    samples = CellLog(
        np.array([0.0, 1800.0, 3600.0, 90000.0]), np.full(4, -10.0), np.full(4, 3.7), np.full(4, 25.0),
        np.arange(4), (),
    )  # fmt: skip

    assert counted_ah(samples, 1800.0).tolist() == [0.0, -5.0, -10.0, -10.0]
    assert counted_ah(samples, 1800.0, offset_a=2.0).tolist() == [0.0, -6.0, -12.0, -12.0]


def test_an_hour_of_half_the_capacity_is_no_reason_for_doubt() -> None:
    assert told(evidence(-29.0)) == []


def test_a_count_beyond_the_capacity_is_doubted() -> None:
    assert told(evidence(-58.0 * 1.49)) == []
    assert told(evidence(-58.0 * 1.51)) == ["charge"]


def test_a_voltage_that_falls_while_the_count_rises_is_the_wrong_sign() -> None:
    falling = 3.7 - 0.3 * T_S / 3600.0

    assert told(evidence(29.0, voltage_v=falling)) == ["sign"]
    # Less than a tenth of the capacity tells nothing: it may be a rest, and the voltage relax.
    assert told(evidence(5.0, voltage_v=falling)) == []


def test_a_current_that_is_nothing_for_the_capacity_is_doubted_and_rest_is_not() -> None:
    assert told(evidence(-1.17)) == []
    assert told(evidence(-1.15)) == ["current"]
    assert told(evidence(0.0)) == []


def test_a_voltage_that_the_cell_type_never_has_is_doubted() -> None:
    high_v = float(np.max(CELL.ocv.mean_v + CELL.ocv.half_v))

    assert told(evidence(-29.0, voltage_v=high_v + 0.09)) == []
    assert told(evidence(-29.0, voltage_v=high_v + 0.11)) == ["cell"]


def test_a_temperature_far_from_those_of_the_cell_file_is_doubted() -> None:
    # The file has tables from -30 to 55 °C.
    assert [told(evidence(-29.0, degc=degc)) for degc in (-40.0, 65.0)] == [[], []]
    assert [told(evidence(-29.0, degc=degc)) for degc in (-41.0, 66.0)] == [["temperature"]] * 2


def test_an_offset_as_large_as_the_current_is_doubted() -> None:
    # 20 % of 29 A are 5.8 A; what is not sure does not count.
    assert told(evidence(-29.0, offset_a=5.8, offset_doubt_a=0.1)) == []
    assert told(evidence(-29.0, offset_a=-6.0, offset_doubt_a=0.1)) == ["offset"]


def test_a_small_offset_at_rest_is_an_offset() -> None:
    # 2 % of 58 Ah in an hour are 1.16 A.
    assert told(evidence(1.2, offset_a=1.2)) == []


def test_a_stated_start_that_the_count_back_does_not_meet_is_doubted() -> None:
    # From the end at 0.5 an hour of 29 A back: the log began at 1.0, give or take 0.02 + 0.1 Ah / 58 Ah.
    assert told(evidence(-29.0), initial=(0.9, 0.1)) == []
    (flag,) = doubts(evidence(-29.0), initial=(0.6, 0.3))

    assert flag.kind == "initial"
    assert (
        "--initial-soc 0.6 does not fit: counted back from its end the log began at 1.00 +- 0.02" in flag.text
    )


def test_bounds_of_a_third_of_all_are_pointed_out() -> None:
    assert told(evidence(-29.0, half=0.14)) == []
    assert told(evidence(-29.0, half=0.16)) == ["wide"]
