"""Wires: the seam to real ports, where the libraries' own objects meet an instrument or its stand-in.

python-can is imported here once, without what it would take along: for a log format that this project reads
by itself it imports asammdf, and pandas with it, which is most of the time that any program here would start.
"""

import sys

_absent = "asammdf" not in sys.modules
if _absent:
    sys.modules["asammdf"] = None  # type: ignore[assignment]  # how Python marks what must not be found
try:
    import can as can
finally:
    if _absent:
        del sys.modules["asammdf"]
