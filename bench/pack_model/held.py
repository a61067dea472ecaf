"""Cell emulator and thermistors of a board station, as a scenario holds them.

What a scenario sets, it holds; all else follows the model. `off` hands back to the model, where a bench
with a pack hands back to the pack's own cells and sensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class _Held:
    """A driver with as many channels, what the scenario holds on each (nan: nothing), and what was sent last.

    Parameters
    ----------
    driver
        The role's.
    channels
        How many.
    send
        Sends one value per channel.
    closest
        What changes by less than this is not sent.
    """

    def __init__(
        self, driver: Any, channels: int, send: Callable[[list[float]], None], *, closest: float
    ) -> None:
        self.driver, self._send, self._closest = driver, send, closest
        self.held = np.full(channels, np.nan)
        self._sent = np.full(channels, np.nan)
        self._talking = False

    def __getattr__(self, name: str) -> Any:
        if name == "driver":  # a copy asks before it is set
            raise AttributeError(name)
        return getattr(self.driver, name)

    @contextmanager
    def talking(self) -> Iterator[None]:
        """While a scenario talks to the driver, the model must not cut in."""
        self._talking = True
        try:
            yield
        finally:
            self._talking = False

    def keep(self, values: float | Sequence[float], channel: int | None) -> None:
        """Remember what the scenario holds."""
        part = slice(None) if channel is None else channel
        self.held[part] = self._sent[part] = values

    def off(self) -> None:
        """Hand every channel back to the model; the instrument itself stays on."""
        self.held[:] = np.nan

    def follow(self, model: Floats) -> None:
        """Send what the model has for the channels that nobody holds, if any of it has moved."""
        if self._talking:
            return
        wanted = np.where(np.isnan(self.held), model, self.held)
        if not (np.abs(wanted - self._sent) < self._closest).all():
            self._sent = wanted
            self._send(wanted.tolist())


class HeldCells(_Held):
    """A `roles.CellEmulator` between scenario and model.

    Parameters
    ----------
    driver
        Within the envelope.
    """

    #: Smallest step of a cell voltage that is worth a message [V]; project default.
    CLOSEST_V = 0.0002

    def __init__(self, driver: Any) -> None:
        super().__init__(
            driver, driver.cells, lambda values: driver.set(voltage_v=values), closest=self.CLOSEST_V
        )

    def set(self, *, voltage_v: float | Sequence[float], cell: int | None = None) -> None:
        with self.talking():
            self.driver.set(voltage_v=voltage_v, cell=cell)
            self.keep(voltage_v, cell)


class HeldThermistors(_Held):
    """`roles.Thermistors` between scenario and model.

    Parameters
    ----------
    driver
        Within the envelope.
    """

    #: Smallest step of a temperature that is worth a message [K]; project default.
    CLOSEST_K = 0.1

    def __init__(self, driver: Any) -> None:
        super().__init__(
            driver,
            driver.sensors,
            lambda values: driver.set(temperature_degc=values),
            closest=self.CLOSEST_K,
        )

    def set(self, *, temperature_degc: float | Sequence[float], sensor: int | None = None) -> None:
        with self.talking():
            self.driver.set(temperature_degc=temperature_degc, sensor=sensor)
            self.keep(temperature_degc, sensor)
