"""A fit finds the cell that made the logs, refuses logs that cannot be right, and writes what loads."""

import math
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.cells import load_cell
from bench.cli import app
from bench.errors import InvalidInput
from bench.fit.axes import GRID_SOC
from bench.fit.cell_fit import fit_cell
from bench.fit.error import error_v, fit_error
from bench.fit.log import Log, checked
from bench.fit.model import prepare, voltage
from bench.fit.ocv import FirstOcv, first_ocv
from bench.fit.read import named, slow_log
from bench.fit.write import SMALL_CELL, About, branches, cell_toml, write_measured
from tests.measured import measured

ABOUT = About("made", "NMC", 2.0, 3.6, "made for a test", SMALL_CELL, {})
CAPACITY_AH = 2.0
R0_OHM, R1_OHM, R2_OHM = 0.020, 0.012, 0.030
TAU1_S, TAU2_S = 4.0, 150.0
HALF_V = 0.010


def ocv_of(soc):
    return 3.2 + 0.9 * soc + 0.05 * math.sin(6.0 * soc)


def simulated(current_a, soc, *, hysteresis=1.0, noise_v=0.0, capacity_ah=CAPACITY_AH):
    """A cell by Euler steps of 0.05 s and block means of 1 s: no line of it is shared with plant or fit."""
    h = 0.05
    u1 = u2 = 0.0
    volts = []
    rng = np.random.default_rng(4)
    for n, i in enumerate(current_a):
        total = 0.0
        for _ in range(20 if n else 1):
            step = h if n else 0.0
            u1 += step * (R1_OHM * i - u1) / TAU1_S
            u2 += step * (R2_OHM * i - u2) / TAU2_S
            soc += step * i / 3600.0 / capacity_ah
            hysteresis += 30.0 * abs(step * i) / 3600.0 / capacity_ah * (math.copysign(1.0, i) - hysteresis)
            total += ocv_of(soc) + hysteresis * HALF_V + u1 + u2 + R0_OHM * i
        volts.append(total / (20 if n else 1))
    return np.array(volts) + noise_v * rng.standard_normal(len(volts))


def drive_a(seconds, mean_a, seed):
    """Steps of 2 to 40 s between 3 A of charge and 6 A of discharge."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 40, seconds)
    current = np.repeat(rng.uniform(-6.0, 3.0, seconds), lengths)[:seconds]
    return current - current.mean() + mean_a


def made_log(*, name="made", mean_a=-1.9, seconds=3200, seed=1, noise_v=0.0, soc=0.95):
    current = drive_a(seconds, mean_a, seed)
    volts = simulated(current, soc, noise_v=noise_v)
    t_s = np.arange(float(seconds))
    return Log(name, t_s, current, volts, np.full(seconds, 25.0), soc, CAPACITY_AH, 1.0)


def rough_ocv():
    """30 mV too low, and without the bend: what a slow discharge might have given."""
    straight = 3.2 + 0.9 * GRID_SOC - 0.03
    return FirstOcv(straight - 0.005, straight + 0.005)


def slow(sign):
    """20 h at C/20 after one sample of rest."""
    seconds = np.arange(0.0, 72000.0, 60.0)
    soc = 0.5 - sign * 0.5 + sign * seconds / 72000.0
    dropped_v = sign * 0.1 * (R0_OHM + R1_OHM + R2_OHM)
    volts = np.array([ocv_of(x) for x in soc]) + sign * HALF_V + dropped_v
    current = np.where(np.arange(1200) == 0, 0.0, sign * 0.1)
    return Log("slow", seconds, current, volts, np.full(1200, 25.0), soc[0], CAPACITY_AH, -sign)


@pytest.fixture(scope="module")
def found():
    fast = made_log(noise_v=0.001)
    easy = made_log(name="easy", mean_a=-0.9, seconds=6400, seed=2, noise_v=0.001)
    slow_ones = [replace(slow(sign), weight=0.3) for sign in (-1.0, 1.0)]
    return fit_cell([fast, easy, *slow_ones], rough_ocv(), pairs=2, bent=())


def middle(fit, name, nodes):
    values = np.exp(fit.axes.block(fit.unknowns, name))[0]
    return values[(nodes > 0.25) & (nodes < 0.75)]


def test_the_fit_finds_the_resistances_that_made_a_noisy_log(found):
    axes = found.axes

    assert middle(found, "r0", axes.r0_soc) == pytest.approx(R0_OHM, rel=0.05)
    assert middle(found, "r1", axes.rc_soc[0]) == pytest.approx(R1_OHM, rel=0.15)
    assert middle(found, "r2", axes.rc_soc[1]) == pytest.approx(R2_OHM, rel=0.35)


def test_the_fit_finds_the_time_constants(found):
    tau1_s, tau2_s = (float(np.exp(found.axes.block(found.unknowns, f"tau{k}")[0])) for k in (1, 2))

    assert tau1_s == pytest.approx(TAU1_S, rel=0.2)
    assert tau2_s == pytest.approx(TAU2_S, rel=0.35)


def test_the_fit_corrects_a_wrong_open_circuit_voltage(found):
    discharge_v, charge_v = branches(found)
    seen = (GRID_SOC > 0.25) & (GRID_SOC < 0.85)
    true_v = np.array([ocv_of(soc) for soc in GRID_SOC])

    assert np.abs(discharge_v - (true_v - HALF_V))[seen].max() < 0.012
    assert np.all(np.diff(discharge_v) > 0)
    assert np.all(charge_v >= discharge_v)


def test_the_plant_with_the_written_file_gives_back_a_log_that_was_not_fitted(found, tmp_path):
    other = made_log(name="other", mean_a=-1.4, seed=8)
    path = tmp_path / "made.toml"

    errors = write_measured(path, found, ABOUT, ["made"], [other])

    cell = load_cell(str(path))
    assert errors[0].rms_mv < 3.0
    assert cell.fit[0].tested == "other"
    assert cell.fit[0].rms_mv == pytest.approx(errors[0].rms_mv, abs=0.01)


def test_the_error_of_a_file_is_root_mean_square_and_largest(found, tmp_path):
    path = tmp_path / "made.toml"
    path.write_text(cell_toml(found, ABOUT), encoding="utf-8")
    log = made_log(seconds=600)
    cell = load_cell(str(path))
    off_v = error_v(cell, log)

    late = fit_error(cell, log, ["x"], from_s=300.0)

    assert late.rms_mv == pytest.approx(1e3 * math.sqrt(sum(off_v[300:] ** 2) / 300))
    assert late.max_mv == pytest.approx(1e3 * max(abs(off_v[300:])))


def test_the_derivative_is_that_of_the_voltage():
    rng = np.random.default_rng(2)
    t_s, current = np.arange(120.0), rng.normal(0.0, 3.0, 120)
    log = Log("x", t_s, current, 3.3 + 0.02 * current, 20.0 + 10.0 * t_s / 120, 0.5, 0.05, 0.3)
    cold = Log("y", t_s, current, log.voltage_v, np.full(120, 0.0), 0.5, 0.05, 0.3)
    fit = fit_cell([log, cold], rough_ocv(), bent=(1, 3), every=10)
    prepared = prepare(log, fit.base_v, 3)
    _, jacobian = voltage(fit.unknowns, fit.axes, prepared)

    direction = rng.normal(0.0, 1.0, fit.axes.unknowns)
    step = 1e-6 * direction
    above, _ = voltage(fit.unknowns + step, fit.axes, prepared)
    below, _ = voltage(fit.unknowns - step, fit.axes, prepared)

    assert jacobian @ direction == pytest.approx((above - below) / 2e-6, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.update(current_a=-a["current_a"]), "positive when it discharges"),
        (lambda a: a["voltage_v"].__setitem__(5, math.nan), "a number everywhere, found none in sample 5"),
        (lambda a: a["t_s"].__setitem__(7, 6.0), "time that rises, found sample 7"),
        (lambda a: a.update(capacity_ah=0.5), "SOC between 0 and 1; check --capacity-ah"),
        (lambda a: a.update(voltage_v=a["voltage_v"] * 1000.0), "one cell's voltage in V"),
        (lambda a: a.update(temperature_degc=a["temperature_degc"] + 273.15), "degrees Celsius"),
        (lambda a: a.update(current_a=np.full(1200, -1.0)), "a current that changes"),
        (lambda a: a.update(voltage_v=a["voltage_v"][:-1]), "columns of one length"),
    ],
)
def test_a_log_that_cannot_be_right_is_refused_with_its_reason(change, said):
    good = made_log(seconds=1200)
    fields = {
        "t_s": good.t_s.copy(),
        "current_a": good.current_a.copy(),
        "voltage_v": good.voltage_v.copy(),
        "temperature_degc": good.temperature_degc.copy(),
        "capacity_ah": CAPACITY_AH,
    }
    change(fields)

    with pytest.raises(InvalidInput, match=said):
        checked(Log("bad", soc=0.95, **fields))


def test_a_log_follows_the_counter_of_its_cycler():
    log = made_log(seconds=1200)
    counter_ah = np.cumsum(log.moved_ah) - 0.010 * log.t_s / 3600.0

    corrected = log.following(counter_ah)

    assert corrected.current_a.mean() == pytest.approx(log.current_a.mean() - 0.010, abs=1e-4)
    assert np.cumsum(corrected.moved_ah)[-1] == pytest.approx(counter_ah[-1] - counter_ah[0], abs=1e-6)


def test_a_part_of_a_log_begins_in_the_soc_counted_until_then():
    log = made_log(seconds=1200)

    part = log.part(600.0, 1200.0)

    assert len(part.t_s) == 600
    assert part.soc == pytest.approx(0.95 + log.current_a[1:601].sum() / 3600.0 / CAPACITY_AH)


def test_the_first_open_circuit_voltage_lies_half_way_between_slow_charge_and_discharge():
    first = first_ocv(slow(-1.0), slow(1.0))
    true_v = np.array([ocv_of(soc) for soc in GRID_SOC])

    assert first.mean_v[5:-5] == pytest.approx(true_v[5:-5], abs=1e-3)
    assert first.half_v[5:-5] == pytest.approx(HALF_V + 0.1 * (R0_OHM + R1_OHM + R2_OHM), abs=1e-3)


def test_a_slow_discharge_over_half_of_the_soc_is_refused():
    with pytest.raises(InvalidInput, match=r"slow discharge alone, over 90 %.*found 49\.\d %"):
        first_ocv(slow(-1.0).part(0.0, 36000.0))


def both_ways():
    """A discharge, an hour of rest, a charge with a tapering end."""
    down, up = slow(-1.0), slow(1.0)
    current = np.concatenate([down.current_a, np.zeros(60), up.current_a, np.linspace(0.045, 0.01, 30)])
    volts = np.concatenate([down.voltage_v, np.full(60, 3.25), up.voltage_v, np.full(30, 4.2)])
    count = len(current)
    t_s = 60.0 * np.arange(count)
    return Log("both", t_s, current, volts, np.full(count, 25.0), 1.0, CAPACITY_AH)


@pytest.mark.parametrize(
    ("charging", "first_v", "soc", "branch"), [(False, 4.07, 1.0, 1.0), (True, 3.22, 0.0, -1.0)]
)
def test_a_slow_log_may_hold_both_directions(charging, first_v, soc, branch):
    part = slow_log(both_ways(), charging=charging, weight=0.5)

    assert part.capacity_ah == pytest.approx(1199 * 60 * 0.1 / 3600)
    assert part.voltage_v[1] == pytest.approx(first_v, abs=0.01)
    assert (part.soc, part.hysteresis, part.weight) == (soc, branch, 0.5)
    assert part.soc_trace[-1] == pytest.approx(1.0 - soc)


def test_a_log_without_the_asked_direction_is_no_slow_charge():
    with pytest.raises(InvalidInput, match="slow charge over the whole capacity, found 0 Ah moved"):
        slow_log(slow(-1.0), charging=True, weight=1.0)


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("run.csv", {}),
        ("run.csv@T=-10,soc=0.5", {"T": -10.0, "soc": 0.5}),
        ("a@b.csv@h=-1, w=10", {"h": -1.0, "w": 10.0}),
    ],
)
def test_a_log_says_its_state_behind_an_at_sign(text, states):
    assert named(text, "--fit").states == states


@pytest.mark.parametrize("text", ["run.csv@soc=1.2", "run.csv@SOC=1", "run.csv@T=", "run.csv@T=nan"])
def test_a_state_that_cannot_be_is_refused(text):
    with pytest.raises(InvalidInput, match="--fit"):
        named(text, "--fit")


def csv_of(path, log):
    rows = zip(log.t_s, -log.current_a, log.voltage_v, strict=True)
    lines = ["time_s,current_A,voltage_V", *(f"{t:g},{i:.6f},{v:.6f}" for t, i, v in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def command(tmp_path):
    return [
        "fit-cell", "--columns", "t=time_s,i=current_A,v=voltage_V", "--discharge-positive",
        "--fit", csv_of(tmp_path / "drive.csv", made_log()) + "@soc=0.95",
        "--test", csv_of(tmp_path / "other.csv", made_log(seed=8, mean_a=-1.4)) + "@soc=0.95,h=1",
        "--ocv-discharge", csv_of(tmp_path / "slow.csv", slow(-1.0)),
        "--temperature", "25", "--capacity-ah", "2.0", "--chemistry", "NMC", "--name", "mine",
        "--source", "made for a test", "--pairs", "2", "--out", str(tmp_path / "mine.toml"),
    ]  # fmt: skip


def test_the_command_writes_a_cell_file_and_prints_what_was_fitted_and_tested(command, tmp_path):
    result = CliRunner().invoke(app, command, catch_exceptions=False)

    cell = load_cell(str(tmp_path / "mine.toml"))
    tested = {error.tested: error for error in cell.fit}
    assert result.exit_code == 0
    assert "drive.csv" in result.output
    assert "tested" in result.output
    assert tested["other.csv"].fitted == ["drive.csv"]
    assert tested["other.csv"].rms_mv < 12.0
    assert cell.capacity_ah == 2.0


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--pairs", "4", "--pairs: expected 2 or 3"),
        ("--chemistry", "LTO", "--chemistry: expected one of LFP"),
        ("--capacity-ah", "1.0", "SOC between 0 and 1"),
        ("--name", "yours", "--name: expected mine as in --out"),
    ],
)
def test_the_command_says_which_option_is_wrong(command, option, value, said):
    command[command.index(option) + 1] = value

    result = CliRunner().invoke(app, command)

    assert isinstance(result.exception, InvalidInput)
    assert said in str(result.exception)


def test_a_measured_cycle_is_given_back_to_ten_millivolts():
    path = measured("lg_hg2/25degC_US06_1s.csv")
    table = np.genfromtxt(path, delimiter=",", names=True, max_rows=2000)
    start = 1.0 - float(table["ah_discharged"][0]) / 2.7807
    columns = (table["t_s"], -table["i_A"], table["v_V"], table["temp_C"])
    log = checked(Log("US06", *columns, start, 2.7807, 1.0))

    fit = fit_cell([log], FirstOcv(3.0 + 1.15 * GRID_SOC, 3.02 + 1.15 * GRID_SOC), every=4)

    simulated_v, _ = voltage(fit.unknowns, fit.axes, prepare(log, fit.base_v))
    assert np.sqrt(np.mean((simulated_v - log.voltage_v) ** 2)) < 0.010
