"""A driver of a few lines for the boxes of `tests/test_guard.py`: words on a stream of bytes."""

from __future__ import annotations

import threading
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.clock import Clock
from bench.errors import WireError
from bench.record import Trace

EXCHANGES = ()


class Twin:
    """There is none."""


class PlainOptions(BaseModel):
    """None."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Plain:
    """Supply and load at once: `off`, `state`, `measure`."""

    transport = "serial"
    twin = Twin
    Options = PlainOptions
    watchdog = "none: a test"

    def __init__(
        self, wire: Any, *, clock: Clock, role: str, max_v: float, max_a: float, options: Any = None
    ) -> None:
        self._wire, self._clock, self._role = wire, clock, role

    def _ask(self, word: str) -> str:
        self._wire.write(word.encode() + b"\n")
        answer: bytes = self._wire.read_until(b"\n")
        if not answer:
            raise WireError(f"{self._role}: no answer to {word!r} at {self._clock.now_s:.3f} s")
        return answer.decode().strip()

    def identity(self) -> str:
        return "plain"

    def prepare(self) -> None:
        self._ask("prepare")

    def off(self) -> None:
        self._ask("off")

    def is_off(self) -> bool:
        return self._ask("state") == "off"

    def source(self, *, voltage_v: float, current_a: float) -> None:
        self._ask(f"source {voltage_v} {current_a}")

    def sink(self, *, current_a: float) -> None:
        self._ask(f"sink {current_a}")

    def measure(self) -> tuple[float, float]:
        self._ask("measure")
        return 0.0, 0.0

    def traces(self) -> dict[str, Trace]:
        return {}


class Hanging(Plain):
    """Never comes back from `off`."""

    def off(self) -> None:
        threading.Event().wait()
