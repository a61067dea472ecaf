"""Weiss and Vötsch temperature chambers behind a SIMSERV server (S!MPAC, LabEvent): driver and exchanges.

ASCII over TCP port 2049, so the address is `socket://<host>:2049`. Commands are numbers; what separates them
from their arguments is the byte 0xB6. The twin is in `chamber_simserv_twin.py`.
"""

from __future__ import annotations

from typing import Any

from bench.clock import Clock
from bench.errors import FrameInvalid, InstrumentRefused, WireError
from bench.record import Origin, Samples, Trace
from instruments.chamber_simserv_twin import (
    ACCEPTED,
    ACCURACY,
    ALARMS,
    CR,
    CR_LF,
    DELIMITER,
    SimservOptions,
    SimservTwin,
)
from instruments.exchange import Exchange, Label

_BASIL = "PyPI basil_daq 3.3.0, HL/weiss_labevent.py"
_MONITOR = "GitHub IzaakWN/ClimateChamberMonitor, commands.py"

_CODES = {
    -1: "an empty command",
    -2: "no chamber named",
    -3: "a chamber number out of range",
    -4: "a chamber that is not there",
    -5: "an unknown command",
    -6: "too few or wrong parameters",
    -7: "no server",
    -8: "something that is not there to read",
    -9: "an error while it did so",
}
#: Bit of 10012 that is set in 3, "running", and not in 1, "idle".
_RUNNING_BIT = 2


def _pilcrow(text: str) -> bytes:
    return text.replace("|", "\xb6").encode("latin-1")


def _exchange(
    request: str,
    reply: str | None,
    source: str = _BASIL,
    *,
    note: str = "",
    label: Label = "public driver",
) -> Exchange:
    answer = None if reply is None else _pilcrow(reply) + CR_LF
    return Exchange(_pilcrow(request) + CR, answer, source, label, note)


#: In the order of a session; chamber 1, control variable 1.
EXCHANGES = (
    _exchange("99997|1|1", "1|LabEvent T/210/70/5"),
    _exchange("10012|1|1", "1|1", note="idle; 3 runs, 4 more in a warning, 8 more in an alarm"),
    _exchange("11007|1|1", None, _MONITOR),
    _exchange("11009|1|1", None, _MONITOR),
    _exchange("11004|1|1", None),
    _exchange("17012|1", "1", _MONITOR, note="resets errors; that it lists them is not seen"),
    _exchange("11068|1|1|2.00", "1", _MONITOR),
    _exchange("11066|1|1", "1|2.00", _MONITOR, note="number of digits not seen"),
    _exchange("11072|1|1|2.00", "1", _MONITOR),
    _exchange("11070|1|1", "1|2.00", _MONITOR, note="number of digits not seen"),
    _exchange("11001|1|1|32.00", "1"),
    _exchange("11002|1|1", "1|32.00", note="number of digits not seen"),
    _exchange("14001|1|1|1", "1", note="manual mode on"),
    _exchange("10012|1|1", "1|3"),
    _exchange("14003|1|1", "1|1"),
    _exchange("14001|1|1|0", "1"),
    _exchange("19015|1", "1", _MONITOR),
    _exchange("17002|1", "1|2", _MONITOR, note="how many messages a chamber has is not seen"),
    _exchange("17009|1|1", "1|0", _MONITOR),
    _exchange("17007|1|1", None, _MONITOR),
    _exchange("12345|1", "-5", _MONITOR),
    _exchange("11001|1|1", "-6", _MONITOR),
    _exchange("11004|1|9", "-8", _MONITOR),
)


class SimservChamber:
    """A SIMSERV chamber as a `roles.Chamber`.

    Parameters
    ----------
    wire
        pyserial port, as a rule `socket://<host>:2049`.
    clock
        Bench time.
    role
        Role of the station file, in messages and as origin of the trace.
    min_degc, max_degc
        What the station allows [°C]; default what the chamber can.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "serial"
    port = 2049
    twin = SimservTwin
    Options = SimservOptions
    idn = ("weiss",)
    watchdog = "none: the chamber holds its set point when the host falls silent; its limiter stays"

    def __init__(
        self,
        wire: Any,
        *,
        clock: Clock,
        role: str,
        min_degc: float | None = None,
        max_degc: float | None = None,
        options: SimservOptions,
    ) -> None:
        self._wire, self._clock, self._role, self.options = wire, clock, role, options
        self._lowest_degc = options.coldest_degc if min_degc is None else max(min_degc, options.coldest_degc)
        self._highest_degc = options.hottest_degc if max_degc is None else min(max_degc, options.hottest_degc)
        self._busy = False
        self._samples = Samples(
            "chamber_degc",
            "degC",
            Origin("measured", role),
            uncertainty=ACCURACY["chamber_degc"].uncertainty(0.0),
        )

    def identity(self) -> str:
        return f"Weiss/Vötsch {self._value('99997', '1')}"

    def prepare(self) -> None:
        """Stop the chamber, acknowledge its errors, and make sure that it can do what the station asks."""
        self.off()
        self._ask("17012")
        lowest, highest = self._number("11007", "1"), self._number("11009", "1")
        self._lowest_degc = max(self._lowest_degc, lowest)
        self._highest_degc = min(self._highest_degc, highest)
        self.measure()

    def control(self, *, temperature_degc: float, rate_k_per_min: float | None = None) -> None:
        wanted = f"{temperature_degc:.2f}"
        if not self._lowest_degc <= temperature_degc <= self._highest_degc:
            raise self._refusal(
                f"{wanted} °C",
                f"{self._lowest_degc:g} to {self._highest_degc:g} °C; check [roles.{self._role}] min_degc, "
                "max_degc and the chamber's own limits",
            )
        fastest = self.options.gradient_k_per_min
        gradient = fastest if rate_k_per_min is None else min(rate_k_per_min, fastest)
        if not gradient >= 0.01:
            raise self._refusal(f"{gradient:g} K/min", f"0.01 to {fastest:g} K/min")
        for write, read in (("11068", "11066"), ("11072", "11070")):
            self._ask(write, "1", f"{gradient:.2f}")
            self._confirm(read, gradient)
        self._ask("11001", "1", wanted)
        self._confirm("11002", float(wanted))
        self._ask("14001", "1", "1")
        if self.is_off():
            raise self._refusal("to start", f"a chamber without {self._complaints() or 'complaints'}")

    def measure(self) -> float:
        found_degc = self._number("11004", "1")
        self._samples.append(self._clock.now_s, found_degc)
        return found_degc

    def poll(self) -> None:
        """Take one reading, unless an answer is awaited."""
        if not self._busy:
            self.measure()

    def off(self) -> None:
        self._ask("14001", "1", "0")
        if not self.is_off():  # a program, not the manual mode
            self._ask("19015")

    def is_off(self) -> bool:
        """Whether the chamber says that nothing runs, neither manual mode nor a program."""
        return not self._status() & _RUNNING_BIT

    def alarmed(self) -> bool:
        """Whether an alarm is active: the limiter has tripped, or the chamber is out of order."""
        return bool(self._status() & ALARMS)

    def traces(self) -> dict[str, Trace]:
        return {self._samples.name: self._samples.trace()} if len(self._samples) else {}

    def _status(self) -> int:
        return round(self._number("10012", "1"))

    def _complaints(self) -> str:
        """The texts of the active messages."""
        numbers = range(1, round(self._number("17002")) + 1)
        active = [number for number in numbers if self._number("17009", str(number))]
        return ", ".join(repr(self._value("17007", str(number))) for number in active)

    def _confirm(self, command: str, expected: float) -> None:
        found = self._number(command, "1")
        if abs(found - expected) > 0.051:  # a chamber that shows one digit rounds
            raise self._refusal(f"{expected:g}", f"to read it back with {command}, found {found:g}")

    def _number(self, command: str, *arguments: str) -> float:
        text = self._value(command, *arguments)
        try:
            return float(text)
        except ValueError as error:
            raise self._strange(text.encode("latin-1"), f"a number as the answer to {command}") from error

    def _value(self, command: str, *arguments: str) -> str:
        values = self._ask(command, *arguments)
        if not values:
            raise self._strange(b"", f"a value as the answer to {command}")
        return values[0]

    def _ask(self, command: str, *arguments: str) -> list[str]:
        """Send a command; the values of its answer.

        Raises
        ------
        InstrumentRefused
            With the meaning of the chamber's code.
        WireError
            If nobody answers, or a clock job asks while another answer is still awaited.
        """
        request = DELIMITER.join(
            part.encode("ascii") for part in (command, str(self.options.chamber), *arguments)
        )
        answer = self._exchange(request)
        if not answer.endswith(CR_LF):
            raise self._strange(answer, f"CR LF at the end of the answer to {command}")
        code, *values = answer.removesuffix(CR_LF).decode("latin-1").split("\xb6")
        if not code.lstrip("-").isdecimal():
            raise self._strange(answer, f"a code as the answer to {command}")
        if int(code) != ACCEPTED:
            meaning = _CODES.get(int(code), "a code that is not known")
            asked = " ".join((command, *arguments))
            raise self._refusal(f"command {asked}", f"it to be taken, found {code}: {meaning}")
        return values

    def _exchange(self, request: bytes) -> bytes:
        if self._busy:
            raise WireError(
                f"{self._role}: {request!r} at {self._clock.now_s:.3f} s while an answer is awaited; "
                "a clock job that talks to this chamber uses `poll`."
            )
        self._busy = True
        try:
            # An answer that came after its time-out must not be taken for this one.
            self._wire.reset_input_buffer()
            self._wire.write(request + CR)
            answer = bytes(self._wire.read_until(CR_LF))
        finally:
            self._busy = False
        if not answer:
            raise WireError(
                f"{self._role}: expected an answer to {request!r}, found silence at "
                f"{self._clock.now_s:.3f} s. Is it the chamber's address, port 2049, and is it powered?"
            )
        return answer

    def _refusal(self, asked: str, expected: str) -> InstrumentRefused:
        return InstrumentRefused(
            f"{self._role} refused {asked} at {self._clock.now_s:.3f} s: expected {expected}."
        )

    def _strange(self, answer: bytes, expected: str) -> FrameInvalid:
        return FrameInvalid(
            f"SIMSERV chamber {self._role}",
            answer,
            expected=expected,
            found=f"something else at {self._clock.now_s:.3f} s",
        )
