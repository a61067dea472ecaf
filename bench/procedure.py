"""What a scenario does with the bench, each step noted in the record so that the oracle can explain it."""

from __future__ import annotations

from typing import Any, Literal

from bench.errors import Inconclusive, InstrumentRefused, NotApplicable, NotReady
from bench.station import Station
from bench.stimulus import CellStimulus
from dut_profiles.profile import Limit
from instruments import roles

#: How long a sound DUT may take from power-up to its first telemetry [s]; project default.
START_S = 3.0

#: How much later than its steps an armed sequence may say that it is over [s]; project default.
DRAWN_WITHIN_S = 2.0

#: How well a pack is prepared to the state of charge that a scenario asks for; project default.
PREPARED_WITHIN = 0.01

#: Roles as a person would say them.
ROLE_WORDS = {
    "cells": "cell emulator",
    "charger": "charger",
    "load": "electronic load",
    "meter": "digitizer on the pack current",
    "regen": "source for regeneration",
    "thermistors": "thermistor simulator",
}

#: Charger voltage over the declared charge voltage, so that the DUT and not the charger ends the charge:
#: upper limit charging voltage plus 10 %, IEC 62619:2022 8.2.2.
OVERCHARGE = 1.10


class Bench:
    """A station in the hands of a test.

    Parameters
    ----------
    station
        Open.
    known_soc
        State of charge to which the pack was prepared, 0..1, if the BMS was told the same; None: unknown.
    """

    def __init__(self, station: Station, *, known_soc: float | None = None) -> None:
        self.station, self._known_soc = station, known_soc
        self.clock, self.profile, self.record = station.clock, station.profile, station.record
        self.dut = station.dut
        self._cells: CellStimulus | None = None

    @property
    def now_s(self) -> float:
        """Bench time [s]."""
        return self.clock.now_s

    @property
    def cells(self) -> CellStimulus:
        """The cell emulator."""
        if self._cells is None:
            self._cells = CellStimulus(self._role("cells"), self.clock, self.record)
        return self._cells

    @property
    def charger(self) -> roles.Supply:
        """The charger at the charge port."""
        supply: roles.Supply = self._role("charger")
        return supply

    @property
    def load(self) -> roles.Load:
        """The electronic load on the bus."""
        load: roles.Load = self._role("load")
        return load

    @property
    def regen(self) -> roles.Supply:
        """The machine that feeds back into the bus."""
        supply: roles.Supply = self._role("regen")
        return supply

    @property
    def meter(self) -> roles.Meter:
        """The digitizer on the pack current."""
        meter: roles.Meter = self._role("meter")
        return meter

    def has(self, role: str) -> bool:
        """Whether somebody on this station fills `role`."""
        return role in self.station.by_role

    def needs(self, *features: str) -> None:
        """Leave the scenario as not applicable unless the DUT's dialect offers every one of `features`."""
        missing = [feature for feature in features if feature not in self.dut.features]
        if missing:
            raise NotApplicable(
                f"{self.profile.identity.model} does not offer {', '.join(missing)} over its protocol"
            )

    def needs_alarms(self, *alarms: str) -> None:
        """Leave the scenario as not applicable unless the DUT's dialect has every one of `alarms`."""
        traces = self.record.traces()
        missing = [alarm for alarm in alarms if f"dut.alarm.{alarm}" not in traces]
        if missing:
            model = self.profile.identity.model
            raise NotApplicable(f"{model} has no alarm {', '.join(missing)} in its protocol")

    def limit(self, name: str) -> Limit:
        """A limit of the profile; a scenario about one that is not declared is not applicable."""
        if name not in self.profile.limits:
            raise NotApplicable(f"{self.profile.identity.model} declares no limit {name}")
        return self.profile.limit(name)

    def wait(self, duration_s: float) -> None:
        """Let bench time pass [s]."""
        self.clock.sleep(duration_s)

    def start(self) -> None:
        """Let the host talk to the DUT and wait until it answers with all its telemetry."""
        self.record.note("host", "host starts", talking=True)
        if getattr(self.dut, "balancing_enabled", False):
            self.record.note("balancing", "host permits balancing", enabled=True)
        if self._known_soc is not None:
            capacity_ah = self.profile.pack.capacity_ah
            self.record.note(
                "soc",
                f"pack prepared at {self._known_soc:.0%}",
                soc=self._known_soc,
                uncertainty=PREPARED_WITHIN,
                capacity_ah=capacity_ah,
            )
        self.dut.start()
        self.clock.sleep(START_S)

    def mode(self, mode: Literal["standby", "drive", "charge"], *, within_s: float = 10.0) -> None:
        """Ask the DUT for a mode and wait until it says it is there.

        Raises
        ------
        Inconclusive
            If it does not get there: what the scenario wants to see cannot be seen.
        """
        self.request(mode)
        if not self.dut.wait_for(mode, within_s):
            raise Inconclusive(
                f"the DUT was asked for {mode} at {self.now_s - within_s:.1f} s and is in {self.dut.state()} "
                f"{within_s:g} s later, alarms: {', '.join(sorted(self.dut.alarms())) or 'none'}"
            )
        self.clock.sleep(0.5)

    def request(self, mode: Literal["standby", "drive", "charge"]) -> None:
        """Ask the DUT for a mode and do not wait."""
        self.record.note("mode", f"host asks for {mode}", mode=mode)
        self.dut.request(mode)

    def charge(self, current_a: float, *, voltage_v: float | None = None) -> None:
        """Let the charger push `current_a` [A]; its voltage is high enough not to end the charge itself."""
        pack = self.profile.pack
        voltage_v = voltage_v or pack.cells * pack.upper_limit_charging_v * OVERCHARGE
        self.record.note(
            "stimulus", f"charger {current_a:g} A, at most {voltage_v:.1f} V", current_a=current_a
        )
        self.charger.source(voltage_v=voltage_v, current_a=current_a)

    def discharge(self, current_a: float) -> None:
        """Let the load draw `current_a` [A]."""
        self.record.note("stimulus", f"load {current_a:g} A", current_a=-current_a)
        self.load.sink(current_a=current_a)

    def draw(self, *steps: roles.Step) -> None:
        """Let the load draw `steps` one after the other, then nothing; returns when they are over.

        A load that keeps time by itself is armed and fired: its steps are as long as they should be, however
        late the host is. Any other is led by the host, step by step.
        """
        shown = ", ".join(f"{step.current_a:g} A for {step.duration_s:g} s" for step in steps)
        most_a, load = max(step.current_a for step in steps), self.load
        armed = isinstance(load, roles.ArmedLoad)
        who = "by its own clock" if armed else "led by the host"
        self.record.note("stimulus", f"load {shown}, {who}", current_a=-most_a, armed=armed)
        if isinstance(load, roles.ArmedLoad):
            load.arm(steps)
            load.fire()
            patience_s = sum(step.duration_s for step in steps) + DRAWN_WITHIN_S
            if not self.clock.until(load.fired, timeout_s=patience_s, step_s=0.05):
                raise InstrumentRefused(
                    f"load: expected its armed sequence ({shown}) to be over within {patience_s:g} s, it is "
                    f"not at {self.now_s:.3f} s. Was its trigger accepted?"
                )
            return
        for step in steps:
            load.sink(current_a=step.current_a)
            self.clock.sleep(step.duration_s)
        load.off()

    def regenerate(self, current_a: float) -> None:
        """Let the machine feed `current_a` [A] back into the bus."""
        pack = self.profile.pack
        voltage_v = pack.cells * pack.upper_limit_charging_v * OVERCHARGE
        self.record.note("stimulus", f"regeneration {current_a:g} A", current_a=current_a)
        self.regen.source(voltage_v=voltage_v, current_a=current_a)

    def rest(self) -> None:
        """Charger, regeneration and load off."""
        self.record.note("stimulus", "sources and load off", current_a=0.0)
        for name in ("charger", "regen", "load"):
            if name in self.station.instruments:
                self.station.instruments[name].off()

    def set_temperature(self, temperature_degc: float | list[float], *, sensor: int | None = None) -> None:
        """Make one sensor, or all, look like a temperature [°C]."""
        where = "all sensors" if sensor is None else f"sensor {sensor}"
        shown = f"{temperature_degc:g} °C" if isinstance(temperature_degc, int | float) else "a pattern"
        self.record.note("stimulus", f"{where} to {shown}", sensor=sensor)
        thermistors: roles.Thermistors = self._role("thermistors")
        thermistors.set(temperature_degc=temperature_degc, sensor=sensor)

    def insert(self, fault: str) -> None:
        """Put a wiring fault in."""
        box = self._box(fault)
        self.record.note("fault", f"{fault} inserted", fault=fault, active=True)
        box.insert(fault)

    def remove(self, fault: str) -> None:
        """Take a wiring fault out."""
        self.record.note("fault", f"{fault} removed", fault=fault, active=False)
        self.station.fault_box(fault).remove(fault)

    def impair(self, condition: str, value: float, *, cell: int) -> None:
        """Make something inside one cell of an emulated pack wrong: a soft short, a worn joint, a heater.

        `condition` is one of `bench.plant.conditions.CONDITIONS`, in the unit that its name says. No
        instrument can do this to a real cell: on a rack, the scenario is not applicable.
        """
        conditions = self.station.conditions
        if conditions is None:
            raise NotApplicable(f"{condition} inside a cell can be set on an emulated pack only")
        conditions.set(condition, value, group=cell)
        self.record.note("stimulus", f"cell {cell}: {condition} {value:g}", cell=cell)

    def cut_power(self) -> None:
        """Take the DUT's auxiliary supply away."""
        box = self._box("dut_supply_open")
        self.record.note("power", "auxiliary supply of the DUT cut", on=False)
        box.insert("dut_supply_open")

    def restore_power(self) -> None:
        """Give it back."""
        self.record.note("power", "auxiliary supply of the DUT back", on=True)
        self.station.fault_box("dut_supply_open").remove("dut_supply_open")

    def silence_host(self) -> None:
        """Stop every message to the DUT."""
        self.record.note("host", "host falls silent", talking=False)
        self.dut.stop()

    def resume_host(self) -> None:
        """Talk again."""
        self.record.note("host", "host talks again", talking=True)
        self.dut.start()

    def reset_fault(self) -> None:
        """Ask the DUT to clear resettable faults."""
        self.record.note("reset", "host asks for a fault reset", service=False)
        self.dut.reset_fault()

    def service_reset(self) -> None:
        """The reset that only service may do."""
        self.record.note("reset", "service reset", service=True)
        self.dut.service_reset()

    def publish_every(self, period_s: float) -> None:
        """Slow the measured traces down for long runs, or speed them up, where the instrument can."""
        if not self.has("cells"):
            return  # whatever measures, does so in its own time
        change = getattr(self.station.role("cells"), "set_publish_period", None)
        if change is None:
            raise NotReady("the cell emulator of this station has a fixed sampling period")
        change(period_s)

    def _role(self, name: str) -> Any:
        """What stands for a role; a scenario that needs one which the station lacks is not applicable."""
        if not self.has(name):
            raise NotApplicable(f"this station has no {ROLE_WORDS[name]}")
        return self.station.role(name)

    def _box(self, fault: str) -> roles.FaultBox:
        """The box that makes a fault; without one a scenario is not applicable."""
        boxes = [box for box in self.station.by_role.values() if isinstance(box, roles.FaultBox)]
        if not any(fault in box.faults for box in boxes):
            raise NotApplicable(f"this station has no relay for the fault {fault}")
        return self.station.fault_box(fault)
