"""What a DMM6500 measures without its digitizer: the functions, their settings, and the rest of the panel.

Commands as public drivers send them (QCoDeS 0.58.0, Keithley_6500.py; pymeasure 0.16.0, keithleyDMM6500.py).
Settings are kept for every function; range, integration, offset and averaging act on a DC voltage, which is
what the transducer gives. No scanner card is in the slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from instruments.ranges import ranges_of
from instruments.scpi import Command, expand
from instruments.scpi_parameters import Boolean, Choice, Number, Text
from instruments.scpi_status import ScpiError


@dataclass(frozen=True, slots=True)
class Function:
    """One measuring function: its name as answered, header, unit and ranges; whether it has an NPLC."""

    name: str
    header: str
    unit: str
    ranges: tuple[float, ...] = ()
    integrates: bool = False


VOLTS = (0.1, 1.0, 10.0, 100.0, 1000.0)
_AMPERES = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 3.0, 10.0)
_OHMS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
FUNCTIONS = {
    function.name: function
    for function in (
        Function("VOLT:DC", "VOLTage[:DC]", "V", VOLTS, integrates=True),
        Function("VOLT:AC", "VOLTage:AC", "V", (0.1, 1.0, 10.0, 100.0, 750.0)),
        Function("CURR:DC", "CURRent[:DC]", "A", _AMPERES, integrates=True),
        Function("CURR:AC", "CURRent:AC", "A", (1e-4, *_AMPERES[2:])),
        Function("RES", "RESistance", "OHM", _OHMS, integrates=True),
        Function("FRES", "FRESistance", "OHM", _OHMS, integrates=True),
        Function("DIOD", "DIODe", "V", integrates=True),
        Function("CAP", "CAPacitance", "F", (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)),
        Function("TEMP", "TEMPerature", "C", integrates=True),
        Function("CONT", "CONTinuity", "OHM"),
        Function("FREQ:VOLT", "FREQuency[:VOLTage]", "HZ"),
        Function("PER:VOLT", "PERiod[:VOLTage]", "S"),
        Function("VOLT:DC:RAT", "VOLTage[:DC]:RATio", "", VOLTS, integrates=True),
    )
}
#: What these read when nothing is connected to them.
OPEN = ("RES", "FRES", "DIOD", "CAP", "TEMP", "CONT")
_SPELLED = {spelling: name for name, function in FUNCTIONS.items() for spelling in expand(function.header)}


@dataclass(frozen=True, slots=True)
class FunctionName(Text):
    """A quoted measuring function in any spelling; answered without quotes, as QCoDeS expects."""

    def read(self, text: str, twin: Any) -> str:
        name = _SPELLED.get(Text.read(self, text, twin).upper())
        if name is None:
            raise ScpiError(-224)
        return name

    def write(self, value: str, style: object) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Scans(Number):
    """How often a scan is repeated; 0 or INFinity until it is aborted, which is answered as 0."""

    def read(self, text: str, twin: Any) -> float:
        endless = text.upper() in ("0", "INF", "INFINITY")
        # Not super(): a class with slots is not the one that its methods were compiled in.
        return 0.0 if endless else Number.read(self, text, twin)


def _rows(function: Function) -> list[Command]:
    name, sense = function.name, f"[SENSe:]{function.header}"
    rows = [
        Command(f"MEASure:{function.header}", query="measure", bound=(name,)),
        Command(f"{sense}:RELative", f"{name} offset", (Number(function.unit, -1e9, 1e9),)),
        Command(f"{sense}:RELative:STATe", f"{name} offset on", (Boolean(),)),
        Command(f"{sense}:RELative:ACQuire", run="acquire_offset", bound=(name,)),
        Command(f"{sense}:AVERage[:STATe]", f"{name} average", (Boolean(),)),
        Command(
            f"{sense}:AVERage:TCONtrol", f"{name} filter", (Choice(("REPeat", "MOVing", "HYBRid"), "REP"),)
        ),
        Command(f"{sense}:AVERage:COUNt", f"{name} averaged", (Number("", 1, 100, 10, integer=True),)),
        Command(f"DISPlay:{function.header}:DIGits", f"{name} digits", (Number("", 3, 7, 6, integer=True),)),
    ]
    if function.ranges:
        ranges = ranges_of(function.unit, function.ranges, function.ranges[-1])
        rows += [
            Command(f"{sense}:RANGe[:UPPer]", f"{name} range", (ranges,), run="fix_range", bound=(name,)),
            Command(f"{sense}:RANGe:AUTO", f"{name} auto", (Boolean(True),)),
        ]
    if function.integrates:
        rows += [
            Command(f"{sense}:NPLCycles", f"{name} nplc", (Number("", 0.0005, "most_cycles", 1.0),)),
            Command(
                f"{sense}:APERture",
                parameters=(Number("s", "least_aperture_s", "most_aperture_s", "cycle_s"),),
                run="set_aperture",
                query="aperture",
                bound=(name,),
            ),
            Command(f"{sense}:AZERo[:STATe]", f"{name} zero", (Boolean(True),)),
        ]
    if name.endswith(":AC"):
        rows += [Command(f"{sense}:DETector:BANDwidth", f"{name} band", (ranges_of("HZ", (3, 30, 300), 3),))]
    if name in ("FREQ:VOLT", "PER:VOLT"):
        rows += [
            Command(f"{sense}:APERture", f"{name} aperture", (Number("s", 0.002, 0.273, 0.2),)),
            Command(f"{sense}:THReshold:RANGe", f"{name} threshold", (ranges_of("V", VOLTS, 10.0),)),
            Command(f"{sense}:THReshold:RANGe:AUTO", f"{name} threshold auto", (Boolean(True),)),
        ]
    if name == "DIOD":
        rows += [Command(f"{sense}:BIAS:LEVel", "bias_a", (Number("A", 1e-5, 0.01, 1e-3),))]
    return rows


_SCREENS = (
    "HOME HOME_LARGe READing_table HISTogram SWIPE_FUNCtions SWIPE_GRAPh SWIPE_SECondary SWIPE_SETTings "
    "SWIPE_STATistics SWIPE_USER SWIPE_CHANnel SWIPE_NONSwitch SWIPE_SCAN CHANNEL_CONTrol CHANNEL_SETTings "
    "CHANNEL_SCAN PROCessing"
)
_STIMULI = (
    *("NONE", "TIMer1", "TIMer2", "TIMer3", "TIMer4", "NOTify1", "NOTify2", "NOTify3"),
    *("DISPlay", "COMMand", "EXTernal"),
)
_PART = Number("", 0, 9999, integer=True)

COMMANDS = (
    Command("[SENSe:]FUNCtion[:ON]", "measured", (FunctionName("VOLT:DC"),), run="change_function"),
    *(row for function in FUNCTIONS.values() for row in _rows(function)),
    Command("[SENSe:]COUNt", "count_measured", (Number("", 1, 1_000_000, 1, integer=True),)),
    Command("[SENSe:]AZERo:ONCE", run="zero_once"),
    Command("READ", query="read"),
    Command("FETCh", query="fetch"),
    Command("*LANG", "language", (Choice(("SCPI", "TSP", "SCPI2000", "SCPI34401"), "SCPI"),)),
    Command("FORMat[:DATA]", "format", (Choice(("ASCii", "REAL", "SREal"), "ASC"),)),
    Command("ROUTe:TERMinals", query="terminals"),
    Command("ROUTe:SCAN:COUNt:SCAN", "scans", (Scans("", 1, 100_000_000, 1, integer=True),)),
    Command("ROUTe:SCAN:INTerval", "scan_s", (Number("s", 0.0, 999_999.999),)),
    Command(
        "TRIGger:TIMer<n>:DELay",
        parameters=(Number("s", 0.0, 1e6),),
        run="set_timer",
        query="timer",
        bound=("delay",),
    ),
    Command(
        "TRIGger:TIMer<n>:STARt:STIMulus",
        parameters=(Choice(_STIMULI),),
        run="set_timer",
        query="timer",
        bound=("stimulus",),
    ),
    Command(
        "DISPlay:LIGHt:STATe",
        "light",
        (Choice(("ON100", "ON75", "ON50", "ON25", "OFF", "BLACkout"), "ON50"),),
    ),
    Command("DISPlay:SCReen", parameters=(Choice(tuple(_SCREENS.split())),), run="show"),
    Command("DISPlay:CLEar", run="show"),
    Command("DISPlay:USER<n>:TEXT[:DATA]", parameters=(Text(),), run="show"),
    Command(
        "SYSTem:BEEPer[:IMMediate]", parameters=(Number("Hz", 20, 8000), Number("s", 0.001, 100)), run="show"
    ),
    Command("SYSTem:LFRequency", query="line_frequency"),
    Command("SYSTem:TIME", parameters=(_PART,) * 6, required=3, run="set_time", query="time"),
    Command("SYSTem:VERSion", query="version"),
    Command("SYSTem:CARD<n>:IDN", query="card"),
    Command("SYSTem:CARD<n>:VCHannel[:STARt]", query="card_number"),
    Command("SYSTem:CARD<n>:VCHannel:END", query="card_number"),
    Command("SYSTem:CARD<n>:VMAX", query="card_number"),
)
