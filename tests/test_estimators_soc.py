"""The SOC estimator finds its way from wrong starts, and says how far it may be off."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cells import load_cell
from bench.errors import InvalidInput
from bench.reference.estimators.cell import CellModel
from bench.reference.estimators.gate import SETTLED_S, flat_share, ocv_trusted, rested_s, steep
from bench.reference.estimators.pack import estimate_pack_soc, pack_soc
from bench.reference.estimators.soc import estimate_soc
from tests.made_cells import CAPACITY_AH, R0_OHM, R1_OHM, TAU1_S, write_cell
from tests.measured import measured

OFFSET_A = CAPACITY_AH / 15.0


@pytest.fixture(scope="module")
def steep_cell(tmp_path_factory):
    """1 V per unit of SOC, all the way."""
    return load_cell(write_cell(tmp_path_factory.mktemp("steep")))


@pytest.fixture(scope="module")
def flat_cell(steep_cell):
    """10 mV from 10 to 90 % SOC, and steep ends."""
    curve = np.interp(np.linspace(0.0, 1.0, 11), [0.0, 0.1, 0.9, 1.0], [2.8, 3.29, 3.30, 3.6])
    axis = np.linspace(0.0, 1.0, 11)
    ocv = steep_cell.ocv.model_copy(update={"soc": axis, "discharge_v": curve, "charge_v": curve})
    return steep_cell.model_copy(update={"ocv": ocv, "chemistry": "LFP"})


def drive(duration_s, step_s=1.0, seed=3):
    """Discharge in pulses of 30 s with rests and some charging, mean about C/4: t_s, current_a."""
    rng = np.random.default_rng(seed)
    t = np.arange(0.0, duration_s, step_s)
    level = rng.choice(
        [0.0, -2.0, -5.0, -8.0, 4.0], p=[0.25, 0.3, 0.2, 0.15, 0.1], size=int(duration_s // 30) + 1
    )
    return t, level[(t // 30).astype(int)]


def simulate(cell, t, current_a, soc0, noise_v=0.002, resistance_factor=1.0, shift_v=0.0, seed=5):
    """Truth by the textbook: SOC by counting, one RC pair, exact for a current that holds over each step."""
    step = np.diff(t, prepend=t[0])
    soc = soc0 + np.cumsum(current_a * step) / 3600.0 / CAPACITY_AH
    pair = np.zeros(len(t))
    for k in range(1, len(t)):
        keep = np.exp(-step[k] / TAU1_S)
        pair[k] = keep * pair[k - 1] + (1.0 - keep) * R1_OHM * current_a[k]
    rest_v = np.interp(soc, cell.ocv.soc, cell.ocv.discharge_v)
    noise = np.random.default_rng(seed).normal(0.0, noise_v, len(t))
    return soc, rest_v + shift_v + resistance_factor * (R0_OHM * current_a + pair) + noise


@pytest.mark.parametrize("wrong", [-0.3, 0.3])
@pytest.mark.parametrize("offset_a", [-OFFSET_A, OFFSET_A])
def test_a_wrong_start_and_an_offset_are_found_in_mid_cycle(steep_cell, wrong, offset_a):
    t, current = drive(4000.0)
    soc, volts = simulate(steep_cell, t, current, 0.65)

    track = estimate_soc(t, current + offset_a, volts, 25.0, steep_cell, initial_soc=0.65 + wrong)

    assert np.abs(track.soc - soc)[t >= 600.0].max() < 0.025
    assert track.current_offset_a[-1] == pytest.approx(offset_a, abs=0.25)
    assert abs(track.current_offset_a[-1] - offset_a) < track.current_offset_uncertainty_a[-1]


def test_without_any_initial_soc_the_voltage_finds_it(steep_cell):
    t, current = drive(2000.0)
    soc, volts = simulate(steep_cell, t, current, 0.42)

    track = estimate_soc(t, current, volts, 25.0, steep_cell)

    assert np.abs(track.soc - soc)[t >= 600.0].max() < 0.025


def test_the_bound_holds_the_truth_although_the_cell_file_is_wrong(steep_cell):
    held, width = [], []
    for seed, (factor, shift_v) in enumerate(2 * [(1.3, 0.005), (0.7, -0.005), (1.2, -0.01), (1.0, 0.01)]):
        t, current = drive(3000.0, seed=seed)
        soc, volts = simulate(
            steep_cell, t, current, 0.6, resistance_factor=factor, shift_v=shift_v, seed=seed
        )
        track = estimate_soc(
            t, current + (-1) ** seed * OFFSET_A, volts, 25.0, steep_cell, initial_soc=0.75, capacity_ah=10.3
        )
        held.append((track.lower <= soc) & (soc <= track.upper))
        width.append((track.upper - track.lower)[-1])

    assert np.mean(held) >= 0.95
    assert max(width) < 0.1, "a bound that says nothing holds everything"


def test_a_right_start_on_a_flat_curve_is_counted_on(flat_cell):
    t, current = drive(6000.0)
    soc, volts = simulate(flat_cell, t, current, 0.8, shift_v=0.002)

    track = estimate_soc(t, current, volts, 25.0, flat_cell, initial_soc=0.8)

    assert np.abs(track.soc - soc).max() < 0.02


@pytest.mark.parametrize("said", [0.35, 0.5, 0.75])
def test_a_wrong_start_on_a_flat_curve_stays_within_the_bound(flat_cell, said):
    t, current = drive(3000.0)
    soc, volts = simulate(flat_cell, t, current, 0.6)

    track = estimate_soc(t, current, volts, 25.0, flat_cell, initial_soc=said)

    assert np.mean((track.lower <= soc) & (soc <= track.upper)) >= 0.95
    assert track.upper[-1] - track.lower[-1] > 0.1, "nobody can know better on a flat curve"


@pytest.mark.parametrize("step_s", [0.1, 10.0])
def test_other_sampling_finds_the_same(steep_cell, step_s):
    t, current = drive(1500.0, step_s)
    soc, volts = simulate(steep_cell, t, current, 0.65)

    track = estimate_soc(t, current + OFFSET_A, volts, 25.0, steep_cell, initial_soc=0.9)

    assert np.abs(track.soc - soc)[t >= 600.0].max() < 0.025


def test_holes_are_bridged_and_flagged(steep_cell):
    t, current = drive(1500.0)
    soc, volts = simulate(steep_cell, t, current, 0.65)
    current[700:720], volts[800:900] = np.nan, np.nan
    degc = np.where(t < 100.0, np.nan, 25.0)

    track = estimate_soc(t, current, volts, degc, steep_cell, initial_soc=0.65)

    assert np.isfinite(track.soc).all()
    assert list(np.flatnonzero(track.bridged)) == [*range(700, 720), *range(800, 900)]
    assert np.abs(track.soc - soc).max() < 0.025


def test_a_gap_holds_the_soc_and_grows_the_bound(steep_cell):
    t, current = drive(1200.0)
    _, volts = simulate(steep_cell, t, current, 0.65)
    volts[600:] = np.nan
    late = np.where(t < 600.0, t, t + 1800.0)

    track = estimate_soc(late, current, volts, 25.0, steep_cell, initial_soc=0.65)

    width = track.upper - track.lower
    assert track.bridged[600]
    assert track.soc[600] == pytest.approx(track.soc[599], abs=0.01)
    assert width[600] > width[599] + 0.2, (
        "1800 s may have moved a sixth of the capacity, one way or the other"
    )


def test_behind_a_long_gap_the_voltage_finds_the_soc_again(steep_cell):
    t, current = drive(3000.0)
    _, before = simulate(steep_cell, t, current, 0.8)
    soc, after = simulate(steep_cell, t, current, 0.35)
    both_t = np.concatenate((t, t + 36000.0))

    track = estimate_soc(
        both_t, np.tile(current, 2), np.concatenate((before, after)), 25.0, steep_cell, initial_soc=0.8
    )

    assert np.abs(track.soc[len(t) :] - soc)[t >= 600.0].max() < 0.025


def test_without_voltage_it_counts(steep_cell):
    t = np.arange(0.0, 3601.0, 10.0)

    track = estimate_soc(t, np.full(len(t), -2.0), np.full(len(t), np.nan), 25.0, steep_cell, initial_soc=0.5)

    assert track.soc[-1] == pytest.approx(0.3, abs=0.01), "2 A for an hour out of 10 Ah"
    assert track.lower[-1] < 0.2
    assert track.upper[-1] > 0.4


def test_what_lies_beyond_full_is_held_and_said(steep_cell):
    t = np.arange(0.0, 3601.0, 10.0)

    track = estimate_soc(t, np.full(len(t), 2.0), np.full(len(t), np.nan), 25.0, steep_cell, initial_soc=0.95)

    assert track.soc.max() == 1.0
    assert track.beyond[-1]
    assert not track.beyond[0]


@settings(max_examples=15, deadline=None)
@given(
    current=st.lists(st.floats(-50.0, 50.0) | st.just(float("nan")), min_size=12, max_size=12),
    volts=st.lists(st.floats(0.0, 6.0) | st.just(float("nan")), min_size=12, max_size=12),
    said=st.floats(0.0, 1.0),
)
def test_whatever_is_measured_the_estimate_lies_in_its_bound_and_in_0_to_1(steep_cell, current, volts, said):
    track = estimate_soc(np.arange(12.0), current, volts, 25.0, steep_cell, initial_soc=said)

    assert (track.lower >= 0.0).all()
    assert (track.lower <= track.soc).all()
    assert (track.soc <= track.upper).all()
    assert (track.upper <= 1.0).all()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"t_s": [0.0, 2.0, 1.0]}, "t_s"),
        ({"t_s": [0.0, 1.0, np.nan]}, "t_s"),
        ({"t_s": [0.0]}, "t_s"),
        ({"current_a": [0.0, 1.0]}, "current_a"),
        ({"voltage_v": "three"}, "voltage_v"),
        ({"temperature_degc": np.nan}, "temperature_degc"),
        ({"temperature_degc": 298.15}, "temperature_degc"),
        ({"capacity_ah": 0.0}, "capacity_ah"),
        ({"initial_soc": 65.0}, "initial_soc"),
        ({"initial_soc": float("nan")}, "initial_soc"),
        ({"initial_soc_uncertainty": 0.0}, "initial_soc_uncertainty"),
        ({"current_offset_bound_a": -1.0}, "current_offset_bound_a"),
        ({"voltage_uncertainty_v": 0.0}, "voltage_uncertainty_v"),
    ],
)
def test_bad_input_is_refused_by_name(steep_cell, change, where):
    good = {
        "t_s": [0.0, 1.0, 2.0],
        "current_a": [0.0] * 3,
        "voltage_v": [3.5] * 3,
        "temperature_degc": 25.0,
        "cell": steep_cell,
    }

    with pytest.raises(InvalidInput, match=rf"^{where}: expected"):
        estimate_soc(**{**good, **change})


def test_rest_is_counted_from_the_last_current_and_a_hole_is_no_rest():
    t = np.arange(6.0) * 10.0
    current = np.array([0.0, 5.0, 0.1, 0.1, np.nan, 0.0])

    found = rested_s(t, current, capacity_ah=10.0)

    assert list(found) == [0.0, 0.0, 10.0, 20.0, 0.0, 10.0]


def test_the_slope_gate_opens_where_the_curve_tells_enough(steep_cell, flat_cell):
    line, plateau = CellModel(steep_cell), CellModel(flat_cell)

    assert steep(line, 0.5, doubt_v=0.0499, within=0.05)
    assert not steep(line, 0.5, doubt_v=0.0501, within=0.05)
    assert not steep(plateau, 0.5, doubt_v=0.008, within=0.05), "12.5 mV per unit of SOC"
    assert flat_share(line, doubt_v=0.008) == 0.0
    assert flat_share(plateau, doubt_v=0.008) > 0.8


def test_a_voltage_is_trusted_after_a_rest_on_a_slope_only(steep_cell, flat_cell):
    t = np.arange(0.0, SETTLED_S + 101.0, 10.0)
    current = np.where(t < 100.0, -5.0, 0.0)
    soc = np.full(len(t), 0.5)

    on_slope = ocv_trusted(t, current, soc, CellModel(steep_cell), doubt_v=0.008)
    on_plateau = ocv_trusted(t, current, soc, CellModel(flat_cell), doubt_v=0.008)

    assert list(t[on_slope]) == [SETTLED_S + 90.0, SETTLED_S + 100.0]
    assert not on_plateau.any()


def test_the_pack_goes_by_charge_left_and_room_not_by_soc():
    # 20, 10, 12 Ah at 40, 60, 55 %: left 8, 6, 6.6 Ah; room 12, 4, 5.4 Ah.
    soc = np.array([[0.40, 0.60, 0.55]])

    pack = pack_soc(soc, soc - 0.05, soc + 0.05, [20.0, 10.0, 12.0])

    assert pack.discharge_ah == pytest.approx([6.0])
    assert pack.charge_ah == pytest.approx([4.0])
    assert list(pack.emptiest) == [1]
    assert list(pack.fullest) == [1]
    assert pack.soc == pytest.approx([0.6])
    assert pack.lower == pytest.approx([5.5 / (5.5 + 4.5)])
    assert pack.upper == pytest.approx([6.5 / (6.5 + 3.5)])


def test_unequal_cells_leave_a_pack_less_than_any_of_them():
    pack = pack_soc(np.array([[0.9, 0.5]]), np.array([[0.9, 0.5]]), np.array([[0.9, 0.5]]), 10.0)

    assert pack.discharge_ah == pytest.approx([5.0])
    assert pack.charge_ah == pytest.approx([1.0])
    assert pack.soc == pytest.approx([5.0 / 6.0])


def test_the_cells_of_a_pack_are_told_apart(steep_cell):
    t, current = drive(1500.0)
    truth, volts = zip(*(simulate(steep_cell, t, current, soc0) for soc0 in (0.5, 0.7)), strict=True)

    track = estimate_pack_soc(t, current, np.stack(volts, axis=1), 25.0, steep_cell, initial_soc=0.6)

    error = np.abs(track.soc - np.stack(truth, axis=1))[t >= 600.0]
    assert error.max() < 0.025
    assert set(track.pack.emptiest[t >= 600.0]) == {0}
    assert set(track.pack.fullest[t >= 600.0]) == {1}


@pytest.mark.parametrize(
    ("change", "where"),
    [({"cell_v": np.zeros(3)}, "cell_v"), ({"capacity_ah": [1.0, 2.0, 3.0]}, "capacity_ah")],
)
def test_a_pack_of_the_wrong_shape_is_refused(steep_cell, change, where):
    good = {
        "t_s": np.arange(3.0),
        "current_a": np.zeros(3),
        "cell_v": np.full((3, 2), 3.5),
        "temperature_degc": 25.0,
        "cell": steep_cell,
    }

    with pytest.raises(InvalidInput, match=rf"^{where}: expected"):
        estimate_pack_soc(**{**good, **change})


def test_a_measured_drive_cycle_is_followed_from_a_wrong_start_with_an_offset():
    log = measured("lg_hg2/40degC_US06_1s.csv")
    t, discharge_a, volts, degc, drawn_ah = np.genfromtxt(log, delimiter=",", skip_header=1, unpack=True)
    soc = 1.0 - drawn_ah / 2.6899  # C/20 discharge at 40 °C
    mid = np.flatnonzero(soc < 0.7)[0]

    track = estimate_soc(
        t[mid:], 0.2 - discharge_a[mid:], volts[mid:], degc[mid:], load_cell("lg_hg2_3ah"),
        capacity_ah=2.78, initial_soc=0.4,
    )  # fmt: skip

    error = (track.soc - soc[mid:])[t[mid:] - t[mid] >= 600.0]
    assert np.sqrt(np.mean(error**2)) < 0.02
    assert np.abs(error).max() < 0.04
