"""State of charge, capacity, throughput and power, from counted charge and from rest voltages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import INVALID
from bench.emulated_bms.memory import Memory

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms

_MS_PER_H = 3_600_000
#: A capacity estimate needs two anchors this far apart.
_LEAST_SWING_PERMILLE = 500


class Estimator:
    """Counts charge every 10 ms, and corrects once a second, never faster than `correction_ppm_per_s`.

    Attributes
    ----------
    charge_mams
        Charge in the pack [mA ms]; 1 Ah is 3.6e9 mA ms.
    capacity_mah
        Capacity of the weakest cell, as estimated.
    target_permille
        State of charge that an anchor or a rest voltage asks for; None if nothing does.
    resting_ms
        How long the current has been below `rest_current_ma`.
    discharge_10s_w, charge_10s_w
        Power that the pack can give and take for 10 s.
    """

    def __init__(self, bms: EmulatedBms, soc: float) -> None:
        self._bms = bms
        self.commissioned_permille = round(soc * 1000)
        self.capacity_mah = self._built_mah = bms.parameters.estimator.capacity_mah
        self.charge_mams = self.commissioned_permille * self.capacity_mah * _MS_PER_H // 1000
        self.charged_mams = self.discharged_mams = 0
        self.forget()

    def forget(self) -> None:
        """As after power-up: the volatile part."""
        self.target_permille: int | None = None
        self.resting_ms = 0
        self.charged_last = False
        self.full_ms = self.empty_ms = 0
        self.discharge_10s_w = self.charge_10s_w = 0
        self._anchor: tuple[int, int] | None = None

    def restore(self, memory: Memory) -> None:
        """Take over what survived the power cut; commission a blank memory."""
        if memory.charge_mams is None:
            self.store(memory)
            return
        self.charge_mams, self.capacity_mah = memory.charge_mams, memory.capacity_mah
        self.charged_mams, self.discharged_mams = memory.charged_mams, memory.discharged_mams

    def start(self) -> None:
        """At the first tick: begin with the declared capacity, if it was changed since construction."""
        declared = self._bms.parameters.estimator.capacity_mah
        if declared != self._built_mah == self.capacity_mah:
            self.charge_mams = self.charge_mams * declared // self.capacity_mah
            self.capacity_mah = declared

    def recover_from_voltage(self) -> None:
        """Nothing survived: start from the rest voltage of the lowest cell, as the best there is."""
        lowest = self._bms.seen.lowest_mv
        self.capacity_mah = self._bms.parameters.estimator.capacity_mah
        permille = 500 if lowest == INVALID else self._ocv_permille(lowest)
        self.charge_mams = permille * self.capacity_mah * _MS_PER_H // 1000

    def store(self, memory: Memory) -> None:
        """Write what must survive."""
        memory.charge_mams, memory.capacity_mah = self.charge_mams, self.capacity_mah
        memory.charged_mams, memory.discharged_mams = self.charged_mams, self.discharged_mams
        memory.seal()

    @property
    def soc_permille(self) -> int:
        """State of charge, 0 to 1000."""
        full = self.capacity_mah * _MS_PER_H
        permille = (2000 * self.charge_mams + full) // (2 * full)
        return 0 if permille < 0 else min(permille, 1000)

    @property
    def soh_permille(self) -> int:
        """Estimated over declared capacity, at most 1000."""
        return min(1000, 1000 * self.capacity_mah // self._bms.parameters.estimator.capacity_mah)

    @property
    def remaining_mah(self) -> int:
        """Charge that is left."""
        return max(0, self.charge_mams) // _MS_PER_H

    @property
    def cycles_tenths(self) -> int:
        """Equivalent full cycles, in tenths: discharged over declared capacity."""
        return 10 * self.discharged_mams // (self._bms.parameters.estimator.capacity_mah * _MS_PER_H)

    def count(self, mean_ma: int, step_ms: int) -> None:
        """Take in `step_ms` of mean current [mA]."""
        moved = mean_ma * step_ms
        self.charge_mams += moved
        if moved > 0:
            self.charged_mams += moved
        else:
            self.discharged_mams -= moved

    def run(self) -> None:
        """Every second: find a target, move towards it, predict power."""
        self.find_target()
        self.approach(1000)
        self.predict_power()

    def find_target(self) -> None:
        """Full, empty or a rest voltage outside the flat zone; the lowest cell decides."""
        bms, parameters = self._bms, self._bms.parameters.estimator
        current, seen = bms.readings.current_ma.value, bms.seen
        self.target_permille = None
        if seen.lowest_mv == INVALID:
            return
        if abs(current) > parameters.rest_current_ma:
            self.charged_last = current > 0
            self.resting_ms = 0
        else:
            self.resting_ms += 1000
        tapered = parameters.rest_current_ma < current < parameters.full_current_ma
        self.full_ms = self.full_ms + 1000 if tapered and seen.highest_mv >= parameters.full_mv else 0
        light = -parameters.full_current_ma < current < -parameters.rest_current_ma
        self.empty_ms = self.empty_ms + 1000 if light and seen.lowest_mv <= parameters.empty_mv else 0
        if self.full_ms >= parameters.full_ms:
            self.set_target(1000)
        elif self.empty_ms >= parameters.full_ms:
            self.set_target(min(self.soc_permille, 20))
        elif self.resting_ms >= parameters.rest_ms:
            permille = self._ocv_permille(seen.lowest_mv)
            if permille < parameters.flat_low_permille or permille > parameters.flat_high_permille:
                self.set_target(permille)

    def set_target(self, permille: int) -> None:
        """Ask for a state of charge; two such anchors far apart also give the capacity."""
        self.target_permille = permille
        if self._anchor is None:
            self._anchor = permille, self.charge_mams
            return
        swing = permille - self._anchor[0]
        if abs(swing) < _LEAST_SWING_PERMILLE:
            return
        capacity = (self.charge_mams - self._anchor[1]) * 1000 // swing // _MS_PER_H
        declared = self._bms.parameters.estimator.capacity_mah
        if declared // 2 <= capacity <= declared * 11 // 10:
            soc = self.soc_permille
            # Half the way, because one swing is known to a few percent only; the state of charge stays where
            # it is.
            self.capacity_mah = (self.capacity_mah + capacity) // 2
            self.charge_mams = soc * self.capacity_mah * _MS_PER_H // 1000
        self._anchor = permille, permille * self.capacity_mah * _MS_PER_H // 1000

    def approach(self, step_ms: int) -> None:
        """Move towards the target, at most by the capped rate."""
        if self.target_permille is None:
            return
        full = self.capacity_mah * _MS_PER_H
        gap = self.target_permille * full // 1000 - self.charge_mams
        most = full * self._bms.parameters.estimator.correction_ppm_per_s // 1_000_000 * step_ms // 1000
        moved = max(-most, min(most, gap))
        self.charge_mams += moved
        if self._anchor is not None:
            # A correction is not charge that flowed.
            self._anchor = self._anchor[0], self._anchor[1] + moved

    def predict_power(self) -> None:
        """Power for 10 s that keeps the weakest cell and the broadcast limits."""
        bms, parameters = self._bms, self._bms.parameters.estimator
        seen, current = bms.seen, bms.readings.current_ma.value
        if seen.lowest_mv == INVALID or seen.coldest_ddegc == INVALID:
            self.discharge_10s_w = self.charge_10s_w = 0
            return
        cold_ddegc = max(0, 250 - seen.coldest_ddegc)
        rise = 1000 + cold_ddegc * parameters.resistance_rise_permille_per_10k // 100
        uohm = parameters.resistance_uohm * rise // 1000
        # Voltages that would be there without the present current.
        low_mv = seen.lowest_mv - current * uohm // 1_000_000
        high_mv = seen.highest_mv - current * uohm // 1_000_000
        mean_mv = seen.mean_mv - current * uohm // 1_000_000
        give = max(0, low_mv - parameters.pulse_lowest_mv) * 1_000_000 // uohm
        take = max(0, parameters.pulse_highest_mv - high_mv) * 1_000_000 // uohm
        give, take = min(give, bms.derating.discharge_ma), min(take, bms.derating.charge_ma)
        self.discharge_10s_w = bms.cells * (mean_mv - give * uohm // 1_000_000) * give // 1_000_000
        self.charge_10s_w = bms.cells * mean_mv * take // 1_000_000

    def _ocv_permille(self, cell_mv: int) -> int:
        return self._bms.parameters.estimator.ocv.soc_of(cell_mv, charged=self.charged_last)
