"""Print how accurate plant and reference model are on measured cells, with what was fitted and what tested.

    python benchmarks/accuracy.py <data folder> [--only voltage,soc] [--plots build/accuracy]

The data folder holds the measured cells named in each table; it is not part of the repository. A goal that
is not reached is printed as such and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

TABLES = sorted(
    module.name for module in iter_modules([str(Path(__file__).parent / "tables")]) if module.name != "table"
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Accuracy on measured cells.")
    parser.add_argument("data", type=Path, help="folder with the measured cells")
    parser.add_argument("--only", default=",".join(TABLES), help=f"some of: {', '.join(TABLES)}")
    parser.add_argument("--plots", type=Path, default=Path("build/accuracy"), help="folder for the plots")
    given = parser.parse_args()
    names = given.only.split(",")
    if unknown := set(names) - set(TABLES):
        parser.error(f"no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    if not given.data.is_dir():
        parser.error(f"no folder {given.data}")
    given.plots.mkdir(parents=True, exist_ok=True)
    missed = 0
    for name in names:
        for table in import_module(f"tables.{name}").tables(given.data, given.plots):
            print(f"{table}\n", flush=True)
            missed += len(table.missed)
    print(f"{missed} goals not reached. Plots in {given.plots}/")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
