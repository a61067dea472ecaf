"""How late a 100 Hz job of the wall clock runs, on this machine, now.

    python -m benchmarks.jitter [--seconds S]

Three ways to wait: the bench's clock as a run uses it; the same while another thread of the process computes;
and under real-time scheduling, where the system permits it. Lateness counts from the instant at which the job
was due. What is printed is why trip times below 50 ms are never taken from this loop but from an instrument.
"""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.clock import Clock

PERIOD_S = 0.01


def lateness_s(seconds: float) -> np.ndarray:
    """Lateness [s] of each run of a 100 Hz job, shape (runs,)."""
    clock, late = Clock(virtual=False), list[float]()
    job = clock.every(PERIOD_S, lambda: late.append(clock.now_s), name="100 Hz")
    clock.sleep(seconds)
    job.cancel()
    return np.array(late) - PERIOD_S * np.arange(1, len(late) + 1)


def beside_a_busy_thread(seconds: float) -> np.ndarray:
    """As `lateness_s`, while a thread of this process computes in Python."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        return lateness_s(seconds)
    finally:
        stop.set()
        thread.join()


def in_real_time(seconds: float) -> np.ndarray:
    """As `lateness_s`, under SCHED_FIFO. Raises `OSError` or `AttributeError` where that is not permitted."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        return lateness_s(seconds)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


CASES: dict[str, Callable[[float], np.ndarray]] = {
    "clock": lateness_s,
    "beside a busy thread": beside_a_busy_thread,
    "SCHED_FIFO": in_real_time,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each case")
    seconds = parser.parse_args().seconds
    load = os.getloadavg()[0]
    table = Table("way", "runs", "p50 [ms]", "p99 [ms]", "p99.9 [ms]", "max [ms]", title=f"load {load:.1f}")
    for name, case in CASES.items():
        try:
            late_ms = 1e3 * case(seconds)
        except (OSError, AttributeError) as error:
            table.add_row(name, f"not permitted: {error}")
            continue
        values = [*np.percentile(late_ms, (50, 99, 99.9)), late_ms.max()]
        table.add_row(name, str(len(late_ms)), *(f"{value:.3f}" for value in values))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
