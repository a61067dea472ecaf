"""bmsbench: validate a battery management system, real or emulated, and certify what was measured."""

__version__ = "0.1.0"
