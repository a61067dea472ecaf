"""A DUT that speaks Daly A5: it answers when asked, so the host polls it in rounds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import numpy as np

from bench.clock import Clock, Job
from bench.dut.api import ANSWER_WITHIN_S, SILENT, STATES, LogEntry, Mode, Telemetry
from bench.dut.columns import REPORTED
from bench.dut.daly_line import LOOK_S, ORDER, DalyLine
from bench.errors import FrameInvalid, NotReady, WireError
from bench.record import Floats, Samples, Trace
from dut_profiles.profile import Profile
from dut_profiles.protocols import daly_data
from dut_profiles.protocols import daly_uart_a5 as daly

#: What the dialect can do: two switches, no state machine, no log, no limits, no insulation.
_FEATURES: Final = frozenset({"mode", "reset", "bleed_flags", "cell_extremes"})

#: Project's name of each alarm of the maker; level 1 only where the project has a warning of its own.
#: What is not here keeps the maker's name.
ALARM_NAMES: Final = {
    "cell_overvoltage_1": "cell_overvoltage_warning",
    "cell_overvoltage_2": "cell_overvoltage",
    "cell_undervoltage_1": "cell_undervoltage_warning",
    "cell_undervoltage_2": "cell_undervoltage",
    "charge_overtemperature_2": "charge_overtemperature",
    "charge_undertemperature_2": "charge_undertemperature",
    "discharge_overtemperature_2": "discharge_overtemperature",
    "discharge_undertemperature_2": "discharge_undertemperature",
    "charge_overcurrent_2": "charge_overcurrent",
    "discharge_overcurrent_1": "discharge_overcurrent_1",
    "discharge_overcurrent_2": "discharge_overcurrent_2",
    "cell_difference_1": "cell_imbalance",
    "temperature_difference_1": "temperature_spread",
    "charge_mos_stuck_closed": "contactor_weld",
    "discharge_mos_stuck_closed": "contactor_weld",
    "charge_mos_stuck_open": "contactor_feedback",
    "discharge_mos_stuck_open": "contactor_feedback",
    "afe_fault": "afe_fault",
    "cell_wire_lost": "open_sense_wire",
    "cell_sensor_fault": "thermistor_fault",
    "eeprom_fault": "memory_fault",
    "precharge_failed": "precharge_failed",
    "current_module": "current_sensor",
    "pack_voltage_module": "sum_of_cells",
    "short_circuit": "short_circuit",
}

#: What to send for each mode, in this order: at no time between two of them is another mode asked for.
_MODES: Final[dict[Mode, tuple[tuple[int, bool], ...]]] = {
    "standby": ((daly_data.DISCHARGE_FET, False), (daly_data.CHARGE_FET, False)),
    "drive": ((daly_data.CHARGE_FET, False), (daly_data.DISCHARGE_FET, True)),
    "charge": ((daly_data.CHARGE_FET, True), (daly_data.DISCHARGE_FET, True)),
}
_SILENT_ROUNDS: Final = 3

#: Trace, unit, command, field: the plain numbers.
_NUMBERS: Final = (
    ("dut.pack_v", "V", daly_data.PACK, "pack_voltage_v"),
    ("dut.current_a", "A", daly_data.PACK, "current_a"),
    ("dut.soc", "1", daly_data.PACK, "soc"),
    ("dut.remaining_ah", "Ah", daly_data.MOS, "remaining_ah"),
    ("dut.life", "1", daly_data.MOS, "bms_life"),
    ("dut.charge_fet", "1", daly_data.MOS, "charge_fet"),
    ("dut.discharge_fet", "1", daly_data.MOS, "discharge_fet"),
    ("dut.highest_cell_v", "V", daly_data.CELL_RANGE, "max_cell_voltage_v"),
    ("dut.lowest_cell_v", "V", daly_data.CELL_RANGE, "min_cell_voltage_v"),
    ("dut.hottest_degc", "degC", daly_data.TEMPERATURE_RANGE, "max_temperature_degc"),
    ("dut.coldest_degc", "degC", daly_data.TEMPERATURE_RANGE, "min_temperature_degc"),
)
#: Asked for in every round, most urgent first; and in every second one, in turn. A round takes 0.45 s.
_ROUND: Final = (daly_data.FAILURES, daly_data.MOS, daly_data.PACK, daly_data.CELLS)
_IN_TURN: Final = (
    (daly_data.TEMPERATURES, daly_data.CELL_RANGE),
    (daly_data.BALANCING, daly_data.TEMPERATURE_RANGE),
)
#: Who names the cell or sensor of an alarm: asked as soon as the alarm comes up.
_NAMED_BY: Final = {
    "cell_overvoltage": (daly_data.CELL_RANGE, "max_cell_number"),
    "cell_undervoltage": (daly_data.CELL_RANGE, "min_cell_number"),
    "charge_overtemperature": (daly_data.TEMPERATURE_RANGE, "max_temperature_number"),
    "discharge_overtemperature": (daly_data.TEMPERATURE_RANGE, "max_temperature_number"),
    "charge_undertemperature": (daly_data.TEMPERATURE_RANGE, "min_temperature_number"),
    "discharge_undertemperature": (daly_data.TEMPERATURE_RANGE, "min_temperature_number"),
}
_ALARM_TRACES: Final = tuple(
    dict.fromkeys(ALARM_NAMES.get(name, name) for name in daly_data.ALARMS if not name.startswith("reserved"))
)


#: What the wire says of a cell or a sensor that cannot be read: raw 0.
_NO_CELL_V, _NO_SENSOR_DEGC = 0.0, -40.0


def connect(profile: Profile, wire: Any, clock: Clock) -> DalyDut:
    """The DUT on pyserial's port object `wire`."""
    return DalyDut(profile, wire, clock)


class DalyDut:
    """A `Dut` that is polled."""

    def __init__(self, profile: Profile, wire: Any, clock: Clock) -> None:
        self.profile, self.features = profile, _FEATURES
        self._clock = clock
        #: Counts what was not answered.
        self.line = DalyLine(wire, clock, baud=profile.communication.bitrate)
        self._frames = {
            daly_data.CELLS: -(-profile.pack.cells // daly_data.CELLS_PER_FRAME),
            daly_data.TEMPERATURES: -(-profile.pack.sensors // daly_data.SENSORS_PER_FRAME),
        }
        self._controls: list[tuple[int, bool]] = []
        self._job: Job | None = None
        self._talking = self._controlling = False
        self._turn = 0
        self._heard_s, self._mos_s = -np.inf, -np.inf
        self._values: dict[str, float] = {}
        self._bits: frozenset[str] = frozenset()
        cells, sensors = profile.pack.cells, profile.pack.sensors
        rows = [(name, unit, 0) for name, unit, *_ in _NUMBERS]
        rows += [("dut.state", "1", 0), ("dut.fault_index", "1", 0)]
        rows += [(f"dut.alarm.{name}", "1", 0) for name in _ALARM_TRACES]
        rows += [
            ("dut.cell_v", "V", cells),
            ("dut.bleeds", "1", cells),
            ("dut.temperature_degc", "degC", sensors),
        ]
        self._samples = {name: Samples(name, unit, REPORTED, channels=n) for name, unit, n in rows}

    def __repr__(self) -> str:
        return f"DalyDut({self.profile.identity.model}, {self.state()})"

    def start(self) -> None:
        """As `Dut.start`.

        Raises
        ------
        NotReady
            If the DUT counts other cells or sensors than the profile.
        """
        end_s = self._clock.now_s + ANSWER_WITHIN_S
        while not (status := self._wait_for_answer(daly_data.STATUS, frames=1)):
            if self._clock.now_s >= end_s:
                raise WireError(
                    f"dut ({self.profile.identity.model}, daly_uart_a5): expected an answer to 0x94 within "
                    f"{ANSWER_WITHIN_S:g} s, found an address that nobody answers "
                    f"at {self._clock.now_s:.3f} s. Is it awake, and is this its board number (1)?"
                )
        self._check(daly.values(status[0]))
        for command, least in self._frames.items():
            # Firmware differs: as many frames as there are cells, or all 48 slots.
            self._frames[command] = max(least, len(self._wait_for_answer(command, frames=0)))
        self._talking = True
        if self._job is None:
            period_s = self.profile.communication.period_s
            self._job = self._clock.every(period_s, self._round, name="DUT host", order=ORDER, first_s=0.0)

    def stop(self) -> None:
        """As `Dut.stop`; a DUT that is not asked says nothing."""
        self._talking = False
        self.line.forget()

    def request(self, mode: Mode) -> None:
        """As `Dut.request`: two switches, before all other questions, until they are acknowledged."""
        self._controls = list(_MODES[mode])
        self._control()

    def wait_for(self, state: str, timeout_s: float) -> bool:
        """As `Dut.wait_for`."""
        return self._clock.until(lambda: self.state() == state, timeout_s=timeout_s)

    def reset_fault(self) -> None:
        """As `Dut.reset_fault`: the dialect knows only a restart, after which both switches are off."""
        self._controls.clear()
        self.line.ask(daly_data.RESET, lambda _: None, first=True)

    def service_reset(self) -> None:
        """Not offered."""
        raise self._lacks("service_reset")

    def read_log(self) -> list[LogEntry]:
        """Not offered."""
        raise self._lacks("log")

    def state(self) -> str:
        """As `Dut.state`, from the two switches: no other state can be told apart."""
        if self._clock.now_s - self._mos_s > _SILENT_ROUNDS * self.profile.communication.period_s:
            return SILENT
        if self._values.get("dut.charge_fet"):
            return "charge"
        if self._values.get("dut.discharge_fet"):
            return "drive"
        return "fault" if any(not name.endswith("_1") for name in self._bits) else "standby"

    def alarms(self) -> frozenset[str]:
        """As `Dut.alarms`."""
        return frozenset(ALARM_NAMES.get(name, name) for name in self._bits)

    def telemetry(self) -> Telemetry:
        """As `Dut.telemetry`."""
        value = self._values.get
        return Telemetry(
            t_s=self._heard_s,
            age_s=self._clock.now_s - self._heard_s,
            cell_v=self._newest("dut.cell_v"),
            bleeds=self._newest("dut.bleeds"),
            temperature_degc=self._newest("dut.temperature_degc"),
            pack_v=value("dut.pack_v", np.nan),
            current_a=value("dut.current_a", np.nan),
            soc=value("dut.soc", np.nan),
            state=self.state(),
            fault_index=value("dut.fault_index", np.nan),
            alarms=self.alarms(),
        )

    def traces(self) -> dict[str, Trace]:
        """As `Dut.traces`."""
        return {name: samples.trace() for name, samples in self._samples.items() if len(samples)}

    def frames(self) -> list[tuple[float, int, bytes]]:
        """None: this is a serial line."""
        return []

    def _round(self) -> None:
        """Ask for everything once, unless the last round is not through."""
        if not self._talking:
            return
        self._control()
        if not self.line.idle:
            return
        self._turn = (self._turn + 1) % len(_IN_TURN)
        for command in _ROUND + _IN_TURN[self._turn]:
            self._ask(command)

    def _ask(self, command: int, *, first: bool = False) -> None:
        take = partial(self._take, command)
        self.line.ask(command, take, frames=self._frames.get(command, 1), first=first)

    def _control(self) -> None:
        """Send the next switch command; the one after it follows its acknowledgement."""
        if self._talking and self._controls and not self._controlling:
            command, on = self._controls[0]
            name = daly_data.FIELDS[command][0].name
            self._controlling = True
            self.line.ask(command, partial(self._acknowledge, (command, on)), values={name: on}, first=True)

    def _acknowledge(self, control: tuple[int, bool], frames: list[daly.Frame]) -> None:
        """Without an answer it waits for the next round."""
        self._controlling = False
        if frames:
            # Meanwhile another mode may have been asked for.
            if self._controls[:1] == [control]:
                self._controls.pop(0)
            self._control()

    def _wait_for_answer(self, command: int, *, frames: int) -> list[daly.Frame]:
        answers: list[list[daly.Frame]] = []
        self.line.ask(command, answers.append, frames=frames)
        self._clock.until(lambda: bool(answers), timeout_s=ANSWER_WITHIN_S, step_s=LOOK_S)
        return answers[0] if answers else []

    def _take(self, command: int, frames: list[daly.Frame]) -> None:
        """Keep what one reply says."""
        if not frames:
            return
        data, now_s = [frame.data for frame in frames], self._clock.now_s
        cells, sensors = self.profile.pack.cells, self.profile.pack.sensors
        try:
            match command:
                case daly_data.CELLS:
                    cell_v = _known(daly_data.cell_voltages(data, cells=cells), _NO_CELL_V)
                    self._keep("dut.cell_v", cell_v)
                    self._name_lost("cell_wire_lost", cell_v)
                case daly_data.TEMPERATURES:
                    degc = _known(daly_data.temperatures(data, sensors=sensors), _NO_SENSOR_DEGC)
                    self._keep("dut.temperature_degc", degc)
                    self._name_lost("cell_sensor_fault", degc)
                case daly_data.BALANCING:
                    bits = daly_data.set_bits(data[0])
                    self._keep("dut.bleeds", [float(cell in bits) for cell in range(cells)])
                case daly_data.FAILURES:
                    self._take_alarms(frozenset(daly_data.ALARMS[b] for b in daly_data.set_bits(data[0])))
                case _:
                    values = daly.values(frames[0])
                    for name, _, of, field in _NUMBERS:
                        if of == command:
                            self._values[name] = float(values[field])
                            self._keep(name, self._values[name])
        except FrameInvalid:
            self.line.unanswered += 1
            return
        self._heard_s = now_s
        if command == daly_data.MOS:
            self._mos_s = now_s
            self._keep("dut.state", float(STATES.index(self.state())))

    def _take_alarms(self, bits: frozenset[str]) -> None:
        fresh, self._bits = bits - self._bits, bits
        active = self.alarms()
        for name in _ALARM_TRACES:
            self._keep(f"dut.alarm.{name}", float(name in active))
        if not bits:
            self._values["dut.fault_index"] = np.nan
        for name in sorted(fresh):
            command, number = _NAMED_BY.get(name.rpartition("_")[0], (0, ""))
            if number:
                self.line.ask(command, partial(self._take_index, number), first=True)
        self._keep("dut.fault_index", self._values.get("dut.fault_index", np.nan))

    def _name_lost(self, bit: str, value: Floats) -> None:
        """The cell or sensor of a lost wire is the first that has no value."""
        lost = np.flatnonzero(np.isnan(value))
        if bit in self._bits and lost.size and np.isnan(self._values.get("dut.fault_index", np.nan)):
            self._values["dut.fault_index"] = float(lost[0])

    def _take_index(self, number: str, frames: list[daly.Frame]) -> None:
        if frames:
            self._values["dut.fault_index"] = index = float(daly.values(frames[0])[number]) - 1.0
            self._keep("dut.fault_index", index)

    def _keep(self, name: str, value: float | Iterable[float]) -> None:
        self._samples[name].append(self._clock.now_s, value)

    def _newest(self, name: str) -> Floats:
        samples = self._samples[name]
        return samples.trace().last if len(samples) else np.full(samples.channels, np.nan)

    def _check(self, status: dict[str, float | int | bool]) -> None:
        pack = self.profile.pack
        found = (status["cells"], status["temperature_sensors"])
        if found != (pack.cells, pack.sensors):
            raise NotReady(
                f"dut ({self.profile.identity.model}): expected {pack.cells} cells, {pack.sensors} sensors, "
                f"found {found[0]}, {found[1]} at {self._clock.now_s:.3f} s. Is it the DUT of this profile?"
            )

    def _lacks(self, feature: str) -> NotReady:
        return NotReady(
            f"dut ({self.profile.identity.model}): expected {feature!r} among the features of daly_uart_a5, "
            f"found {', '.join(sorted(self.features))}."
        )


def _known(values: list[float], nothing: float) -> Floats:
    """`values` with nan for what was not readable, shape (channels,)."""
    found = np.array(values)
    found[found == nothing] = np.nan
    return found
