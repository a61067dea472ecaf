"""Which fault relay may move when: rules over all fault boxes of a station, kept before anything is sent.

What a relay carries follows from the name of its fault (`KINDS`, or the station's own table); code knows only
the kinds. One fault to ground at a time: two of them are a short circuit through the frame. A relay in the
power path moves without current, unless its contact is rated for more. A cell emulator's channel is not taken
out of a live stack. Faults on one wire never overlap.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from bench.station_file import FaultKind, FaultRulesEntry

#: What the relay of a fault carries, by name; the first pattern that fits decides. A fault that none fits
#: counts as `power`, which allows the least.
KINDS: tuple[tuple[str, FaultKind], ...] = (
    ("insulation_*", "ground"),
    ("open_sense_wire_*", "sense"),
    ("series_sense_wire_*", "sense"),
    ("ntc_*", "sense"),
    ("hvil_open", "signal"),
    ("feedback_*", "signal"),
    ("current_sensor_open", "signal"),
    ("dut_supply_open", "signal"),
    ("fan_stopped", "signal"),
    ("channel_*", "channel"),
    ("short_circuit", "power"),
    ("weld_*", "power"),
    ("precharge_resistor_open", "power"),
    ("heater_stuck", "power"),
)

#: Faults on one wire: names that fit one pattern with the same group exclude each other.
ONE_WIRE = (
    r"(?:open|series)_sense_wire_(\d+)",
    r"ntc_(?:open|short|offset)_(\d+)",
    r"feedback_(?:open|closed)_(\w+)",
    r"channel_(?:open|short|reverse)_(\d+)",
)


@dataclass(frozen=True, slots=True)
class Live:
    """What the rules ask about the bench at the moment in which a relay should move.

    Parameters
    ----------
    pack_current_a
        Measured pack current [A], not older than the question, after a moment to die away to the given
        value [A]; nan if nobody measures it.
    pack_voltage_v
        Measured voltage of the stack [V]; nan if nobody measures it.
    channels_on
        Whether the cell emulator holds voltages.
    """

    pack_current_a: Callable[[float], float]
    pack_voltage_v: Callable[[], float]
    channels_on: Callable[[], bool]


class FaultRules:
    """The rules of one station, and which faults are in.

    Parameters
    ----------
    entry
        The station's own kinds and groups.
    rest_current_a
        Less than this is no pack current [A].
    live
        How to ask the bench.
    """

    def __init__(self, entry: FaultRulesEntry, *, rest_current_a: float, live: Live) -> None:
        self._entry, self._rest_current_a, self._live = entry, rest_current_a, live
        self._in: dict[str, str] = {}

    @property
    def inserted(self) -> tuple[str, ...]:
        """The faults that are in, over all boxes."""
        return tuple(self._in)

    def kind_of(self, fault: str) -> FaultKind:
        """What the relay of `fault` carries."""
        for pattern, kind in (*self._entry.kinds.items(), *KINDS):
            if fnmatchcase(fault, pattern):
                return kind
        return "power"

    def objection(self, fault: str, role: str, box: Any, *, inserting: bool) -> str:
        """Why the relay of `fault` must not move now; "" if it may.

        Parameters
        ----------
        role, box
            Who holds it: `hot_switching`, `contact_v`, `contact_a` of the driver or of its options say what
            its contacts stand.
        inserting
            Whether it goes in or out.
        """
        kind = self.kind_of(fault)
        if inserting and (found := self._conflict(fault, kind)):
            return found
        if kind == "power":
            return self._under_load(role, box)
        if kind == "channel":
            return self._live_stack(role, box)
        return ""

    def moved(self, fault: str, role: str, *, inserted: bool) -> None:
        """Note that `fault` is in, or out again."""
        if inserted:
            self._in[fault] = role
        else:
            self._in.pop(fault, None)

    def all_out(self, role: str) -> None:
        """Note that a box let go of all its relays."""
        self._in = {fault: box for fault, box in self._in.items() if box != role}

    def _conflict(self, fault: str, kind: FaultKind) -> str:
        others = [name for name in self._in if name != fault]
        if kind == "ground" and (ground := [name for name in others if self.kind_of(name) == "ground"]):
            return (
                f"{ground[0]} is in at {self._in[ground[0]]}, and two faults to ground at once are a short "
                "circuit through the frame. Remove it first"
            )
        if rivals := [name for name in others if self._share_a_wire(name, fault)]:
            return (
                f"{rivals[0]} is in at {self._in[rivals[0]]}, on the same wire: break before make. "
                "Remove it first"
            )
        return ""

    def _share_a_wire(self, one: str, other: str) -> bool:
        if any(one in group and other in group for group in self._entry.exclusive):
            return True
        return any(_wire(pattern, one) == _wire(pattern, other) != "" for pattern in ONE_WIRE)

    def _under_load(self, role: str, box: Any) -> str:
        is_rated = _stated(box, "hot_switching", False)
        current_a = abs(self._live.pack_current_a(math.inf if is_rated else self._rest_current_a))
        if current_a <= self._rest_current_a:
            return ""
        found = "an unknown current flows" if math.isnan(current_a) else f"{current_a:.1f} A flow"
        if not is_rated:
            return (
                f"{found}, expected at most {self._rest_current_a:g} A ([safe_state] rest_current_a), for "
                f"its relay carries pack current and [roles.{role}.options] hot_switching is false. Take "
                "the current away first"
            )
        contact_a, contact_v = _stated(box, "contact_a", 0.0), _stated(box, "contact_v", 0.0)
        voltage_v = self._live.pack_voltage_v()
        if current_a <= contact_a and voltage_v <= contact_v:
            return ""
        return (
            f"{found} at {voltage_v:.1f} V, expected at most {contact_a:g} A at {contact_v:g} V, the rating "
            f"of a contact ([roles.{role}.options] contact_a, contact_v). Take the current away first"
        )

    def _live_stack(self, role: str, box: Any) -> str:
        if not self._live.channels_on() or _stated(box, "hot_switching", False):
            return ""
        return (
            "the channels of the cell emulator hold voltage, and one of them must not leave a live stack "
            f"([roles.{role}.options] hot_switching is false). Switch the cell emulator off first"
        )


def _wire(pattern: str, fault: str) -> str:
    match = re.fullmatch(pattern, fault)
    return match[1] if match else ""


def _stated(box: Any, name: str, default: Any) -> Any:
    """What a fault box says of itself, or in its options."""
    sources: Sequence[Any] = (box, getattr(box, "options", None))
    return next((getattr(source, name) for source in sources if hasattr(source, name)), default)
