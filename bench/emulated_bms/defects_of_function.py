"""Defects of contactors, balancing, estimation, communication and the event log."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.emulated_bms.alarms import KIND_OTHER, NO_INDEX
from bench.emulated_bms.board import CHARGE
from bench.emulated_bms.defect import SeededDefect
from bench.emulated_bms.hd_can import CELL_VOLTAGES, LIMITS
from bench.emulated_bms.memory import LogEntry

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms


def _no_open_wire_test(bms: EmulatedBms) -> None:
    bms.open_wire.open_between = lambda up, down: []  # type: ignore[method-assign]


def _open_wire_only_warns(bms: EmulatedBms) -> None:
    limit = bms.parameters.limits["open_sense_wire"]
    limit.level, limit.opens = 1, ()
    bms.open_wire.cells_at = lambda taps: ()  # type: ignore[method-assign]


def _wrong_slot(bms: EmulatedBms) -> None:
    swap = {2: 3, 3: 2}

    def exchange(can_id: int, payload: int) -> int:
        if can_id != CELL_VOLTAGES:
            return payload
        group = payload & 0xFF
        return payload & ~0xFF | swap.get(group, group)

    bms.frames.filter_payload(exchange)


def _stale_limits(bms: EmulatedBms) -> None:
    first: list[int] = []

    def freeze(can_id: int, payload: int) -> int:
        if can_id != LIMITS or not bms.ready:
            return payload
        if not first:
            first.append(payload)
        return first[0]

    bms.frames.filter_payload(freeze)


def _wrong_bleed_switch(bms: EmulatedBms) -> None:
    bms.outputs.bleed.filter(lambda bleed: [bleed[-1], *bleed[:-1]])


def _always_balances(bms: EmulatedBms) -> None:
    bms.balancing.permitted = lambda: bms.ready  # type: ignore[method-assign]


def _no_bleed_correction(bms: EmulatedBms) -> None:
    bms.balancing.correct = lambda cell_mv: cell_mv  # type: ignore[method-assign]


def _all_channels(bms: EmulatedBms) -> None:
    def at_once() -> None:
        bms.balancing.bleeding = list(bms.balancing.chosen)

    bms.balancing.take_turns = at_once  # type: ignore[method-assign]
    bms.parameters.balancing.max_temperature_ddegc = 2000


def _coulomb_drift(bms: EmulatedBms, *, permille: int) -> None:
    count = bms.estimator.count
    bms.estimator.count = (  # type: ignore[method-assign]
        lambda mean_ma, step_ms: count(mean_ma * permille // 1000, step_ms)
    )


def _soc_jumps(bms: EmulatedBms) -> None:
    """Takes over the rest voltage at once, before it has relaxed, and 20 % too high."""
    set_target, parameters = bms.estimator.set_target, bms.parameters.estimator
    parameters.rest_ms = 60_000
    parameters.correction_ppm_per_s = 1_000_000
    bms.estimator.set_target = (  # type: ignore[method-assign]
        lambda permille: set_target(min(1000, permille + 200))
    )


def _no_precharge(bms: EmulatedBms) -> None:
    bms.parameters.sequence.precharge_done_permille = 1000


def _endless_precharge(bms: EmulatedBms) -> None:
    bms.parameters.sequence.precharge_tries = 10**9
    bms.parameters.sequence.precharge_pause_ms = 10


def _weld_ignored(bms: EmulatedBms) -> None:
    bms.protections["contactor_weld"].enabled = False


def _feedback_ignored(bms: EmulatedBms) -> None:
    for name in ("contactor_feedback", "current_on_open_path"):
        bms.protections[name].enabled = False


def _stays_closed_in_charge(bms: EmulatedBms) -> None:
    closed = bms.sequence.steps["closed"]

    def deaf() -> None:
        if not (bms.sequence.coil[CHARGE] and bms.charge_blocked):
            closed()

    bms.sequence.steps["closed"] = deaf


def _opens_under_load(bms: EmulatedBms) -> None:
    bms.parameters.sequence.zero_current_wait_ms = 0


def _host_timeout(bms: EmulatedBms, *, factor: int) -> None:
    bms.parameters.limits["host_timeout"].trip *= factor


def _log_keeps_oldest(bms: EmulatedBms) -> None:
    append = bms.log.append

    def full(entry: LogEntry) -> None:
        if len(bms.log) < bms.log.entries:
            append(entry)

    bms.log.append = full  # type: ignore[method-assign]


def _log_forgets(bms: EmulatedBms) -> None:
    """The ring is copied to non-volatile memory once a minute only."""
    power_down = bms.power_down

    def cut() -> None:
        power_down()
        kept = [entry for entry in bms.log if entry.stamp_ms <= bms.rtc_ms - 60_000]
        bms.log.clear()
        for entry in kept:
            bms.log.append(entry)

    bms.power_down = cut  # type: ignore[method-assign]


def _wrong_stamp(bms: EmulatedBms) -> None:
    bms.rtc_ms += 86_400_000


def _late_freeze_frame(bms: EmulatedBms) -> None:
    """Trips are written half a second later, with the stamp of the trip and the values of then."""
    record, waiting = bms.record, list[tuple[int, int, dict[str, Any]]]()
    answer = bms.tasks["answer"].run

    def later(code: int, *, index: int = NO_INDEX, level: int = 0, kind: int = KIND_OTHER) -> None:
        if kind == KIND_OTHER:
            record(code, index=index, level=level, kind=kind)
        else:
            waiting.append((bms.rtc_ms, code, {"index": index, "level": level, "kind": kind}))

    def write() -> None:
        while waiting and bms.rtc_ms - waiting[0][0] >= 500:
            stamp_ms, code, rest = waiting.pop(0)
            now_ms, bms.rtc_ms = bms.rtc_ms, stamp_ms
            record(code, **rest)
            bms.rtc_ms = now_ms
        answer()

    bms.record = later  # type: ignore[method-assign]
    bms.tasks["answer"].run = write


def _fan_never_runs(bms: EmulatedBms) -> None:
    bms.thermal.decide_fan = lambda: None  # type: ignore[method-assign]


def _heater_always_on(bms: EmulatedBms) -> None:
    bms.outputs.heater.filter(lambda heater: bms.ready)


DEFECTS = (
    SeededDefect("D33_cells_in_wrong_slot", "Cells of groups 2 and 3 are sent in each other's place.",
                 ("M-02", "CM-01"), _wrong_slot),
    SeededDefect("D42_open_wire_not_found", "Open sense wires are not found.", ("FI-01",),
                 _no_open_wire_test),
    SeededDefect("D43_open_wire_only_warns", "An open sense wire only warns; its cells are still believed.",
                 ("FI-01",), _open_wire_only_warns),
    SeededDefect("D48_wrong_cell_bleeds", "The cell after the right one bleeds.", ("BA-01",),
                 _wrong_bleed_switch),
    SeededDefect("D49_balances_in_any_mode", "Bleeds in drive and in faults too.", ("BA-03",),
                 _always_balances),
    SeededDefect("D51_reads_while_bleeding", "Readings are taken while bleeding and not corrected.",
                 ("BA-04",), _no_bleed_correction),
    SeededDefect("D54_coulomb_drift_gross", "Counts 3 % too much charge.", ("SE-10",),
                 partial(_coulomb_drift, permille=1030)),
    SeededDefect("D55_soc_jumps_at_rest", "Jumps to a rest voltage at once, and 20 % too high.", ("SE-05",),
                 _soc_jumps),
    SeededDefect("D63_precharge_by_time_only", "Closes main_plus without looking at the bus.",
                 ("CT-01", "CT-02"), _no_precharge),
    SeededDefect("D64_precharge_without_end", "Tries to precharge without limit and without pause.",
                 ("CT-02",), _endless_precharge),
    SeededDefect("D66_weld_not_found", "A welded contactor is not reported.", ("CT-04",), _weld_ignored),
    SeededDefect("D67_feedback_ignored", "Auxiliary contacts are not supervised.", ("CT-05",),
                 _feedback_ignored),
    SeededDefect("D69_does_not_open_in_charge", "In charge the contactors stay closed whatever happens.",
                 ("OV-01", "OV-02"), _stays_closed_in_charge),
    SeededDefect("D70_opens_under_load", "Opens at once, without asking for zero current.", ("CT-10",),
                 _opens_under_load),
    SeededDefect("D73_host_timeout_late", "A silent host is noticed five times too late.", ("CM-02",),
                 partial(_host_timeout, factor=5)),
    SeededDefect("D75_limits_stale", "The limits that are sent never change.", ("TH-08", "OV-06"),
                 _stale_limits),
    SeededDefect("D79_log_forgets_at_power_cut", "A power cut loses the events of the last minute.",
                 ("SY-05",), _log_forgets),
    SeededDefect("D79_log_loses_newest", "A full log keeps the oldest events and loses new ones.", ("SY-05",),
                 _log_keeps_oldest),
    SeededDefect("D97_all_channels_at_once", "Every cell that is due bleeds at once, at any temperature.",
                 ("BA-05",), _all_channels),
    SeededDefect("D117_stamp_a_day_off", "Events are stamped one day late.", ("SY-06",), _wrong_stamp),
    SeededDefect("D118_late_freeze_frame", "Freeze frames are taken half a second after the trip.",
                 ("SY-06",), _late_freeze_frame),
    SeededDefect("fan_never_runs", "The fan stands still however hot the pack is.", ("TH-02", "TH-08"),
                 _fan_never_runs),
    SeededDefect("heater_always_on", "The heater heats in every mode and at every temperature.",
                 ("TH-03", "TH-08"), _heater_always_on),
)  # fmt: skip
