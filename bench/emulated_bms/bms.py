"""The emulated BMS: firmware on a board, in integers and fixed-rate tasks, all in reach of a defect.

Every name that a defect file may use is in docs/how-to/add-defect.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.emulated_bms.alarms import (
    ALARM_BIT,
    INVALID,
    KIND_OTHER,
    KIND_RELEASE,
    KIND_TRIP,
    LOG_MODE,
    LOG_POWER_LOST,
    LOG_POWER_UP,
    LOG_RESET,
    MODES,
    NO_INDEX,
    State,
)
from bench.emulated_bms.balancing import Balancing
from bench.emulated_bms.board import PYRO, Port
from bench.emulated_bms.derating import Derating
from bench.emulated_bms.diagnosis import Diagnosis
from bench.emulated_bms.estimator import Estimator
from bench.emulated_bms.frames import Frames
from bench.emulated_bms.hd_can import HdCan
from bench.emulated_bms.host import Host
from bench.emulated_bms.memory import EventLog, LogEntry, Memory
from bench.emulated_bms.open_wire import OpenWireTest
from bench.emulated_bms.outputs import Outputs
from bench.emulated_bms.parameters import parameters_of
from bench.emulated_bms.protections import Protection, protections_of
from bench.emulated_bms.readings import Readings, in_range
from bench.emulated_bms.seen import Seen
from bench.emulated_bms.sequence import Sequence
from bench.emulated_bms.tasks import TICK_MS, Task, groups_of, tasks_of
from bench.emulated_bms.thermal import Thermal
from dut_profiles.profile import Profile

#: Self-test after power-up; the contactors stay open and the state is OFF.
_BOOT_MS = 200
#: A service reset is judged after the comparator had time to be reset.
_SERVICE_MS = 30


class EmulatedBms:
    """A sound BMS that keeps what its profile declares.

    Parameters
    ----------
    profile
        What the maker declares: limits, delays, tables.
    port
        The board's pins; see `board.Port`.
    seed
        Of the errors and the noise of its converters.
    memory
        Non-volatile memory. The object of an earlier BMS makes this one the same device after a reboot.
    soc
        State of charge that a blank memory is commissioned with, 0..1.
    rtc_ms
        Battery-backed clock at power-up: ms since 2026-01-01T00:00:00Z.
    send
        Takes CAN identifier and 8 data bytes of each frame; None: no CAN.
    """

    def __init__(
        self,
        profile: Profile,
        port: Port,
        *,
        seed: int = 0,
        memory: Memory | None = None,
        soc: float = 0.5,
        rtc_ms: int = 0,
        send: Callable[[int, bytes], None] | None = None,
    ) -> None:
        self.profile, self.port = profile, port
        self.cells = profile.pack.cells
        self.rtc_ms = rtc_ms
        self.now_ms = 0
        self.memory = Memory() if memory is None else memory
        self.log = self.memory.log = self.memory.log or EventLog(profile.log.entries)
        self.parameters = parameters_of(profile)
        self.quantities: dict[str, str] = {name: limit.quantity for name, limit in profile.limits.items()}
        self.counters: dict[str, int] = {}
        self.readings = Readings(profile, port, np.random.default_rng([seed, 0xB35]))
        self.raw_cells = self.readings.raw_cells
        self.readings.cell_mv.sample = lambda: in_range(self.balancing.correct(self.raw_cells()))
        self.outputs = Outputs(port, self.cells)
        self.frames = Frames(send)
        self.seen = Seen()
        self.insulation_ohm = [INVALID, INVALID]
        self.diagnosis = Diagnosis(self)
        self.open_wire = OpenWireTest(self)
        self.host = Host(self)
        self.sequence = Sequence(self)
        self.estimator = Estimator(self, soc)
        self.derating = Derating(self)
        self.thermal = Thermal(self)
        self.balancing = Balancing(self)
        self.front_end = HdCan(self)
        self.protections: dict[str, Protection] = protections_of(self)
        self.groups = groups_of(self)
        self.tasks: dict[str, Task] = tasks_of(self)
        self.state = State.OFF
        self.mode: str | None = None
        self.alarms: frozenset[str] = frozenset()
        self.fault_index = NO_INDEX
        self.charge_blocked = self.discharge_blocked = 0
        self.locked = self.powered = self.ready = self.memory_broken = self.cells_are_fresh = False
        self.power_up()

    def __repr__(self) -> str:
        return f"EmulatedBms({self.profile.identity.model}, {self.state.name.lower()}, {sorted(self.alarms)})"

    @property
    def charge_allowed(self) -> bool:
        """Whether charging is not blocked by any protection."""
        return self.ready and not self.charge_blocked

    @property
    def discharge_allowed(self) -> bool:
        """Whether discharging is not blocked by any protection."""
        return self.ready and not self.discharge_blocked

    def tick(self) -> None:
        """The 10 ms interrupt: run what is due."""
        self.rtc_ms += TICK_MS
        if not self.powered:
            self._wait_for_supply()
            return
        if not self.now_ms:
            self.estimator.start()
        self.now_ms += TICK_MS
        for task in self.tasks.values():
            task.left_ms -= TICK_MS
            if task.left_ms <= 0:
                task.left_ms = task.period_ms
                task.run()
                if not self.powered:
                    return

    def receive(self, can_id: int, data: bytes) -> None:
        """One frame of the bus."""
        if self.powered:
            self.host.receive(can_id, data)

    def command(self, *, mode: str, reset_fault: bool = False, balancing_enable: bool | None = None) -> None:
        """What the host wants: mode "standby", "drive" or "charge".

        Contactors close only on a change of `mode`, after "standby" was seen since power-up: they never
        close by themselves after a fault or a reboot. The charge contactor alone follows a release by
        itself.
        """
        if balancing_enable is not None:
            self.balancing.enabled = balancing_enable
        if reset_fault:
            self.reset_faults()
        if mode == self.mode:
            return
        known, self.mode = self.mode is not None, mode
        if known or mode == "standby":
            self.sequence.request(MODES[mode])

    def reset_faults(self) -> None:
        """Clear latched protections below level 3 whose cause is gone."""
        self.diagnosis.acknowledge()
        self.sequence.precharge_failed = False
        if self.memory_broken:
            self.memory_broken = False
            self.estimator.store(self.memory)
        self._clear_latched(lambda level: level < 3)

    def service_reset(self) -> None:
        """Leave `locked` if the cause is gone; judged a little later, when the comparator has been reset."""
        self.thermal.runaway = False
        if self.readings.feedback.value[PYRO]:
            self.outputs.comparator_reset.write(True)
        self._service_ms = _SERVICE_MS

    def trip(self, protection: Protection, index: int) -> None:
        """Act on a protection: alarm, log entry with freeze frame, paths blocked."""
        protection.tripped, protection.index, protection.release_ms = True, index, 0
        self.fault_index = index
        self._record(protection, KIND_TRIP)
        if protection.limit.latched:
            self.memory.latched[protection.name] = index
            self.memory.seal()
        self.update_faults()
        if protection.name == "supply_undervoltage":
            self.power_down()

    def release(self, protection: Protection) -> None:
        """Let go of a protection."""
        self._record(protection, KIND_RELEASE)
        protection.reset()
        if self.memory.latched.pop(protection.name, None) is not None:
            self.memory.seal()
        self.update_faults()

    def update_faults(self) -> None:
        """Work out alarms and blocked paths; a blocked direction is promised nothing from now on."""
        tripped = [p for p in self.protections.values() if p.tripped]
        self.alarms = frozenset(self._alarm_of(p.name) for p in tripped)
        self.charge_blocked = max((p.limit.level for p in tripped if "charge" in p.limit.opens), default=0)
        self.discharge_blocked = max(
            (p.limit.level for p in tripped if "discharge" in p.limit.opens), default=0
        )
        self.locked = any(p.limit.level >= 3 for p in tripped)
        if not tripped:
            self.fault_index = NO_INDEX
        if self.ready:
            self.derating.run()

    def record(self, code: int, *, index: int = NO_INDEX, level: int = 0, kind: int = KIND_OTHER) -> None:
        """Write a log entry with the freeze frame of this instant."""
        seen, readings = self.seen, self.readings
        feedback = sum(1 << k for k in range(4) if readings.feedback.value[k])
        self.log.append(
            LogEntry(
                code=code,
                index=index,
                level=level,
                kind=kind,
                stamp_ms=self.rtc_ms,
                current_ma=readings.current_ma.value,
                pack_mv=readings.pack_mv.value,
                soc_permille=self.estimator.soc_permille,
                highest_mv=seen.highest_mv,
                lowest_mv=seen.lowest_mv,
                highest_index=seen.highest_index,
                lowest_index=seen.lowest_index,
                hottest_ddegc=seen.hottest_ddegc,
                coldest_ddegc=seen.coldest_ddegc,
                feedback=feedback,
                state=int(self.state),
            )
        )

    def power_up(self) -> None:
        """Start from non-volatile memory, with everything volatile gone."""
        self.now_ms = 0
        self.powered, self.ready, self.cells_are_fresh = True, False, False
        self.state, self.mode = State.OFF, None
        self._supply_ms = self._service_ms = 0
        self.memory_broken = not self.memory.intact()
        for part in (self.seen, self.diagnosis, self.open_wire, self.host, self.sequence, self.thermal,
                     self.balancing, self.derating, self.estimator, self.front_end):  # fmt: skip
            part.forget()
        for protection in self.protections.values():
            protection.reset()
        for task in self.tasks.values():
            task.left_ms = 0
        self.outputs.all_off()
        for name, index in self.memory.latched.items():
            if name in self.protections:
                self.protections[name].tripped, self.protections[name].index = True, index
        if not self.memory_broken:
            self.estimator.restore(self.memory)
        self.update_faults()
        self.record(LOG_POWER_UP)

    def power_down(self) -> None:
        """The supply is going: save, drop every coil, stop."""
        self.record(LOG_POWER_LOST)
        if not self.memory_broken:
            self.estimator.store(self.memory)
        self.sequence.forget()
        self.outputs.all_off()
        self.powered = self.ready = False
        self.state = State.OFF
        self._supply_ms = 0

    def sense_fast(self) -> None:
        """Every 10 ms: current, contacts, supply; count charge and the host's silence."""
        readings = self.readings
        self.cells_are_fresh = False
        readings.current_ma.read()
        readings.feedback.read()
        readings.hvil.read()
        readings.supply_mv.read()
        readings.comparator.read()
        self.estimator.count(readings.current_mean_ma.read(), TICK_MS)
        self.host.tick()

    def sense_cells(self) -> None:
        """Every 50 ms: all cells, pack, bus and charger."""
        readings, seen, masked = self.readings, self.seen, self.open_wire.masked
        cell_mv = readings.cell_mv.read()
        if masked:
            cell_mv = list(cell_mv)
            for k in masked:
                cell_mv[k] = INVALID
            readings.cell_mv.value = cell_mv
        highest_mv, lowest_mv = seen.highest_mv, seen.lowest_mv
        seen.cells(cell_mv)
        jump_mv = self.parameters.diagnosis.open_wire_jump_mv
        if abs(seen.highest_mv - highest_mv) > jump_mv or abs(seen.lowest_mv - lowest_mv) > jump_mv:
            self.open_wire.hurry()
        readings.pack_mv.read()
        readings.link_mv.read()
        readings.charger_mv.read()
        self.cells_are_fresh = True
        self.diagnosis.cells(self.tasks["sense_cells"].period_ms)

    def sense_temperatures(self) -> None:
        """Every 100 ms: thermistors, board, fan."""
        self.seen.temperatures(self.readings.temperature_ddegc.read())
        self.readings.board_ddegc.read()
        self.readings.fan_rpm.read()

    def sense_insulation(self) -> None:
        """Every 2 s: the monitor has settled on both rails."""
        self.insulation_ohm = self.readings.insulation_ohm.read()

    def test_wires(self) -> None:
        """Every 10 ms: open-wire test and balancing pauses, which share the taps."""
        self.balancing.run_pause()
        self.open_wire.run()

    def protect(self, task: str) -> None:
        """Look at the protections of one task."""
        step_ms, protections = self.tasks[task].period_ms, self.protections
        for name in self.groups[task]:
            protections[name].check(step_ms)

    def protect_wiring(self) -> None:
        """Every 20 ms: contactors, HVIL, host, supply."""
        self.diagnosis.switches(self.tasks["protect_wiring"].period_ms)
        self.protect("protect_wiring")

    def run_sequence(self) -> None:
        """Every 10 ms: contactors and state."""
        if not self.ready:
            if self.now_ms < _BOOT_MS:
                return
            self.ready = True
            if self.memory_broken:
                self.estimator.recover_from_voltage()
        if self._service_ms:
            self._finish_service_reset()
        self.sequence.run()
        state = self.sequence.state()
        if state is not self.state:
            self.state = state
            self.record(LOG_MODE)

    def drive(self) -> None:
        """Every 10 ms: coils and comparator registers."""
        coil, registers = self.outputs.coil, self.parameters.comparator
        if coil.filters or coil.value != self.sequence.coil:
            coil.write(self.sequence.coil.copy())
        self.outputs.comparator.write((registers.threshold_ma, registers.delay_us))

    def remember(self) -> None:
        """Every second: save charge and counters."""
        if not self.memory_broken:
            self.estimator.store(self.memory)

    def broadcast(self) -> None:
        """Every 100 ms: all periodic frames."""
        if self.frames.send is not None:
            self.front_end.broadcast()

    def answer(self) -> None:
        """Every 10 ms: go on with a read-out of the log."""
        if self.front_end.queue:
            self.front_end.answer()

    def _finish_service_reset(self) -> None:
        self._service_ms -= TICK_MS
        if not self._service_ms:
            self.outputs.comparator_reset.write(False)
            self._clear_latched(lambda level: level >= 3)

    def _clear_latched(self, concerns: Callable[[int], bool]) -> None:
        self.record(LOG_RESET)
        for protection in self.protections.values():
            held = protection.tripped and protection.limit.latched and concerns(protection.limit.level)
            if held and protection.cause_is_gone():
                self.release(protection)

    def _record(self, protection: Protection, kind: int) -> None:
        code = ALARM_BIT.get(self._alarm_of(protection.name), 0xFE)
        self.record(code, index=protection.index, level=protection.limit.level, kind=kind)

    def _alarm_of(self, name: str) -> str:
        limit = self.profile.limits.get(name)
        return limit.alarm or name if limit is not None else name

    def _wait_for_supply(self) -> None:
        limit = self.parameters.limits["supply_undervoltage"]
        good = self.readings.supply_mv.read() >= (limit.release or limit.trip)
        self._supply_ms = self._supply_ms + TICK_MS if good else 0
        if self._supply_ms > limit.release_delay_ms:
            self.power_up()
