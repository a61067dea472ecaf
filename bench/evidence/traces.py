"""Traces in a file: an `.npz` that `numpy.load` opens, with the same bytes for the same traces.

Members: `<name>.npy` holds the values, `time.<k>.npy` a time axis (shared by all traces sampled together),
`traces.json` the unit, origin, uncertainty and axis of each. Nothing is rounded and nothing is thinned out.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np

from bench.record import Floats, Origin, OriginKind, Trace

INDEX = "traces.json"

#: The earliest date that a zip can hold: the bytes must not depend on when they were written.
_DATE = (1980, 1, 1, 0, 0, 0)

#: Bytes from the middle of a member that decide whether it is worth compressing.
_PROBE = 32768


def pack_traces(traces: Mapping[str, Trace]) -> bytes:
    """Return the bytes of an `.npz` with every trace, by ascending name.

    Parameters
    ----------
    traces
        Traces by the name under which they are found again. Values of shape (time,) or (time, channels).

    Raises
    ------
    ValueError
        If a trace has not as many values as times.
    """
    axes: list[Floats] = []
    index: dict[str, dict[str, object]] = {}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(traces):
            trace = traces[name]
            if len(trace.t_s) != len(trace.value):
                raise ValueError(f"trace {name}: {len(trace.t_s)} times and {len(trace.value)} values")
            axis = next((k for k, known in enumerate(axes) if np.array_equal(known, trace.t_s)), len(axes))
            if axis == len(axes):
                axes.append(trace.t_s)
                _add(archive, f"time.{axis}.npy", _npy(trace.t_s))
            _add(archive, f"{name}.npy", _npy(trace.value))
            index[name] = {
                "name": trace.name,
                "unit": trace.unit,
                "time": axis,
                "origin": [trace.origin.kind, trace.origin.source],
                "uncertainty": trace.uncertainty if math.isfinite(trace.uncertainty) else None,
            }
        _add(archive, INDEX, json.dumps(index, sort_keys=True, ensure_ascii=False).encode())
    return target.getvalue()


class TraceFile(Mapping[str, Trace]):
    """The traces of one file, read one by one when they are asked for.

    Parameters
    ----------
    path
        A file of `pack_traces`, or None for no traces at all.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._index: dict[str, dict[str, object]] = {}
        if path is not None:
            with zipfile.ZipFile(path) as archive:
                self._index = json.loads(archive.read(INDEX))

    def __repr__(self) -> str:
        return f"TraceFile({self.path}, {', '.join(self._index) or 'empty'})"

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __getitem__(self, name: str) -> Trace:
        row = self._index[name]
        if self.path is None:
            raise KeyError(name)
        kind, source = cast("tuple[OriginKind, str]", row["origin"])
        uncertainty = row["uncertainty"]
        with zipfile.ZipFile(self.path) as archive:
            t_s = _array(archive, f"time.{row['time']}.npy")
            value = _array(archive, f"{name}.npy")
        return Trace(
            str(row["name"]),
            str(row["unit"]),
            t_s,
            value,
            Origin(kind, source),
            math.nan if uncertainty is None else float(cast("float", uncertainty)),
        )


def _npy(values: Floats) -> bytes:
    target = io.BytesIO()
    array = np.ascontiguousarray(values, dtype=np.float64)
    np.lib.format.write_array(target, array, version=(1, 0), allow_pickle=False)
    return target.getvalue()


def _array(archive: zipfile.ZipFile, member: str) -> Floats:
    found: Floats = np.lib.format.read_array(io.BytesIO(archive.read(member)), allow_pickle=False)
    return found


def _add(archive: zipfile.ZipFile, member: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(member, _DATE)
    entry.create_system = 3  # zipfile would write the machine's own
    entry.external_attr = 0o644 << 16
    # Noise of full resolution costs time to compress and gains nothing; quantised readings gain nine tenths.
    probe = data[len(data) // 2 :][:_PROBE]
    dense = len(zlib.compress(probe, 1)) > 0.6 * len(probe)
    archive.writestr(entry, data, zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED, compresslevel=1)
