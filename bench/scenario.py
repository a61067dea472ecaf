"""What makes a test a scenario: its id, its clauses, and the pack it wants to find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., Any])


def requirement(*clauses: str, scenario: str) -> Callable[[Test], Test]:
    """Mark a test as scenario `scenario` ("OV-02") that traces to `clauses` (keys of `requirements.toml`).

    The first line of the test's docstring is its title.
    """
    mark: Callable[[Test], Test] = pytest.mark.bench_scenario(id=scenario, clauses=clauses)
    return mark


def pack(**state: Any) -> Callable[[Test], Test]:
    """Say which pack a scenario wants to find: the keyword arguments of `bench.rack.PackState`."""
    mark: Callable[[Test], Test] = pytest.mark.bench_pack(**state)
    return mark
