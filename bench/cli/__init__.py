"""The command line: `bmsbench` and `python -m bench`, thin over pytest, reports, codecs and reference.

A verb is a module of this package that puts a function into `program.app`; every module is found here, so
one more verb is one more file. Each verb imports what it needs when it runs, so that `decode` does not wait
for the plant to load.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from bench.cli.program import app, guarded

__all__ = ["app", "main"]

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def main() -> None:
    """Entry point. An error of the bench is one line and an exit code, not a stack trace."""
    raise SystemExit(guarded(app))
