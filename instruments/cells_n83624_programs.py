"""What a channel of an N83624 runs by itself: a table over discharged capacity (SOC), or over time (SEQ).

Where the guide is silent, and a reading of it had to be chosen (unverified): a SOC run starts at the step
whose voltage is nearest to the start voltage, at the first if there is none, and stays at the last one; a
step lasts until the capacity by which the next one is lower has flowed out. A sequence file without cycles
runs once; what is linked to a step runs `link_cycles` times after it, links in there are not followed; at its
end the last step is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from instruments.cells_n83624_data import QUANTITIES

_OF_PROGRAM = {program: {q.name: q for q in QUANTITIES if q.program == program} for program in ("soc", "seq")}

Step = dict[str, float]


@dataclass(slots=True)
class _File:
    """Length, cycles and steps of one file; `values` are what belongs to the file as a whole."""

    values: dict[str, float] = field(default_factory=dict)
    steps: dict[int, Step] = field(default_factory=dict)


class Editor:
    """The files of one program of one channel, and which file and step are under editing.

    Parameters
    ----------
    program
        "soc" or "seq".
    """

    def __init__(self, program: str) -> None:
        self._quantities = _OF_PROGRAM[program]
        self._pointers = {"file": 1.0, "step": 1.0, "run_file": 1.0}
        self._files: dict[int, _File] = {}

    def get(self, name: str) -> float:
        """A value, of the step under editing if it belongs to a step."""
        if name in self._pointers:
            return self._pointers[name]
        file = self._file(int(self._pointers["file"]))
        quantity = self._quantities[name]
        place = file.steps.get(int(self._pointers["step"]), {}) if quantity.of_step else file.values
        return place.get(name, quantity.default)

    def put(self, name: str, value: float) -> None:
        """Set it there."""
        if name in self._pointers:
            self._pointers[name] = value
            return
        file = self._file(int(self._pointers["file"]))
        place = (
            file.steps.setdefault(int(self._pointers["step"]), {})
            if self._quantities[name].of_step
            else file.values
        )
        place[name] = value

    def value(self, name: str, file: int) -> float:
        """What belongs to a file as a whole."""
        return self._file(file).values.get(name, self._quantities[name].default)

    def steps(self, file: int) -> list[Step]:
        """The steps of a file, as many as its length says, with the defaults put in."""
        defaults = {name: q.default for name, q in self._quantities.items() if q.of_step}
        stored = self._file(file).steps
        return [{**defaults, **stored.get(k, {})} for k in range(1, int(self.value("length", file)) + 1)]

    def _file(self, number: int) -> _File:
        return self._files.setdefault(number, _File())


def sequence(steps: list[Step], cycles: int) -> Iterator[tuple[int, int]]:
    """The order in which a sequence file runs: cycle and index of each step that lasts, both from 0."""
    lasting = {k for k, step in enumerate(steps) if step["duration_s"] > 0.0}
    for cycle in range(max(1, cycles) if lasting else 0):
        for k, step in enumerate(steps):
            if k in lasting:
                yield cycle, k
            first, last = int(step["link_start"]), int(step["link_end"])
            linked = [other for other in range(first - 1, last) if other in lasting] if first >= 1 else []
            for _ in range(int(step["link_cycles"]) if linked else 0):
                yield from ((cycle, other) for other in linked)


@dataclass(slots=True)
class Discharge:
    """A SOC run: where it is in its table, and what has flowed out since the step began.

    Parameters
    ----------
    steps
        In the order of the table, from full to empty.
    start_v
        Voltage at which the run starts [V].
    """

    steps: list[Step]
    start_v: float
    index: int = 0
    drawn_mah: float = 0.0

    def __post_init__(self) -> None:
        if self.start_v > 0.0 and self.steps:
            distances = [abs(step["voltage_v"] - self.start_v) for step in self.steps]
            self.index = distances.index(min(distances))

    @property
    def step(self) -> Step | None:
        return self.steps[self.index] if self.steps else None

    @property
    def capacity_mah(self) -> float:
        """What is left: the capacity of the step, less what it has given [mAh]."""
        return self.steps[self.index]["capacity_mah"] - self.drawn_mah if self.steps else 0.0

    def draw(self, mah: float) -> bool:
        """Let `mah` [mAh] flow out; whether another step has begun."""
        self.drawn_mah += mah
        before = self.index
        while self.index + 1 < len(self.steps):
            lasts_mah = self.steps[self.index]["capacity_mah"] - self.steps[self.index + 1]["capacity_mah"]
            if self.drawn_mah < lasts_mah:
                break
            self.drawn_mah -= max(0.0, lasts_mah)
            self.index += 1
        return self.index != before
