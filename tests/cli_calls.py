"""`bmsbench` called in the process of a test: exit code, both outputs, what its JSON says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bench.cli
from tests.tiny_suites import clean_environment


class Said:
    """What one call of `bmsbench` left."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def shown(self) -> dict:
        """Standard output as JSON."""
        return json.loads(self.out)

    @property
    def flags(self) -> set[str]:
        """Kinds of the flags in the JSON."""
        return {flag["kind"] for flag in self.shown["flags"]}


def caller(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path
) -> Callable[..., Said]:
    """A function that calls `bmsbench` in this process, in `folder`."""
    clean_environment(monkeypatch)
    monkeypatch.chdir(folder)

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["bmsbench", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            bench.cli.main()
        captured = capfd.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else int(bool(code)), captured.out, captured.err)

    return call
