"""Prognosis: when a predictive warning of a slow fault is due, and when it would be a false alarm.

Five phenomena, each from measured arrays: `voltage_drift`, `resistance_growth`, `local_heating`,
`unstable_current`, `imbalance_growth`. Each makes indication, `due` makes windows of it, `warning`
judges warnings. Nothing here knows a bench, a plant or a BMS.
"""

from __future__ import annotations

from bench.reference.prognosis.due import due_windows, warnings_of
from bench.reference.prognosis.warning import (
    Due,
    Outcome,
    Rule,
    Sensing,
    Warned,
    allowed_false_alarms,
    judge,
)

__all__ = [
    "Due",
    "Outcome",
    "Rule",
    "Sensing",
    "Warned",
    "allowed_false_alarms",
    "due_windows",
    "judge",
    "warnings_of",
]
