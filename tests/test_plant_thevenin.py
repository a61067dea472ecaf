"""The plant's cell against NREL's `thevenin`: the same parameters in an independent model and solver."""

from collections.abc import Callable

import numpy as np
import pytest

from bench.cells import CellFile
from bench.plant.simulate import simulate

thevenin = pytest.importorskip("thevenin", reason="the cross-check needs NREL thevenin (extra `crosscheck`)")

CAPACITY_AH = 5.0
KELVIN = 273.15
T1_DEGC, T2_DEGC = 0.0, 40.0
#: R0 and R1..R3 [ohm]: at T1 and T2, each at SOC 0 and 1; tau [s] at T1 and T2.
OHM = np.array(
    [
        [[30e-3, 20e-3], [9e-3, 7e-3]],
        [[12e-3, 6e-3], [5e-3, 3e-3]],
        [[8e-3, 9e-3], [3e-3, 4e-3]],
        [[20e-3, 10e-3], [8e-3, 5e-3]],
    ]
)
TAU_S = np.array([[3.0, 1.5], [40.0, 25.0], [400.0, 250.0]])
OCV_V = (3.0, 4.2)


def cell_file(pairs: int) -> CellFile:
    """A cell with straight tables, so that the law between their points is written here by hand."""
    table = {"temperature_degc": [T1_DEGC, T2_DEGC], "soc": [0.0, 1.0], "source": "made for this test"}
    return CellFile.model_validate(
        {
            "schema": "bmsbench-cell/1",
            "name": "straight",
            "chemistry": "NMC",
            "capacity_ah": CAPACITY_AH,
            "nominal_v": 3.6,
            "source": "made for this test",
            "ocv": {
                "soc": [0.0, 1.0],
                "discharge_v": list(OCV_V),
                "charge_v": list(OCV_V),
                "overcharge_v_per_soc": 3.0,
                "overdischarge_v_per_soc": 30.0,
                "source": "made for this test",
            },
            "hysteresis": {"rate": 30.0, "source": "made for this test"},
            "r0": table | {"ohm": OHM[0].tolist()},
            "rc": [
                table | {"ohm": OHM[k].tolist(), "tau_s": TAU_S[k - 1].tolist()} for k in range(1, pairs + 1)
            ],
            "thermal": {
                "heat_capacity_j_per_k": 100.0,
                "neighbour_w_per_k": 0.0,
                "ambient_w_per_k": 0.0,
                "fan_w_per_k": 0.0,
                "source": "made for this test",
            },
        }
    )


def arrhenius(low: float, high: float, kelvin: float) -> float:
    """Through `low` at T1 and `high` at T2, the logarithm straight in 1/T."""
    x1, x2 = 1.0 / (T1_DEGC + KELVIN), 1.0 / (T2_DEGC + KELVIN)
    return float(low * (high / low) ** ((1.0 / kelvin - x1) / (x2 - x1)))


def ohm_of(k: int) -> Callable[[float, float], float]:
    def ohm(soc: float, kelvin: float) -> float:
        at_soc = OHM[k, :, 0] + soc * (OHM[k, :, 1] - OHM[k, :, 0])
        return arrhenius(at_soc[0], at_soc[1], kelvin)

    return ohm


def farad_of(k: int) -> Callable[[float, float], float]:
    ohm = ohm_of(k)
    return lambda soc, kelvin: arrhenius(*TAU_S[k - 1], kelvin) / ohm(soc, kelvin)


def theirs(pairs: int, soc: float, degc: float, t_s: np.ndarray, current_a: np.ndarray) -> np.ndarray:
    """Voltage at each stamp [V]; the current is held over the interval that ends there."""
    parameters = {
        "num_RC_pairs": pairs,
        "soc0": soc,
        "capacity": CAPACITY_AH,
        "ce": 1.0,
        "gamma": 0.0,
        "mass": 0.1,
        "isothermal": True,
        "Cp": 1000.0,
        "T_inf": degc + KELVIN,
        "h_therm": 0.0,
        "A_therm": 1.0,
        "ocv": lambda z: OCV_V[0] + z * (OCV_V[1] - OCV_V[0]),
        "M_hyst": lambda _z: 0.0,
        "R0": ohm_of(0),
    }
    for k in range(1, pairs + 1):
        parameters |= {f"R{k}": ohm_of(k), f"C{k}": farad_of(k)}
    model = thevenin.Prediction(parameters)
    model.set_options(rtol=1e-7, atol=1e-9)
    state = thevenin.TransientState(soc, degc + KELVIN, 0.0, np.zeros(pairs))
    found = np.empty(len(t_s))
    for n in range(1, len(t_s)):
        # It counts discharge as positive.
        state = model.take_step(state, float(-current_a[n]), float(t_s[n] - t_s[n - 1]))
        found[n] = state.voltage
    found[0] = OCV_V[0] + soc * (OCV_V[1] - OCV_V[0]) + ohm_of(0)(soc, degc + KELVIN) * current_a[0]
    return found


def pulses() -> tuple[np.ndarray, np.ndarray, float]:
    """30 s at 2C out, 60 s rest, 30 s at 1C in, twenty minutes rest; from 60 %."""
    t_s = np.concatenate([np.arange(0.0, 120.0, 1.0), np.arange(120.0, 1320.0, 20.0)])
    current_a = np.select([(t_s > 0) & (t_s <= 30), (t_s > 90) & (t_s <= 120)], [-10.0, 5.0], 0.0)
    return t_s, current_a, 0.6


def drive() -> tuple[np.ndarray, np.ndarray, float]:
    """Five minutes of seeded steps between 3C out and 1.5C in, each some seconds long; from 90 %."""
    rng = np.random.default_rng(11)
    t_s = np.arange(0.0, 301.0)
    current_a = np.repeat(rng.uniform(-15.0, 7.5, 61), 5)[: len(t_s)]
    return t_s, current_a, 0.9


@pytest.mark.parametrize("profile", [pulses, drive])
@pytest.mark.parametrize(("pairs", "degc"), [(1, 25.0), (2, 25.0), (3, 25.0), (3, -10.0), (3, 45.0)])
def test_voltages_agree_to_a_tenth_of_a_millivolt(pairs, degc, profile):
    t_s, current_a, soc = profile()

    ours = simulate(cell_file(pairs), t_s, current_a, temperature_degc=degc, soc=soc)

    expected_v = theirs(pairs, soc, degc, t_s, current_a)
    assert np.ptp(expected_v) > 0.1  # the profile moves the cell
    assert np.abs(ours.end_voltage_v - expected_v).max() < 0.1e-3
