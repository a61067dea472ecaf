"""What a sim serves, and where: printed by `bmsbench sim`, read by who connects to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Manifest:
    """One running sim.

    Parameters
    ----------
    station, dut
        Names of the station and of the profile it serves.
    pid
        Of the process.
    control
        `host:port` of its control line.
    addresses
        Role, or "dut", to the address that a client of the stand-in writes.
    connectors
        Further connectors of these boxes: `charger/modbus` to its address.
    """

    station: str
    dut: str
    pid: int
    control: str
    addresses: dict[str, str] = field(default_factory=dict)
    connectors: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str, where: str) -> Manifest:
        """Read one. Raises `InvalidInput` if `text`, found at `where`, is none."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise InvalidInput(
                where, expected="the JSON that `bmsbench sim --json` prints", found=f"{text[:60]!r} ({error})"
            ) from error

    @classmethod
    def of_file(cls, path: Path) -> Manifest:
        """Read the first line of a file. Raises `InvalidInput` if there is none."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InvalidInput(str(path), expected="a manifest of a sim", found=str(error)) from error
        return cls.of_json(lines[0] if lines else "", str(path))
