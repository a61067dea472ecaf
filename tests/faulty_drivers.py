"""Drivers of a charger that go wrong in one way each: `tests.faulty_drivers:<class>` in a station file."""

from __future__ import annotations

from instruments.supply_rp7900 import EXCHANGES, Rp7900

__all__ = ["EXCHANGES", "Forgetful", "NoDriver", "Refusing", "Stuck", "Untouchable"]


class Stuck(Rp7900):
    """Says that it is on, whatever it was told."""

    def is_off(self) -> bool:
        return False


class Refusing(Rp7900):
    """Cannot be switched off: the cable is out. No error of the bench's own."""

    def off(self) -> None:
        raise RuntimeError("cable is out")


class Forgetful(Rp7900):
    """Says that it is off, and stays on."""

    def off(self) -> None:
        pass

    def is_off(self) -> bool:
        return True


class Untouchable(Rp7900):
    """Must not be prepared: the test fails if it is."""

    def prepare(self) -> None:
        raise AssertionError("prepared")


class NoDriver:
    """Has nothing of a driver."""
