"""The state of power, against sums done by hand and against a fine integration of the same equations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cells import CellFile, load_cell
from bench.errors import InvalidInput
from bench.reference.estimators.cell import CellModel
from bench.reference.estimators.largest import largest
from bench.reference.estimators.power import Bounds, bounds_of, power_limits
from bench.reference.estimators.states import CellStates
from dut_profiles.profile import load_profile

#: 100 Ah, 3 V empty and 4 V full in a straight line, 1 mΩ at once and 1 mΩ with 10 s, 1 kJ/K.
PLAIN = {
    "schema": "bmsbench-cell/1",
    "name": "plain",
    "chemistry": "NMC",
    "capacity_ah": 100.0,
    "nominal_v": 3.5,
    "source": "made up",
    "ocv": {
        "soc": [0.0, 0.5, 1.0],
        "discharge_v": [3.0, 3.5, 4.0],
        "charge_v": [3.0, 3.5, 4.0],
        "overcharge_v_per_soc": 1.0,
        "overdischarge_v_per_soc": 1.0,
        "source": "made up",
    },
    "hysteresis": {"rate": 1.0, "source": "made up"},
    "r0": {"temperature_degc": [25.0], "soc": [0.5], "ohm": [[1e-3]], "source": "made up"},
    "rc": [
        {"temperature_degc": [25.0], "soc": [0.5], "ohm": [[1e-3]], "tau_s": [10.0], "source": "made up"},
    ],
    "thermal": {
        "heat_capacity_j_per_k": 1000.0,
        "neighbour_w_per_k": 0.0,
        "ambient_w_per_k": 0.0,
        "fan_w_per_k": 0.0,
        "source": "made up",
    },
}
WIDE_UP = Bounds(voltage_v=4.0, current_a=1000.0, soc=1.0)
WIDE_DOWN = Bounds(voltage_v=3.0, current_a=1000.0, soc=0.0)
#: Volts per ampere after 10 s: ohmic, the pair, and 10 s of charge on 360 kC at 1 V per unit of SOC.
AFTER_10_S = 1e-3 + 1e-3 * (1.0 - math.exp(-1.0)) + 10.0 / 360e3
#: How far a limit may be off [fraction]: the bracket, and the straight lines of the tables.
CLOSE = 3e-4


@pytest.fixture(scope="module")
def plain():
    return CellFile.model_validate(PLAIN)


def limits(file, cells, *, up=WIDE_UP, down=WIDE_DOWN, horizons_s=(10.0,)):
    found = power_limits(file, cells, charge=up, discharge=down, horizons_s=horizons_s)
    return [one for one in found if one.direction == "charge"], [
        one for one in found if one.direction == "discharge"
    ]


def test_the_voltage_bound_of_a_plain_cell_is_met_as_summed_by_hand(plain):
    (charge,), (discharge,) = limits(plain, CellStates(soc=0.5, temperature_degc=25.0))

    assert charge.expected_a.value == pytest.approx(0.5 / AFTER_10_S, rel=CLOSE), "301.2 A"
    assert discharge.expected_a.value == pytest.approx(0.5 / AFTER_10_S, rel=CLOSE)
    assert (charge.expected_a.cell, charge.expected_a.bound) == (0, "voltage")


def test_what_a_pair_still_holds_counts(plain):
    cells = CellStates(soc=0.5, temperature_degc=25.0, overvoltage_v=[[0.1]])

    (charge,), (discharge,) = limits(plain, cells)

    left_v = 0.1 * math.exp(-1.0)
    assert charge.expected_a.value == pytest.approx((0.5 - left_v) / AFTER_10_S, rel=CLOSE)
    assert discharge.expected_a.value == pytest.approx((0.5 + left_v) / AFTER_10_S, rel=CLOSE)


def test_a_soc_window_leaves_as_many_ampere_hours_as_it_is_wide(plain):
    up, down = Bounds(4.0, 1000.0, soc=0.501), Bounds(3.0, 1000.0, soc=0.498)

    (charge,), (discharge,) = limits(plain, CellStates(soc=0.5, temperature_degc=25.0), up=up, down=down)

    assert charge.expected_a.value == pytest.approx(36.0, abs=0.01), "0.1 Ah in 10 s"
    assert discharge.expected_a.value == pytest.approx(72.0, abs=0.01)
    assert (charge.expected_a.bound, discharge.expected_a.bound) == ("soc", "soc")


def test_a_cell_may_heat_by_itself_as_far_as_the_hottest_temperature():
    """No pair to speak of: i²R over 10 s on 1 kJ/K. 316.2 A on 1 mΩ are 100 W, 1 K."""
    raw = PLAIN | {"rc": [PLAIN["rc"][0] | {"ohm": [[1e-9]]}]}
    down = Bounds(voltage_v=1.0, current_a=1000.0, soc=0.0, hottest_degc=26.0)

    _, (discharge,) = limits(
        CellFile.model_validate(raw), CellStates(soc=0.5, temperature_degc=25.0), down=down
    )

    assert discharge.expected_a.value == pytest.approx(math.sqrt(1e5), rel=CLOSE)
    assert discharge.expected_a.bound == "temperature"


@pytest.mark.parametrize("degc", [-0.1, 55.1])
def test_outside_the_temperatures_of_a_direction_nothing_flows(plain, degc):
    up = Bounds(4.0, 1000.0, 1.0, coldest_degc=0.0, hottest_degc=55.0)

    (charge,), (discharge,) = limits(plain, CellStates(soc=[0.5, 0.5], temperature_degc=[25.0, degc]), up=up)

    assert (charge.expected_a.value, charge.expected_a.cell) == (0.0, 1)
    assert charge.expected_a.bound == charge.expected_w.bound == "temperature"
    assert charge.expected_w.value == 0.0
    assert discharge.expected_a.value > 300.0


def test_a_cell_that_is_beyond_its_bound_already_gives_nothing(plain):
    (charge,), _ = limits(plain, CellStates(soc=[0.5, 1.01], temperature_degc=25.0))

    assert charge.guaranteed_a.value == charge.expected_w.value == 0.0
    assert charge.guaranteed_a.cell == 1


def test_where_no_cell_binds_the_current_bound_does(plain):
    up = Bounds(4.0, 100.0, 1.0)

    (charge,), _ = limits(plain, CellStates(soc=0.5, temperature_degc=25.0), up=up)

    assert (charge.expected_a.value, charge.expected_a.cell, charge.expected_a.bound) == (
        100.0,
        None,
        "current",
    )
    # 100 A flow only at the start: 3.5 V and 0.1 V, and the voltage rises from there.
    assert charge.expected_w.value == pytest.approx(360.0, rel=CLOSE)


def test_the_weakest_cell_is_named_and_limits_all(plain):
    cells = CellStates(soc=[0.5, 0.5, 0.5], temperature_degc=25.0, resistance_factor=[1.0, 2.0, 0.5])

    (charge,), (discharge,) = limits(plain, cells)

    with_twice_the_resistance = AFTER_10_S + 1e-3 + 1e-3 * (1.0 - math.exp(-1.0))
    assert charge.expected_a.cell == discharge.expected_w.cell == 1
    assert charge.expected_a.value == pytest.approx(0.5 / with_twice_the_resistance, rel=CLOSE)


def test_uncertainty_is_taken_off_as_summed_by_hand(plain):
    """5 % of SOC are 50 mV here, 20 mV of voltage, 10 % of resistance."""
    cells = CellStates(
        soc=0.5,
        temperature_degc=25.0,
        soc_uncertainty=0.05,
        resistance_uncertainty=0.1,
        voltage_uncertainty_v=0.02,
    )

    (charge,), _ = limits(plain, cells)

    ohm = 1.1 * (AFTER_10_S - 10.0 / 360e3) + 10.0 / 360e3
    assert charge.guaranteed_a.value == pytest.approx(0.43 / ohm, rel=CLOSE)
    assert charge.expected_a.value == pytest.approx(0.5 / AFTER_10_S, rel=CLOSE)


def test_charge_transfer_makes_a_large_current_cheaper_than_ohms_law():
    """The first pair goes to R i0 asinh(i / i0), i0 = 50 A: the limit is where the sum is 0.5 V."""
    bent = [PLAIN["rc"][0] | {"linear_a": [50.0]}]
    file = CellFile.model_validate(PLAIN | {"rc": bent})

    (charge,), _ = limits(file, CellStates(soc=0.5, temperature_degc=25.0))

    def volts(i):
        return (1e-3 + 10 / 360e3) * i + 1e-3 * (1 - math.exp(-1)) * 50 * math.asinh(i / 50)

    found = charge.expected_a.value
    assert found > 1.2 * 0.5 / AFTER_10_S
    assert volts(found * (1 - CLOSE)) < 0.5 < volts(found * (1 + CLOSE))


def fine(file, cells, direction, horizon_s, *, current_a=None, power_w=None, steps=300):
    """Voltages of all cells over time by small steps of Euler, shape (steps, cells); current as well."""
    model = CellModel(file)
    z, degc, branch = (np.array(np.broadcast_to(x, np.shape(cells.soc)), float) for x in
                       (cells.soc, cells.temperature_degc, cells.branch))  # fmt: skip
    factor = np.broadcast_to(cells.resistance_factor, z.shape)
    u, dt, out, flown = np.zeros((model.pairs, len(z))), horizon_s / steps, [], []
    for _ in range(steps):
        emf = model.open_circuit_v(z, temperature_degc=degc, branch=branch) + u.sum(axis=0)
        r0 = factor * model.r0_ohm(z, degc)
        if power_w is None:
            i = direction * current_a
        else:
            e, r = emf.sum(), r0.sum()
            i = (-e + math.sqrt(e * e + 4 * r * direction * power_w)) / (2 * r)
        out.append(emf + r0 * i)
        flown.append(i)
        heat = r0 * i * i
        for k in range(model.pairs):
            ohm, tau = model.pair(k, z, degc)
            heat += u[k] ** 2 / (factor * ohm)
            seen = model.transferred_a(k, i, degc)
            u[k] += dt * (factor * ohm * seen - u[k]) / tau
        moved = i * dt / 3600 / file.capacity_ah
        z = z + moved
        branch = branch + file.hysteresis.rate * abs(moved) * (direction - branch)
        degc = degc + heat * dt / file.thermal.heat_capacity_j_per_k
    return np.array(out), np.array(flown)


@pytest.mark.parametrize(
    ("name", "soc", "degc"),
    [("lfp_280ah", 0.1, 25.0), ("lfp_280ah", 0.5, -10.0), ("nmc_58ah", 0.1, 25.0), ("nmc_58ah", 0.9, 40.0)],
)
def test_a_limit_brings_the_weakest_cell_to_its_voltage_and_not_beyond(name, soc, degc):
    file = load_cell(name)
    high_v, low_v = (3.65, 2.5) if name.startswith("lfp") else (4.2, 2.8)
    cells = CellStates(soc=soc + np.array([0.0, 0.01, -0.01]), temperature_degc=degc,
                       resistance_factor=np.array([1.0, 0.95, 1.2]))  # fmt: skip
    up, down = Bounds(high_v, 9000.0, 1.5), Bounds(low_v, 9000.0, -0.5)

    charge, discharge = limits(file, cells, up=up, down=down, horizons_s=(10.0, 30.0))

    for one, direction, bound_v in ((charge[1], 1, high_v), (discharge[0], -1, low_v)):
        for flow in ({"current_a": one.expected_a.value}, {"power_w": one.expected_w.value}):
            volts, _ = fine(file, cells, direction, one.horizon_s, **flow)
            worst = (direction * volts).max() - direction * bound_v
            assert abs(worst) < 2e-3, f"{one.direction} {flow}: {1e3 * worst:.2f} mV beyond"


def test_a_guaranteed_power_holds_for_the_packs_that_it_was_given_for():
    """Corners of the uncertainty, and the case that is worst for a charge: one cell up, all others down."""
    file = load_cell("lfp_280ah")
    soc, doubt = np.full(6, 0.85), 0.03
    cells = CellStates(soc=soc, temperature_degc=10.0, soc_uncertainty=doubt, resistance_uncertainty=0.1)
    up, down = Bounds(3.6, 800.0, 1.0), Bounds(2.8, 2000.0, 0.0)

    (charge,), (discharge,) = limits(file, cells, up=up, down=down, horizons_s=(30.0,))

    weak, strong = 1.1, 0.9
    for signs in (np.ones(6), np.array([1.0, -1, -1, -1, -1, -1])):
        for factor in (weak, strong, np.where(signs > 0, weak, strong)):
            true = CellStates(soc=soc + doubt * signs, temperature_degc=10.0, resistance_factor=factor)
            volts, flown = fine(file, true, 1, 30.0, power_w=charge.guaranteed_w.value, steps=150)
            assert volts.max() < 3.6 + 1e-3
            assert flown.max() < 800.0 * (1 + 1e-4)
            volts, _ = fine(file, true, -1, 30.0, power_w=discharge.guaranteed_w.value, steps=150)
            assert volts.min() > 2.8 - 1e-3


FILES = st.sampled_from(["lfp_280ah", "nmc_58ah"])


def values_of(file, cells, horizons_s=(2.0, 30.0)):
    high_v, low_v = (3.6, 2.6) if file.chemistry == "LFP" else (4.2, 2.8)
    up, down = Bounds(high_v, 2000.0, 1.0, 0.0, 55.0), Bounds(low_v, 2000.0, 0.0, -20.0, 60.0)
    found = power_limits(file, cells, charge=up, discharge=down, horizons_s=horizons_s)
    return np.array([[one.guaranteed_a.value, one.guaranteed_w.value, one.expected_a.value,
                      one.expected_w.value] for one in found])  # fmt: skip


@settings(max_examples=5, deadline=None)
@given(
    name=FILES,
    soc=st.floats(0.02, 0.98),
    degc=st.floats(-15.0, 50.0),
    doubt=st.floats(0.0, 0.1),
    more=st.floats(0.0, 0.1),
    ohms=st.floats(0.0, 0.2),
)
def test_no_more_uncertainty_ever_raises_a_guaranteed_limit(name, soc, degc, doubt, more, ohms):
    file = load_cell(name)
    state = {"soc": [soc, 0.5], "temperature_degc": degc}

    less = values_of(file, CellStates(**state, soc_uncertainty=doubt, resistance_uncertainty=ohms))
    greater = values_of(
        file,
        CellStates(
            **state,
            soc_uncertainty=doubt + more,
            resistance_uncertainty=ohms + 0.1,
            voltage_uncertainty_v=more,
        ),
    )

    # Two steps of the search: rounding may put a value that is met exactly on either side.
    assert (greater[:, :2] <= less[:, :2] * (1 + 1e-4) + 0.2).all()
    assert (less[:, :2] <= less[:, 2:] * (1 + 1e-4)).all(), (
        "what is guaranteed is never above what is expected"
    )


@settings(max_examples=5, deadline=None)
@given(name=FILES, soc=st.floats(0.02, 0.98), degc=st.floats(-15.0, 50.0), pair_v=st.floats(-0.05, 0.05))
def test_a_longer_horizon_never_raises_a_limit(name, soc, degc, pair_v):
    file = load_cell(name)
    pairs = np.full((len(file.rc), 1), pair_v)

    found = values_of(file, CellStates([soc], degc, pairs), horizons_s=(1.0, 2.0, 10.0, 30.0, 120.0))

    for direction in (found[:5], found[5:]):
        assert (np.diff(direction, axis=0) <= 0.0).all()


@settings(max_examples=5, deadline=None)
@given(name=FILES, soc=st.floats(0.05, 0.95), degc=st.floats(1.0, 40.0), colder=st.floats(0.0, 10.0))
def test_colder_never_raises_a_limit_of_the_voltage(name, soc, degc, colder):
    file = load_cell(name)
    up, down = Bounds(3.6, 2000.0, 1.0), Bounds(2.6, 2000.0, 0.0)

    warm, cold = (
        power_limits(
            file, CellStates([soc], t), charge=up, discharge=down, horizons_s=(10.0,)
        )
        for t in (degc, degc - colder)
    )  # fmt: skip

    for one, other in zip(warm, cold, strict=True):
        assert other.expected_a.value <= one.expected_a.value * (1 + 1e-4) + 0.05


def test_a_profile_gives_its_bounds():
    profile = load_profile("hd_lfp_24s")

    charge, discharge = (bounds_of(profile, path, soc=s) for path, s in (("charge", 1.0), ("discharge", 0.0)))

    # Lowest trip that opens the path, less its tolerance: 3.60 V - 5 mV; 55 degC - 1 K; 0 degC + 1 K.
    assert (charge.voltage_v, charge.coldest_degc, charge.hottest_degc) == (pytest.approx(3.595), 1.0, 54.0)
    assert (discharge.voltage_v, discharge.coldest_degc, discharge.hottest_degc) == (
        pytest.approx(2.505),
        -19.0,
        59.0,
    )
    assert (charge.current_a, discharge.current_a) == (
        profile.pack.max_charge_a,
        profile.pack.max_discharge_a,
    )


def test_the_search_ends_at_the_same_step_whatever_the_shape_of_the_excess():
    """x³ = 200 and x = 7.3 in steps of 1/131072 of 10."""
    found = largest(lambda x: np.array([x**3 - 200.0, x - np.array([9.0, 5.0])]), 10.0, (2,))

    step = 10.0 / 131072
    assert found == pytest.approx([math.floor(200 ** (1 / 3) / step) * step, math.floor(5 / step) * step])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"soc": [0.5, math.nan]}, r"soc: expected finite numbers"),
        ({"capacity_ah": 0.0}, r"capacity_ah: expected positive numbers"),
        ({"soc_uncertainty": -0.1}, r"soc_uncertainty: expected no negative number"),
        ({"overvoltage_v": [[0.0, 0.0, 0.0]]}, r"overvoltage_v: expected shape \(1, 2\)"),
    ],
)
def test_a_state_that_cannot_be_is_refused(plain, change, said):
    state = {"soc": [0.5, 0.5], "temperature_degc": 25.0} | change

    with pytest.raises(InvalidInput, match=said):
        limits(plain, CellStates(**state))


@pytest.mark.parametrize("horizons_s", [(), (0.0,), (-1.0, 2.0), (math.inf,)])
def test_a_horizon_that_is_no_time_is_refused(plain, horizons_s):
    with pytest.raises(InvalidInput, match="horizons_s: expected positive numbers"):
        limits(plain, CellStates([0.5], 25.0), horizons_s=horizons_s)
