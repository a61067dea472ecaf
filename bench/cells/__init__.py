"""Cell files: one cell type each, as tables with their source, read and checked. No physics is in here.

The plant and the reference model read the same files, as they read the same profiles, and share nothing else:
each has its own equations.
"""

from bench.cells.cell_file import CELL_DIR, CellFile, cell_names, load_cell

__all__ = ["CELL_DIR", "CellFile", "cell_names", "load_cell"]
