"""`bmsbench check`: who answers on a station, with nothing energised."""

from __future__ import annotations

import json

from rich.table import Table

from bench.cli.program import AsJson, DutOption, StationOption, app, console


@app.command()
def check(
    station: StationOption = "emulated",
    dut: DutOption = "hd_lfp_24s",
    as_json: AsJson = False,
) -> None:
    """Read a station and a profile, open every instrument, say who answers, energise nothing."""
    from bench.station import Station
    from bench.station_file import load_station
    from dut_profiles.profile import load_profile

    file, profile = load_station(station), load_profile(dut)
    with Station(file, profile) as bench:
        rows = [
            {"role": name, "address": entry.address, "identity": bench.identities[name]}
            for name, entry in file.roles.items()
        ]
    if as_json:
        print(json.dumps({"station": file.name, "dut": profile.identity.model, "roles": rows}, indent=1))
    else:
        table = Table("role", "address", "identity", title=f"{file.name} with {profile.identity.model}")
        for row in rows:
            table.add_row(row["role"], row["address"], row["identity"])
        console().print(table)
