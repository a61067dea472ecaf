"""Print what one sample of the SOC estimator costs: counting alone, one filter, the whole bank.

    python benchmarks/estimators.py

All in one run on one thread, so that the ratios hold on any machine; the compiled code is warm.
"""

from __future__ import annotations

from timeit import repeat

import numpy as np

from bench.cells import load_cell
from bench.record import Origin, Trace
from bench.reference.estimators.bank import ModelDoubt, Offset, seed
from bench.reference.estimators.cell import CellModel
from bench.reference.estimators.filter import OUTPUTS, run_bank
from bench.reference.estimators.samples import check_log, look_up, soc_grid
from bench.reference.estimators.soc import estimate_soc
from bench.reference.soc import count

SAMPLES, TIMES = 10_000, 3


def main() -> None:
    cell = load_cell("lg_hg2_3ah")
    model, doubt = CellModel(cell), ModelDoubt()
    rng = np.random.default_rng(1)
    t = np.arange(float(SAMPLES))
    current = -0.5 + np.repeat(rng.normal(0.0, 2.0, SAMPLES // 10), 10)
    soc = 0.9 + np.cumsum(current) / 3600.0 / cell.capacity_ah
    volts = model.open_circuit_v(soc) + 0.04 * current + rng.normal(0.0, 0.003, SAMPLES)
    trace = Trace("current_a", "A", t, current, Origin("measured", "made"))
    log = check_log(t, current, volts, 25.0, capacity_ah=model.capacity_ah)
    samples, curves = look_up(log, model, np.full(SAMPLES, 0.05), np.ones(len(soc_grid())))
    offset = Offset(0.0, 0.0003, 0.14)
    usual_a = samples.transferred_a[:1200].mean(axis=0)

    def one_filter() -> None:
        x, p, log_prior = seed(
            model,
            doubt,
            initial_soc=0.9,
            initial_sd=0.1,
            offset=offset,
            temperature_degc=25.0,
            usual_a=usual_a,
        )
        out = np.zeros((SAMPLES, OUTPUTS))
        given = 0
        run_bank(
            x[[given]],
            p[[given]],
            log_prior[:, [given]],
            samples,
            curves,
            doubt.for_filters(model, 25.0),
            out,
        )

    cases = {
        "counting": lambda: count(trace, 0.9, 0.01, cell.capacity_ah),
        "one filter, given start": one_filter,
        "estimate, right start": lambda: estimate_soc(t, current, volts, 25.0, cell, initial_soc=0.9),
        "estimate, wrong start": lambda: estimate_soc(t, current + 0.2, volts, 25.0, cell, initial_soc=0.6),
    }
    print(f"{SAMPLES} samples at 1 s, best of {TIMES}")
    base = None
    for name, case in cases.items():
        case()
        cost_us = 1e6 * min(repeat(case, number=1, repeat=TIMES)) / SAMPLES
        base = base or cost_us
        print(f"{name:26s}{cost_us:10.3f} us per sample{cost_us / base:12.0f} x counting")


if __name__ == "__main__":
    main()
