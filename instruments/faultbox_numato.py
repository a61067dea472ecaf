"""Numato Lab USB relay modules (8, 16 or 32 channels) that insert faults: driver, and the exchanges it obeys.

Text over a USB serial port: the module repeats every character, answers a command's CR with LF CR, then the
value if there is one, and a prompt. Relays from the tenth on have letters. The module knows nothing of
current: what must not be switched live is said by its options, and kept by who uses it. The twin is in
`faultbox_numato_twin.py`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bench.clock import Clock
from bench.errors import FrameInvalid, WireError
from bench.record import Trace
from instruments.exchange import Exchange
from instruments.faultbox_numato_twin import DIGITS, NumatoOptions, NumatoTwin
from instruments.relay_contacts import Faults, check_current

_PACKAGE = "PyPI numato-usb-relay 0.0.1, relay.py: what it cuts out of the answer"
_LISTED = "PyPI numato-usb-relay, project page: a 32 channel module as listed there"
_SAMPLES = "GitHub numato/samplecode, python/usbrelay16_32"

EXCHANGES = (
    Exchange(
        b"relay on 0\r", b"relay on 0\n\r>", _SAMPLES, "public driver", "framing of the answer: package"
    ),
    Exchange(b"relay off 0\r", b"relay off 0\n\r>", _SAMPLES, "public driver", "framing: package"),
    Exchange(b"relay on A\r", b"relay on A\n\r>", _SAMPLES, "public driver", "relay 10; 31 is V"),
    Exchange(b"relay read 0\r", b"relay read 0\n\roff\n\r>", _PACKAGE, "public driver", "relay 0 is off"),
    Exchange(
        b"relay readall\r",
        b"relay readall\n\r00000000\n\r>",
        _PACKAGE,
        "public driver",
        "32 channels, all off",
    ),
    Exchange(
        b"relay writeall 00000000\r",
        b"relay writeall 00000000\n\r>",
        _PACKAGE,
        "public driver",
        "32 channels",
    ),
    Exchange(b"ver\r", b"ver\n\r00000008\n\r>", _LISTED, "public driver", "framing: package"),
    Exchange(b"id get\r", b"id get\n\r00000000\n\r>", _LISTED, "public driver", "framing: package"),
)

_CR, _PROMPT, _NEW_LINE = b"\r", b">", b"\n\r"


class NumatoRelays:
    """A Numato relay module as a `roles.FaultBox`.

    A fault is in when the relay has been read back on and its contact had time to move; faults that exclude
    each other are refused until the first is out.

    Parameters
    ----------
    wire
        pyserial port, 8N1. The module ignores the baud rate.
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
    twin = NumatoTwin
    Options = NumatoOptions
    idn = ("numato", "usb relay")
    idn_options: ClassVar[dict[str, Any]] = {"relays": {}}
    watchdog = "none: relays stay as they are when the host falls silent; they drop out without USB power"

    def __init__(
        self,
        wire: Any,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: NumatoOptions,
    ) -> None:
        check_current(role, options, max_v=max_v, max_a=max_a)
        self._wire, self._clock, self._role, self.options = wire, clock, role, options
        self._faults = Faults(options, clock=clock, role=role)
        self.faults = self._faults.names

    def identity(self) -> str:
        version, number = self._ask("ver"), self._ask("id get")
        return f"Numato Lab {self.options.channels} channel USB relay, id {number}, firmware {version}"

    def prepare(self) -> None:
        """Clear what may stand in the module's command line, and open all relays."""
        self._wire.write(_CR)
        self._wire.read_until(_PROMPT)
        self._wire.reset_input_buffer()
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
        answer = self._exchange(command)
        if not answer.endswith(_NEW_LINE):
            raise self._strange(answer, f"a value after {command!r}")
        return answer.removesuffix(_NEW_LINE).decode("ascii", "replace")

    def _command(self, command: str) -> None:
        answer = self._exchange(command)
        if answer:
            raise self._strange(answer, f"nothing but the prompt after {command!r}")

    def _exchange(self, command: str) -> bytes:
        """What stands between the repeated command and the prompt."""
        echo = command.encode() + _NEW_LINE
        self._wire.write(command.encode() + _CR)
        answer = bytes(self._wire.read_until(_PROMPT))
        if not answer:
            raise WireError(
                f"{self._role}: expected an answer to {command!r}, found silence at "
                f"{self._clock.now_s:.3f} s. Is it the module's port, and is it powered?"
            )
        if not answer.startswith(echo) or not answer.endswith(_PROMPT):
            raise self._strange(answer, f"{command!r} repeated, and a prompt at the end")
        return answer[len(echo) : -1]

    def _strange(self, answer: bytes, expected: str) -> FrameInvalid:
        return FrameInvalid(
            f"Numato module {self._role}",
            answer,
            expected=expected,
            found=f"something else at {self._clock.now_s:.3f} s",
        )
