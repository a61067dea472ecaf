"""Sampling: from pins to integers, through the errors of this board's own converters.

Every board has other errors, drawn from the seed, well inside the accuracy that the profile declares.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np

from bench.emulated_bms.alarms import INVALID
from bench.emulated_bms.board import Port
from bench.emulated_bms.hooks import Named, Reading
from dut_profiles.profile import Profile

#: Noise repeats after so many samples: a power of two, and long enough that no cell rests on one count
#: throughout.
_NOISE = 256
_FULL_SCALE_MA = 2_500_000
_LOWEST_CELL_MV, _HIGHEST_CELL_MV = -100, 5500


class Readings(Named):
    """Everything that the firmware senses, by name.

    `cell_mv` (cells,), `temperature_ddegc` (sensors,) [0.1 °C], `board_ddegc`, `current_ma` and
    `current_mean_ma` (+ charging), `pack_mv`, `link_mv`, `charger_mv`, `feedback` (5,), `hvil` (closed),
    `insulation_ohm` (2,), `supply_mv`, `fan_rpm`, `comparator` (tripped). A cell or sensor that is not
    available reads `INVALID`.

    A filter on `current_ma` also acts on `current_mean_ma`, because both come from one converter.
    """

    def __init__(self, profile: Profile, port: Port, rng: np.random.Generator) -> None:
        cells, sensors = profile.pack.cells, profile.pack.sensors
        self._sample_cells = _cells(profile, port, rng)
        self.cell_mv = Reading("cell_mv", lambda: in_range(self.raw_cells()), [0] * cells)
        self.temperature_ddegc = Reading(
            "temperature_ddegc", _thermistors(profile, port, rng), [250] * sensors
        )
        current, mean = _current(profile, port, rng)
        self.current_ma = Reading("current_ma", current, 0)
        self.current_mean_ma = Reading("current_mean_ma", mean, 0)
        self.current_mean_ma.filters = self.current_ma.filters
        gain = 1000.0 * (1.0 + rng.uniform(-0.3, 0.3, 3) * profile.measurement.pack_tolerance_fraction)
        pack, link, charger = gain.tolist()
        self.pack_mv = Reading("pack_mv", lambda: _whole(port.pack_v * pack), 0)
        self.link_mv = Reading("link_mv", lambda: _whole(port.link_v * link), 0)
        self.charger_mv = Reading("charger_mv", lambda: _whole(port.charger_v * charger), 0)
        self.feedback: Reading[list[bool]] = Reading(
            "feedback", lambda: port.feedback.tolist(), [False, False, False, False, True]
        )
        self.hvil = Reading("hvil", lambda: bool(port.hvil_closed), True)
        self.supply_mv = Reading("supply_mv", lambda: _whole(port.supply_v * 1000.0), 24_000)
        self.fan_rpm = Reading("fan_rpm", lambda: _whole(port.fan_rpm), 0)
        self.board_ddegc = Reading("board_ddegc", lambda: _whole(port.board_degc * 10.0), 250)
        self.comparator = Reading("comparator", lambda: bool(port.comparator_tripped), False)
        self.insulation_ohm = Reading(
            "insulation_ohm", _insulation(profile, port, rng), [10_000_000, 10_000_000]
        )

    def raw_cells(self) -> list[int]:
        """Sample all cells [mV], (cells,), without range check and filters: for tests of the wiring."""
        return self._sample_cells()


def in_range(cell_mv: list[int]) -> list[int]:
    """`cell_mv` (cells,) with what no cell can have (reversed, open, dead input) marked not available."""
    if min(cell_mv) >= _LOWEST_CELL_MV and max(cell_mv) <= _HIGHEST_CELL_MV:
        return cell_mv
    return [c if _LOWEST_CELL_MV <= c <= _HIGHEST_CELL_MV else INVALID for c in cell_mv]


def _whole(value: float) -> int:
    """Round to an integer; an input that is not a number reads as not available."""
    try:
        return int(value + 0.5) if value >= 0.0 else -int(0.5 - value)
    except (ValueError, OverflowError):
        return INVALID


def _cells(profile: Profile, port: Port, rng: np.random.Generator) -> Callable[[], list[int]]:
    """AFE: offset within 0.2 and gain within 0.15 of the declared tolerance, noise of 0.06 of it (one sigma).

    Source: project default; 1 mV, 0.75 mV and 0.3 mV for a declared 5 mV, the class of a stack monitor.
    """
    cells, tolerance_mv = profile.pack.cells, profile.measurement.cell_tolerance_v * 1000.0
    at_mv = profile.pack.upper_limit_charging_v * 1000.0
    gain = (1000.0 * (1.0 + 0.15 * rng.uniform(-1.0, 1.0, cells) * tolerance_mv / at_mv)).tolist()
    offset = 0.2 * rng.uniform(-1.0, 1.0, cells) * tolerance_mv
    noise = np.clip(rng.standard_normal((_NOISE, cells)), -3.0, 3.0) * 0.06 * tolerance_mv
    rows = (noise + offset + 0.5).tolist()
    turn = -1

    def sample() -> list[int]:
        nonlocal turn
        turn = (turn + 1) & (_NOISE - 1)
        try:
            counts = [int(v * g + n) for v, g, n in zip(port.cell_v.tolist(), gain, rows[turn], strict=True)]
        except (ValueError, OverflowError):
            counts = [_whole(v * 1000.0) for v in port.cell_v.tolist()]
        return counts

    return sample


def _thermistors(profile: Profile, port: Port, rng: np.random.Generator) -> Callable[[], list[int]]:
    """NTC inputs: 12 bits, offset within 0.2 of the declared tolerance; a lost or shorted one is INVALID."""
    ntc, sensors = profile.thermistor, profile.pack.sensors
    offset = (0.2 * rng.uniform(-1.0, 1.0, sensors) * profile.measurement.temperature_tolerance_k).tolist()
    lsb_v = ntc.reference_v / 4096.0
    # -60 °C and +160 °C with 10 kOhm, B 3435 K: beyond any cell that is still a cell.
    least_v, most_v = 0.025 * ntc.reference_v, 0.99 * ntc.reference_v
    ratio = ntc.pullup_ohm / ntc.r25_ohm

    def sample() -> list[int]:
        readings = []
        for v, error in zip(port.ntc_v.tolist(), offset, strict=True):
            if not least_v < v < most_v:
                readings.append(INVALID)
                continue
            v = (int(v / lsb_v) + 0.5) * lsb_v
            kelvin = 1.0 / (1.0 / 298.15 + log(ratio * v / (ntc.reference_v - v)) / ntc.beta_k)
            readings.append(round((kelvin - 273.15 + error) * 10.0))
        return readings

    return sample


def _current(
    profile: Profile, port: Port, rng: np.random.Generator
) -> tuple[Callable[[], int], Callable[[], int]]:
    """Shunt amplifier: one offset and gain for the instant and for the mean; noise on the instant."""
    accuracy = profile.measurement
    offset_ma = 0.2 * rng.uniform(-1.0, 1.0) * accuracy.current_tolerance_a * 1000.0
    gain = 1000.0 * (1.0 + 0.3 * rng.uniform(-1.0, 1.0) * accuracy.current_tolerance_fraction)
    sigma_ma = 0.1 * accuracy.current_tolerance_a * 1000.0
    noise = (np.clip(rng.standard_normal(_NOISE), -3.0, 3.0) * sigma_ma + offset_ma).tolist()
    turn = -1

    def convert(milliampere: float) -> int:
        if milliampere > _FULL_SCALE_MA:
            return _FULL_SCALE_MA
        if milliampere > -_FULL_SCALE_MA:
            return int(milliampere)
        return -_FULL_SCALE_MA

    def sample() -> int:
        nonlocal turn
        turn = (turn + 1) & (_NOISE - 1)
        return convert(port.shunt_a * gain + noise[turn])

    def sample_mean() -> int:
        return convert(port.shunt_mean_a * gain + offset_ma)

    return sample, sample_mean


def _insulation(profile: Profile, port: Port, rng: np.random.Generator) -> Callable[[], list[int]]:
    """Both rails to chassis; gain within a quarter of the declared tolerance, never above 10 MOhm."""
    spread = 0.25 * rng.uniform(-1.0, 1.0, 2) * profile.measurement.insulation_tolerance_fraction
    gain = (1.0 + spread).tolist()

    def sample() -> list[int]:
        return [
            min(_whole(min(r, 1e9) * g), 10_000_000)
            for r, g in zip(port.insulation_ohm.tolist(), gain, strict=True)
        ]

    return sample
