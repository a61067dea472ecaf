"""Points where a value enters or leaves the firmware, each with filters that a defect may add to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Reading(Generic[T]):
    """One sampled quantity.

    Attributes
    ----------
    sample
        Samples and converts; replace it to replace the sensor.
    filters
        Functions `value -> value`, applied in order after each sampling.
    value
        The newest filtered value.
    """

    __slots__ = ("filters", "name", "sample", "value")

    def __init__(self, name: str, sample: Callable[[], T], first: T) -> None:
        self.name = name
        self.sample = sample
        self.filters: list[Callable[[T], T]] = []
        self.value = first

    def __repr__(self) -> str:
        return f"Reading({self.name}={self.value!r}, filters={len(self.filters)})"

    def filter(self, function: Callable[[T], T]) -> None:
        """Let every later sample pass through `function`."""
        self.filters.append(function)

    def read(self) -> T:
        """Sample, filter, store and return."""
        value = self.sample()
        if self.filters:
            for function in self.filters:
                value = function(value)
        self.value = value
        return value


class Output(Generic[T]):
    """One driven quantity.

    Attributes
    ----------
    drive
        Puts the value on the pins; replace it to replace the actuator.
    filters
        Functions `value -> value`, applied in order at each write.
    value
        What is on the pins.
    """

    __slots__ = ("drive", "filters", "name", "value")

    def __init__(self, name: str, drive: Callable[[T], None], first: T) -> None:
        self.name = name
        self.drive = drive
        self.filters: list[Callable[[T], T]] = []
        self.value = first

    def __repr__(self) -> str:
        return f"Output({self.name}={self.value!r}, filters={len(self.filters)})"

    def filter(self, function: Callable[[T], T]) -> None:
        """Let every later value pass through `function`."""
        self.filters.append(function)

    def write(self, value: T) -> None:
        """Filter `value` and put it on the pins if it differs from what is there."""
        for function in self.filters:
            value = function(value)
        if value != self.value:
            self.value = value
            self.drive(value)


class Named:
    """Attributes that can also be reached by name: `x["cell_mv"]` is `x.cell_mv`; iterable by name."""

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(f"{name!r}; there are {', '.join(self)}") from None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.__dict__ if not name.startswith("_"))

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __len__(self) -> int:
        return sum(1 for _ in self)
