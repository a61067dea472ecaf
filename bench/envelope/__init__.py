"""The envelope of a bench: what the station allows each instrument, kept between roles and drivers.

`gates` has what stands in the place of each driver, `envelope` decides and watches.
"""

from bench.envelope.envelope import Envelope, Extreme, energy_wh, power_of

__all__ = ["Envelope", "Extreme", "energy_wh", "power_of"]
