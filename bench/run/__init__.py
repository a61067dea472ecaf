"""A run: which scenarios with which station and DUT, what came of each, sealed at the end."""

from bench.run.campaign import Campaign
from bench.run.options import Options
from bench.run.outcome import Outcome

__all__ = ["Campaign", "Options", "Outcome"]
