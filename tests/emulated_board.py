"""A board for the emulated BMS without a plant: contactors follow their coils, tests set values."""

from __future__ import annotations

import math

import numpy as np

from bench.emulated_bms.bms import EmulatedBms
from bench.emulated_bms.memory import Memory
from dut_profiles.profile import Profile, load_profile

MAIN_MINUS, MAIN_PLUS, PRECHARGE, CHARGE, PYRO = range(5)


def ntc_volts(profile: Profile, degc: float) -> float:
    """Voltage at an NTC input, by the beta equation and the divider of the profile."""
    ntc = profile.thermistor
    ohm = ntc.r25_ohm * math.exp(ntc.beta_k * (1.0 / (degc + 273.15) - 1.0 / 298.15))
    return ntc.reference_v * ohm / (ohm + ntc.pullup_ohm)


class FakePort:
    """Every pin of `bench.emulated_bms.board.Port`; `open_tap` and `link_follows` give it a little life."""

    def __init__(self, profile: Profile) -> None:
        cells = profile.pack.cells
        self.cell_v = np.full(cells, 3.3)
        self.ntc_v = np.full(profile.pack.sensors, ntc_volts(profile, 25.0))
        self.board_degc = 30.0
        self.shunt_a = self.shunt_mean_a = 0.0
        self.pack_v, self.link_v, self.charger_v = 3.3 * cells, 0.0, 0.0
        self.feedback = np.array([False, False, False, False, True])
        self.hvil_closed = True
        self.insulation_ohm = np.array([5e6, 5e6])
        self.supply_v = 24.0
        self.fan_rpm = 0.0
        self.comparator_tripped = False
        self.comparator_trip_s = math.nan
        self.coil = np.zeros(5, dtype=bool)
        self.bleed = np.zeros(cells, dtype=bool)
        self.fan = 0.0
        self.heater = False
        self.open_wire_current = 0
        self.comparator_threshold_a, self.comparator_delay_s = math.inf, 0.0
        self.comparator_reset = False


class Board:
    """One BMS, its fake port, and the frames it sent. `run` ticks both."""

    def __init__(
        self, *, memory: Memory | None = None, soc: float = 0.5, seed: int = 0, rtc_ms: int = 0
    ) -> None:
        self.profile = load_profile("hd_lfp_24s")
        self.port = FakePort(self.profile)
        self.frames: list[tuple[int, bytes]] = []
        self.now_ms = 0
        self.held_feedback: dict[int, bool] = {}
        self.open_tap: int | None = None
        self.bleed_drop_v = 0.0
        self.rest_v = np.full(self.profile.pack.cells, 3.3)
        self.sheds = True
        self.bms = EmulatedBms(
            self.profile,
            self.port,
            seed=seed,
            memory=memory,
            soc=soc,
            rtc_ms=rtc_ms,
            send=lambda can_id, data: self.frames.append((can_id, data)),
        )

    def run(self, duration_s: float) -> None:
        """Advance, 10 ms at a time."""
        for _ in range(round(duration_s * 100)):
            self.now_ms += 10
            self._physics()
            self.bms.tick()

    def until(self, condition, timeout_s: float) -> float:
        """Time [s] from now until `condition()` holds; nan if it never does."""
        start_ms = self.now_ms
        while not condition():
            if self.now_ms - start_ms >= timeout_s * 1000:
                return math.nan
            self.run(0.01)
        return (self.now_ms - start_ms) / 1000

    def set_cells(self, voltage_v: float, cell: int | None = None) -> None:
        """Put a voltage on one cell or all; the pack voltage follows."""
        self.rest_v[slice(None) if cell is None else cell] = voltage_v

    def set_temperature(self, degc: float, sensor: int | None = None) -> None:
        """Put a temperature on one sensor or all."""
        self.port.ntc_v[slice(None) if sensor is None else sensor] = ntc_volts(self.profile, degc)

    def set_current(self, current_a: float) -> None:
        """Pack current, + charging, as long as a path is closed."""
        self.port.shunt_a = self.port.shunt_mean_a = current_a

    def closed(self, mode: str) -> None:
        """Bring the BMS into `mode` and check that it got there."""
        self.run(0.5)
        self.bms.command(mode="standby")
        self.bms.command(mode=mode)
        self.run(4.0)
        assert self.bms.state.name.lower() == mode, self.bms

    def keep_alive(self) -> None:
        """Stand in for a host that never falls silent."""
        self.bms.host.silent_ms = 0

    def _physics(self) -> None:
        port = self.port
        for k in range(4):
            port.feedback[k] = self.held_feedback.get(k, bool(port.coil[k]))
        if port.coil[PYRO]:
            port.feedback[PYRO] = False
        conducts = port.feedback[PYRO] and port.coil[MAIN_MINUS]
        if not (conducts and (port.coil[MAIN_PLUS] or port.coil[CHARGE])) and self.sheds:
            port.shunt_a = port.shunt_mean_a = 0.0
        port.pack_v = float(self.rest_v.sum())
        if conducts and port.coil[MAIN_PLUS]:
            port.link_v = port.pack_v
        elif conducts and port.coil[PRECHARGE]:
            port.link_v += 0.05 * (port.pack_v - port.link_v)
        else:
            port.link_v *= 0.9
        port.cell_v[:] = self.rest_v
        bleeding = np.flatnonzero(port.bleed)
        port.cell_v[bleeding] -= self.bleed_drop_v
        if self.open_tap is not None:
            self._float_tap(self.open_tap)

    def _float_tap(self, tap: int) -> None:
        """Pulled up, the cell above an open tap reads nothing and the one below double; down, reversed."""
        port, cells = self.port, len(self.rest_v)
        if port.open_wire_current == 0:
            return
        above, below = (0.0, 2.0) if port.open_wire_current > 0 else (2.0, 0.0)
        if tap < cells and (tap > 0 or port.open_wire_current > 0):
            port.cell_v[tap] = above * self.rest_v[tap]
        if tap > 0 and (tap < cells or port.open_wire_current < 0):
            port.cell_v[tap - 1] = below * self.rest_v[tap - 1]
