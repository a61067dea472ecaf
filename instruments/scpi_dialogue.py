"""SCPI, host side: what every driver does with its wire. Each setting is followed by the error queue."""

from __future__ import annotations

import re
from math import nan

import pyvisa
from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, WireError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

#: What instruments answer beyond their range: finite, and not a value.
_OVERRANGE = 9.9e37

#: More errors than that in one queue say that the queue does not empty.
_MOST_ERRORS = 30

#: After a time-out, how long the line must be quiet before the next question [ms].
_QUIET_MS = 100


#: What pyvisa raises when a partner does not answer, or is gone.
_LOST = (pyvisa.errors.VisaIOError, pyvisa.errors.InvalidSession, OSError)


class Dialogue:
    """Questions and orders to one instrument.

    Parameters
    ----------
    wire
        An open VISA resource.
    clock
        For the times in messages.
    role
        Role of the station file, for messages.
    """

    def __init__(self, wire: MessageBasedResource, *, clock: Clock, role: str) -> None:
        self._wire, self._clock, self._role = wire, clock, role
        self.busy = False
        self._late = False

    def ask(self, query: str) -> str:
        """Send a query and return its answer without the terminator.

        Raises
        ------
        WireError
            If nobody answers, or a clock job asks while another answer on this wire is still awaited.
        """
        self._begin(query)
        try:
            if self._late:
                self._drain()
            return self._wire.query(query).strip()
        except _LOST as error:
            self._late = True
            raise self._silence(query, error) from error
        finally:
            self.busy = False

    def numbers(self, query: str, *, units: tuple[str, ...] = ()) -> list[float]:
        """Send a query and return its answer as numbers; `;` and `,` separate them, +-9.9E37 becomes nan.

        Parameters
        ----------
        query
            One question or several.
        units
            Units that may follow the numbers (`48.12 V`), in their order.

        Raises
        ------
        WireError
            If nobody answers, or the answer is not made of numbers.
        """
        answer = self.ask(query)
        parts = answer.replace(";", ",").split(",")
        try:
            values = [
                float(part.strip().removesuffix(unit))
                for part, unit in zip(parts, units or ("",) * len(parts), strict=True)
            ]
        except ValueError as error:
            raise WireError(
                f'{self._role}: expected numbers as the answer to "{query}" at {self._clock.now_s:.3f} s, '
                f"found {answer[:80]!r}"
            ) from error
        return [value if abs(value) < _OVERRANGE else nan for value in values]

    def tell(self, command: str) -> None:
        """Send a command and make sure that the instrument took it.

        Raises
        ------
        InstrumentRefused
            With the instrument's own words.
        """
        self._begin(command)
        try:
            if self._late:
                self._drain()
            self._wire.write(command)
        except _LOST as error:
            self._late = True
            raise self._silence(command, error) from error
        finally:
            self.busy = False
        self._raise_errors(command)

    def urge(self, command: str) -> None:
        """Send a command now, also while an answer is awaited; errors are then left for the next `tell`.

        For `off`, which a clock job may call at any moment.
        """
        if not self.busy:
            self.tell(command)
            return
        try:
            self._wire.write(command)
        except _LOST as error:
            raise self._silence(command, error) from error

    def _silence(self, message: str, error: Exception) -> WireError:
        return WireError(f'{self._role}: no answer to "{message}" at {self._clock.now_s:.3f} s: {error}')

    def _raise_errors(self, command: str) -> None:
        if errors := self.errors():
            raise InstrumentRefused(
                f'{self._role} refused "{command}" at {self._clock.now_s:.3f} s: {"; ".join(errors)}'
            )

    def errors(self) -> list[str]:
        """Empty the error queue and return what was in it, oldest first."""
        found: list[str] = []
        while len(found) < _MOST_ERRORS:
            error = self.ask("SYST:ERR?")
            if error.partition(",")[0].strip() in ("0", "+0"):
                break
            found.append(error)
        return found

    def confirm(self, query: str, expected: float | str, *, tolerance: float = 0.0, unit: str = "") -> None:
        """Read a setting back; `unit` may follow a number (`48.12 V`).

        Raises
        ------
        InstrumentRefused
            If it is not what was set: the instrument took the command and did something else.
        """
        answer = self.ask(query)
        if isinstance(expected, str):
            agrees = answer == expected
        else:
            number = answer.removesuffix(unit).strip()
            agrees = _NUMBER.fullmatch(number) is not None and abs(float(number) - expected) <= tolerance
        if not agrees:
            raise InstrumentRefused(
                f"{self._role}: expected {expected} as the answer to {query!r} at {self._clock.now_s:.3f} s, "
                f"found {answer!r}"
            )

    def _begin(self, message: str) -> None:
        """Take the wire for one exchange; whoever does gives it back by clearing `busy`."""
        # While an answer is awaited, clock jobs run. One of them on the same wire would take it.
        if self.busy:
            raise WireError(
                f'{self._role}: "{message}" at {self._clock.now_s:.3f} s while an answer is awaited; '
                "a clock job that talks to this instrument looks at `busy` first"
            )
        self.busy = True

    def _drain(self) -> None:
        """Throw away answers that came after their time-out; they would be taken for the next ones."""
        timeout_ms, self._wire.timeout = self._wire.timeout, _QUIET_MS
        try:
            for _ in range(_MOST_ERRORS):
                self._wire.read_raw()
        except pyvisa.errors.VisaIOError:
            self._late = False
        finally:
            self._wire.timeout = timeout_ms
