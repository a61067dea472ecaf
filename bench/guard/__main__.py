"""The watchman's process: `python -m bench.guard <file descriptor of the line>`, started by a run."""

from __future__ import annotations

import os
import signal
import socket
import sys

# Before anything that takes time: these are for the run, and the run may be gone by then.
for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    signal.signal(_number, signal.SIG_IGN)


def main() -> None:
    """Watch, then end at once: threads that wait for dead instruments must not keep the process."""
    from bench.guard.watchman import Watchman

    code = Watchman(socket.socket(fileno=int(sys.argv[1]))).run()
    os._exit(code)


if __name__ == "__main__":
    main()
