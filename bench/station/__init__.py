"""A station: the bench of one station file, opened, checked, driven and made safe.

`drivers` finds what a role names, `opening` opens it, `safe_state` says how energy goes off and what is read
back, `station` holds them together for one test.
"""

from bench.station.drivers import ROLE_KINDS, check_drivers
from bench.station.safe_state import CLOSING_ORDER, SafeReport
from bench.station.station import Station, check_defects

__all__ = ["CLOSING_ORDER", "ROLE_KINDS", "SafeReport", "Station", "check_defects", "check_drivers"]
