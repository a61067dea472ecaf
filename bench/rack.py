"""The emulated rack: a plant, an emulated BMS, and the terminals that twins act on.

One clock job advances the plant and then lets the BMS run its task, every 10 ms. Nothing else knows both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from bench.clock import VIRTUAL_EPOCH, Clock
from bench.emulated_bms.bms import EmulatedBms
from bench.emulated_bms.daly_front import DalyFront
from bench.emulated_bms.defects import Defect
from bench.emulated_bms.memory import Memory
from bench.errors import InvalidInput, StationInvalid
from bench.plant.ageing import Usage, aged, warmer_inside
from bench.plant.conditions import Conditions
from bench.plant.plant import Plant, PlantSpec
from bench.plant.spec import Outlier
from bench.wires.can import CanHub, TwinBus
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from dut_profiles.profile import Profile

TICK_S = 0.01

#: What is around a board: inputs that sense a voltage hang on the contactors' stand-ins, with a small
#: capacitor in the place of the bus. No supply but what an instrument feeds. Project defaults.
_BOARD: dict[str, Any] = {
    "board": True,
    "bus_capacitance_f": 10e-6,
    "bus_leak_ohm": 100e3,
    "supply_v": 0.0,
}

#: Twins and polls follow the physics of the same instant.
ORDER_PHYSICS, ORDER_POLL = -100, 60


@dataclass(frozen=True, slots=True)
class PackState:
    """The pack that a scenario wants to find.

    Parameters
    ----------
    soc
        State of charge at the start, 0..1.
    temperature_degc
        Of all cells and of the ambient [°C].
    known_soc
        What the BMS believes at the start; None: the truth.
    capacity_spread, resistance_spread, soc_spread
        Standard deviation between cells, relative (SOC: absolute).
    soc_of_cell
        Single cells that differ: index from 0 to SOC.
    years, usage, warmer_inside_k
        How long the pack has been in use, in which duty, and by how much the cells in the middle were warmer
        than those at the ends [K]. See `bench.plant.ageing`.
    outliers
        Single cells that differ in more: aged, weak, warm, leaking.
    """

    soc: float = 0.5
    temperature_degc: float = 25.0
    known_soc: float | None = None
    capacity_spread: float = 0.007
    resistance_spread: float = 0.03
    soc_spread: float = 0.0
    soc_of_cell: tuple[tuple[int, float], ...] = ()
    years: float = 0.0
    usage: Usage = field(default_factory=Usage)
    warmer_inside_k: float = 0.0
    outliers: tuple[Outlier, ...] = ()


class Rack:
    """Plant and emulated BMS on one clock.

    Parameters
    ----------
    profile
        The DUT that is emulated.
    clock
        A virtual clock.
    seed
        Of spread, noise and errors.
    pack
        The pack at the start.
    defects
        Applied to the BMS before its first task.
    board
        The DUT is the board of the BMS alone: there is no pack, and nothing feeds it but instruments.
    """

    def __init__(
        self,
        profile: Profile,
        clock: Clock,
        *,
        seed: int,
        pack: PackState,
        defects: Sequence[Defect] = (),
        board: bool = False,
    ) -> None:
        self.profile, self.clock = profile, clock
        spec = plant_spec(profile, pack, seed)
        self.plant = Plant(replace(spec, **_BOARD) if board else spec)
        self.memory = Memory()
        self.hub = CanHub(clock, bitrate=int(profile.communication.bitrate))
        self._node = self.hub.attach("dut", self._receive)
        self.bms = EmulatedBms(
            profile,
            self.plant.port,
            seed=seed,
            memory=self.memory,
            soc=pack.soc if pack.known_soc is None else pack.known_soc,
            rtc_ms=round((clock.utc - VIRTUAL_EPOCH).total_seconds() * 1000.0),  # what its stamps count from
            send=self._send,
        )
        for defect in defects:
            defect.apply(self.bms)
        clock.every(TICK_S, self._tick, name="plant and BMS", order=ORDER_PHYSICS)

    @property
    def conditions(self) -> Conditions:
        """What can be wrong inside the cells, by name; no instrument reaches it, a real rack has none."""
        return self.plant.conditions

    def terminal(self, where: str, names: str) -> Any:
        """The plant's terminal of that name; `a+b` gives an object with both as attributes.

        `where` says who asks, for the message.

        Raises
        ------
        StationInvalid
            If the plant has no such terminal.
        """
        found = {}
        for name in names.split("+"):
            try:
                found[name] = self.plant.terminal(name)
            except KeyError as error:
                raise StationInvalid(
                    where,
                    expected="twin:// and a terminal of the plant",
                    found=f"twin://{names} ({error.args[0]})",
                ) from error
        return SimpleNamespace(**found) if len(found) > 1 else found[names]

    def dut_partner(self) -> Any:
        """What is at the far end of the DUT's line: its CAN bus, or what answers on a serial line."""
        return self.hub if self.profile.communication.transport == "can" else DalyFront(self.bms)

    def dut_wire(self, transcript: Transcript) -> Any:
        """The host's end of the DUT's line."""
        if self.profile.communication.transport == "can":
            return TwinBus(self.hub, "host")
        baud, front = int(self.profile.communication.bitrate), self.dut_partner()
        return open_serial(
            "twin://dut", baud=baud, clock=self.clock, role="dut", transcript=transcript, twin=front
        )

    def _tick(self) -> None:
        self.plant.step(TICK_S)
        self.bms.tick()

    def _send(self, can_id: int, data: bytes) -> None:
        self._node.send(can_id, data)

    def _receive(self, _t_s: float, can_id: int, data: bytes) -> None:
        self.bms.receive(can_id, data)


def plant_spec(profile: Profile, pack: PackState, seed: int) -> PlantSpec:
    """The pack behind the emulated DUT: what the profile declares, and otherwise the plant's defaults."""
    thermistor, balancing = profile.thermistor, profile.balancing
    special = dict(pack.soc_of_cell)
    if not set(special) <= set(range(profile.pack.cells)):
        expected = f"cells below {profile.pack.cells}"
        raise InvalidInput("PackState.soc_of_cell", expected=expected, found=f"{sorted(special)}")
    new = PlantSpec(
        cells=profile.pack.cells,
        cell=profile.pack.cell,
        capacity_ah=profile.pack.capacity_ah,
        soc=pack.soc,
        soc_per_cell=tuple(special.get(cell, pack.soc) for cell in range(profile.pack.cells))
        if special
        else None,
        temperature_degc=pack.temperature_degc,
        ambient_degc=pack.temperature_degc,
        seed=seed,
        capacity_spread=pack.capacity_spread,
        resistance_spread=pack.resistance_spread,
        soc_spread=pack.soc_spread,
        outliers=pack.outliers,
        sensor_cells=tuple(profile.pack.sensor_cells),
        thermistor_r25_ohm=thermistor.r25_ohm,
        thermistor_beta_k=thermistor.beta_k,
        thermistor_pullup_ohm=thermistor.pullup_ohm,
        thermistor_reference_v=thermistor.reference_v,
        precharge_resistor_ohm=profile.precharge.resistor_ohm,
        break_rating_a=profile.switches.break_rating_a,
        bleed_current_a=balancing.current_a,
        nominal_cell_v=balancing.nominal_cell_v,
    )
    if pack.years == 0.0:
        return new
    warmer_k = warmer_inside(new.cells, by_k=pack.warmer_inside_k)
    return aged(new, pack.usage, years=pack.years, seed=seed, warmer_k=warmer_k)
