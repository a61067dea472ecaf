"""Where the tables of a cell have their points, and which entry of the vector of unknowns is which point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
KELVIN = 273.15
#: Points of the open-circuit voltage in the file: steps of half a percent.
GRID_SOC = np.linspace(0.0, 1.0, 201)


@dataclass(frozen=True, slots=True)
class Axes:
    """Points of the tables.

    Parameters
    ----------
    temperature_degc
        Of all tables, shape (temperatures,).
    ocv_soc, half_soc, entropy_soc
        Points at which mean and distance of the OCV branches and dU/dT may move; `entropy_soc` may be empty.
    r0_soc, rc_soc
        Of R0 and of each pair.
    bent
        Numbers of the pairs, from 1, that leave Ohm's law at large currents.
    """

    temperature_degc: Floats
    ocv_soc: Floats
    half_soc: Floats
    entropy_soc: Floats
    r0_soc: Floats
    rc_soc: tuple[Floats, ...]
    bent: tuple[int, ...] = (1, 3)

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each block of unknowns."""
        temperatures = len(self.temperature_degc)
        sizes: dict[str, tuple[int, ...]] = {
            "mean": (len(self.ocv_soc),),
            "half": (len(self.half_soc),),
            "entropy": (len(self.entropy_soc),),
            "rate": (1,),
            "r0": (temperatures, len(self.r0_soc)),
        }
        for k, soc in enumerate(self.rc_soc, 1):
            sizes[f"r{k}"] = (temperatures, len(soc))
            sizes[f"tau{k}"] = (temperatures,)
            if k in self.bent:
                sizes[f"linear{k}"] = (temperatures,)
        return sizes

    @property
    def slices(self) -> dict[str, slice]:
        """Place of each block in the vector of unknowns."""
        slices, begin = {}, 0
        for name, shape in self.sizes.items():
            end = begin + int(np.prod(shape))
            slices[name] = slice(begin, end)
            begin = end
        return slices

    @property
    def unknowns(self) -> int:
        """Length of the vector of unknowns."""
        return sum(int(np.prod(shape)) for shape in self.sizes.values())

    def block(self, unknowns: Floats, name: str) -> Floats:
        """One block of the vector, in its own shape."""
        return unknowns[self.slices[name]].reshape(self.sizes[name])

    def join(self, blocks: dict[str, Floats]) -> Floats:
        """The vector of unknowns from its blocks."""
        return np.concatenate([np.broadcast_to(blocks[name], s).ravel() for name, s in self.sizes.items()])


def hat(at: Floats, nodes: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Node below and weight of the one above, both shape (time,); the end values hold beyond."""
    if len(nodes) == 1:
        return np.zeros(len(at), np.int64), np.zeros(len(at))
    below = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
    above = np.clip((at - nodes[below]) / (nodes[below + 1] - nodes[below]), 0.0, 1.0)
    return below, above


def arrhenius(temperature_degc: Floats, nodes_degc: Floats) -> tuple[NDArray[np.int64], Floats]:
    """As `hat`, in 1/T, and straight on beyond the ends: weights below 0 and above 1 there."""
    if len(nodes_degc) == 1:
        return np.zeros(len(temperature_degc), np.int64), np.zeros(len(temperature_degc))
    below = np.clip(np.searchsorted(nodes_degc, temperature_degc, side="right") - 1, 0, len(nodes_degc) - 2)
    inverse, nodes = 1.0 / (temperature_degc + KELVIN), 1.0 / (nodes_degc + KELVIN)
    return below, (inverse - nodes[below]) / (nodes[below + 1] - nodes[below])
