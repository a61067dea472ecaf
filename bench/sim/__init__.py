"""The sim: one child process that serves every stand-in of a station through real ports.

`racks` builds the emulated rack and its doors, `process` runs them, `client` starts the process and talks to
it. A run against it uses the drivers, libraries and sockets that it would use on a rack.
"""

from bench.sim.client import SimClient
from bench.sim.manifest import Manifest

__all__ = ["Manifest", "SimClient"]
