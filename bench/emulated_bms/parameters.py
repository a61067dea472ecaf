"""Parameters of the firmware: mutable integers, filled from what the profile declares.

Everything is in the firmware's own units: mV, mA, 0.1 °C, ms, permille, ohm per V. Nothing here is shared
between two devices, so changing a value changes one BMS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bench.emulated_bms.ocv import OcvTable, ocv_table
from dut_profiles.profile import DeratingTable, Profile

_SCALE = {
    "cell_voltage": 1000,
    "cell_spread": 1000,
    "charge_current": 1000,
    "discharge_current": 1000,
    "temperature": 10,
    "temperature_spread": 10,
    "insulation": 1,
}
_BOTH = ("charge", "discharge")


@dataclass(slots=True)
class LimitParameters:
    """One protection. It acts at `trip` (inclusive) after `delay_ms`, and lets go at `release`."""

    name: str
    side: Literal["above", "below"]
    trip: int
    release: int | None
    delay_ms: int
    release_delay_ms: int
    level: int
    latched: bool
    opens: tuple[str, ...] = ()


@dataclass(slots=True)
class ComparatorParameters:
    """Registers of the short-circuit comparator."""

    threshold_ma: int
    delay_us: int


@dataclass(slots=True)
class SequenceParameters:
    """Closing and opening of contactors."""

    feedback_timeout_ms: int
    zero_current_ma: int
    zero_current_wait_ms: int
    break_rating_ma: int
    precharge_done_permille: int
    precharge_timeout_ms: int
    precharge_tries: int
    precharge_pause_ms: int
    #: The bus may not rise while only main_minus is closed: this long, by this share of the pack voltage.
    rise_check_ms: int = 150
    rise_permille: int = 50
    #: main_minus follows the path contactors, so that it never breaks a load.
    minus_opens_after_ms: int = 100
    #: Shortest time between opening the charge contactor and closing it again.
    reclose_ms: int = 1000


@dataclass(slots=True)
class TableParameters:
    """Permille of a maximum current over one axis; linear between points, held outside them."""

    axis: list[int]
    permille: list[int]
    uses: str


@dataclass(slots=True)
class DeratingParameters:
    """Tables by direction and name, and the maxima that they scale."""

    max_charge_ma: int
    max_discharge_ma: int
    charge_mv: int
    charge: dict[str, TableParameters]
    discharge: dict[str, TableParameters]


@dataclass(slots=True)
class BalancingParameters:
    """Passive balancing."""

    start_mv: int
    start_spread_mv: int
    stop_spread_mv: int
    max_channels: int
    max_temperature_ddegc: int
    max_current_ma: int
    modes: set[str]
    #: A higher board temperature stops bleeding and raises balancing_fault.
    max_board_ddegc: int = 850
    #: Bleeding stops for one sample this often, to learn how far it falsifies the readings.
    pause_every_ms: int = 1000
    #: A correction beyond this is not an IR drop.
    max_correction_mv: int = 120


@dataclass(slots=True)
class EstimatorParameters:
    """State of charge, capacity and power."""

    capacity_mah: int
    ocv: OcvTable
    rest_ms: int
    rest_current_ma: int
    flat_low_permille: int
    flat_high_permille: int
    #: Cap of every correction.
    correction_ppm_per_s: int = 2000
    #: Charging tapered below `full_current_ma` with the highest cell at `full_mv` means full.
    full_mv: int = 3500
    full_current_ma: int = 0
    full_ms: int = 10_000
    #: A lowest cell at `empty_mv` under less than `full_current_ma` means empty.
    empty_mv: int = 2800
    #: Resistance of one cell after 10 s at 25 °C, and its share per 10 K below 25 °C.
    resistance_uohm: int = 0
    resistance_rise_permille_per_10k: int = 400
    #: Voltages that a predicted pulse may not cross.
    pulse_lowest_mv: int = 2600
    pulse_highest_mv: int = 3550


@dataclass(slots=True)
class ThermalParameters:
    """Fan, heater and what watches them."""

    fan_start_ddegc: int = 350
    fan_full_ddegc: int = 450
    fan_hysteresis_ddegc: int = 20
    heater_on_ddegc: int = 50
    heater_off_ddegc: int = 100
    #: No heating while any sensor is hotter.
    heater_hottest_ddegc: int = 300
    heater_modes: set[str] = field(default_factory=lambda: {"charge", "drive"})
    #: A fan told to run this hard must turn this fast.
    fan_watched_permille: int = 300
    fan_least_rpm: int = 200
    #: Runaway signature: this rise in each of `runaway_s` seconds, with one cell this far below its mean.
    runaway_rise_ddegc_per_s: int = 8
    runaway_s: int = 3
    runaway_drop_permille: int = 100


@dataclass(slots=True)
class DiagnosisParameters:
    """Tests of sensors and wiring."""

    open_wire_period_ms: int = 1000
    open_wire_settle_ms: int = 30
    open_wire_mv: int = 400
    #: A cell that moved this far between two samples triggers the test at once.
    open_wire_jump_mv: int = 150
    #: Clean tests before a wire counts as repaired.
    open_wire_clean: int = 3
    #: A cell whose count never changed for this long is frozen: even a resting input shows its noise.
    frozen_window_ms: int = 25_000
    current_step_ma: int = 0
    current_lost_ma: int = 2000
    current_lost_ms: int = 400
    open_path_ma: int = 7000
    rejected_hold_ms: int = 1000


@dataclass(slots=True)
class HostParameters:
    """The host's frames."""

    watched: bool
    broadcast_ms: int


@dataclass(slots=True)
class Parameters:
    """All parameters of one BMS."""

    limits: dict[str, LimitParameters]
    comparator: ComparatorParameters
    sequence: SequenceParameters
    derating: DeratingParameters
    balancing: BalancingParameters
    estimator: EstimatorParameters
    host: HostParameters
    thermal: ThermalParameters = field(default_factory=ThermalParameters)
    diagnosis: DiagnosisParameters = field(default_factory=DiagnosisParameters)


def parameters_of(profile: Profile) -> Parameters:
    """The parameters of a BMS that keeps what `profile` declares."""
    pack, switches, precharge = profile.pack, profile.switches, profile.precharge
    capacity_mah = round(pack.capacity_ah * 1000)
    short = profile.limits.get("short_circuit")
    derating = profile.derating
    return Parameters(
        limits=_limits(profile),
        comparator=ComparatorParameters(
            threshold_ma=round(short.trip * 1000) if short else 2**31,
            delay_us=round(short.delay_s * 1e6) if short else 0,
        ),
        sequence=SequenceParameters(
            feedback_timeout_ms=_ms(switches.feedback_timeout_s),
            zero_current_ma=round(switches.zero_current_fraction * pack.max_discharge_a * 1000),
            zero_current_wait_ms=_ms(switches.zero_current_wait_s),
            break_rating_ma=round(switches.break_rating_a * 1000),
            precharge_done_permille=round(precharge.done_fraction * 1000),
            precharge_timeout_ms=_ms(precharge.timeout_s),
            precharge_tries=precharge.tries,
            precharge_pause_ms=_ms(precharge.pause_s),
        ),
        derating=DeratingParameters(
            max_charge_ma=round(pack.max_charge_a * 1000),
            max_discharge_ma=round(pack.max_discharge_a * 1000),
            charge_mv=round(pack.charge_v * 1000),
            charge={name: _table(table) for name, table in derating.charge.items()},
            discharge={name: _table(table) for name, table in derating.discharge.items()},
        ),
        balancing=BalancingParameters(
            start_mv=round(profile.balancing.start_v * 1000),
            start_spread_mv=round(profile.balancing.start_spread_v * 1000),
            stop_spread_mv=round(profile.balancing.stop_spread_v * 1000),
            max_channels=profile.balancing.max_channels,
            max_temperature_ddegc=round(profile.balancing.max_temperature_degc * 10),
            max_current_ma=round(profile.balancing.max_current_a * 1000),
            modes=set(profile.balancing.modes),
        ),
        estimator=EstimatorParameters(
            capacity_mah=capacity_mah,
            ocv=ocv_table(pack.chemistry),
            rest_ms=_ms(profile.soc.rest_s),
            rest_current_ma=round(profile.soc.rest_current_a * 1000),
            flat_low_permille=round(profile.soc.flat_zone[0] * 1000),
            flat_high_permille=round(profile.soc.flat_zone[1] * 1000),
            full_mv=round(pack.charge_v / pack.cells * 1000) - 40,
            full_current_ma=capacity_mah // 20,
            empty_mv=round(pack.lower_limit_discharging_v * 1000) + 300,
            # Project default: 0.1 ohm Ah, a middle of the 10 s resistances of cells of either chemistry.
            resistance_uohm=round(0.1e6 / pack.capacity_ah),
            pulse_lowest_mv=round(pack.lower_limit_discharging_v * 1000) + 100,
            pulse_highest_mv=round(pack.upper_limit_charging_v * 1000) - 100,
        ),
        host=HostParameters(
            watched=profile.communication.host_timeout_s is not None,
            broadcast_ms=_ms(profile.communication.period_s),
        ),
        thermal=_thermal(profile),
        diagnosis=DiagnosisParameters(
            current_step_ma=capacity_mah // 10,
            open_path_ma=round(pack.max_discharge_a * 25),
        ),
    )


def _thermal(profile: Profile) -> ThermalParameters:
    """As declared; project defaults for a profile that declares nothing."""
    declared = profile.thermal_management
    if declared is None:
        return ThermalParameters()
    start = round(declared.cooling_on_degc * 10)
    warm = declared.heating_hottest_degc
    return ThermalParameters(
        fan_start_ddegc=start,
        fan_full_ddegc=start + 100,
        fan_hysteresis_ddegc=start - round(declared.cooling_off_degc * 10),
        heater_on_ddegc=round(declared.heating_on_degc * 10),
        heater_off_ddegc=round(declared.heating_off_degc * 10),
        heater_hottest_ddegc=2**15 if warm is None else round(warm * 10),
        heater_modes=set(declared.heating_modes),
    )


def _ms(duration_s: float) -> int:
    return round(duration_s * 1000)


def _table(table: DeratingTable) -> TableParameters:
    scale = 1000 if table.cell_v is not None or table.soc is not None else 10
    return TableParameters(
        axis=[round(x * scale) for x in table.axis],
        permille=[round(x * 1000) for x in table.fraction],
        uses=table.uses,
    )


def _limits(profile: Profile) -> dict[str, LimitParameters]:
    limits: dict[str, LimitParameters] = {}
    for name, limit in profile.limits.items():
        scale = _SCALE[limit.quantity]
        delay_ms = _ms(limit.delay_s)
        limits[name] = LimitParameters(
            name=name,
            side=limit.side,
            trip=round(limit.trip * scale),
            release=None if limit.release is None else round(limit.release * scale),
            delay_ms=delay_ms,
            release_delay_ms=min(delay_ms, 1000),
            level=limit.level,
            latched=limit.latched,
            opens=tuple(limit.opens),
        )
    if "short_circuit" in limits:
        # The comparator does the timing; the firmware only sees that it has tripped.
        limits["short_circuit"].trip, limits["short_circuit"].delay_ms = 1, 0
    for flag in _diagnosis_limits(profile):
        limits.setdefault(flag.name, flag)
    return limits


def _diagnosis_limits(profile: Profile) -> list[LimitParameters]:
    """Protections that no table of the profile describes. Values are flags or counts unless said."""
    plausibility = profile.plausibility
    # A host that is not watched has been silent for 0 ms for ever.
    host_ms = _ms(profile.communication.host_timeout_s or 0.001)

    def flag(
        name: str, delay_ms: int, *, latched: bool, level: int = 2, trip: int = 1, release: int | None = 0
    ) -> LimitParameters:
        opens = _BOTH if level > 1 else ()
        return LimitParameters(
            name, "above", trip, release, delay_ms, min(500, delay_ms), level, latched, opens
        )

    sum_trip = round(plausibility.sum_of_cells_fraction * 10_000)
    return [
        flag("open_sense_wire", 0, latched=True),
        flag("thermistor_fault", _ms(plausibility.thermistor_s) // 2, latched=False),
        # In units of 0.01 % of the pack voltage.
        flag("sum_of_cells", _ms(plausibility.sum_of_cells_s) // 2, latched=True, trip=sum_trip),
        flag("frozen_cell", 0, latched=True),
        flag("current_sensor", 0, latched=True),
        flag("contactor_feedback", 0, latched=True),
        flag("contactor_weld", 0, latched=True),
        flag("precharge_failed", 0, latched=True),
        flag("hvil_open", 60, latched=False),
        # In ms since the last good frame.
        flag("host_timeout", 0, latched=False, trip=host_ms, release=None),
        flag("host_frame_rejected", 0, latched=False, level=1),
        flag("cooling_failure", 3000, latched=False, level=1),
        flag("memory_fault", 0, latched=True),
        flag("afe_fault", 500, latched=False),
        # In mV of the auxiliary supply.
        LimitParameters("supply_undervoltage", "below", 9000, 10_000, 20, 100, 2, False, _BOTH),
        flag("thermal_runaway", 0, latched=True, level=3),
        flag("balancing_fault", 1000, latched=False, level=1),
        flag("current_on_open_path", 400, latched=True),
    ]
