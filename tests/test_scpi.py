"""The SCPI interpreter: forms, paths, units, errors and status, on a small imaginary instrument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wires.twin import Ieee488
from instruments.scpi import Command, Dialect, Interpreter, expand
from instruments.scpi_parameters import Boolean, ChannelList, Choice, Number, Text
from instruments.scpi_status import ScpiError

TABLE = Dialect(
    commands=(
        Command(
            "[SOURce:]VOLTage[:LEVel][:IMMediate][:AMPLitude]", "voltage_v", (Number("V", 0, "rated_v", 1.0),)
        ),
        Command("[SOURce:]VOLTage:PROTection[:LEVel]", "ovp_v", (Number("V", 0, 100, 100),)),
        Command("[SOURce:]CURRent", "current_a", (Number("A", 0, 10, 0),), run="check_current"),
        Command("[SOURce:]FREQuency", "frequency_hz", (Number("Hz", 0, 5e6),)),
        Command("OUTPut[:STATe]", "output", (Boolean(),)),
        Command("OUTPut:PROTection:CLEar", run="clear"),
        Command("FUNCtion", "function", (Choice(("VOLTage", "CURRent"), "VOLT"),)),
        Command("DISPlay:TEXT", "text", (Text(),)),
        Command("MEASure[:SCALar]:VOLTage[:DC]", query="measure"),
        Command("STATus:QUEStionable<n>:CONDition", query="questionable"),
        Command("SYSTem:ERRor[:NEXT]", query="next_error"),
    ),
    number=lambda value: f"{value:+.8E}",
    questionable_groups=2,
)


class Box:
    identification = "Maker,Box,1,2.0"
    rated_v = 60.0

    def __init__(self) -> None:
        self.cleared = self.resets = 0
        self.interpreter = Interpreter(TABLE, self)

    def say(self, message: str) -> str | None:
        answer = self.interpreter.execute(message.encode())
        return None if answer is None else answer.decode().removesuffix("\n")

    def check_current(self, current_a: float) -> None:
        if current_a > 5 and self.interpreter.settings["output"]:
            raise ScpiError(-221)

    def clear(self) -> None:
        self.cleared += 1

    def reset(self) -> None:
        self.resets += 1

    def measure(self) -> str:
        return "+1.25000000E+01"

    def questionable(self, group: int) -> str:
        if group not in (1, 2):
            raise ScpiError(-114)
        return str(group)

    def next_error(self) -> str:
        return self.interpreter.next_error()


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.mark.parametrize(
    "header",
    [
        "VOLT",
        "volt",
        "VOLTage",
        "SOUR:VOLT",
        "source:voltage:level",
        ":VOLT",
        "VOLT:IMM",
        "SOUR:VOLT:LEV:IMM:AMPL",
        "  VOLT",
    ],
)
def test_every_spelling_of_the_manual_is_understood(box: Box, header: str):
    box.say(f"{header} 12.5")

    assert box.say(f"{header}?") == "+1.25000000E+01"
    assert box.say("SYST:ERR?") == '+0,"No error"'


@pytest.mark.parametrize(
    "header", ["VOLTA", "VOL", "VOLTAG", "SOURC:VOLT", "OUTP:PROT:CL", "VOLT:PROTE", "X"]
)
def test_nothing_between_short_and_long_form_is(box: Box, header: str):
    box.say(f"{header} 1")

    assert box.say("SYST:ERR?") == '-113,"Undefined header"'
    assert box.say("SYST:ERR?") == '+0,"No error"'


def test_expansion_is_short_and_long_with_and_without_optional_nodes():
    assert set(expand("OUTPut[:STATe]")) == {
        "OUTP",
        "OUTPUT",
        "OUTP:STAT",
        "OUTP:STATE",
        "OUTPUT:STAT",
        "OUTPUT:STATE",
    }


def test_a_semicolon_stays_at_the_node_and_a_colon_returns_to_the_root(box: Box):
    # VOLT:PROT leaves the path at VOLT, so LEV is VOLT:LEV; the colon is needed for CURR.
    assert box.say("VOLT:PROT 80;LEV 7;:CURR 3;:VOLT?;:VOLT:PROT?;:CURR?") == (
        "+7.00000000E+00;+8.00000000E+01;+3.00000000E+00"
    )


def test_common_commands_leave_the_path_alone(box: Box):
    assert box.say("VOLT:PROT 80;*OPC?;PROT?") == "1;+8.00000000E+01"


def test_a_blank_after_the_semicolon_is_really_sent_by_clients(box: Box):
    box.say(":VOLT 2; :CURR 1")

    assert box.say("CURR?") == "+1.00000000E+00"


@pytest.mark.parametrize(
    ("text", "volts"),
    [
        ("5", 5),
        ("5V", 5),
        ("5 V", 5),
        ("500mV", 0.5),
        ("500 MV", 0.5),
        ("0.005kV", 5),
        ("1e1", 10),
        ("+.5E1", 5),
        ("MAX", 60),
        ("minimum", 0),
        ("DEF", 1),
    ],
)
def test_numbers_with_units_and_words(box: Box, text: str, volts: float):
    box.say(f"VOLT {text}")

    assert box.interpreter.settings["voltage_v"] == pytest.approx(volts)


def test_m_is_milli_except_for_hertz(box: Box):
    box.say("FREQ 1MHZ")

    assert box.interpreter.settings["frequency_hz"] == 1e6


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("VOLT 60.1", -222),
        ("VOLT -0.1", -222),
        ("VOLT 5A", -131),
        ("VOLT five", -104),
        ("VOLT", -109),
        ("VOLT 1,2", -108),
        ("FUNC POW", -224),
        ("OUTP maybe", -224),
        ("OUTP 5V", -224),
        ("MEAS:VOLT? 1", -108),
        ("VOLT 1e400", -222),
        ("DISP:TEXT hello", -104),
        ("MEAS:VOLT", -113),
        ("OUTP:PROT:CLE?", -113),
        ("OUTP:PROT:CLE 1", -108),
        ("STAT:QUES3:COND?", -114),
        ("VOLT? LOW", -108),
        ("*FOO", -113),
        ("&", -102),
        ("*SRE 256", -222),
    ],
)
def test_refusals_have_the_standard_number(box: Box, message: str, error: int):
    box.say(message)

    assert str(box.say("SYST:ERR?")).startswith(f"{error},")


def test_a_refused_value_leaves_the_setting(box: Box):
    box.say("VOLT 12")
    box.say("VOLT 61")

    assert box.say("VOLT?") == "+1.20000000E+01"


def test_a_limit_may_depend_on_state_and_the_twin_may_object(box: Box):
    box.say("OUTP ON;:CURR 6")
    assert box.say("SYST:ERR?") == '-221,"Settings conflict"'

    box.say("OUTP OFF;:CURR 6")
    assert box.say("CURR?") == "+6.00000000E+00"


def test_limits_are_answered(box: Box):
    assert box.say("VOLT? MAX") == "+6.00000000E+01"
    assert box.say("CURR? MIN;CURR? DEF") == "+0.00000000E+00;+0.00000000E+00"


def test_booleans_take_words_and_numbers(box: Box):
    states = []
    for text in ("ON", "0", "1", "off", "2", "0.4"):
        box.say(f"OUTP {text}")
        states.append(box.say("OUTP?"))

    assert states == ["1", "0", "1", "0", "1", "0"]


def test_strings_may_hold_separators(box: Box):
    box.say("""DISP:TEXT "a;b,c";:VOLT 3""")

    assert box.say("DISP:TEXT?;:VOLT?") == '"a;b,c";+3.00000000E+00'


def test_a_suffix_left_out_is_one(box: Box):
    assert box.say("STAT:QUES:COND?;:STAT:QUES2:COND?") == "1;2"


def test_a_command_error_ends_the_message_and_an_execution_error_does_not(box: Box):
    box.say("VOLT 2;:NONSENSE 1;:CURR 1")
    assert box.say("VOLT?;CURR?") == "+2.00000000E+00;+0.00000000E+00"

    box.say("VOLT 99;:CURR 1")
    assert box.say("VOLT?;CURR?") == "+2.00000000E+00;+1.00000000E+00"


def test_errors_queue_oldest_first_and_overflow_says_so(box: Box):
    for _ in range(25):
        box.say("VOLT 99")
    box.say("X")

    answers = [box.say("SYST:ERR?") for _ in range(21)]

    assert answers[0] == '-222,"Data out of range"'
    assert answers[19] == '-350,"Queue overflow"'
    assert answers[20] == '+0,"No error"'


def test_standard_events_latch_until_read(box: Box):
    assert box.say("*ESR?") == "128"  # power on

    box.say("X")
    box.say("VOLT 99")

    assert box.say("*ESR?") == "48"  # command error 32, execution error 16
    assert box.say("*ESR?") == "0"


def test_the_status_byte_sums_up(box: Box):
    box.say("*CLS;*ESE 32;*SRE 32")
    assert box.say("*STB?") == "0"

    box.say("X")

    assert box.say("*STB?") == str(4 + 32 + 64)  # queue, standard event, service
    assert box.say("*OPC?;*STB?") == f"1;{4 + 16 + 32 + 64}"  # and a message is available
    box.say("*CLS")
    assert box.say("*STB?;*ESE?;*SRE?") == "0;32;32"


def test_questionable_events_latch_rising_bits(box: Box):
    group = box.interpreter.status.questionable[1]
    group.update(0b101)
    group.update(0)

    assert group.read_event() == 0b101
    assert group.read_event() == 0


def test_reset_restores_defaults_and_keeps_errors(box: Box):
    box.say("VOLT 20;:OUTP ON;:X")
    box.say("*RST")

    assert box.say("VOLT?;:OUTP?") == "+1.00000000E+00;0"
    assert box.resets == 1
    assert box.say("SYST:ERR?") == '-113,"Undefined header"'


def test_identification_and_operation_complete(box: Box):
    assert box.say("*IDN?") == "Maker,Box,1,2.0"
    assert box.say("*OPC?") == "1"
    box.say("*CLS;*OPC")
    assert box.say("*ESR?") == "1"


def test_trigger_is_the_same_from_the_bus_and_as_a_message(box: Box):
    box.trigger = lambda: setattr(box, "cleared", box.cleared + 1)  # type: ignore[attr-defined]

    box.say("*TRG")
    box.interpreter.trigger()

    assert box.cleared == 2
    assert box.say("SYST:ERR?") == '+0,"No error"'


def test_an_instrument_without_a_trigger_ignores_it_and_says_so(box: Box):
    box.say("*TRG")
    box.interpreter.trigger()

    assert [box.say("SYST:ERR?") for _ in range(3)] == [*2 * ['-211,"Trigger ignored"'], '+0,"No error"']


def test_the_bus_reads_the_status_byte_without_a_message(box: Box):
    box.say("*CLS;*ESE 4;*SRE 32")
    assert isinstance(box.interpreter, Ieee488)
    assert box.interpreter.status_byte(message_available=False) == 0
    assert box.interpreter.status_byte(message_available=True) == 16

    box.interpreter.query_error(-410)

    assert box.interpreter.status_byte(message_available=False) == 4 + 32 + 64  # queue, query error, service
    assert box.say("SYST:ERR?") == '-410,"Query INTERRUPTED"'


def test_device_clear_leaves_settings_and_errors(box: Box):
    box.say("VOLT 12;:X")

    box.interpreter.device_clear()

    assert box.say("VOLT?;:SYST:ERR?") == '+1.20000000E+01;-113,"Undefined header"'


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("STAT:QUES" + "1" * 5000 + ":COND?", -114),
        ("VOLT " + "1" * 400_000 + "!", -104),
        ("VOLT" + " " * 400_000, -109),
        (";" * 400_000 + "X", -113),
        ("VOLT 1" + "," * 400_000, -108),
        ("'" * 400_001, -102),
        ("A" * 400_000 + "&", -102),
    ],
    ids=["suffix", "digits", "blanks", "semicolons", "commas", "quotes", "letters"],
)
def test_long_nonsense_is_refused_in_time_that_grows_with_its_length(box: Box, message: str, error: int):
    # What grows with the square of the length would take minutes to hours here, and everyone would wait.
    box.say(message)

    assert str(box.say("SYST:ERR?")).startswith(f"{error},")


@given(st.binary(max_size=60))
def test_no_bytes_break_it(data: bytes):
    answer = Box().interpreter.execute(data)

    assert answer is None or answer.endswith(b"\n")


@given(st.floats(0, 60))
def test_what_is_written_is_what_is_read(volts: float):
    box = Box()

    box.say(f"VOLT {volts:.6f}")

    assert float(str(box.say("VOLT?"))) == pytest.approx(volts, abs=1e-6)


class Scanner:
    """An imaginary one with channels 101 to 103 and 201, in two dialects."""

    identification = "Maker,Scanner,1,1.0"
    known = (101, 102, 103, 201)
    commands = (
        Command("SOURce:VOLTage", parameters=(Number("V", 0, 6), ChannelList("known")), run="put"),
        Command("MEASure:VOLTage", query="get"),
        Command("ROUTe:CLOSe", parameters=(ChannelList("known"),), run="close"),
        Command("SYSTem:ERRor", query="next_error"),
    )

    def __init__(self, **how: object) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.interpreter = Interpreter(Dialect(self.commands, number=str, **how), self)

    def say(self, message: str) -> str | None:
        answer = self.interpreter.execute(message.encode())
        return None if answer is None else answer.decode().removesuffix("\n")

    def put(self, *values: object) -> None:
        self.calls.append(values)

    close = put

    def get(self, channels: str = "(@101)") -> str:
        return ",".join(map(str, ChannelList("known").read(channels, self)))

    def next_error(self) -> str:
        return self.interpreter.next_error()


@pytest.mark.parametrize(
    ("message", "channels"),
    [
        ("ROUT:CLOS (@101)", (101,)),
        ("ROUT:CLOS (@101,103)", (101, 103)),
        ("ROUT:CLOS(@103 , 101)", (103, 101)),
        ("ROUT:CLOS (@ 102:201 )", (102, 103, 201)),
        ("ROUT:CLOS (@201,103:101)", (201, 103, 102, 101)),
        ("ROUT:CLOS (@101,101)", (101, 101)),
    ],
)
def test_a_channel_list_names_channels_and_ranges(message: str, channels: tuple[int, ...]):
    scanner = Scanner()

    scanner.say(message)

    assert scanner.calls == [(channels,)]
    assert scanner.say("SYST:ERR?").startswith("+0")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("ROUT:CLOS @(101)", -171),
        ("ROUT:CLOS (@)", -171),
        ("ROUT:CLOS (@101", -171),
        ("ROUT:CLOS (@101,)", -171),
        ("ROUT:CLOS (@101:102:103)", -171),
        ("ROUT:CLOS 101", -171),
        ("ROUT:CLOS (@104)", -222),
        ("ROUT:CLOS (@101:104)", -222),
        ("ROUT:CLOS (@99999999999)", -171),
        ("ROUT:CLOS", -109),
    ],
)
def test_what_is_no_list_of_its_channels_is_declined(message: str, code: int):
    scanner = Scanner()

    scanner.say(message)

    assert scanner.calls == []
    assert scanner.say("SYST:ERR?").startswith(f"{code},")


def test_a_list_is_one_argument_and_what_follows_it_is_read_too():
    scanner = Scanner()

    assert scanner.say("MEAS:VOLT? (@101,102);:ROUT:CLOS (@103);:MEAS:VOLT?(@201)") == "101,102;201"
    assert scanner.calls == [((103,),)]


@pytest.mark.parametrize("message", ["SOUR:VOLT 3.7(@101,102)", "SOUR:VOLT 3.7 (@101,102)"])
def test_a_list_glued_to_a_value_is_understood_where_the_dialect_says_so(message: str):
    strict, loose = Scanner(), Scanner(glued_lists=True)

    strict.say(message)
    loose.say(message)
    loose.say("SOUR:VOLT 1.5,(@201)")

    assert strict.say("SYST:ERR?").startswith("-109,")
    assert loose.calls == [(3.7, (101, 102)), (1.5, (201,))]


def test_a_dialect_has_its_own_errors_for_the_wrong_form():
    scanner = Scanner(no_query=-115, no_command=-116)

    scanner.say("ROUT:CLOS?;")
    scanner.say("MEAS:VOLT 1")

    assert scanner.say("SYST:ERR?") == '-115,"Command cannot query"'
    assert scanner.say("SYST:ERR?") == '-116,"Command must query"'


def test_one_method_serves_many_headers_and_a_family_has_common_commands_of_its_own():
    class Meter:
        identification = "Maker,Meter,1,1.0"

        def reset(self) -> None: ...

        def read(self, what: str, channel: str = "1") -> str:
            return f"{what}{channel}"

    table = Dialect(
        commands=(
            Command("MEASure:VOLTage", query="read", bound=("V",)),
            Command("MEASure:CURRent", query="read", bound=("A",)),
            Command("*LANG", "language", (Choice(("SCPI", "TSP"), "SCPI"),)),
        ),
        number=str,
    )
    interpreter = Interpreter(table, Meter())

    assert interpreter.execute(b"MEAS:VOLT?;CURR? 2;*LANG?") == b"V1;A2;SCPI\n"
    interpreter.execute(b"*LANG TSP;LANG SCPI;MEAS:VOLT? 1,2")
    assert interpreter.execute(b"*LANG?") == b"TSP\n"
    assert [error.code for error in interpreter.status.errors] == [-113]
    interpreter.execute(b"MEAS:VOLT? 1,2")
    assert interpreter.status.errors[-1].code == -108
