"""Numato Lab Ethernet relay modules (16 channels) that insert faults: driver, and the exchanges it obeys.

The text of the USB modules over telnet, behind a login, and not repeated. The address is
`socket://<host>:23`. The driver logs in with the first thing that it asks. The twin is in
`faultbox_numato_ethernet_twin.py`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bench.clock import Clock
from bench.errors import FrameInvalid, InstrumentRefused, WireError
from bench.record import Trace
from instruments.exchange import Exchange
from instruments.faultbox_numato_ethernet_twin import (
    NEGOTIATION,
    NEW_LINE,
    PASSWORD_PROMPT,
    PROMPT,
    USER_PROMPT,
    WELCOME,
    NumatoEthernetOptions,
    NumatoEthernetTwin,
)
from instruments.faultbox_numato_twin import DIGITS
from instruments.relay_contacts import Faults, check_current

_PACKAGE = "PyPI numato_eth 0.0.1, eth.py: what it sends, and what it cuts out of the answer"
_LISTED = "PyPI numato-eth, project page: a module as listed there"


def _session(request: bytes, reply: bytes, source: str = _PACKAGE, note: str = "") -> Exchange:
    return Exchange(request, reply, source, "public driver", note)


#: One telnet session, in its order, with 16 channels.
EXCHANGES = (
    _session(b"admin\r\n", PASSWORD_PROMPT, note="after the prompt 'User Name: '"),
    _session(b"admin\r\n", b"\r\nLogged in successfully\r\n>", note="the first line end is not seen"),
    _session(b"ver\r\n", b"00000005\r\n>", _LISTED, "framing: package"),
    _session(b"id get\r\n", b"00000000\r\n>", _LISTED, "framing: package"),
    _session(b"relay read 0\r\n", b"off\r\n>"),
    _session(b"relay readall\r\n", b"0000\r\n>", note="all off"),
    Exchange(b"relay on 0\r\n", PROMPT, _PACKAGE, "unverified", "that only the prompt comes is not seen"),
    Exchange(b"relay off 0\r\n", PROMPT, _PACKAGE, "unverified", "likewise"),
    Exchange(b"relay writeall 0000\r\n", PROMPT, _PACKAGE, "unverified", "likewise"),
)


class NumatoEthernetRelays:
    """A Numato Ethernet relay module as a `roles.FaultBox`.

    A fault is in when the relay has been read back on and its contact had time to move; faults that exclude
    each other are refused until the first is out.

    Parameters
    ----------
    wire
        pyserial port, as a rule `socket://<host>:23`.
    clock
        Bench time.
    role
        Role of the station file, in messages and as origin of the traces.
    max_v, max_a
        What the wiring may put on a contact [V], [A]; `max_a` must be within the rating of the contacts.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "serial"
    twin = NumatoEthernetTwin
    Options = NumatoEthernetOptions
    idn = ("numato", "ethernet relay")
    idn_options: ClassVar[dict[str, Any]] = {"relays": {}}
    watchdog = "none: relays stay as they are when the host falls silent; they drop out without power"

    def __init__(
        self,
        wire: Any,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: NumatoEthernetOptions,
    ) -> None:
        check_current(role, options, max_v=max_v, max_a=max_a)
        self._wire, self._clock, self._role, self.options = wire, clock, role, options
        self._faults = Faults(options, clock=clock, role=role)
        self.faults = self._faults.names
        self._logged_in = False

    def identity(self) -> str:
        version, number = self._ask("ver"), self._ask("id get")
        return f"Numato Lab {self.options.channels} channel Ethernet relay, id {number}, firmware {version}"

    def prepare(self) -> None:
        """Log in, and open all relays."""
        self.off()

    def insert(self, fault: str) -> None:
        number = self._faults.join(fault)
        self._command(f"relay on {DIGITS[number]}")
        self._faults.settle(fault, lambda: self._is_on(number), True)

    def remove(self, fault: str) -> None:
        number = self._faults.relay(fault)
        self._command(f"relay off {DIGITS[number]}")
        self._faults.settle(fault, lambda: self._is_on(number), False)

    def off(self) -> None:
        self._command(f"relay writeall {0:0{self.options.channels // 4}x}")
        self._faults.all_out()

    def is_off(self) -> bool:
        """Whether all relays of the module read back as off, those without a fault too."""
        text = self._ask("relay readall")
        if len(text) != self.options.channels // 4:
            raise self._strange(text.encode(), f"{self.options.channels // 4} hexadecimal digits")
        try:
            return int(text, 16) == 0
        except ValueError as error:
            raise self._strange(text.encode(), "the states as hexadecimal digits") from error

    def traces(self) -> dict[str, Trace]:
        return self._faults.traces()

    def _is_on(self, number: int) -> bool:
        found = self._ask(f"relay read {DIGITS[number]}")
        if found not in ("on", "off"):
            raise self._strange(found.encode(), f"on or off of relay {number}")
        return found == "on"

    def _ask(self, command: str) -> str:
        if not (answer := self._exchange(command)):
            raise self._strange(b"", f"a value after {command!r}")
        return answer

    def _command(self, command: str) -> None:
        if answer := self._exchange(command):
            raise self._strange(answer.encode(), f"nothing but the prompt after {command!r}")

    def _exchange(self, command: str) -> str:
        """What the module says before its next prompt; a line that it repeats is not counted."""
        if not self._logged_in:
            self._login()
        # An answer that came after its time-out must not be taken for this one.
        self._wire.reset_input_buffer()
        self._wire.write(command.encode() + NEW_LINE)
        answer = NEGOTIATION.sub(b"", self._wire.read_until(PROMPT))
        if not answer:
            self._logged_in = False
            raise self._silence(f"an answer to {command!r}")
        if not answer.endswith(PROMPT):
            raise self._strange(answer, f"a prompt at the end of the answer to {command!r}")
        text = answer.removesuffix(PROMPT).decode("ascii", "replace").strip()
        return text.removeprefix(command).strip()

    def _login(self) -> None:
        """Log in, unless the session is open already.

        A module greets who connects, but pyserial throws away what came while it connected; and on a serial
        line somebody may have been here before. So silence is answered with an empty line, which shows the
        prompt that stands there, and if that is the one for the password with another, which fails.
        """
        shown = self._patiently(USER_PROMPT)
        for _ in range(2):
            if shown.endswith((USER_PROMPT, PROMPT)):
                break
            self._wire.write(NEW_LINE)
            shown = self._patiently(b": ")
        if shown.endswith(PROMPT):
            self._logged_in = True
            return
        if not shown:
            raise self._silence("a greeting")
        if not shown.endswith(USER_PROMPT):
            raise self._strange(shown, "the prompt 'User Name: '")
        self._wire.write(self.options.user.encode() + NEW_LINE)
        shown = NEGOTIATION.sub(b"", self._wire.read_until(PASSWORD_PROMPT))
        if not shown.endswith(PASSWORD_PROMPT):
            raise self._strange(shown, "the prompt 'Password: '")
        self._wire.write(self.options.password.encode() + NEW_LINE)
        shown = NEGOTIATION.sub(b"", self._wire.read_until(PROMPT))
        if WELCOME not in shown:
            raise InstrumentRefused(
                f"{self._role} refused the login of {self.options.user!r} at {self._clock.now_s:.3f} s: "
                f"{shown.decode('ascii', 'replace').strip()!r}. "
                f"Check [roles.{self._role}.options] user and password."
            )
        self._logged_in = True

    def _patiently(self, expected: bytes) -> bytes:
        """What comes up to `expected`, for as long as a greeting may take."""
        timeout_s, self._wire.timeout = self._wire.timeout, self.options.greeting_s
        try:
            return NEGOTIATION.sub(b"", self._wire.read_until(expected))
        finally:
            self._wire.timeout = timeout_s

    def _silence(self, expected: str) -> WireError:
        return WireError(
            f"{self._role}: expected {expected}, found silence at {self._clock.now_s:.3f} s. "
            "Is it the module's address, and is it powered?"
        )

    def _strange(self, answer: bytes, expected: str) -> FrameInvalid:
        return FrameInvalid(
            f"Numato module {self._role}",
            answer,
            expected=expected,
            found=f"something else at {self._clock.now_s:.3f} s",
        )
