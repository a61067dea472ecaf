"""What holds for both test trees. Scenarios get their fixtures from the plugin `bench.pytest_plugin`."""

import contextlib

with contextlib.suppress(ImportError):  # a rack that only runs scenarios does not need hypothesis
    from hypothesis import settings

    # The same examples each time, so that a gate answers the same to the same code; no deadline, because a
    # shared machine is sometimes slow.
    settings.register_profile("bmsbench", derandomize=True, deadline=None, print_blob=True)
    settings.load_profile("bmsbench")
