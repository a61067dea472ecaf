"""Open-circuit voltage over state of charge, as it is burnt into the firmware, with its two branches."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(slots=True)
class OcvTable:
    """Rest voltage after charging and after discharging, (points,) each, over `soc_permille`."""

    soc_permille: list[int]
    charge_mv: list[int]
    discharge_mv: list[int]

    def soc_of(self, cell_mv: int, *, charged: bool) -> int:
        """State of charge [permille] that belongs to a rest voltage; held at 0 and 1000 outside the table."""
        return interpolate(cell_mv, self.charge_mv if charged else self.discharge_mv, self.soc_permille)

    def mv_of(self, soc_permille: int) -> int:
        """Mean of both branches [mV] at a state of charge."""
        return (
            interpolate(soc_permille, self.soc_permille, self.charge_mv)
            + interpolate(soc_permille, self.soc_permille, self.discharge_mv)
        ) // 2


def interpolate(x: int, axis: list[int], values: list[int]) -> int:
    """`values` over a rising `axis` at `x`, linear and rounded; held outside."""
    if x <= axis[0]:
        return values[0]
    if x >= axis[-1]:
        return values[-1]
    k = bisect_right(axis, x)
    x0, x1, y0, y1 = axis[k - 1], axis[k], values[k - 1], values[k]
    return y0 + (2 * (y1 - y0) * (x - x0) + (x1 - x0)) // (2 * (x1 - x0))


def ocv_table(chemistry: str) -> OcvTable:
    """A fresh table for `chemistry` ("LFP" or "NMC")."""
    soc, charge, discharge = _TABLES[chemistry]
    return OcvTable(list(soc), list(charge), list(discharge))


# LFP: A123 26650, C/30 charge and discharge at 25 °C, each ampere-hour axis scaled to its own branch (ESC
# toolbox of G. Plett, batterysim/esctoolbox-python, MIT); read off at the points and moved 5 mV inwards for
# the C/30 polarisation. NMC: CALB L148N58A, C/20 discharge at 25 °C (GitHub birol91/calb-3rc-param-
# extraction, values transcribed), every 10 %; the same curve for both branches.
_TABLES = {
    "LFP": (
        (0, 10, 20, 30, 50, 75, 100, 125, 150, 175, 200, 250, 300, 400, 500, 600, 700, 800, 900, 950, 970,
         980, 990, 1000),
        (2316, 2754, 2878, 2955, 3057, 3140, 3199, 3226, 3234, 3248, 3263, 3286, 3304, 3315, 3320, 3331, 3345,
         3354, 3359, 3373, 3398, 3428, 3483, 3595),
        (2005, 2696, 2829, 2912, 3018, 3105, 3167, 3196, 3203, 3216, 3227, 3242, 3256, 3288, 3296, 3303, 3316,
         3337, 3345, 3358, 3380, 3408, 3461, 3585),
    ),
    "NMC": (
        (0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000),
        (2500, 3463, 3534, 3591, 3631, 3668, 3732, 3848, 3963, 4077, 4192),
        (2500, 3463, 3534, 3591, 3631, 3668, 3732, 3848, 3963, 4077, 4192),
    ),
}  # fmt: skip
