"""The pack that a BMS board on cell emulators does not have: a model on the bench's side.

It sees what instruments see of the board (its contactors) and shows itself to the board through
instruments (cell voltages, thermistors, shunt). Charger, load and regeneration act on it. What it computes is
a stimulus, never evidence.

`model` steps and drives, `power` is charger, regeneration and load, `held` is cells and thermistors as a
scenario holds them.
"""

from bench.pack_model.held import HeldCells, HeldThermistors
from bench.pack_model.model import PackModel
from bench.pack_model.power import ModelLoad, ModelSource

__all__ = ["HeldCells", "HeldThermistors", "ModelLoad", "ModelSource", "PackModel"]
