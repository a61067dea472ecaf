"""The power circuit of the plant against closed forms and hand-computed values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plant import Plant, PlantSpec

MAIN_MINUS, MAIN_PLUS, PRECHARGE, CHARGE, PYRO = range(5)
FLUXES = ("chemical", "cell_heat", "bleed", "circuit", "arc", "stored", "rc")


def closed(*switches: int, **spec: object) -> Plant:
    """A plant whose contactors are closed and whose bus has settled."""
    plant = Plant(PlantSpec(**spec))
    for switch in switches:
        plant.port.coil[switch] = True
    plant.step(0.1)
    return plant


def step_for(plant: Plant, duration_s: float, dt_s: float) -> None:
    for _ in range(max(1, round(duration_s / dt_s))):
        plant.step(dt_s)


def imbalance_j(before: dict[str, float], after: dict[str, float]) -> float:
    """Energy that came in less energy that can be accounted for [J]."""
    change = {key: after[key] - before[key] for key in after}
    return change["charger"] + change["regen"] - change["load"] - sum(change[key] for key in FLUXES)


@pytest.mark.parametrize("dt_s", [2e-5, 1e-3, 1e-2])
def test_the_peak_of_a_short_does_not_depend_on_the_step(dt_s):
    plant = closed(MAIN_MINUS, MAIN_PLUS, cells=32)
    open_v = plant.port.pack_v

    plant.terminal("faults").set("short_circuit", True)
    step_for(plant, 0.01, dt_s)

    # 32 x 150 µohm + 31 x 20 µohm + 360 µohm + 2 x 200 µohm + 5 mohm = 11.18 mohm
    assert plant.truth.peak_a == pytest.approx(open_v / 0.01118, rel=2e-3)
    assert plant.truth.peak_a == pytest.approx(9.4e3, rel=0.01)


@pytest.mark.parametrize("dt_s", [1e-3, 1e-2])
def test_the_square_of_a_short_is_that_of_a_rising_exponential(dt_s):
    plant = closed(MAIN_MINUS, MAIN_PLUS, cells=32)
    before_a2s, final_a = plant.truth.square_a2s, plant.port.pack_v / 0.01118

    plant.terminal("faults").set("short_circuit", True)
    step_for(plant, 0.01, dt_s)

    # I (1 - e^(-t/tau)), squared and integrated over 10 ms: I^2 (t - 2 tau + tau / 2), tau = L/R
    tau_s = 2.5e-6 / 0.01118
    expected_a2s = final_a**2 * (0.01 - 2.0 * tau_s + 0.5 * tau_s)
    assert plant.truth.square_a2s - before_a2s == pytest.approx(expected_a2s, rel=5e-3)


def test_explicit_euler_at_a_millisecond_would_report_four_times_that():
    open_v, loop_ohm, inductance_h, current_a, peak_a = 105.9, 0.01118, 2.5e-6, 0.0, 0.0
    for _ in range(3):
        current_a += 1e-3 * (open_v - loop_ohm * current_a) / inductance_h
        peak_a = max(peak_a, abs(current_a))

    assert peak_a > 40e3


def test_the_short_rises_with_the_time_constant_of_its_loop():
    plant = closed(MAIN_MINUS, MAIN_PLUS, cells=32)
    meter = plant.terminal("meter")
    meter.arm_capture(1.0, 2e-3, 1e6)
    plant.terminal("faults").set("short_circuit", True)
    plant.step(0.01)

    t0_s, current_a = meter.capture()

    tau_s, final_a = 2.5e-6 / 0.01118, current_a[-1]
    # After the bus capacitor has emptied itself into the short (5 mohm x 2 mF = 10 µs), plainly exponential.
    share = current_a[[300, 500, 700]] / final_a
    expected = 1.0 - np.exp(-np.array([300e-6, 500e-6, 700e-6]) / tau_s)
    assert np.abs(share - expected).max() < 0.02
    assert t0_s == pytest.approx(plant.time_s - 0.01, abs=2e-5)


@pytest.mark.parametrize("dt_s", [1e-3, 1e-2, 1e-1])
def test_precharge_follows_the_closed_form(dt_s):
    plant = Plant(PlantSpec(contactor_closing_s=1e-9, bus_leak_ohm=1e9))
    plant.port.coil[[MAIN_MINUS, PRECHARGE]] = True
    pack_v = plant.port.pack_v

    step_for(plant, 0.1, dt_s)

    # stack: 24 x 150 µohm + 23 x 20 µohm + 360 µohm + 200 µohm; branch: 50 ohm + 200 µohm
    tau_s = (50.0 + 0.0048) * 2e-3
    assert plant.port.link_v == pytest.approx(pack_v * (1 - math.exp(-0.1 / tau_s)), rel=1e-4)
    heat_j = 0.5 * 2e-3 * pack_v**2 * (1 - math.exp(-0.2 / tau_s))
    assert plant.truth.precharge_j == pytest.approx(heat_j, rel=1e-3)
    assert plant.truth.precharge_degc == pytest.approx(25.0 + heat_j / 50.0, abs=0.01)


def test_an_open_precharge_resistor_leaves_the_bus_dead():
    plant = Plant(PlantSpec())
    plant.terminal("faults").set("precharge_resistor_open", True)
    plant.port.coil[[MAIN_MINUS, PRECHARGE]] = True
    plant.step(1.0)

    assert plant.port.feedback[PRECHARGE]
    assert plant.port.link_v == 0.0


@pytest.mark.parametrize("dt_s", [2e-5, 1e-3, 1e-2])
def test_the_comparator_acts_after_its_delay_to_20_microseconds(dt_s):
    plant = closed(MAIN_MINUS, MAIN_PLUS, cells=32)
    plant.port.comparator_threshold_a, plant.port.comparator_delay_s = 2000.0, 300e-6
    meter = plant.terminal("meter")
    meter.arm_capture(100.0, 1e-3, 1e6)

    plant.terminal("faults").set("short_circuit", True)
    step_for(plant, 0.01, dt_s)

    t0_s, current_a = meter.capture()
    above = t0_s + 1e-6 * np.flatnonzero(-current_a >= 2000.0)
    assert plant.port.comparator_tripped
    assert plant.port.comparator_trip_s == pytest.approx(above[0] + 300e-6, abs=20e-6)
    # 50 µs later the pyro switch has interrupted the current
    assert above[-1] == pytest.approx(above[0] + 350e-6, abs=40e-6)
    assert not plant.port.feedback[PYRO]
    assert plant.port.shunt_a == 0.0


def test_the_comparator_lets_a_shorter_pulse_pass():
    plant = closed(MAIN_MINUS, MAIN_PLUS, cells=32)
    plant.port.comparator_threshold_a, plant.port.comparator_delay_s = 2000.0, 300e-6
    plant.terminal("faults").set("short_circuit", True)
    plant.step(250e-6)
    plant.terminal("faults").set("short_circuit", False)
    plant.step(0.01)

    assert plant.truth.peak_a > 2000.0
    assert not plant.port.comparator_tripped
    assert plant.port.feedback[PYRO]


def test_the_comparator_sees_the_shunt_and_nothing_else():
    plant = closed(MAIN_MINUS, MAIN_PLUS, cells=32)
    plant.port.comparator_threshold_a, plant.port.comparator_delay_s = 2000.0, 300e-6
    plant.terminal("faults").set("current_sensor_open", True)
    plant.terminal("faults").set("short_circuit", True)
    plant.step(0.01)

    assert plant.port.shunt_a == plant.port.shunt_mean_a == 0.0
    assert plant.terminal("meter").current_a < -9000.0
    assert not plant.port.comparator_tripped


def test_comparator_reset_clears_the_latch_but_not_the_pyro_switch():
    plant = closed(MAIN_MINUS, MAIN_PLUS, cells=32)
    plant.port.comparator_threshold_a = 2000.0
    plant.terminal("faults").set("short_circuit", True)
    plant.step(0.01)
    assert plant.port.comparator_tripped

    plant.port.comparator_reset = True
    plant.step(0.01)

    assert not plant.port.comparator_tripped
    assert not plant.port.feedback[PYRO]


@pytest.mark.parametrize(("coil", "delay_s"), [(True, 0.025), (False, 0.015)])
def test_a_contactor_moves_after_its_delay(coil, delay_s):
    plant = Plant(PlantSpec())
    plant.port.coil[MAIN_MINUS] = not coil
    plant.step(0.1)
    plant.port.coil[MAIN_MINUS] = coil

    plant.step(delay_s - 1e-4)
    assert plant.port.feedback[MAIN_MINUS] != coil
    plant.step(2e-4)
    assert plant.port.feedback[MAIN_MINUS] == coil
    assert plant.terminal("meter").switch_closed[MAIN_MINUS] == coil


def test_a_contactor_opened_above_its_rating_welds():
    plant = closed(MAIN_MINUS, MAIN_PLUS, cells=32)
    plant.terminal("faults").set("short_circuit", True)
    plant.step(0.01)
    plant.port.coil[MAIN_PLUS] = False
    plant.step(0.05)

    assert plant.truth.damaged == (0, 1, 0, 0, 0)
    assert plant.port.feedback[MAIN_PLUS]
    assert plant.port.shunt_a < -9000.0


def test_a_contactor_opened_below_its_rating_interrupts():
    plant = closed(MAIN_MINUS, MAIN_PLUS)
    load = plant.terminal("load")
    load.enabled, load.current_a = True, 280.0
    plant.step(0.1)
    plant.port.coil[MAIN_PLUS] = False
    plant.step(0.05)

    assert plant.truth.damaged == (0, 0, 0, 0, 0)
    assert plant.port.shunt_a == 0.0
    assert load.actual_current_a == pytest.approx(0.0, abs=1e-9)  # nothing can be drawn from a dead bus
    assert plant.port.link_v == pytest.approx(0.0, abs=1e-6)


def test_a_weld_bridges_the_contact_and_its_auxiliary_follows():
    plant = Plant(PlantSpec())
    plant.terminal("faults").set("weld_main_plus", True)
    plant.terminal("faults").set("feedback_open_main_minus", True)
    plant.terminal("faults").set("feedback_closed_charge", True)
    plant.port.coil[MAIN_MINUS] = True
    plant.step(0.1)

    assert plant.port.feedback.tolist() == [False, True, False, True, True]
    assert plant.terminal("meter").switch_closed.tolist() == [True, True, False, False, True]
    assert plant.port.link_v == pytest.approx(plant.port.pack_v, abs=0.01)


def test_a_board_without_supply_drops_its_contactors():
    plant = closed(MAIN_MINUS, MAIN_PLUS)
    plant.terminal("faults").set("dut_supply_open", True)
    plant.step(0.05)

    assert plant.port.supply_v == 0.0
    assert plant.port.feedback.tolist() == [False, False, False, False, True]


def test_the_pyro_switch_opens_for_good():
    plant = closed(MAIN_MINUS, MAIN_PLUS)
    plant.port.coil[PYRO] = True
    plant.step(0.01)
    plant.port.coil[PYRO] = False
    plant.step(0.1)

    assert not plant.port.feedback[PYRO]
    assert not plant.terminal("meter").switch_closed[PYRO]


def test_an_idle_charger_shows_its_voltage_and_drives_nothing():
    plant = closed(MAIN_MINUS)
    charger = plant.terminal("charger")
    charger.enabled, charger.voltage_v, charger.current_a = True, 85.2, 100.0
    plant.step(0.02)

    assert plant.port.charger_v == pytest.approx(85.2, abs=0.001)
    assert charger.actual_current_a == plant.port.shunt_a == 0.0


def test_the_charger_rises_with_a_lag_of_a_millisecond():
    plant = closed(MAIN_MINUS, CHARGE)
    charger = plant.terminal("charger")
    charger.enabled, charger.voltage_v, charger.current_a = True, 90.0, 100.0

    plant.step(1e-3)

    assert charger.actual_current_a == pytest.approx(100.0 * (1 - math.exp(-1.0)), rel=0.06)
    plant.step(0.02)
    assert charger.actual_current_a == pytest.approx(100.0, abs=0.01)
    assert plant.port.shunt_a == pytest.approx(100.0, abs=0.01)
    assert plant.terminal("meter").switch_closed[CHARGE]


def test_the_charger_holds_its_voltage_when_the_pack_reaches_it():
    plant = closed(MAIN_MINUS, CHARGE, soc=0.5)
    charger = plant.terminal("charger")
    plant.step(0.1)
    charger.enabled, charger.voltage_v, charger.current_a = True, plant.port.pack_v + 0.2, 140.0
    plant.step(0.1)

    # 0.2 V over 1 mohm of cable, 4.62 mohm of stack and bars and 0.2 mohm of the charge contactor
    assert charger.actual_current_a == pytest.approx(0.2 / 0.00582, rel=0.02)


def test_regen_fills_a_dead_bus_and_stops_at_its_voltage():
    plant = Plant(PlantSpec())
    regen = plant.terminal("regen")
    regen.enabled, regen.voltage_v, regen.current_a = True, 80.0, 10.0
    plant.step(0.005)
    # 10 A into 2 mF for 5 ms, less the lag of 1 ms
    assert regen.actual_voltage_v == pytest.approx(20.0, abs=0.5)
    plant.step(0.05)

    assert plant.port.link_v == pytest.approx(80.0, abs=0.01)
    assert regen.actual_current_a < 0.01


def test_a_charger_reaches_the_bus_past_the_open_stack():
    plant = closed(MAIN_PLUS, CHARGE)
    charger = plant.terminal("charger")
    charger.enabled, charger.voltage_v, charger.current_a = True, 80.0, 20.0
    plant.step(0.1)

    assert plant.port.link_v == pytest.approx(80.0, abs=0.01)
    assert plant.port.shunt_a == 0.0


def test_a_slewing_load_rises_at_its_rate():
    plant = closed(MAIN_MINUS, MAIN_PLUS)
    load = plant.terminal("load")
    load.enabled, load.current_a, load.slew_a_per_s = True, 100.0, 1000.0
    plant.step(0.05)

    assert load.actual_current_a == pytest.approx(50.0, abs=0.1)
    assert plant.port.shunt_mean_a == pytest.approx(-25.0, rel=0.02)


@pytest.mark.parametrize("dt_s", [1e-3, 1e-2, 1e-1])
def test_energy_is_conserved_through_a_drive_with_a_short(dt_s):
    plant = closed(MAIN_MINUS, PRECHARGE)
    before = plant.truth.energy_j
    load, regen = plant.terminal("load"), plant.terminal("regen")
    step_for(plant, 0.6, dt_s)
    plant.port.coil[MAIN_PLUS] = True
    step_for(plant, 0.2, dt_s)
    load.enabled, load.current_a = True, 250.0
    step_for(plant, 2.0, dt_s)
    load.enabled = False
    regen.enabled, regen.voltage_v, regen.current_a = True, 90.0, 120.0
    step_for(plant, 2.0, dt_s)
    regen.enabled = False
    plant.terminal("faults").set("short_circuit", True)
    step_for(plant, 0.1, dt_s)
    plant.port.coil[PYRO] = True
    step_for(plant, 0.1, dt_s)

    after = plant.truth.energy_j
    assert after["circuit"] > 40e3  # the short alone: 6 kA x 80 V x 0.1 s
    assert abs(imbalance_j(before, after)) < 2e-4 * after["circuit"]


@given(st.lists(st.floats(1e-4, 0.05), min_size=1, max_size=12))
def test_how_time_is_cut_does_not_matter(parts):
    total_s = sum(parts)

    def run(steps):
        plant = closed(MAIN_MINUS, MAIN_PLUS, cells=8, temperature_degc=10.0)
        load = plant.terminal("load")
        load.enabled, load.current_a = True, 200.0
        charge_c = 0.0
        for dt_s in steps:
            plant.step(dt_s)
            charge_c += plant.port.shunt_mean_a * dt_s
        return plant, charge_c

    whole, whole_c = run([total_s])
    split, split_c = run(parts)

    assert split_c == pytest.approx(whole_c, rel=1e-4, abs=1e-4)
    # Within a long step the bus lags the sagging cells by up to 0.1 s: 22 mV/s at 200 A and 10 °C
    assert split.port.link_v == pytest.approx(whole.port.link_v, abs=3e-3)
    assert np.allclose(split.truth.soc, whole.truth.soc, rtol=0, atol=1e-9)
    assert np.allclose(split.port.cell_v, whole.port.cell_v, rtol=0, atol=2e-4)


def test_a_capture_that_is_not_complete_is_refused():
    meter = Plant(PlantSpec()).terminal("meter")
    with pytest.raises(ValueError, match="arm_capture"):
        meter.capture()
    with pytest.raises(ValueError, match="expected positive"):
        meter.arm_capture(10.0, 0.0, 1e3)
    with pytest.raises(ValueError, match="at most"):
        meter.arm_capture(10.0, 100.0, 1e6)


def test_a_comparator_without_supply_is_dead():
    plant = closed(MAIN_MINUS, MAIN_PLUS, cells=32, contactor_opening_s=1.0)
    plant.port.comparator_threshold_a = 2000.0
    plant.terminal("faults").set("dut_supply_open", True)
    plant.terminal("faults").set("short_circuit", True)
    plant.step(0.01)

    assert plant.truth.peak_a > 9000.0
    assert not plant.port.comparator_tripped
    assert plant.port.feedback[PYRO]
