"""A BMS board on a bench without a pack: what its inputs are wired to when no cell and no shunt is there.

Behind the taps is the cell emulator or nothing, at the thermistor inputs the simulator or nothing, at the
shunt input the millivolts that an instrument puts there. Small relays stand in for the contactors, because a
board wants to see auxiliary contacts; they switch nothing but the emulator's stack onto the voltage inputs.
"""

from __future__ import annotations

import numpy as np

from bench.plant import layout as at
from bench.plant.arrays import Arrays
from bench.plant.port import Port
from bench.plant.spec import PlantSpec
from bench.plant.terminals import CellTerminals, NtcTerminals, ShuntTerminal


class BoardWiring:
    """The inputs of a board, laid over the arrays of a plant whose own cells and sensors are cut off.

    Parameters
    ----------
    arrays, spec
        Of the plant.
    """

    def __init__(self, arrays: Arrays, spec: PlantSpec) -> None:
        self._arrays, self._reference_v = arrays, spec.thermistor_reference_v
        group, sensor = arrays.group, arrays.sensor
        self.cells = CellTerminals(
            connected=np.zeros(spec.cells, dtype=np.bool_),
            opened=np.zeros(spec.cells, dtype=np.bool_),
            voltage_v=group[at.CHANNEL_SET_V],
            actual_voltage_v=group[at.CHANNEL_V],
            actual_current_a=group[at.CHANNEL_A],
        )
        self.thermistors = NtcTerminals(
            connected=np.zeros(spec.sensors, dtype=np.bool_),
            voltage_v=np.zeros(spec.sensors),
            actual_voltage_v=sensor[at.SENSOR_V],
        )
        self.shunt = ShuntTerminal(spec.shunt_ohm)
        arrays.group_flag[at.CONNECTED] = True
        arrays.sensor_connected[:] = True
        for row in (at.CELL_V, at.AFE_V, at.CHANNEL_V):
            group[row] = 0.0

    def before_step(self) -> None:
        """Lay what the instruments hold onto the inputs; what nobody holds floats."""
        cells, thermistors, arrays = self.cells, self.thermistors, self._arrays
        np.logical_or(cells.opened, ~cells.connected, out=arrays.group_flag[at.OPENED])
        arrays.sensor[at.SENSOR_SET_V] = np.where(
            thermistors.connected, thermistors.voltage_v, self._reference_v
        )

    def after_step(self, dt_s: float, time_s: float, port: Port, *, sensed: bool) -> None:
        """Put the shunt's signal, and what its comparator makes of it, onto the port.

        Parameters
        ----------
        dt_s, time_s
            Length of the step, and plant time at its end [s].
        sensed
            Whether the wire from the shunt is whole.
        """
        arrays, shunt = self._arrays, self.shunt
        port.shunt_a = port.shunt_mean_a = shunt.current_a if sensed else 0.0
        shunt.compare(port, dt_s, time_s)
        port.comparator_tripped, port.comparator_trip_s = shunt.tripped, shunt.trip_s
        if shunt.tripped:
            arrays.switch[at.COIL, at.PYRO] = True
