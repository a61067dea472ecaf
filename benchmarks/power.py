"""What the estimators of power, balancing and heat cost, and how tight the power limits are on the plant.

    python benchmarks/power.py [--costs]

Tightness: 24 cells with a spread and one weak one, over temperature, SOC and horizon, both directions,
current and power; each limit is commanded on the plant, which has its own equations for the same cell file.
With --costs only the costs are printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from timeit import repeat

import numpy as np

from bench.cells import load_cell
from bench.reference.estimators.balance import Passive, passive_schedule, to_bleed_ah
from bench.reference.estimators.power import power_limits
from bench.reference.estimators.states import CellStates
from bench.reference.estimators.thermal_plan import thermal_plan
from dut_profiles.profile import load_profile
from tests.commanded_pack import BOUNDS, commanded, limits_of, spread_pack

UP, DOWN = BOUNDS["lfp_280ah"]
TEMPERATURES_DEGC = (-15.0, -5.0, 5.0, 25.0, 45.0)
SOCS = (0.04, 0.2, 0.5, 0.8, 0.97)
#: Commanded above the limit until a cell leaves its bounds [fraction].
STEPS = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)


def cost_ms(call: Callable[[], object]) -> float:
    """Best of five."""
    call()
    return 1e3 * min(repeat(call, number=1, repeat=5))


def print_costs() -> None:
    profile = load_profile("hd_lfp_24s")
    rng = np.random.default_rng(0)
    t_s = np.arange(600.0)
    print(f"{'cells':>6} {'call':<52} {'ms':>8}")
    for cells in (24, 240):
        soc = 0.5 + 0.01 * rng.standard_normal(cells)
        states = CellStates(soc, 5.0, soc_uncertainty=0.02, resistance_uncertainty=0.05)
        bleed_ah = to_bleed_ah(soc, 280.0).expected_ah
        degc = 30.0 + rng.standard_normal((len(t_s), cells))
        calls: dict[str, Callable[[], object]] = {
            "power_limits, 2/10/30 s, both directions, A and W": lambda s=states: power_limits(
                load_cell("lfp_280ah"), s, charge=UP, discharge=DOWN
            ),
            "power_limits, 10 s": lambda s=states: power_limits(
                load_cell("lfp_280ah"), s, charge=UP, discharge=DOWN, horizons_s=(10.0,)
            ),
            "to_bleed_ah": lambda z=soc: to_bleed_ah(z, 280.0, soc_uncertainty=0.005),
            "passive_schedule, slots of 600 s": lambda b=bleed_ah: passive_schedule(
                b, 3.4, Passive(0.2, 12), slot_s=600.0
            ),
            "thermal_plan, 600 samples of as many sensors": lambda m=degc: thermal_plan(profile, t_s, m),
        }
        for name, call in calls.items():
            print(f"{cells:>6} {name:<52} {cost_ms(call):>8.2f}", flush=True)


def print_tightness() -> None:
    print(f"\n{'cell':<10} {'°C':>4} {'limits':>7} {'worst excess':>13} {'first violation at most':>24}")
    excesses_v, firsts = [], []
    for cell in BOUNDS:
        for degc in TEMPERATURES_DEGC:
            here_v, here = [], []
            for soc in SOCS:
                spec = spread_pack(cell, soc, degc)
                for one in limits_of(spec):
                    for kind, limit in (("current_a", one.expected_a), ("power_w", one.expected_w)):
                        if limit.cell is None or limit.value == 0.0:
                            continue  # the current of the string or a temperature permits no more
                        tried = (commanded(spec, one, **{kind: (1.0 + step) * limit.value}) for step in STEPS)
                        first = np.inf
                        for step, excess in zip(STEPS, tried, strict=True):
                            if step == 0.0:
                                here_v.append(excess.voltage_v)
                            if excess.left:
                                first = step
                                break
                        here.append(first)
            if not here:
                continue
            excesses_v += here_v
            firsts += here
            row = f"{cell:<10} {degc:>4.0f} {len(here):>7} {1e3 * max(here_v):>10.2f} mV"
            print(f"{row} {100 * max(here):>22.2f} %", flush=True)
    print(f"\n{len(firsts)} limits: worst excess of a voltage at a limit {1e3 * max(excesses_v):.2f} mV;")
    for step in STEPS:
        print(
            f"  {100 * np.mean(np.array(firsts) <= step):5.1f} % violated at {100 * step:.2f} % above or less"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost and tightness of the power limits.")
    parser.add_argument("--costs", action="store_true", help="print the costs only")
    given = parser.parse_args()
    print_costs()
    if not given.costs:
        print_tightness()


if __name__ == "__main__":
    main()
