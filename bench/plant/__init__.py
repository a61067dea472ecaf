"""The physics that twins act on and sense: cells, pack, switches, wiring, heat, faults."""

from bench.plant.layout import SWITCHES
from bench.plant.plant import Plant
from bench.plant.spec import Outlier, PlantSpec

__all__ = ["SWITCHES", "Outlier", "Plant", "PlantSpec"]
