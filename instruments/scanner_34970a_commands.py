"""SCPI of the 34970A, 34972A and DAQ970A: the table of commands, and words that its twin reads itself.

Headers: the command list at the end of GitHub AnnaGiasson/PythonEquipmentDrivers, agilent_34972a.py, and what
PyPI daqmon 0.1.1 sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from instruments.scpi import Command, Dialect
from instruments.scpi_parameters import Boolean, ChannelList, Choice, Number, Text
from instruments.scpi_status import ScpiError

INTEGRATIONS = (0.02, 0.2, 1.0, 2.0, 10.0, 20.0, 100.0, 200.0)
_SOURCES = Choice(("BUS", "IMMediate", "EXTernal", "ALARm1", "ALARm2", "ALARm3", "ALARm4", "TIMer"), "IMM")


@dataclass(frozen=True, slots=True)
class AsSent:
    """A parameter that the twin reads itself, because what follows decides what it is."""

    def read(self, text: str, twin: Any) -> str:
        return text

    def write(self, value: str, style: Any) -> str:
        return value


#: Name of a field of `Setting` to the type of its parameter.
FIELDS: dict[str, Any] = {
    "nplc": Number("", 0.02, 200.0, 1.0),
    "range": Number("", 0.0, 1e9, 0.0),
    "auto": Boolean(True),
    "resolution": Number("", 0.0, 1e9, 0.0),
    "bandwidth": Number("Hz", 3.0, 200.0, 20.0),
    "transducer": Choice(("TCouple", "RTD", "FRTD", "THERmistor"), "TC"),
    "thermocouple": Choice(("B", "E", "J", "K", "N", "R", "S", "T"), "J"),
    "reference": Choice(("INTernal", "EXTernal", "FIXed"), "INT"),
    "fixed_degc": Number("", -20.0, 80.0, 0.0),
    "check": Boolean(),
    "delay_s": Number("s", 0.0, 60.0, 0.0),
    "automatic_delay": Boolean(True),
    "four_wire": Boolean(),
    "gain": Number("", -1e15, 1e15, 1.0),
    "offset": Number("", -1e15, 1e15, 0.0),
    "scaled": Boolean(),
    "label": Text("VDC"),
    "low": Number("", -1e15, 1e15, 0.0),
    "high": Number("", -1e15, 1e15, 0.0),
    "low_on": Boolean(),
    "high_on": Boolean(),
    "zero": Boolean(True),
    "impedance": Boolean(),
    "function": Text("VOLT"),
}
_SENT = AsSent()


def _per_channel(header: str, name: str) -> Command:
    """A setting that each channel has of its own: a value and a channel list; the query wants the list."""
    return Command(
        header, parameters=(_SENT, _SENT), required=1, run="set_field", query="ask_field", bound=(name,)
    )


def _functions() -> list[Command]:
    rows = []
    for header, function in (
        ("VOLTage[:DC]", "VOLT"),
        ("VOLTage:AC", "VOLT:AC"),
        ("CURRent[:DC]", "CURR"),
        ("CURRent:AC", "CURR:AC"),
        ("RESistance", "RES"),
        ("FRESistance", "FRES"),
        ("FREQuency", "FREQ"),
        ("PERiod", "PER"),
        ("TEMPerature", "TEMP"),
    ):
        rows += [
            Command(
                f"CONFigure:{header}", parameters=(_SENT,) * 5, required=1, run="configure", bound=(function,)
            ),
            Command(f"MEASure:{header}", query="measure", bound=(function,)),
        ]
        if function in ("VOLT", "CURR", "RES", "FRES", "TEMP"):
            rows.append(_per_channel(f"[SENSe:]{header}:NPLC", "nplc"))
        if function in ("VOLT", "VOLT:AC", "CURR", "CURR:AC", "RES", "FRES"):
            rows.append(_per_channel(f"[SENSe:]{header}:RANGe", "range"))
            rows.append(_per_channel(f"[SENSe:]{header}:RANGe:AUTO", "auto"))
            rows.append(_per_channel(f"[SENSe:]{header}:RESolution", "resolution"))
        if function in ("VOLT:AC", "CURR:AC"):
            rows.append(_per_channel(f"[SENSe:]{header}:BANDwidth", "bandwidth"))
    return rows


def _group(header: str, group: str) -> list[Command]:
    enable = (Number("", 0, 32767, integer=True),)
    return [
        Command(f"STATus:{header}:CONDition", group=group, register="condition"),
        Command(f"STATus:{header}[:EVENt]", group=group, register="event"),
        Command(f"STATus:{header}:ENABle", parameters=enable, group=group, register="enable"),
    ]


DIALECT = Dialect(
    commands=(
        *_functions(),
        *_group("OPERation", "operation"),
        *_group("QUEStionable", "questionable"),
        Command("CONFigure", query="configuration"),
        Command("CONFigure:DIGital:BYTE", parameters=(_SENT,), run="check_digital"),
        Command("CONFigure:TOTalize", parameters=(_SENT,) * 2, required=1, run="check_digital"),
        _per_channel("[SENSe:]FUNCtion", "function"),
        _per_channel("[SENSe:]TEMPerature:TRANsducer:TYPE", "transducer"),
        _per_channel("[SENSe:]TEMPerature:TRANsducer:TCouple:TYPE", "thermocouple"),
        _per_channel("[SENSe:]TEMPerature:TRANsducer:TCouple:CHECk", "check"),
        _per_channel("[SENSe:]TEMPerature:TRANsducer:TCouple:RJUNction:TYPE", "reference"),
        _per_channel("[SENSe:]TEMPerature:TRANsducer:TCouple:RJUNction[:FIXed]", "fixed_degc"),
        Command("[SENSe:]TEMPerature:RJUNction", query="junctions"),
        _per_channel("[SENSe:]ZERO:AUTO", "zero"),
        _per_channel("INPut:IMPedance:AUTO", "impedance"),
        _per_channel("CALCulate:SCALe:GAIN", "gain"),
        _per_channel("CALCulate:SCALe:OFFSet", "offset"),
        _per_channel("CALCulate:SCALe:STATe", "scaled"),
        _per_channel("CALCulate:SCALe:UNIT", "label"),
        _per_channel("CALCulate:LIMit:LOWer", "low"),
        _per_channel("CALCulate:LIMit:UPPer", "high"),
        _per_channel("CALCulate:LIMit:LOWer:STATe", "low_on"),
        _per_channel("CALCulate:LIMit:UPPer:STATe", "high_on"),
        _per_channel("ROUTe:CHANnel:DELay", "delay_s"),
        _per_channel("ROUTe:CHANnel:DELay:AUTO", "automatic_delay"),
        _per_channel("ROUTe:CHANnel:FWIRe", "four_wire"),
        Command("ROUTe:SCAN", parameters=(_SENT,), run="set_scan", query="scan_list"),
        Command("ROUTe:SCAN:SIZE", query="scan_size"),
        Command("ROUTe:CLOSe", parameters=(ChannelList("switches"),), run="close", query="closed"),
        Command("ROUTe:CLOSe:EXCLusive", parameters=(ChannelList("switches"),), run="close_alone"),
        Command("ROUTe:OPEN", parameters=(ChannelList("switches"),), run="open", query="opened"),
        Command("ROUTe:DONE", query="done"),
        Command("ROUTe:MONitor", parameters=(ChannelList("inputs"),), run="monitor", query="monitored"),
        Command("ROUTe:MONitor:STATe", "monitoring", (Boolean(),)),
        Command("ROUTe:MONitor:DATA", query="monitor_data"),
        Command("TRIGger:SOURce", "source", (_SOURCES,), run="check_idle"),
        Command("TRIGger:TIMer", "timer_s", (Number("s", 0.0, 359_999.0, 10.0),), run="check_idle"),
        Command("TRIGger:COUNt", parameters=(_SENT,), run="set_count", query="count"),
        Command("INITiate", run="initiate"),
        Command("ABORt", run="abort"),
        Command("READ", query="read"),
        Command("FETCh", query="fetch"),
        Command("R", query="take_block"),
        Command("DATA:POINts", query="points"),
        Command("DATA:REMove", query="remove"),
        Command("DATA:LAST", query="last"),
        Command("FORMat:READing:ALARm", "show_alarm", (Boolean(),)),
        Command("FORMat:READing:CHANnel", "show_channel", (Boolean(),)),
        Command("FORMat:READing:TIME", "show_time", (Boolean(),)),
        Command("FORMat:READing:TIME:TYPE", "time_type", (Choice(("ABSolute", "RELative"), "REL"),)),
        Command("FORMat:READing:UNIT", "show_unit", (Boolean(),)),
        Command("UNIT:TEMPerature", parameters=(_SENT, _SENT), required=1, run="set_unit", query="units"),
        Command("SOURce:VOLTage", parameters=(_SENT, _SENT), run="set_dac", query="dac"),
        Command("SOURce:DIGital:DATA[:BYTE]", parameters=(_SENT, _SENT), run="set_port"),
        Command("[SENSe:]DIGital:DATA[:BYTE]", query="port"),
        Command("INSTrument:DMM", "meter", (Boolean(True),)),
        Command("INSTrument:DMM:INSTalled", query="installed"),
        Command("DISPlay", "display", (Boolean(True),)),
        Command("DISPlay:TEXT", "text", (Text(),)),
        Command("DISPlay:TEXT:CLEar", run="nothing"),
        Command("STATus:PRESet", run="preset_status"),
        Command("SYSTem:ERRor[:NEXT]", query="next_error"),
        Command("SYSTem:CTYPe", query="card"),
        Command("SYSTem:CPON", parameters=(_SENT,), run="reset_cards"),
        Command("SYSTem:DATE", query="date"),
        Command("SYSTem:TIME", query="time"),
        Command("SYSTem:TIME:SCAN", query="scan_time"),
        Command("SYSTem:LFRequency", query="line_frequency"),
        Command("SYSTem:VERSion", query="version"),
        Command("SYSTem:PRESet", run="reset"),
        Command("SYSTem:LOCal", run="nothing"),
        Command("SYSTem:REMote", run="nothing"),
        Command("SYSTem:RWLock", run="nothing"),
    ),
    number=lambda value: f"{value:+.8E}",
    glued_lists=True,
)


def function_named(text: str) -> str:
    """`VOLT:DC` as the instrument says it, `VOLT`. Raises `ScpiError`."""
    word = text.upper().removesuffix(":DC")
    for name in ("VOLT:AC", "CURR:AC", "VOLT", "CURR", "FRES", "RES", "FREQ", "PER", "TEMP"):
        if word == name:
            return name
    raise ScpiError(-224)


def nplc_for(resolution: str, full_scale: float, twin: Any) -> float:
    """Integration time that a resolution needs, as a public 34972A driver lists it."""
    if resolution.upper() in ("DEF", "DEFAULT"):
        return 1.0
    steps = ((1e-4, 0.02), (1e-5, 0.2), (3e-6, 1.0), (2.2e-6, 2.0), (1e-6, 10.0), (8e-7, 20.0), (3e-7, 100.0))
    finest = 2.2e-7 * full_scale
    value = Number("", finest, 1e-4 * full_scale * 1e3).read(resolution, twin)
    if resolution.upper().startswith("MAX"):
        return 0.02
    relative = value / full_scale * (1.0 + 1e-9)
    return next((nplc for step, nplc in steps if relative >= step), 200.0)


def block(text: str) -> str:
    """A definite length block: `#210(@101,102)`."""
    return f"#{len(str(len(text)))}{len(text)}{text}"
