"""What a log cannot be is refused with the unit to try; what it may be, but hardly is, is flagged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.errors import InvalidInput
from bench.foreign_log import ForeignLog, checked, read_log, read_mapping

ROWS = 200
T_S = np.arange(ROWS, dtype=np.float64)
#: Ten seconds of discharge, ten of rest; 20 mΩ on 3.7 V, charge positive.
CURRENT_A = np.where(T_S % 20 < 10, -5.0, 0.0)
VOLTAGE_V = 3.7 + 0.02 * CURRENT_A
TEMPERATURE_DEGC = 25.0 + 0.001 * T_S


def checked_log(
    tmp_path: Path, *, max_current_a: float = np.inf, stated: dict | None = None, **columns
) -> ForeignLog:
    sound = {"i": CURRENT_A, "v": VOLTAGE_V, "T": TEMPERATURE_DEGC}
    table = {"t": T_S} | sound | columns
    lines = [
        ",".join(table),
        *(",".join(f"{x:.6g}" for x in row) for row in zip(*table.values(), strict=True)),
    ]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    mapping = read_mapping(",".join(f"{key}={key}" for key in table), **(stated or {}))
    return checked(read_log(tmp_path / "log.csv", mapping), max_current_a=max_current_a)


def with_one(value: np.ndarray, k: int, wild: float) -> np.ndarray:
    changed = value.copy()
    changed[k] = wild
    return changed


def test_a_sound_log_has_no_flag(tmp_path: Path) -> None:
    assert checked_log(tmp_path).flags == ()


@pytest.mark.parametrize(
    ("key", "column", "told"),
    [
        ("v", VOLTAGE_V * 1000.0, ("found 3650 V in the middle", "try --units v=mV")),
        ("v", VOLTAGE_V / 1000.0, ("found 0.00365 V", "try --units v=kV")),
        ("v", VOLTAGE_V * 24.0, ("v between 0.05 and 6 V", "found 87.6 V")),
        ("T", TEMPERATURE_DEGC + 273.15, ("found 298.25 degC", "try --units T=K")),
        ("soc", 50.0 + 0.01 * T_S, ("found 50.995 in the middle", "try --units soc=percent")),
        ("pack_v", 80_000.0 + T_S, ("try --units pack_v=mV",)),
    ],
)
def test_a_unit_that_cannot_be_is_refused_with_the_one_to_try(
    tmp_path: Path, key: str, column: np.ndarray, told: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        checked_log(tmp_path, **{key: column})

    for words in (f"log.csv, column {key!r}", *told):
        assert words in str(refusal.value)


def test_the_unit_to_try_is_right(tmp_path: Path) -> None:
    log = checked_log(
        tmp_path, v=VOLTAGE_V * 1000.0, T=TEMPERATURE_DEGC + 273.15, stated={"units": "v=mV,T=K"}
    )

    assert log.only("v").value == pytest.approx(VOLTAGE_V, abs=1e-5)
    assert log.only("T").value == pytest.approx(TEMPERATURE_DEGC, abs=1e-3)


def test_a_current_in_milliampere_is_refused_by_the_stated_maximum(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"log\.csv:2, column 'i'.*at most 100 A.*try --units i=mA"):
        checked_log(tmp_path, i=CURRENT_A * 1000.0, max_current_a=100.0)


def test_a_single_current_above_the_maximum_is_kept_and_flagged(tmp_path: Path) -> None:
    log = checked_log(tmp_path, i=with_one(CURRENT_A, 15, 2000.0), max_current_a=100.0)

    assert log.only("i").value[15] == 2000.0
    assert [(flag.kind, flag.t_s, flag.line) for flag in log.flags] == [("current", 15.0, 17)]


@pytest.mark.parametrize(("key", "wild"), [("v", 65.535), ("T", -273.15), ("v", 6.0001)])
def test_single_words_of_all_ones_are_left_out_and_flagged(tmp_path: Path, key: str, wild: float) -> None:
    sound = {"v": VOLTAGE_V, "T": TEMPERATURE_DEGC}[key]
    log = checked_log(tmp_path, **{key: with_one(sound, 15, wild)})

    assert 15.0 not in log.only(key).t_s
    assert len(log.only(key).value) == ROWS - 1
    assert [(flag.kind, flag.line) for flag in log.flags] == [("implausible", 17)]


def test_a_cell_at_6_v_is_still_a_measurement(tmp_path: Path) -> None:
    assert checked_log(tmp_path, v=with_one(VOLTAGE_V, 15, 6.0)).only("v").value[15] == 6.0


def test_many_wild_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"log\.csv:2, column 'v'.*found 60 V, and 20 of 200 samples outside"
    ):
        checked_log(tmp_path, v=np.where(T_S % 10 == 0, 60.0 + T_S, VOLTAGE_V))


def test_one_word_for_not_available_may_stand_in_up_to_half_of_the_rows(tmp_path: Path) -> None:
    log = checked_log(tmp_path, v=np.where(T_S % 2 == 0, 65.535, VOLTAGE_V))

    assert len(log.only("v").value) == ROWS / 2
    assert log.only("v").value.max() < 4.0
    assert "100 samples such as 65.535 V are none, left out" in log.flags[0].text


def test_a_voltage_in_mv_that_is_0_now_and_then_is_not_taken_for_the_zeros(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="try --units v=mV"):
        checked_log(tmp_path, v=np.where(T_S % 10 == 0, 0.0, 3300.0))


@pytest.mark.parametrize("key", ["i", "v", "T"])
def test_a_column_that_never_changes_is_flagged(tmp_path: Path, key: str) -> None:
    log = checked_log(tmp_path, **{key: np.full(ROWS, 3.7)})

    assert [flag.kind for flag in log.flags] == ["stuck"]
    assert f"{key}: never changes in 1 of 1 columns ({key})" in log.flags[0].text


def test_a_voltage_that_stops_while_the_current_goes_on_is_flagged(tmp_path: Path) -> None:
    frozen = np.where(T_S >= 100, VOLTAGE_V[99], VOLTAGE_V)
    log = checked_log(tmp_path, v=frozen)

    # Row 99 is the last of a rest, so the voltage stands still from the beginning of that rest, at 90 s.
    assert [(flag.kind, flag.t_s) for flag in log.flags] == [("stuck", 90.0)]


def test_a_charger_that_holds_the_voltage_is_not_flagged(tmp_path: Path) -> None:
    dying_a = 5.0 * np.exp(-T_S / 50.0)
    log = checked_log(tmp_path, i=dying_a, v=np.where(T_S < 5, 4.19, 4.2))

    assert log.flags == ()


@pytest.mark.parametrize(
    ("stated", "remedy"),
    [({}, "add --discharge-positive"), ({"discharge_positive": True}, "leave --discharge-positive out")],
)
def test_a_voltage_that_answers_the_wrong_way_is_flagged_with_the_remedy(
    tmp_path: Path, stated: dict, remedy: str
) -> None:
    turned = CURRENT_A if stated else -CURRENT_A
    log = checked_log(tmp_path, i=turned, stated=stated)

    assert [flag.kind for flag in log.flags] == ["sign"]
    assert remedy in log.flags[0].text
    assert "correlation -1.00" in log.flags[0].text


def test_noise_at_rest_says_nothing_about_the_sign(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    log = checked_log(tmp_path, i=rng.normal(0.0, 0.01, ROWS), v=3.7 + rng.normal(0.0, 0.001, ROWS))

    assert log.flags == ()


# -- what nobody said, and what stands still -----------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "other"),
    [(1e3, "ms"), (1e6, "us"), (1.0 / 60.0, "min"), (1.0 / 3600.0, "h"), (1.0 / 86400.0, "d")],
)
def test_a_time_in_an_unlikely_unit_that_nobody_stated_is_doubted(
    tmp_path: Path, factor: float, other: str
) -> None:
    (flag,) = checked_log(tmp_path, t=np.round(T_S * factor, 12)).flags

    assert flag.kind == "clock"
    assert "nobody says the unit of t" in flag.text
    assert flag.text.endswith(f"or t={other}")


@pytest.mark.parametrize("period_s", [0.02, 0.1, 60.0, 600.0])
def test_usual_distances_of_samples_are_not_doubted(tmp_path: Path, period_s: float) -> None:
    assert checked_log(tmp_path, t=T_S * period_s).flags == ()


def test_a_unit_of_time_that_was_stated_is_not_doubted(tmp_path: Path) -> None:
    assert checked_log(tmp_path, t=T_S * 1e-3, stated={"units": "t=s"}).flags == ()


@pytest.mark.parametrize(("degc", "told"), [(77.0, "try --units T=degF?"), (-50.0, "is unusual")])
def test_a_temperature_where_batteries_hardly_are_is_flagged(tmp_path: Path, degc: float, told: str) -> None:
    (flag,) = checked_log(tmp_path, T=degc + 0.001 * T_S).flags

    assert flag.kind == "implausible"
    assert told in flag.text


def test_a_current_that_stands_still_under_a_jumping_voltage_is_flagged(tmp_path: Path) -> None:
    stuck = np.where((T_S >= 60.0) & (T_S < 150.0), -5.0, CURRENT_A)
    (flag,) = checked_log(tmp_path, i=stuck).flags

    assert flag.kind == "stuck"
    assert flag.line == 62
    assert flag.text.startswith("i: stands still for 60 samples")


def test_one_jump_of_the_voltage_at_the_start_of_a_rest_is_not_a_stuck_current(tmp_path: Path) -> None:
    current_a = np.where(T_S < 100.0, CURRENT_A, 0.0)
    # The load before 100 s is still in the voltage of the first sample of the rest.
    assert checked_log(tmp_path, i=current_a, v=3.7 + 0.02 * np.append(-5.0, current_a[:-1])).flags == ()


def test_an_offset_in_the_wrong_unit_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        checked_log(tmp_path, max_current_a=60.0, stated={"current_offset_a": 200.0})

    assert "leave out --current-offset 200, which is in A" in str(refusal.value)
