"""SCPI errors and status registers: what went wrong, and which bits say so.

Sources: IEEE 488.2 and SCPI-99 error numbers as used by the instruments' guides; bit numbers of the status
byte and of the standard event register as in the Keysight RP7900 operating and service guide, chapter 5.
"""

from __future__ import annotations

from collections import deque

#: Standard error texts. Instruments add their own by raising `ScpiError` with a text.
TEXTS = {
    0: "No error",
    -100: "Command error",
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -115: "Command cannot query",
    -116: "Command must query",
    -131: "Invalid suffix",
    -171: "Invalid expression",
    -200: "Execution error",
    -211: "Trigger ignored",
    -213: "Init ignored",
    -221: "Settings conflict",
    -222: "Data out of range",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -350: "Queue overflow",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
}


class ScpiError(Exception):
    """A command that the instrument declines.

    Parameters
    ----------
    code
        SCPI error number; positive ones are the instrument's own.
    text
        Default: the standard text of `code`.
    """

    def __init__(self, code: int, text: str | None = None) -> None:
        self.code, self.text = code, text or TEXTS[code]
        super().__init__(f'{code},"{self.text}"')

    @property
    def event_bit(self) -> int:
        """Bit of the standard event register that this error sets."""
        if -200 < self.code <= -100:
            return 5
        if -300 < self.code <= -200:
            return 4
        if -500 < self.code <= -400:
            return 2
        return 3


class StatusGroup:
    """Condition, event and enable of OPERation or QUEStionable.

    Events latch the bits that rose, as far as the filter `positive` lets them pass, and those that fell, as
    far as `negative` does. From power-on every rise passes and no fall.
    """

    def __init__(self) -> None:
        self.condition = self.event = self.enable = self.negative = 0
        self.positive = 0xFFFF

    def update(self, condition: int) -> None:
        """Take over the condition as it is now; latch what passes the filters."""
        self.event |= condition & ~self.condition & self.positive
        self.event |= self.condition & ~condition & self.negative
        self.condition = condition

    def read_event(self) -> int:
        """The latched bits; reading clears them."""
        event, self.event = self.event, 0
        return event

    @property
    def summary(self) -> bool:
        """Whether an enabled event is latched."""
        return bool(self.event & self.enable)


class Status:
    """Error queue, standard events, status groups and the status byte of one instrument.

    Parameters
    ----------
    questionable_groups
        How many QUEStionable groups there are (the RP7900 has two).
    queue_length
        Errors the queue holds; when it is full the newest becomes -350.
    """

    def __init__(self, questionable_groups: int = 1, queue_length: int = 20) -> None:
        self.errors: deque[ScpiError] = deque()
        self.queue_length = queue_length
        self.standard_event = 1 << 7  # power on
        self.standard_enable = self.request_enable = 0
        self.operation = StatusGroup()
        self.questionable = [StatusGroup() for _ in range(questionable_groups)]

    def add(self, error: ScpiError) -> None:
        """Queue an error and set its event bit."""
        self.standard_event |= 1 << error.event_bit
        if len(self.errors) < self.queue_length:
            self.errors.append(error)
        else:
            self.errors[-1] = ScpiError(-350)

    def clear(self) -> None:
        """`*CLS`: forget errors and events; enables stay."""
        self.errors.clear()
        self.standard_event = 0
        for group in (self.operation, *self.questionable):
            group.event = 0

    def read_standard_event(self) -> int:
        """`*ESR?`: the standard events; reading clears them."""
        event, self.standard_event = self.standard_event, 0
        return event

    def byte(self, *, message_available: bool) -> int:
        """`*STB?`: the summary bits of everything above, bit 6 for an enabled reason for service."""
        bits = (
            bool(self.errors) << 2
            | any(group.summary for group in self.questionable) << 3
            | message_available << 4
            | bool(self.standard_event & self.standard_enable) << 5
            | self.operation.summary << 7
        )
        return bits | bool(bits & self.request_enable & ~0x40) << 6
