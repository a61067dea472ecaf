"""NGI N83624 by SCPI, TCP port 7000 (or RS-232): driver of one unit, and the exchanges both sides obey.

The guide has no query of the error queue, so whatever was set is read back. All channels are set with one
message; public drivers leave the unit time between two. `*RST` is not used: it also resets the IP address.
The three connectors' verbs are in `cells_n83624_unit.py`, the twin is in `cells_n83624_twin.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pyvisa
from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import WireError
from instruments.cells_n83624_data import ACCURACY, ALL, QUANTITIES, N83624Options
from instruments.cells_n83624_twin import N83624Twin
from instruments.cells_n83624_unit import N83624Unit, Order, confirm
from instruments.exchange import Exchange
from instruments.scpi_dialogue import Dialogue

__all__ = ["ACCURACY", "EXCHANGES", "N83624"]

_GUIDE = "N83624 Series Programming Guide, SCPI protocol V20240130"
_DRIVER = "GitHub ami3go/NGI-N83624-Battery-simulator, ngi_n83624/commands.py"

_PRINTED = (
    Exchange(b"*IDN?", b"NGI,N83624,0,V1.00", f"{_GUIDE}, p. 8", "manual"),
    Exchange(b"*CLS", None, "no source seen", "unverified", "nothing is expected of it"),
    Exchange(b"*OPC?", b"1", f"{_GUIDE}, p. 8", "manual", "its value: NR1 in the guide"),
    Exchange(b"OUTP:ONOFF 0 (@1,2,3)", None, _DRIVER, "public driver"),
    Exchange(b"OUTPut1:MODE 0", None, f"{_GUIDE}, 7.1", "manual"),
    Exchange(b"SOURce1:VOLTage 5.0", None, f"{_GUIDE}, 7.1", "manual"),
    Exchange(b"SOUR1:VOLT?", b"5", f"{_GUIDE}, 5.2.3", "manual"),
    Exchange(b"SOURce1:OUTCURRent 1000", None, f"{_GUIDE}, 7.1", "manual"),
    Exchange(b"SOURce1:RANGe 3", None, f"{_GUIDE}, 7.1", "manual"),
    Exchange(b"OUTPut1:ONOFF 1", None, f"{_GUIDE}, 7.1", "manual"),
    Exchange(b"SOUR1:VOLT 2.54;OUTCURR 1000", None, f"{_GUIDE}, 5.2.2", "manual"),
    Exchange(b"SOUR:VOLT 3.7(@1,2)", None, _DRIVER, "public driver", "glued list"),
    Exchange(b"SOUR:VOLT? (@1,2)", b"3.7,3.7", _DRIVER, "public driver", "form as of its other queries"),
    Exchange(b"SOUR:OUTCURR 500(@1,2)", None, _DRIVER, "public driver"),
    Exchange(b"SOUR:OUTCURR? (@1,2)", b"500,500", _DRIVER, "public driver", "form as of its other queries"),
    Exchange(b"SOUR:RANG 0 (@1,2)", None, _DRIVER, "public driver"),
    Exchange(b"SOUR:RANG? (@1,2)", b"0,0", _DRIVER, "public driver", "form as of its other queries"),
    Exchange(b"OUTP:MODE 0 (@1,2)", None, _DRIVER, "public driver"),
    Exchange(b"OUTP:MODE? (@1,2)", b"0,0", _DRIVER, "public driver"),
    Exchange(b"OUTP:ONOFF? (@1,2,3)", b"1,0,0", _DRIVER, "public driver"),
    Exchange(b"OUTP:STAT? (@1,2)", b"1,0", f"{_GUIDE}, 6.3", "unverified", "bits as printed; with a list"),
    Exchange(b"OUTP1:EVEN?", None, f"{_GUIDE}, 6.3", "manual"),
    Exchange(b"OUTP1:ONDWell 250000", None, f"{_GUIDE}, 6.3", "manual"),
    Exchange(b"OUTP1:ONDWell?", b"250000", f"{_GUIDE}, 6.3", "manual", "in us"),
    Exchange(b"MEAS:CAPR 0 (@1,2)", None, _DRIVER, "public driver", "10 ms sampling"),
    Exchange(b"MEAS:CAPR? (@1,2)", b"0,0", _DRIVER, "public driver", "form as of its other queries"),
    Exchange(b"MEAS:VOLT? (@1,2)", None, _DRIVER, "public driver"),
    Exchange(b"MEASure:VOLTage?(@1,2)", None, f"{_GUIDE}, 5.2", "manual"),
    Exchange(b"MEAS:CURR? (@1,2)", None, _DRIVER, "public driver", "in mA"),
    Exchange(b"MEAS1:POW?", None, f"{_GUIDE}, 6.2", "manual", "in W"),
    Exchange(b"PRO:VOLT 5.25 (@1,2)", None, f"{_GUIDE}, 6.8", "manual", "with a list: unverified"),
    Exchange(b"PRO:VOLT? (@1,2)", b"5.25,5.25", f"{_GUIDE}, 6.8", "manual", "with a list: unverified"),
    Exchange(b"PRO:CURR 0 (@1,2)", None, f"{_GUIDE}, 6.8", "manual", "with a list: unverified"),
    Exchange(b"PRO:CURR? (@1,2)", b"0,0", f"{_GUIDE}, 6.8", "manual", "with a list: unverified"),
    Exchange(b"PRO:POWE 0 (@1,2)", None, f"{_GUIDE}, 6.8", "manual", "with a list: unverified"),
    Exchange(b"PRO:POWE? (@1,2)", b"0,0", f"{_GUIDE}, 6.8", "manual", "with a list: unverified"),
    Exchange(b"FAUL:SIMU 0 (@3)", None, _DRIVER, "public driver"),
    Exchange(b"FAUL:SIMU? (@1,2,3)", b"0,0,0", f"{_GUIDE}, 6.10", "manual", "with a list: unverified"),
    Exchange(b"HMI:DISC:ENAB 0", None, f"{_GUIDE}, 6.11", "manual"),
    Exchange(b"OUTP1:ONOFF 0;:OUTP1:MODE 128", None, f"{_GUIDE}, 7.4", "manual"),
    Exchange(b"SEQuence1:EDIT:FILE 1;LENGth 3;CYCle 1;STEP 1", None, f"{_GUIDE}, 7.4", "manual", "joined"),
    Exchange(b"SEQuence1:EDIT:RUNTime 5", None, f"{_GUIDE}, 7.4", "manual"),
    Exchange(b"SEQ1:EDIT:RUNT?", b"5", f"{_GUIDE}, p. 27", "manual", "after that"),
    Exchange(b"SOC1:EDIT:LENGth 3", None, f"{_GUIDE}, 7.3", "manual"),
    Exchange(b"SOC1:EDIT:SVOL 4.8", None, f"{_GUIDE}, 7.3", "manual"),
    Exchange(b"SOC1:RUN:STEP?", b"0", f"{_GUIDE}, p. 22", "manual", "no run yet: 0 is unverified"),
)

EXCHANGES = tuple(replace(exchange, face="scpi") for exchange in _PRINTED)

_HEADER = {q.name: q.header.replace("<n>", "") for q in QUANTITIES if not q.program}
_SHORT = re.compile(r"[a-z]+")
#: Units in one message. Project default: the size of the input buffer is not known.
_MOST_UNITS = 8


def header(name: str) -> str:
    """The short form of a setting's header, without channel."""
    return _SHORT.sub("", _HEADER.get(name, "OUTPut:STATe" if name == "state" else name))


def listed(channels: Sequence[int]) -> str:
    """A channel list."""
    return f"(@{','.join(map(str, channels))})"


def commands(order: Order) -> list[str]:
    """An order as program message units: one for each different value."""
    name, channels, values = order
    groups: dict[float, list[int]] = {}
    for channel, value in zip(channels, values, strict=True):
        groups.setdefault(value, []).append(channel)
    return [f"{header(name)} {value:.7g} {listed(group)}" for value, group in groups.items()]


class ScpiLink:
    """Messages to the port for all channels. See `cells_n83624_unit.Link`."""

    def __init__(self, wire: MessageBasedResource, *, clock: Clock, role: str) -> None:
        self._wire, self._clock, self._role = wire, clock, role
        self._dialogue = Dialogue(wire, clock=clock, role=role)

    @property
    def busy(self) -> bool:
        return self._dialogue.busy

    def identity(self) -> str:
        return self._dialogue.ask("*IDN?")

    def clear(self) -> None:
        self._write("*CLS")
        self._dialogue.ask("*OPC?")

    def put(self, orders: Sequence[Order]) -> None:
        units = [unit for order in orders for unit in commands(order)]
        for start in range(0, len(units), _MOST_UNITS):
            self._write(";:".join(units[start : start + _MOST_UNITS]))
        answers = self._dialogue.ask(
            ";:".join(f"{header(name)}? {listed(channels)}" for name, channels, _ in orders)
        ).split(";")
        for order, answer in zip(orders, answers, strict=False):
            confirm(self._role, self._clock, order, self._numbers(answer))

    def get(self, name: str, channels: Sequence[int]) -> list[float]:
        found = self._numbers(self._dialogue.ask(f"{header(name)}? {listed(channels)}"))
        self._must_be(found, name, channels)
        return found

    def off(self) -> None:
        self._write(f"OUTP:ONOFF 0 {listed(ALL)}")

    def measure(self, channels: Sequence[int]) -> tuple[float, list[float], list[float]]:
        t_s = self._clock.now_s
        wanted = listed(channels)
        answer = self._dialogue.ask(f"MEAS:VOLT? {wanted};:MEAS:CURR? {wanted}")
        volts, _, milliamperes = answer.partition(";")
        found_v, found_ma = self._numbers(volts), self._numbers(milliamperes)
        self._must_be(found_v, "voltage", channels)
        self._must_be(found_ma, "current", channels)
        return t_s, found_v, [value / 1e3 for value in found_ma]

    def _write(self, message: str) -> None:
        """Send; also while an answer is awaited, for `off` may be called at any moment."""
        try:
            self._wire.write(message)
        except (pyvisa.errors.VisaIOError, pyvisa.errors.InvalidSession, OSError) as error:
            raise WireError(
                f'{self._role}: could not send "{message}" at {self._clock.now_s:.3f} s: {error}'
            ) from error

    def _numbers(self, answer: str) -> list[float]:
        try:
            return [float(part) for part in answer.split(",")]
        except ValueError as error:
            raise WireError(
                f"{self._role}: expected numbers, one for each channel, at {self._clock.now_s:.3f} s, "
                f"found {answer[:80]!r}"
            ) from error

    def _must_be(self, found: list[float], what: str, channels: Sequence[int]) -> None:
        if len(found) != len(channels):
            raise WireError(
                f"{self._role}: expected the {what} of {len(channels)} channels, found {len(found)} values "
                f"at {self._clock.now_s:.3f} s."
            )


class N83624(N83624Unit):
    """An N83624 by SCPI.

    Parameters
    ----------
    wire
        VISA resource on TCP port 7000, LF to the unit.
    clock, role, max_v, max_a, options
        As of `N83624Unit`.
    """

    transport = "visa"
    port = 7000
    face = "scpi"
    twin = N83624Twin
    Options = N83624Options
    idn = ("ngi", "n83624")
    watchdog = (
        "none: what HMI:DISConnect:ENABle does is not documented; the channels hold their voltage "
        "when the host falls silent"
    )

    def __init__(
        self,
        wire: MessageBasedResource,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: N83624Options | None = None,
    ) -> None:
        link = ScpiLink(wire, clock=clock, role=role)
        super().__init__(
            link, clock=clock, role=role, max_v=max_v, max_a=max_a, options=options or N83624Options()
        )
