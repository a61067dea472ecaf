"""Battery power of a truck along a speed cycle: the source of the files in `test_suites/duties/`.

A longitudinal point-mass model with a drive line of constant efficiency. It leaves out gears, tyre slip,
wind, thermal limits and the pack's own losses: a duty is a stimulus for a BMS, not a range prediction.

    python benchmarks/vehicle_duty.py hhddt_cruise.csv test_suites/duties/hhddt_cruise_power.csv
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GRAVITY_M_S2 = 9.80665

EQUATIONS = """\
F = m g (c_rr cos a + sin a) + rho c_d A v^2 / 2 + (m + m_rot) dv/dt, a = atan(grade), v and grade at mid-step
F v >= 0: P_link = min(F v / eta_drive, P_drive_max)
F v < 0:  P_link = F v eta_regen clip((v - v_from) / (v_to - v_from), 0, 1)
P_pack = min(-(P_link + P_auxiliary) / packs, P_regen_max); friction brakes take the rest"""


@dataclass(frozen=True, slots=True)
class Truck:
    """A loaded 36 t battery truck. All values are project defaults of usual magnitude, not a real vehicle's.

    The drive limit of 300 kW over 16 packs puts the peaks of one 24S 280 Ah pack (76.8 V, 280 A) near
    250 A, and `pack_regen_max_w` keeps regeneration near 120 A of the 140 A it may be charged with.
    """

    mass_kg: float = 36_000.0
    rotating_mass_kg: float = 1_500.0
    rolling_resistance: float = 0.0055
    drag_area_m2: float = 5.4  # c_d A
    air_density_kg_m3: float = 1.2
    drive_efficiency: float = 0.90
    regen_efficiency: float = 0.80
    drive_max_w: float = 300_000.0  # at the DC link
    auxiliary_w: float = 6_000.0
    fade_from_mps: float = 1.0
    fade_to_mps: float = 3.0
    packs: int = 16
    pack_regen_max_w: float = 9_200.0

    def wheel_power(self, speed_mps: Floats, acceleration_m_s2: Floats, grade: Floats) -> Floats:
        """Power at the wheels [W], positive in traction; all arrays (time,), grade as rise over run."""
        slope = np.arctan(grade)
        weight_n = self.mass_kg * GRAVITY_M_S2
        force_n = (
            weight_n * (self.rolling_resistance * np.cos(slope) * (speed_mps > 0) + np.sin(slope))
            + 0.5 * self.air_density_kg_m3 * self.drag_area_m2 * speed_mps**2
            + (self.mass_kg + self.rotating_mass_kg) * acceleration_m_s2
        )
        power: Floats = force_n * speed_mps
        return power

    def pack_power(self, speed_mps: Floats, acceleration_m_s2: Floats, grade: Floats) -> Floats:
        """Power into one pack [W], positive when it charges, shape (time,)."""
        wheel_w = self.wheel_power(speed_mps, acceleration_m_s2, grade)
        fade = np.clip((speed_mps - self.fade_from_mps) / (self.fade_to_mps - self.fade_from_mps), 0.0, 1.0)
        driving_w = np.minimum(wheel_w / self.drive_efficiency, self.drive_max_w)
        braking_w = wheel_w * self.regen_efficiency * fade
        link_w = np.where(wheel_w >= 0.0, driving_w, braking_w)
        into_pack_w = -(link_w + self.auxiliary_w) / self.packs
        limited: Floats = np.minimum(into_pack_w, self.pack_regen_max_w)
        return limited


def duty(t_s: Floats, speed_mps: Floats, grade: Floats, truck: Truck, start_s: float, end_s: float) -> Floats:
    """Return the power into one pack [W] in each second from `start_s` to `end_s`, shape (seconds,).

    The cycle (arrays of shape (time,), strictly rising `t_s`) is interpolated to whole seconds. The truck is
    assumed to follow it; where the drive limit cuts the power, the speed is not corrected.

    Raises
    ------
    ValueError
        If the cycle does not cover `start_s` to `end_s`.
    """
    if start_s < t_s[0] or end_s > t_s[-1] or end_s <= start_s:
        raise ValueError(f"expected a part of {t_s[0]:g} to {t_s[-1]:g} s, found {start_s:g} to {end_s:g} s")
    grid_s = np.arange(start_s, end_s + 0.5)
    speed = np.interp(grid_s, t_s, speed_mps)
    slope = np.interp(grid_s, t_s, grade)
    middle_mps = 0.5 * (speed[1:] + speed[:-1])
    return truck.pack_power(middle_mps, np.diff(speed), 0.5 * (slope[1:] + slope[:-1]))


def _part(text: str) -> tuple[float, float]:
    start_s, _, end_s = text.partition(":")
    return float(start_s), float(end_s)


def main(arguments: list[str]) -> int:
    """Write one duty file and print what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cycle", type=Path, help="CSV with t_s, speed_mps, grade")
    parser.add_argument("out", type=Path, help="CSV to write: t_s, power_w")
    parser.add_argument("--source", default="not stated", help="where the cycle comes from, for the header")
    parser.add_argument(
        "--part",
        type=_part,
        action="append",
        help="START:END [s]; repeat to join parts (default: all)",
    )
    given = parser.parse_args(arguments)

    columns = np.genfromtxt(given.cycle, delimiter=",", names=True)
    t_s, speed_mps, grade = (columns[name] for name in ("t_s", "speed_mps", "grade"))
    truck = Truck()
    parts = given.part or [(0.0, float(np.floor(t_s[-1])))]
    # Each part by itself: the speed step at a seam is not an acceleration.
    power_w = np.concatenate([duty(t_s, speed_mps, grade, truck, *part) for part in parts])

    header = [
        f"Power into one of {truck.packs} packs, positive when it charges; held from its t_s for 1 s.",
        f"Cycle: {given.cycle.name}, {' and '.join(f'{a:g} to {b:g} s' for a, b in parts)}. {given.source}",
        "Made by benchmarks/vehicle_duty.py; the model:",
        *EQUATIONS.splitlines(),
        ", ".join(f"{name}={value:g}" for name, value in asdict(truck).items()),
    ]
    rows = [f"{t},{p:.1f}" for t, p in enumerate(power_w)]
    text = "\n".join([*(f"# {line}" for line in header), "t_s,power_w", *rows])
    given.out.write_text(text + "\n", encoding="utf-8")

    charged_wh, discharged_wh = (np.clip(s * power_w, 0.0, None).sum() / 3600.0 for s in (1, -1))
    print(
        f"{given.out}: {len(power_w)} s, {power_w.min():.0f} to {power_w.max():.0f} W, "
        f"out {discharged_wh:.0f} Wh, in {charged_wh:.0f} Wh"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
