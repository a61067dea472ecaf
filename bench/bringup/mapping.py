"""Where each of several channels arrives: one is moved at a time, and all are looked at.

The same for cells and for temperature sensors. Channels and inputs are counted from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.record import Floats


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where one channel shows.

    Parameters
    ----------
    channel
        That was moved.
    shows
        Input to what it did there, in multiples of the channel's own step.
    rest
        What its own input reads while all channels are at rest; nan: nothing.
    step
        By how much it was moved, in the unit of `rest`.
    """

    channel: int
    shows: dict[int, float]
    rest: float
    step: float

    @property
    def is_right(self) -> bool:
        """On its own input, upwards, and nowhere else."""
        return list(self.shows) == [self.channel] and self.shows[self.channel] > 0.0

    def told(self, thing: str, unit: str) -> str:
        """In words: `thing` is what an input is called."""
        if self.is_right:
            return f"arrives on its own {thing}"
        if not self.shows:
            return f"does not arrive: {self._silence(thing, unit)}"
        places = [f"{k}{' reversed' if share < 0.0 else ''}" for k, share in self.shows.items()]
        if places == [f"{self.channel} reversed"]:
            return "arrives reversed"
        if len(places) == 1:
            return f"arrives as {thing} {places[0]}"
        return f"arrives as {thing}s {', '.join(places[:-1])} and {places[-1]}"

    def _silence(self, thing: str, unit: str) -> str:
        """What its own input shows instead, whatever the channel does."""
        if math.isnan(self.rest):
            return f"nothing is reported for {thing} {self.channel}; the channel is reversed or open"
        if abs(self.rest) < self.step / 2:
            # Most dialects have no number below 0.
            return f"{thing} {self.channel} stays at {self.rest:.3f} {unit}; the channel is reversed or open"
        return f"{thing} {self.channel} stays at {self.rest:.3f} {unit}, which no channel makes; it is open"


def arrivals(
    look: Callable[[], Floats], move: Callable[[int | None], object], *, channels: int, step: float
) -> list[Arrival]:
    """Move each channel once and see where it shows.

    Parameters
    ----------
    look
        What all inputs read now, shape (inputs,), nan where nothing is read; fresh at each call.
    move
        Moves one channel by `step`, all others being at rest; None: all at rest.
    channels
        How many there are.
    step
        In the unit of `look`. Half of it, up or down, counts as seen.
    """
    move(None)
    rest = look()
    found = []
    for channel in range(channels):
        move(channel)
        arrival = _arrival(channel, rest, look(), step)
        # A slow filter in the DUT, or a frame that was under way: look again before it is called wrong.
        found.append(arrival if arrival.is_right else _arrival(channel, rest, look(), step))
    move(None)
    return found


def _arrival(channel: int, rest: Floats, seen: Floats, step: float) -> Arrival:
    share = (seen - rest) / step
    # What was read at rest and is no more, or the other way round, has been moved out of what can be read.
    share[np.isnan(rest) != np.isnan(seen)] = -1.0
    moved = np.flatnonzero(np.abs(np.nan_to_num(share)) > 0.5)
    shows = {int(k): float(share[k]) for k in moved}
    return Arrival(channel, shows, float(rest[channel]), step)


def swapped(found: list[Arrival]) -> list[tuple[int, int]]:
    """Pairs of channels, each of which arrives where the other should, lower first."""
    to = {a.channel: next(iter(a.shows)) for a in found if len(a.shows) == 1}
    return [(a, b) for a, b in sorted(to.items()) if a < b and to.get(b) == a]
