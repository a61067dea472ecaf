"""Names of the faults that can be put into the plant, and their place in the kernel's array."""

from __future__ import annotations

from bench.plant import layout

_SINGLE = {
    "hvil_open": layout.F_HVIL_OPEN,
    "dut_supply_open": layout.F_SUPPLY_OPEN,
    "short_circuit": layout.F_SHORT_CIRCUIT,
    "insulation_positive_30k": layout.F_INSULATION_POSITIVE_30K,
    "insulation_negative_30k": layout.F_INSULATION_NEGATIVE_30K,
    "insulation_positive_5k": layout.F_INSULATION_POSITIVE_5K,
    "insulation_negative_5k": layout.F_INSULATION_NEGATIVE_5K,
    "precharge_resistor_open": layout.F_PRECHARGE_OPEN,
    "fan_stopped": layout.F_FAN_STOPPED,
    "heater_stuck": layout.F_HEATER_STUCK,
    "current_sensor_open": layout.F_CURRENT_SENSOR_OPEN,
}


def fault_slots(cells: int, sensors: int) -> dict[str, int]:
    """Every fault of a pack, by name, with its slot in the kernel's `fault` array.

    Sense wires count from 0 (bottom of the stack) to `cells` (top); wire k lies between cell k-1 and cell k.
    """
    slots = dict(_SINGLE)
    for k, switch in enumerate(layout.SWITCHES):
        if switch != "pyro":
            slots[f"weld_{switch}"] = layout.F_WELD + k
        slots[f"feedback_open_{switch}"] = layout.F_FEEDBACK_OPEN + k
        slots[f"feedback_closed_{switch}"] = layout.F_FEEDBACK_CLOSED + k
    taps = cells + 1
    for k in range(taps):
        slots[f"open_sense_wire_{k}"] = layout.F_TAPS + k
        slots[f"series_sense_wire_{k}"] = layout.F_TAPS + taps + k
    base = layout.F_TAPS + 2 * taps
    for j in range(sensors):
        slots[f"ntc_open_{j}"] = base + j
        slots[f"ntc_short_{j}"] = base + sensors + j
        slots[f"ntc_offset_{j}"] = base + 2 * sensors + j
    return slots
