"""The errors of the bench. A defect of the device under test is never one of these.

Two families never mix. A failed assertion says that the BMS is wrong (verdict *fail*). A `BenchError`
says that the bench could not tell (verdict *error*). `Inconclusive` says that the bench worked, and the
stimulus or the uncertainty does not allow a decision.

    BenchError
    ├── InvalidInput        a file, argument or option says something that cannot be used
    │   ├── StationInvalid      station file
    │   ├── ProfileInvalid      DUT profile
    │   ├── DefectInvalid       a seeded defect, or the file that holds it
    │   └── EvidenceInvalid     sealed evidence: missing, altered, of another version
    ├── NotReady            identity, calibration, lock or role missing: nothing was energised
    ├── WireError           nobody answered, or the link broke
    │   └── FrameInvalid        bytes came, and they are not a frame of this protocol
    ├── InstrumentRefused   the instrument understood and declined
    ├── EnvelopeLeft        a measurement was beyond what the station allows; sources were switched off
    └── UnsafeState         switched off, and not read back as off
"""

from __future__ import annotations


class BenchError(Exception):
    """The bench broke, or was told something it cannot do. Says expected, found, where, and when."""

    exit_code = 3


class InvalidInput(BenchError):
    """A file or an argument cannot be used as it is."""

    exit_code = 4

    def __init__(self, where: str, *, expected: str, found: str) -> None:
        self.where, self.expected, self.found = where, expected, found
        super().__init__(f"{where}: expected {expected}, found {found}.")


class StationInvalid(InvalidInput):
    """A station file cannot be used."""


class ProfileInvalid(InvalidInput):
    """A DUT profile cannot be used."""


class DefectInvalid(InvalidInput):
    """A seeded defect is unknown, or the file that should hold it does not."""


class EvidenceInvalid(InvalidInput):
    """Evidence is missing, altered or written by another version."""


class NotReady(BenchError):
    """The bench is not fit to start; nothing was energised."""

    exit_code = 40


class WireError(BenchError):
    """A partner on a wire did not answer, or the link broke."""


class FrameInvalid(WireError, ValueError):
    """Bytes that are not a frame of the protocol: too short, wrong check, wrong length, wrong range.

    Parameters
    ----------
    protocol
        Name of the protocol, as in `dut_profiles.protocols` or the instrument family.
    data
        The bytes as they came.
    expected, found
        What the protocol asks for at that place, and what is there.
    """

    def __init__(self, protocol: str, data: bytes, *, expected: str, found: str) -> None:
        self.protocol, self.data, self.expected, self.found = protocol, bytes(data), expected, found
        shown = data[:32].hex(" ") + (" ..." if len(data) > 32 else "")
        super().__init__(f"{protocol}: expected {expected}, found {found} in {len(data)} bytes [{shown}].")


class InstrumentRefused(BenchError):
    """An instrument understood a command and declined it."""


class EnvelopeLeft(BenchError):
    """What was measured is beyond what the station allows; that instrument and the sources were switched off.

    No further scenario is run.
    """

    exit_code = 41


class UnsafeState(BenchError):
    """Energy was switched off and could not be read back as off."""

    exit_code = 50


class Inconclusive(Exception):
    """The bench worked, and what it saw does not decide the question."""

    exit_code = 20


class NotApplicable(Exception):
    """The DUT does not declare, or cannot say, what the scenario is about. Nothing was judged."""
