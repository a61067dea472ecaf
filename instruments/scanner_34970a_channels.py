"""What is plugged into a 34970A or DAQ970A and wired to it: options, cards, and what a channel measures.

Accuracies: Agilent 34970A specifications, "percent of reading plus percent of range", as far as seen; the
rest are project defaults and say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bench.errors import StationInvalid
from instruments.accuracy import Accuracy, Band, Deviation
from instruments.points import UNITS, probe, split
from instruments.relay_contacts import RelayOptions

ACCURACY = {
    "dc_voltage": Accuracy(
        "V",
        (Band(full_scale=10.0, of_reading=3.5e-5, of_range=5e-6),),
        "Agilent 34970A specifications, examples 1 and 2: 10 V range, 1 year",
        "manual",
        of_reading_per_k=5e-6,
        of_range_per_k=1e-6,
    ),
    "dc_voltage_other_ranges": Accuracy(
        "V",
        (
            Band(full_scale=0.1, of_reading=5e-5, of_range=4e-5),
            Band(full_scale=1.0, of_reading=4e-5, of_range=7e-6),
            Band(full_scale=100.0, of_reading=4.5e-5, of_range=6e-6),
            Band(full_scale=300.0, of_reading=4.5e-5, of_range=3e-5),
        ),
        "no source seen: project default, of the size of the 10 V range",
        "unverified",
        of_reading_per_k=5e-6,
        of_range_per_k=1e-6,
    ),
    "thermocouple_k": Accuracy(
        "degC",
        (Band(full_scale=1200.0, of_reading=0.0, of_range=1.0 / 1200.0),),
        "no source seen: ±1 K with the reference junction of the card is a project default",
        "unverified",
    ),
}

RANGES_V = (0.1, 1.0, 10.0, 100.0, 300.0)
#: Additional noise by integration time, of range: HP 34970A User's Guide, DC operating characteristics
#: (10 cycles and more: none; from 1 cycle: 0.001 %; 600 readings per second: 0.01 %).
_NOISE = ((10.0, 0.0), (0.2, 1e-5), (0.0, 1e-4))
OVERLOAD = 9.9e37
#: Beyond this part of a range the instrument shows an overload.
_OVERRANGE = 1.2
#: Slope of a type K thermocouple near room temperature [V/K]: 41 µV/K. Its curve is not needed here.
_SEEBECK_V_PER_K = 41e-6

CardName = Literal["34901A", "34902A", "34903A", "34907A", "34908A"]


@dataclass(frozen=True, slots=True)
class Card:
    """Channels of a plug-in, counted from 1 within its slot."""

    multiplexer: range = range(0)
    relays: range = range(0)
    digital: range = range(0)
    analog_out: range = range(0)

    @property
    def channels(self) -> tuple[int, ...]:
        return (*self.multiplexer, *self.relays, *self.digital, *self.analog_out)


#: Sizes as these cards are sold; on a 34901A 21 and 22 measure current, on a 34907A 3 counts.
CARDS: dict[str, Card] = {
    "34901A": Card(multiplexer=range(1, 23)),
    "34902A": Card(multiplexer=range(1, 17)),
    "34903A": Card(relays=range(1, 21)),
    "34907A": Card(digital=range(1, 4), analog_out=range(4, 6)),
    "34908A": Card(multiplexer=range(1, 41)),
}


class Wiring(BaseModel):
    """What a channel is wired to: a point of the bench, and through which divider or shunt.

    The channel sees the value of the point divided by `scale`; the driver multiplies it in again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    point: str
    scale: Annotated[float, Field(gt=0)] = 1.0

    @property
    def is_thermocouple(self) -> bool:
        return self.point.startswith("temperature_degc")

    @property
    def unit(self) -> str:
        """Of the point."""
        return UNITS[self.point.partition("[")[0]]


def _or_a_point_alone(schema: dict[str, Any]) -> None:
    """For editors: a channel may also be the name of its point and nothing else."""
    schema["additionalProperties"] = {"anyOf": [{"type": "string"}, schema["additionalProperties"]]}


class Daq970aOptions(RelayOptions):
    """The `[roles.<name>.options]` table of a 34970A, 34972A or DAQ970A.

    Parameters
    ----------
    channels
        Channel (slot x 100 + number) to the point it is wired to: `"101" = "cell_v[0]"`, or
        `"103" = {point = "pack_v", scale = 10.0}` behind a divider by ten.
    relays
        Fault to channel of a relay card.
    cards
        Slot to card, where it is not the usual one: 34901A below wired channels, 34903A below relays, else
        34901A, 34903A and 34907A in slots 1 to 3.
    cells
        Cells of the DUT. When all of them are wired they make one trace `cell_v`, else one for each.
    model
        What the twin says that it is.
    interface
        On "rs232" answers end with CR LF.
    nplc
        Integration time of each reading, in periods of the mains: 0.02, 0.2, 1, 2, 10, 20, 100 or 200; the
        instrument takes the next longer one.
    line_hz
        Frequency of the mains [Hz].
    channel_s
        Time from one channel to the next beside the integration [s]: relays, settling. Project default, so
        that a scan at 0.02 periods comes to about 60 channels a second.
    contact_v, contact_a
        Rating of a relay card's contact [V], [A]. Project defaults.
    rated_v, rated_a
        Most at an input [V], and into it [A]. Project defaults.
    latency_s
        What it takes to answer [s]. Project default.
    """

    channels: dict[int, Wiring] = Field(default_factory=dict, json_schema_extra=_or_a_point_alone)
    relays: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    cards: dict[int, CardName] = Field(default_factory=dict)
    cells: Annotated[int, Field(ge=1)] | None = None
    model: Literal["34970A", "DAQ970A"] = "34970A"
    interface: Literal["gpib", "rs232", "lan"] = "gpib"
    nplc: Annotated[float, Field(ge=0.02, le=200.0)] = 1.0
    line_hz: Literal[50, 60] = 50
    channel_s: Annotated[float, Field(ge=0)] = 0.015
    contact_v: Annotated[float, Field(gt=0)] = 300.0
    contact_a: Annotated[float, Field(gt=0)] = 1.0
    rated_v: Annotated[float, Field(gt=0)] = 300.0
    rated_a: Annotated[float, Field(gt=0)] = 1.0
    latency_s: Annotated[float, Field(ge=0)] = 0.002

    @field_validator("channels", mode="before")
    @classmethod
    def _points_alone(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {key: {"point": value} if isinstance(value, str) else value for key, value in given.items()}

    @field_validator("channels")
    @classmethod
    def _points_exist(cls, channels: dict[int, Wiring]) -> dict[int, Wiring]:
        for number, wiring in channels.items():
            try:
                split(f"channels {number}", wiring.point)
            except StationInvalid as error:
                raise ValueError(str(error)) from None
        points = [wiring.point for wiring in channels.values()]
        if len(set(points)) < len(points):
            raise ValueError("expected each point on one channel, found one twice")
        return channels

    @model_validator(mode="after")
    def _channels_exist(self) -> Daq970aOptions:
        cards = {slot: CARDS[name] for slot, name in self.plugged().items()}
        for number in self.channels:
            if number % 100 not in cards.get(number // 100, Card()).multiplexer:
                raise ValueError(f"expected a multiplexer channel such as 101, found {number}")
        for fault, number in self.relays.items():
            if number % 100 not in cards.get(number // 100, Card()).relays:
                raise ValueError(f"expected a relay channel such as 201 for {fault}, found {number}")
        return self

    def plugged(self) -> dict[int, CardName]:
        """Slot to card."""
        found: dict[int, CardName] = {1: "34901A", 2: "34903A", 3: "34907A"}
        found.update({number // 100: "34901A" for number in self.channels})
        found.update({number // 100: "34903A" for number in self.relays.values()})
        return {slot: card for slot, card in {**found, **self.cards}.items() if 1 <= slot <= 3}


@dataclass(slots=True)
class Setting:
    """How a channel is set to measure."""

    function: str = "VOLT"
    range: float = 0.0
    """0: the instrument chooses."""
    nplc: float = 1.0
    resolution: float = 0.0
    bandwidth: float = 20.0
    transducer: str = "TC"
    thermocouple: str = "J"
    reference: str = "INT"
    fixed_degc: float = 0.0
    check: bool = False
    delay_s: float = 0.0
    automatic_delay: bool = True
    four_wire: bool = False
    gain: float = 1.0
    offset: float = 0.0
    scaled: bool = False
    label: str = "VDC"
    low: float = 0.0
    high: float = 0.0
    low_on: bool = False
    high_on: bool = False
    zero: bool = True
    impedance: bool = False


_UNITS = {
    "VOLT": "VDC",
    "VOLT:AC": "VAC",
    "CURR": "ADC",
    "CURR:AC": "AAC",
    "RES": "OHM",
    "FRES": "OHM",
    "FREQ": "HZ",
    "PER": "SEC",
}


@dataclass(slots=True)
class Inputs:
    """The inputs of the multiplexers: what is behind each channel, and how the instrument errs.

    Parameters
    ----------
    terminal
        Has what the wired points need, see `instruments.points.probe`.
    options
        Which channel is wired to what.
    seed
        Of the errors.
    """

    terminal: Any
    options: Daq970aOptions
    seed: int
    _probes: dict[int, Callable[[], float]] = field(init=False)
    _errors: dict[float, Deviation] = field(init=False)
    _junction_k: dict[int, float] = field(init=False)
    _generator: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        generator = self._generator = np.random.default_rng(self.seed)
        self._probes = {
            number: probe(f"options of the scanner, channel {number}", self.terminal, wiring.point)
            for number, wiring in self.options.channels.items()
        }
        self._errors = {
            full_scale: Deviation.within(_table(full_scale), generator, full_scale=full_scale)
            for full_scale in RANGES_V
        }
        # The temperature of a card's terminals is not quite what its sensor says: half the error stays.
        limit_k = ACCURACY["thermocouple_k"].limit(0.0)
        self._junction_k = {slot: 0.5 * limit_k * generator.uniform(-1.0, 1.0) for slot in (1, 2, 3)}

    def measure(self, number: int, setting: Setting) -> tuple[float, str]:
        """What channel `number` reads now, and its unit; `OVERLOAD` beyond the range."""
        if setting.function == "TEMP":
            return self._temperature(number, setting), "C"
        unit = _UNITS[setting.function]
        if setting.function == "VOLT":
            return self._voltage(number, setting), unit
        # No more than direct voltage is wired: an open resistance, and silence on everything else.
        return OVERLOAD if setting.function in ("RES", "FRES") else 0.0, unit

    def _voltage(self, number: int, setting: Setting) -> float:
        actual_v = self._actual_v(number)
        fits = [limit for limit in RANGES_V if abs(actual_v) <= _OVERRANGE * limit]
        if setting.range:
            fits = [limit for limit in RANGES_V if limit >= setting.range * (1.0 - 1e-9)]
        full_scale = fits[0] if fits else RANGES_V[-1]
        if abs(actual_v) > _OVERRANGE * full_scale:
            return float(np.copysign(OVERLOAD, actual_v))
        noise_v = noise_of_range(setting.nplc) * full_scale / 3.0 * self._generator.standard_normal()
        return self._errors[full_scale].read(actual_v) + float(noise_v)

    def _actual_v(self, number: int) -> float:
        """Voltage at the input [V]; an open one is pulled to zero by the meter's 10 Mohm."""
        if number not in self._probes:
            return 0.0
        wiring = self.options.channels[number]
        value = self._probes[number]()
        if wiring.is_thermocouple:
            return (value - self._terminals_degc(number)) * _SEEBECK_V_PER_K
        return value / wiring.scale

    def _temperature(self, number: int, setting: Setting) -> float:
        wiring = self.options.channels.get(number)
        # A thermocouple function on volts, or on nothing, is beyond its table.
        if wiring is None or not wiring.is_thermocouple or setting.transducer != "TC":
            return OVERLOAD
        degc = self._probes[number]()
        if setting.reference == "FIX":
            # The meter adds a junction that is not there: it is at the card's temperature.
            degc += setting.fixed_degc - self._terminals_degc(number)
        limit_k = ACCURACY["thermocouple_k"].limit(0.0)
        noise_k = limit_k / 12.0 * float(self._generator.standard_normal())
        return degc + self._junction_k[number // 100] + min(max(noise_k, -0.5 * limit_k), 0.5 * limit_k)

    def _terminals_degc(self, number: int) -> float:
        """Temperature of the card's terminals [°C]: a little above a room of 23 °C."""
        return 25.0 + self._junction_k[number // 100]

    def junction(self, number: int) -> float:
        """What the sensor of the card says of its terminals [°C]."""
        return self._terminals_degc(number) - self._junction_k[number // 100]


def noise_of_range(nplc: float) -> float:
    """Additional noise at an integration time, relative to the range (3 sigma)."""
    return next(noise for least, noise in _NOISE if nplc >= least)


def uncertainty_v(full_scale: float, nplc: float, most_v: float) -> float:
    """Expanded uncertainty (k = 2) [V] of readings up to `most_v` [V] in the range `full_scale` [V]."""
    limit_v = _table(full_scale).limit(min(most_v, full_scale), full_scale=full_scale)
    return float(2.0 / np.sqrt(3.0) * (limit_v + noise_of_range(nplc) * full_scale))


def _table(full_scale: float) -> Accuracy:
    return ACCURACY["dc_voltage" if full_scale == 10.0 else "dc_voltage_other_ranges"]
