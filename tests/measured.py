"""Measured cells, drive cycles and life curves that lie beside the repository on some machines."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"


def measured(name: str) -> Path:
    """The measured file `name`, as in "lg_hg2/25degC_US06_1s.csv"; without it, the test is skipped."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"the measured data are not part of the repository: {name}")
    return path
