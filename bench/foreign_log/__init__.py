"""Foreign logs: CSV and MF4 files of any cycler, logger or bench, read with a stated mapping.

What cannot be right is refused with file, line, column and remedy; what is doubtful is flagged.
"""

from bench.foreign_log.checks import checked
from bench.foreign_log.keys import Mapping, read_mapping
from bench.foreign_log.log import Column, ForeignLog
from bench.foreign_log.read import read_log
from bench.foreign_log.table import Flag

__all__ = ["Column", "Flag", "ForeignLog", "Mapping", "checked", "read_log", "read_mapping"]
