"""The schedule of the firmware: tasks with fixed periods, run in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms

TICK_MS = 10


class Task:
    """Work that is due every `period_ms`, a multiple of 10. Both attributes may be replaced."""

    __slots__ = ("left_ms", "name", "period_ms", "run")

    def __init__(self, name: str, period_ms: int, run: Callable[[], object]) -> None:
        self.name = name
        self.period_ms = period_ms
        self.run = run
        self.left_ms = 0

    def __repr__(self) -> str:
        return f"Task({self.name} every {self.period_ms} ms)"


#: Protections by the sample that they belong to. What is in no other group is looked at with the wiring.
_CURRENT = ("charge_current", "discharge_current")
_CELLS = ("cell_voltage", "cell_spread")
_CELL_FINDINGS = ("sum_of_cells", "frozen_cell", "current_sensor", "open_sense_wire", "afe_fault")
_SLOW_FINDINGS = ("thermistor_fault", "cooling_failure", "thermal_runaway", "balancing_fault", "memory_fault")


def groups_of(bms: EmulatedBms) -> dict[str, list[str]]:
    """Names of the protections that each protecting task looks at."""
    groups: dict[str, list[str]] = {
        "protect_current": ["short_circuit"] if "short_circuit" in bms.parameters.limits else [],
        "protect_cells": list(_CELL_FINDINGS),
        "protect_slow": list(_SLOW_FINDINGS),
        "protect_wiring": [],
    }
    for name, quantity in bms.quantities.items():
        if name == "short_circuit":
            continue
        task = (
            "protect_current" if quantity in _CURRENT
            else "protect_cells" if quantity in _CELLS
            else "protect_slow"
        )  # fmt: skip
        groups[task].append(name)
    placed = {name for names in groups.values() for name in names}
    groups["protect_wiring"] = [name for name in bms.parameters.limits if name not in placed]
    return groups


def tasks_of(bms: EmulatedBms) -> dict[str, Task]:
    """The tasks, by name, in the order in which they run when they are due at the same tick.

    Each looks its work up when it runs, so that replacing `bms.estimator.run` takes effect.
    """
    table: tuple[tuple[str, int, Callable[[], object]], ...] = (
        ("sense_fast", 10, lambda: bms.sense_fast()),
        ("sense_cells", 50, lambda: bms.sense_cells()),
        ("sense_temperatures", 100, lambda: bms.sense_temperatures()),
        ("sense_insulation", 2000, lambda: bms.sense_insulation()),
        ("test_wires", 10, lambda: bms.test_wires()),
        ("protect_current", 10, lambda: bms.protect("protect_current")),
        ("protect_cells", 50, lambda: bms.protect("protect_cells")),
        ("protect_slow", 100, lambda: bms.protect("protect_slow")),
        ("protect_wiring", 20, lambda: bms.protect_wiring()),
        ("estimate", 1000, lambda: bms.estimator.run()),
        ("derate", 100, lambda: bms.derating.run()),
        ("thermal", 1000, lambda: bms.thermal.run()),
        ("balance", 1000, lambda: bms.balancing.run()),
        ("sequence", 10, lambda: bms.run_sequence()),
        ("drive", 10, lambda: bms.drive()),
        ("remember", 1000, lambda: bms.remember()),
        ("broadcast", bms.parameters.host.broadcast_ms, lambda: bms.broadcast()),
        ("answer", 10, lambda: bms.answer()),
    )
    return {name: Task(name, period_ms, run) for name, period_ms, run in table}
