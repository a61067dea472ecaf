"""The plant: a battery pack with its power circuit, wiring and heat, as physics, in one object.

A `Plant` is made from a `PlantSpec` of plain numbers and stepped by whoever owns the clock. Twins act on
its terminals, a BMS on its port; neither can see the truth behind them. Two plants share nothing.
"""

from __future__ import annotations

import struct
from typing import Literal, overload

import numpy as np

from bench.plant import layout as at
from bench.plant.arrays import allocate
from bench.plant.board import BoardWiring
from bench.plant.conditions import Conditions
from bench.plant.faults import fault_slots
from bench.plant.kernel import advance
from bench.plant.port import Port
from bench.plant.spec import PlantSpec
from bench.plant.terminals import (
    AuxiliaryTerminal,
    CellTerminals,
    ChamberTerminal,
    FaultTerminal,
    LoadTerminal,
    MeterTerminal,
    NtcTerminals,
    ShuntTerminal,
    SourceTerminal,
    ThermocoupleTerminal,
)
from bench.plant.truth import Truth

__all__ = ["Plant", "PlantSpec"]

Terminal = (
    SourceTerminal
    | LoadTerminal
    | CellTerminals
    | NtcTerminals
    | FaultTerminal
    | MeterTerminal
    | AuxiliaryTerminal
    | ChamberTerminal
    | ThermocoupleTerminal
    | ShuntTerminal
)

_INPUTS = struct.Struct(f"{at.INPUTS}d")
_OUTPUTS = struct.Struct(f"{at.OUTPUTS}d")
_OUTPUTS_AT = at.INPUTS * 8
_NS = 1_000_000_000
#: Resistance that each insulation fault puts between a rail and the chassis [ohm].
_INSULATION_FAULTS = (
    (at.F_INSULATION_POSITIVE_30K, 0, 30e3),
    (at.F_INSULATION_NEGATIVE_30K, 1, 30e3),
    (at.F_INSULATION_POSITIVE_5K, 0, 5e3),
    (at.F_INSULATION_NEGATIVE_5K, 1, 5e3),
)


class Plant:
    """One pack on the bench.

    Parameters
    ----------
    spec
        What the pack is; see `PlantSpec`.

    Attributes
    ----------
    port
        What a BMS is wired to.
    truth
        What nobody on a rack can see; for tests and energy bookkeeping.
    conditions
        What can be set inside the cells, past any instrument.
    ambient_degc
        Temperature around the pack [°C] unless it is in a chamber.
    """

    def __init__(self, spec: PlantSpec | None = None) -> None:
        self.spec = spec = spec or PlantSpec()
        arrays = allocate(spec)
        self.ambient_degc = spec.ambient_degc
        self._time_ns = 0
        self._arrays = arrays
        self._fault = np.zeros(at.SINGLE_FAULTS + 2 * (spec.cells + 1) + 3 * spec.sensors, dtype=np.bool_)
        self._exchange = memoryview(arrays.state.data).cast("B")
        self.port = Port(
            cell_v=arrays.group[at.AFE_V],
            ntc_v=arrays.sensor[at.SENSOR_V],
            feedback=arrays.switch[at.FEEDBACK],
            coil=arrays.switch[at.COIL],
            bleed=arrays.group_flag[at.BLEED],
            insulation_ohm=np.array([spec.insulation_positive_ohm, spec.insulation_negative_ohm]),
        )
        self._charger, self._regen, self._load = SourceTerminal(), SourceTerminal(), LoadTerminal()
        self._cells = CellTerminals(
            connected=arrays.group_flag[at.CONNECTED],
            opened=arrays.group_flag[at.OPENED],
            voltage_v=arrays.group[at.CHANNEL_SET_V],
            actual_voltage_v=arrays.group[at.CHANNEL_V],
            actual_current_a=arrays.group[at.CHANNEL_A],
        )
        self._thermistors = NtcTerminals(
            connected=arrays.sensor_connected,
            voltage_v=arrays.sensor[at.SENSOR_SET_V],
            actual_voltage_v=arrays.sensor[at.SENSOR_V],
        )
        self._faults = FaultTerminal(
            fault_slots(spec.cells, spec.sensors), self._fault, self._update_insulation
        )
        self._meter = MeterTerminal(switch_closed=arrays.switch[at.CLOSED], state=arrays.state)
        self._auxiliary = AuxiliaryTerminal(spec.supply_v)
        self._chamber = ChamberTerminal(spec.ambient_degc)
        self.truth = Truth(arrays, spec)
        self._thermocouples = ThermocoupleTerminal(lambda: self.truth.temperature_degc[:: spec.parallel])
        self.conditions = Conditions(arrays, spec)
        self._board = BoardWiring(arrays, spec) if spec.board else None
        self._terminals = self._named()
        self._call(0.0)

    def __repr__(self) -> str:
        size = f"{self.spec.cells}S{self.spec.parallel}P"
        return f"Plant({size} {self.spec.cell}, t={self.time_s:.3f} s, {self.port!r})"

    @property
    def time_s(self) -> float:
        """Plant time [s]: the sum of all steps."""
        return self._time_ns / _NS

    @overload
    def terminal(self, name: Literal["charger", "regen"]) -> SourceTerminal: ...
    @overload
    def terminal(self, name: Literal["load"]) -> LoadTerminal: ...
    @overload
    def terminal(self, name: Literal["cells"]) -> CellTerminals: ...
    @overload
    def terminal(self, name: Literal["thermistors"]) -> NtcTerminals: ...
    @overload
    def terminal(self, name: Literal["faults"]) -> FaultTerminal: ...
    @overload
    def terminal(self, name: Literal["meter"]) -> MeterTerminal: ...
    @overload
    def terminal(self, name: Literal["auxiliary"]) -> AuxiliaryTerminal: ...
    @overload
    def terminal(self, name: Literal["chamber"]) -> ChamberTerminal: ...
    @overload
    def terminal(self, name: Literal["thermocouples"]) -> ThermocoupleTerminal: ...
    @overload
    def terminal(self, name: Literal["shunt"]) -> ShuntTerminal: ...
    @overload
    def terminal(self, name: str) -> Terminal: ...

    def terminal(self, name: str) -> Terminal:
        """The terminal called `name`; always the same object.

        Raises
        ------
        KeyError
            If there is none; the message lists the names.
        """
        if name not in self._terminals:
            raise KeyError(f"no terminal {name!r}; the plant has {', '.join(self._terminals)}")
        return self._terminals[name]

    def _named(self) -> dict[str, Terminal]:
        """What there is to be wired to: around a pack, or around a board without one."""
        anyway: dict[str, Terminal] = {
            "cells": self._cells,
            "thermistors": self._thermistors,
            "faults": self._faults,
            "meter": self._meter,
            "auxiliary": self._auxiliary,
        }
        if (board := self._board) is not None:
            return {**anyway, "cells": board.cells, "thermistors": board.thermistors, "shunt": board.shunt}
        return {
            "charger": self._charger,
            "regen": self._regen,
            "load": self._load,
            **anyway,
            "chamber": self._chamber,
            "thermocouples": self._thermocouples,
        }

    def step(self, dt_s: float) -> None:
        """Let `dt_s` [s] pass; any length, the kernel sub-steps by itself.

        Raises
        ------
        ValueError
            If `dt_s` is not a positive, finite time.
        """
        if not 0.0 < dt_s < 1e6:
            raise ValueError(f"plant step: expected a time above 0 s and below 1e6 s, found {dt_s}")
        self._call(float(dt_s))
        self._time_ns += round(dt_s * _NS)

    def _call(self, dt_s: float) -> None:
        port, arrays, meter = self.port, self._arrays, self._meter
        charger, regen, load = self._charger, self._regen, self._load
        if self._board is not None:
            self._board.before_step()
        # Packed rather than assigned: one call instead of sixteen array stores.
        _INPUTS.pack_into(
            self._exchange,
            0,
            port.fan,
            port.heater,
            port.open_wire_current,
            port.comparator_threshold_a,
            port.comparator_delay_s,
            port.comparator_reset,
            charger.enabled,
            charger.voltage_v,
            charger.current_a,
            regen.enabled,
            regen.voltage_v,
            regen.current_a,
            load.enabled,
            load.current_a,
            load.slew_a_per_s,
            self._chamber.air_degc if self._chamber.closed else self.ambient_degc,
            self._auxiliary.deliver(self.spec.supply_w + self.spec.coil_w * np.count_nonzero(port.coil[:4])),
        )
        advance(
            dt_s,
            self._time_ns * 1e-9,
            arrays.constant,
            arrays.ocv,
            arrays.ohm,
            arrays.axis,
            arrays.cell,
            arrays.group,
            arrays.group_flag,
            arrays.tap,
            arrays.sensor,
            arrays.sensor_connected,
            arrays.switch,
            self._fault,
            arrays.state,
            meter.buffer,
        )
        (
            port.board_degc,
            port.shunt_a,
            port.shunt_mean_a,
            port.pack_v,
            port.link_v,
            port.charger_v,
            hvil,
            port.supply_v,
            port.fan_rpm,
            tripped,
            port.comparator_trip_s,
            charger.actual_current_a,
            regen.actual_voltage_v,
            regen.actual_current_a,
            load.actual_current_a,
            meter.current_a,
            heater_on,
            capture,
        ) = _OUTPUTS.unpack_from(self._exchange, _OUTPUTS_AT)
        port.hvil_closed = hvil != 0.0
        port.comparator_tripped = tripped != 0.0
        charger.actual_voltage_v = meter.charger_v = port.charger_v
        load.actual_voltage_v = meter.link_v = port.link_v
        meter.pack_v, meter.fan_rpm = port.pack_v, port.fan_rpm
        meter.heater_on = heater_on != 0.0
        meter.capture_ready = capture == 3.0
        if self._board is not None:
            sensed = not self._fault[at.F_CURRENT_SENSOR_OPEN]
            self._board.after_step(dt_s, self._time_ns * 1e-9 + dt_s, port, sensed=sensed)
            meter.current_a = self._board.shunt.current_a

    def _update_insulation(self) -> None:
        siemens = [1.0 / self.spec.insulation_positive_ohm, 1.0 / self.spec.insulation_negative_ohm]
        for slot, rail, ohm in _INSULATION_FAULTS:
            if self._fault[slot]:
                siemens[rail] += 1.0 / ohm
        self.port.insulation_ohm[:] = [1.0 / s for s in siemens]
