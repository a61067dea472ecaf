"""Charger, regeneration and load of a board station: roles that act on the pack model, not on a power path.

A station file names them as drivers: `driver = "bench.pack_model:ModelSource"`, `address = "model://charger"`.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from bench.clock import Clock
from bench.errors import InstrumentRefused
from bench.record import Trace
from bench.station_file import MODEL_TERMINALS

__all__ = ["MODEL_TERMINALS", "ModelLine", "ModelLoad", "ModelSource"]


class _Source(Protocol):
    enabled: bool
    voltage_v: float
    current_a: float

    @property
    def actual_voltage_v(self) -> float: ...
    @property
    def actual_current_a(self) -> float: ...


class _Load(Protocol):
    enabled: bool
    current_a: float

    @property
    def actual_voltage_v(self) -> float: ...
    @property
    def actual_current_a(self) -> float: ...


T = TypeVar("T")


class ModelLine(Generic[T]):
    """What a role of the model holds in the place of a wire: a terminal of the model, and who it is.

    Parameters
    ----------
    terminal
        Of the model's pack.
    says
        Identity of the model.
    """

    def __init__(self, terminal: T, says: str) -> None:
        self.terminal, self.says = terminal, says

    def close(self) -> None:
        """Nothing is held open."""


class ModelOptions(BaseModel):
    """The `[roles.<name>.options]` table of a role of the pack model: nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSource:
    """A source into the pack model, as a `roles.Supply`.

    No trace: what flows in a model was not measured.

    Parameters
    ----------
    wire
        Terminal of the model.
    clock
        Bench time.
    role
        Role of the station file.
    max_v, max_a
        What the station allows [V], [A].
    options
        The `[roles.<name>.options]` table.
    """

    transport = "model"
    twin = None
    Options = ModelOptions
    watchdog = "not needed: no energy flows"

    def __init__(
        self,
        wire: ModelLine[_Source],
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: ModelOptions | None = None,
    ) -> None:
        self._terminal, self._says = wire.terminal, wire.says
        self._clock, self._role, self._max_v, self._max_a = clock, role, max_v, max_a

    def identity(self) -> str:
        return self._says

    def prepare(self) -> None:
        """No current."""
        self.off()

    def source(self, *, voltage_v: float, current_a: float) -> None:
        _demand(self._role, self._clock, "V", voltage_v, self._max_v)
        _demand(self._role, self._clock, "A", current_a, self._max_a)
        terminal = self._terminal
        terminal.voltage_v, terminal.current_a, terminal.enabled = voltage_v, current_a, True

    def measure(self) -> tuple[float, float]:
        """Voltage [V] and current [A] in the model. What the board was made to see is in `current_a`."""
        return float(self._terminal.actual_voltage_v), float(self._terminal.actual_current_a)

    def off(self) -> None:
        self._terminal.enabled = False
        self._terminal.voltage_v = self._terminal.current_a = 0.0

    def is_off(self) -> bool:
        return not self._terminal.enabled

    def traces(self) -> dict[str, Trace]:
        return {}


class ModelLoad:
    """A load on the pack model, as a `roles.Load`. Parameters and traces as of `ModelSource`."""

    transport = "model"
    twin = None
    Options = ModelOptions
    watchdog = "not needed: no energy flows"

    def __init__(
        self,
        wire: ModelLine[_Load],
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: ModelOptions | None = None,
    ) -> None:
        self._terminal, self._says = wire.terminal, wire.says
        self._clock, self._role, self._max_a = clock, role, max_a

    def identity(self) -> str:
        return self._says

    def prepare(self) -> None:
        """No current."""
        self.off()

    def sink(self, *, current_a: float) -> None:
        _demand(self._role, self._clock, "A", current_a, self._max_a)
        self._terminal.current_a, self._terminal.enabled = current_a, True

    def measure(self) -> tuple[float, float]:
        """Voltage [V] and current [A] in the model."""
        return float(self._terminal.actual_voltage_v), float(self._terminal.actual_current_a)

    def off(self) -> None:
        self._terminal.enabled = False
        self._terminal.current_a = 0.0

    def is_off(self) -> bool:
        return not self._terminal.enabled

    def traces(self) -> dict[str, Trace]:
        return {}


def _demand(role: str, clock: Clock, unit: str, value: float, most: float) -> None:
    if not 0.0 <= value <= most:
        raise InstrumentRefused(
            f"{role} refused {value:g} {unit} at {clock.now_s:.3f} s: expected 0 to {most:g} {unit}, "
            f"the limit of [roles.{role}]; the model was told nothing."
        )
