"""What holds for both test trees. Scenarios get their fixtures from the plugin `bench.pytest_plugin`."""

import contextlib
from importlib import import_module
from pathlib import Path

with contextlib.suppress(ImportError):  # a rack that only runs scenarios does not need hypothesis
    from hypothesis import settings

    # The same examples each time, so that a gate answers the same to the same code; no deadline, because a
    # shared machine is sometimes slow.
    settings.register_profile("bmsbench", derandomize=True, deadline=None, print_blob=True)
    settings.load_profile("bmsbench")


def pytest_bench_sealed(run_folder: Path) -> None:
    """Even a plain `pytest` run leaves a summary for people and a JUnit file for CI."""
    from bench.evidence import load

    evidence = load(run_folder)
    for name in ("summary", "junit"):
        import_module(f"reports.{name}").render(evidence, run_folder)
