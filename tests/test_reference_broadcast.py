"""What a DUT says beside its measurements: found when it contradicts them, or itself."""

import numpy as np
import pytest

from bench.reference import Reference
from dut_profiles.profile import load_profile
from tests.reference_records import Story, quiet

PROFILE = load_profile("hd_lfp_24s")
PACK = PROFILE.pack
REFERENCE = Reference(PROFILE)


def told(**changed: float) -> list[str]:
    """Findings about a quiet pack with cell 5 at 3.36 V, both paths closed in drive."""
    story = quiet(PROFILE)
    cells = np.full((len(story.t_s), PACK.cells), 3.30)
    cells[:, 5] = 3.36
    story.measure("cell_v", cells)
    story.report("cell_v", cells[: len(story.report_s)])
    story.measure("pack_v", 24 * 3.30 + 0.06)
    story.report("pack_v", 24 * 3.30 + 0.06)
    story.measure("switch.main_plus", 1.0)
    said = {
        "highest_cell_v": 3.36,
        "highest_cell": 5.0,
        "lowest_cell_v": 3.30,
        "hottest_degc": 25.0,
        "coldest_degc": 25.0,
        "state": 3.0,
        "switch.main_plus": 1.0,
        "charge_v": PACK.charge_v,
        "soc": 0.5,
        "soh": 1.0,
        "remaining_ah": 140.0,
        "discharge_10s_w": 20e3,
        "charge_10s_w": 10e3,
    }
    for name, value in (said | changed).items():
        story.report(name, value)
    return _of(story)


def _of(story: Story) -> list[str]:
    return [str(finding) for finding in REFERENCE.explains(story.record())]


def test_a_broadcast_that_agrees_is_explained():
    assert told() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("highest_cell_v", 3.352),  # 8 mV off, 5 mV declared
        ("highest_cell", 6.0),  # 60 mV below the extreme
        ("highest_cell", np.nan),
        ("lowest_cell_v", 3.29),
        ("hottest_degc", 28.0),
        ("coldest_degc", 22.0),
        ("state", 1.0),  # standby, and the paths are closed
        ("switch.main_plus", 0.0),
        ("charge_v", 87.0),  # 85.2 V and 1 % declared
        ("soh", 0.5),  # 0.5 x 0.5 x 280 Ah are 70 Ah
        ("remaining_ah", 100.0),  # 140 Ah, known to 5 % of 280 Ah
        ("discharge_10s_w", 40e3),  # 79 V x 424 A are 33.6 kW
        ("charge_10s_w", 20e3),  # 87.6 V x 163 A are 14.3 kW
    ],
)
def test_each_contradiction_is_found(name, value):
    found = told(**{name: value})

    assert len(found) == 1
    assert "inaccurate" in found[0]
