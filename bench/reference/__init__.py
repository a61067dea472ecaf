"""The reference BMS model: from what was measured and declared to what a BMS may and must do.

It imports nothing of the plant, of the emulated BMS or of a driver: the oracle never meets what it judges.
"""

from __future__ import annotations

from bench.reference.findings import Explanation, Finding
from bench.reference.model import Reference

__all__ = ["Explanation", "Finding", "Reference"]
