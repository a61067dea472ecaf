"""Signals of child processes: as from a terminal, whoever started the tests.

A shell without job control starts what it puts into the background with SIGINT ignored, and children inherit
that: then a run does not hear Ctrl-C, as it should not.
"""

from __future__ import annotations

import signal


def as_from_a_terminal() -> None:
    """For `preexec_fn` of a child: it hears what a terminal, or its operator, sends."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
