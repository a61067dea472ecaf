"""Duties: what a machine asks of one pack over time. Files made by `benchmarks/vehicle_duty.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InvalidInput

Floats = NDArray[np.float64]

DUTY_DIR = Path(__file__).parent


def load_duty(name: str) -> tuple[Floats, Floats]:
    """Return the times [s] and the power into one pack [W] of the duty called `name`, both (time,).

    Times rise from 0. The power is held from its time to the next one; positive charges the pack. The header
    of the file says where the speeds come from and what was assumed about the machine.

    Raises
    ------
    InvalidInput
        If there is no such duty; the message lists the names that exist.
    """
    known = sorted(path.stem for path in DUTY_DIR.glob("*.csv"))
    if name not in known:
        raise InvalidInput("duty", expected=f"one of {', '.join(known)}", found=repr(name))
    table = np.loadtxt(DUTY_DIR / f"{name}.csv", delimiter=",", skiprows=0, comments=("#", "t_s"), ndmin=2)
    return table[:, 0], table[:, 1]
