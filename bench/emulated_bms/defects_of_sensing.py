"""Defects of readings, limits and debouncing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import INVALID
from bench.emulated_bms.defect import SeededDefect

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms
    from bench.emulated_bms.protections import Protection


def _shift_trip(bms: EmulatedBms, *, name: str, by: int) -> None:
    bms.parameters.limits[name].trip += by


def _no_debounce(bms: EmulatedBms) -> None:
    for name, quantity in bms.quantities.items():
        if quantity in ("cell_voltage", "charge_current", "discharge_current"):
            bms.parameters.limits[name].delay_ms = 0


def _leaky_counters(bms: EmulatedBms) -> None:
    def leak(protection: Protection) -> None:
        def debounce(beyond: bool, step_ms: int) -> bool:
            if beyond:
                bms.counters[protection.name] += step_ms
            return bms.counters[protection.name] > protection.limit.delay_ms

        protection.debounce = debounce

    for protection in bms.protections.values():
        leak(protection)


def _never_release(bms: EmulatedBms) -> None:
    for name in ("cell_overvoltage", "cell_undervoltage"):
        bms.protections[name].clears = lambda value: False


def _unlatched(bms: EmulatedBms) -> None:
    for limit in bms.parameters.limits.values():
        limit.latched = False


def _blind_cells(bms: EmulatedBms, *, seen: slice) -> None:
    """Voltage protections look at a part of the cells only."""

    def highest() -> int | None:
        return max(mv for mv in bms.readings.cell_mv.value[seen])

    def lowest() -> int | None:
        valid = [mv for mv in bms.readings.cell_mv.value[seen] if mv != INVALID]
        return min(valid, default=None)

    for name, quantity in bms.quantities.items():
        if quantity == "cell_voltage":
            above = bms.parameters.limits[name].side == "above"
            bms.protections[name].value_of = highest if above else lowest


def _blind_to_discharge(bms: EmulatedBms) -> None:
    for name, quantity in bms.quantities.items():
        if quantity == "discharge_current" and name != "short_circuit":
            bms.protections[name].value_of = lambda: bms.readings.current_ma.value


def _scaled_overcurrent(bms: EmulatedBms, *, permille: int) -> None:
    for name, quantity in bms.quantities.items():
        if quantity == "discharge_current" and name != "short_circuit":
            limit = bms.parameters.limits[name]
            limit.trip = limit.trip * permille // 1000
            if limit.release is not None:
                limit.release = limit.release * permille // 1000


def _comparator_off(bms: EmulatedBms) -> None:
    bms.parameters.comparator.threshold_ma = 2**31


def _mean_temperature(bms: EmulatedBms) -> None:
    def mean() -> int | None:
        valid = [t for t in bms.readings.temperature_ddegc.value if t != INVALID]
        return sum(valid) // len(valid) if valid else None

    for name, quantity in bms.quantities.items():
        if quantity == "temperature":
            bms.protections[name].value_of = mean


def _swapped_temperatures(bms: EmulatedBms) -> None:
    limits = bms.parameters.limits
    for kind in ("overtemperature", "undertemperature"):
        charge, discharge = limits[f"charge_{kind}"], limits[f"discharge_{kind}"]
        charge.trip, discharge.trip = discharge.trip, charge.trip
        charge.release, discharge.release = discharge.release, charge.release


def _temperature_slip(bms: EmulatedBms) -> None:
    bms.readings.temperature_ddegc.filter(lambda values: [t if t == INVALID else t // 10 for t in values])


def _temperature_sign_lost(bms: EmulatedBms) -> None:
    bms.readings.temperature_ddegc.filter(lambda values: [t if t == INVALID else abs(t) for t in values])


def _stuck_channel(bms: EmulatedBms) -> None:
    held: list[int] = []

    def stick(cell_mv: list[int]) -> list[int]:
        if not held:
            # The first converted sample of cell 5 stays in the register.
            held.append(cell_mv[5])
        return [*cell_mv[:5], held[0], *cell_mv[6:]]

    bms.readings.cell_mv.filter(stick)
    # The cure would be the detection of a frozen count; it is missing as well.
    bms.protections["frozen_cell"].enabled = False


def _cell_gain(bms: EmulatedBms, *, permille: int) -> None:
    bms.readings.cell_mv.filter(
        lambda cell_mv: [mv if mv == INVALID else mv * permille // 1000 for mv in cell_mv]
    )


def _cell_offset(bms: EmulatedBms, *, cell: int, mv: int) -> None:
    def shift(cell_mv: list[int]) -> list[int]:
        shifted = list(cell_mv)
        if shifted[cell] != INVALID:
            shifted[cell] += mv
        return shifted

    bms.readings.cell_mv.filter(shift)


def _current_offset(bms: EmulatedBms) -> None:
    offset_ma = bms.parameters.derating.max_discharge_ma * 20 // 1000
    bms.readings.current_ma.filter(lambda ma: ma + offset_ma)


def _current_clips(bms: EmulatedBms) -> None:
    most_ma = bms.parameters.derating.max_discharge_ma * 800 // 1000
    bms.readings.current_ma.filter(lambda ma: max(-most_ma, min(most_ma, ma)))


def _disabled(bms: EmulatedBms, *, names: tuple[str, ...]) -> None:
    for name in names:
        bms.protections[name].enabled = False


def _wrong_index(bms: EmulatedBms) -> None:
    def off_by_one(protection: Protection) -> None:
        index_of = protection.index_of
        protection.index_of = lambda: (index_of() + 1) % bms.cells

    for name, quantity in bms.quantities.items():
        if quantity == "cell_voltage":
            off_by_one(bms.protections[name])


DEFECTS = (
    SeededDefect(
        "D01_overvoltage_threshold_small", "Overvoltage acts 15 mV too high.", ("OV-01", "OV-02"),
        partial(_shift_trip, name="cell_overvoltage", by=15),
    ),
    SeededDefect(
        "D01_overvoltage_threshold_gross", "Overvoltage acts 100 mV too high.", ("OV-01", "OV-02"),
        partial(_shift_trip, name="cell_overvoltage", by=100),
    ),
    SeededDefect(
        "D03_undervoltage_threshold_small", "Undervoltage acts 15 mV too low.", ("UV-01",),
        partial(_shift_trip, name="cell_undervoltage", by=-15),
    ),
    SeededDefect(
        "D03_undervoltage_threshold_gross", "Undervoltage acts 200 mV too low.", ("UV-01",),
        partial(_shift_trip, name="cell_undervoltage", by=-200),
    ),
    SeededDefect("D06_no_debounce", "Voltage and current limits act on one sample.", ("OV-04",),
                 _no_debounce),
    SeededDefect("D07_leaky_debounce", "Debounce counters keep what they have between pulses.", ("OV-04",),
                 _leaky_counters),
    SeededDefect("D09_never_releases", "Over- and undervoltage never let go.", ("OV-07", "UV-04"),
                 _never_release),
    SeededDefect("D10_latched_fault_recovers", "Latched faults clear themselves.", ("SY-08",), _unlatched),
    SeededDefect("D12_second_module_blind", "Voltage protections look at the first half of the cells only.",
                 ("OV-02", "UV-01"), lambda bms: _blind_cells(bms, seen=slice(0, bms.cells // 2))),
    SeededDefect("D13_last_cell_blind", "Voltage protections never look at the last cell.", ("OV-02",),
                 lambda bms: _blind_cells(bms, seen=slice(0, bms.cells - 1))),
    SeededDefect("D15_overcurrent_one_sign", "Discharge overcurrent tests the charging sign.", ("OC-03",),
                 _blind_to_discharge),
    SeededDefect("D16_overcurrent_unit_slip", "Discharge overcurrent compares mA with 1000 times the limit.",
                 ("OC-03",), partial(_scaled_overcurrent, permille=1_000_000)),
    SeededDefect("D18_short_circuit_off", "The comparator is never armed.", ("OC-07",), _comparator_off),
    SeededDefect("D24_overtemperature_of_mean", "Temperature limits look at the mean of the sensors.",
                 ("TH-04", "TH-02"), _mean_temperature),
    SeededDefect("D25_temperature_limits_swapped", "Charge and discharge temperature limits are exchanged.",
                 ("TH-02", "TH-03"), _swapped_temperatures),
    SeededDefect("D27_temperature_scale", "Temperatures are ten times too small.", ("M-05", "TH-02"),
                 _temperature_slip),
    SeededDefect("D28_temperature_sign_lost", "Negative temperatures read as positive.", ("M-05", "TH-03"),
                 _temperature_sign_lost),
    SeededDefect("D34_channel_stuck", "Cell 5 keeps its first reading, and nobody notices.",
                 ("M-01", "M-02", "OV-02"), _stuck_channel),
    SeededDefect("D36_cell_gain_gross", "All cells read 1 % too high.", ("M-01", "M-03"),
                 partial(_cell_gain, permille=1010)),
    SeededDefect("D37_cell_offset_small", "Cell 11 reads 8 mV too high.", ("M-01",),
                 partial(_cell_offset, cell=11, mv=8)),
    SeededDefect("D37_cell_offset_gross", "Cell 11 reads 50 mV too high.", ("M-01",),
                 partial(_cell_offset, cell=11, mv=50)),
    SeededDefect("D39_current_offset_gross", "The current reads 2 % of full scale too high.",
                 ("M-04", "SE-06"), _current_offset),
    SeededDefect("D40_current_clips", "The current reading stops at 80 % of full scale.", ("M-04", "OC-03"),
                 _current_clips),
    SeededDefect("D72_insulation_warns_only", "The insulation fault never acts.", ("CT-08",),
                 partial(_disabled, names=("insulation_fault",))),
    SeededDefect("D78_wrong_cell_index", "The cell after the right one is reported.", ("OV-02",),
                 _wrong_index),
    SeededDefect("D87_charge_overcurrent_ignored", "Too much charge current is accepted.", ("OC-01", "OC-02"),
                 partial(_disabled, names=("charge_overcurrent",))),
    SeededDefect("D88_overcurrent_nuisance", "Discharge overcurrent acts 15 % too low.", ("OC-04", "OC-03"),
                 partial(_scaled_overcurrent, permille=850)),
    SeededDefect("D96_temperature_spread_ignored", "A temperature spread is never reported.", ("TH-05",),
                 partial(_disabled, names=("temperature_spread",))),
)  # fmt: skip
