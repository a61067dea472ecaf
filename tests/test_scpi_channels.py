"""SCPI of instruments with channels and states: leading channels, status groups, declined commands."""

from __future__ import annotations

import pytest

from instruments.scpi import Command, Dialect, Interpreter, status_commands
from instruments.scpi_parameters import Boolean, Channel, Number
from instruments.scpi_status import ScpiError, StatusGroup

CHANNELS = Dialect(
    commands=(
        Command("[SOURce<n>:]VOLTage", parameters=(Number("V", 0, 30),), run="set_voltage"),
        Command("OUTPut[:STATe]", parameters=(Channel(3), Boolean()), run="switch"),
        *status_commands("STATus:OPERation<n>", "operation"),
    ),
    number=str,
    missing_suffix=0,
    reset_settings=False,
)


class Three:
    """Three channels, of which the second is selected; locked until somebody unlocks it."""

    identification = "Maker,Three,1,2.0"
    selected_channel = 2
    locked = False

    def __init__(self) -> None:
        self.calls: list[tuple[float, ...]] = []
        self.groups = [StatusGroup(), StatusGroup()]
        self.interpreter = Interpreter(CHANNELS, self)

    def say(self, message: str) -> str | None:
        answer = self.interpreter.execute(message.encode())
        return None if answer is None else answer.decode().removesuffix("\n")

    def admit(self, command: Command) -> None:
        if self.locked:
            raise ScpiError(-221)

    def set_voltage(self, channel: int, voltage_v: float) -> None:
        self.calls.append((channel, voltage_v))

    def switch(self, channel: int, on: bool) -> None:
        self.calls.append((channel, on))

    def operation(self, group: int) -> StatusGroup:
        if group not in (0, 1, 2):
            raise ScpiError(-114)
        return self.groups[max(group, 1) - 1]

    def reset(self) -> None:
        self.calls.append(())


def test_a_channel_in_front_may_be_left_out_and_is_then_the_selected_one():
    three = Three()

    three.say("OUTP CH3,ON;:OUTP OFF")
    three.say("SOUR3:VOLT 5;:VOLT 6")

    # 0 for the suffix that is left out: this dialect asked for it.
    assert three.calls == [(3, True), (2, False), (3, 5.0), (0, 6.0)]


@pytest.mark.parametrize(
    ("message", "error"), [("OUTP CH4,ON", -224), ("OUTP CH1", -109), ("OUTP CH1,ON,1", -108)]
)
def test_a_channel_that_is_not_there_and_a_wrong_count_are_refused(message: str, error: int):
    three = Three()

    three.say(message)

    assert three.interpreter.next_error().startswith(f"{error},")
    assert three.calls == []


def test_a_twin_may_decline_commands_by_its_state_but_answers_queries():
    three = Three()
    three.locked = True

    three.say("VOLT 5")
    three.say("STAT:OPER:ENAB 1")

    assert three.calls == []
    assert three.interpreter.next_error() == '-221,"Settings conflict"'
    assert three.say("STAT:OPER:ENAB?") == "0"


def test_transition_filters_choose_which_changes_become_events():
    three = Three()
    three.say("STAT:OPER2:PTR 1;NTR 2;ENAB 2")
    group = three.groups[1]

    group.update(0b111)
    assert three.say("STAT:OPER2:COND?;EVEN?") == "7;1"  # bits 1 and 2 rose, but may not pass
    group.update(0)
    assert group.summary
    assert three.say("STAT:OPER2:EVEN?;PTR?;NTR?;ENAB?;COND?") == "2;1;2;2;0"
    assert three.say("STAT:OPER1:PTR?") == "65535"


def test_a_dialect_may_keep_its_settings_over_a_reset():
    three = Three()
    three.interpreter.settings["kept"] = 1

    three.say("*RST")

    assert three.interpreter.settings == {"kept": 1}
    assert three.calls == [()]
