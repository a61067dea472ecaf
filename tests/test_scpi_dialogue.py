"""The host side of SCPI against scripted answers: what a driver may rely on, whatever is at the other end."""

from __future__ import annotations

import numpy as np
import pytest

from bench.clock import Clock
from bench.errors import InstrumentRefused, WireError
from bench.wires.transcript import Entry, Transcript
from bench.wires.twin import Reply
from bench.wires.visa import open_visa
from instruments.scpi_dialogue import Dialogue


class Script:
    """Answers each query with the next of its lines; keeps what it heard."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.answers, self.heard = answers, []

    def handle(self, message: bytes) -> Reply | None:
        self.heard.append(message.decode())
        lines = self.answers.get(message.decode())
        if not lines:
            return Reply(b'0,"No error"\n') if message == b"SYST:ERR?" else None
        return Reply(lines.pop(0).encode() + b"\n")


def dialogue(**answers: list[str]) -> Dialogue:
    script = Script({name.replace("_", ":") + "?": lines for name, lines in answers.items()})
    clock = Clock()
    wire = open_visa(
        "twin://x", clock=clock, role="charger", transcript=Transcript(), twin=script, probe=None
    )
    return Dialogue(wire, clock=clock, role="charger")


@pytest.mark.parametrize("empty", ['0,"No error"', '+0,"No error"', '0,"No error;0;0 0"', "+0  ,No Error"])
def test_every_makers_no_error_is_none(empty: str):
    dialogue(SYST_ERR=[empty]).tell("VOLT 1")


def test_all_errors_are_quoted_oldest_first():
    talk = dialogue(SYST_ERR=['-222,"Data out of range"', '-350,"Queue overflow"'])

    with pytest.raises(InstrumentRefused) as caught:
        talk.tell("VOLT 999")

    assert str(caught.value) == (
        'charger refused "VOLT 999" at 0.000 s: -222,"Data out of range"; -350,"Queue overflow"'
    )


def test_a_queue_that_never_empties_ends():
    talk = dialogue(SYST_ERR=['-100,"Command error"'] * 100)

    assert len(talk.errors()) == 30


def test_numbers_of_all_forms_and_beyond_the_range():
    talk = dialogue(MEAS=["+3.70000000E+00;-0.5,12", "9.90000000E+37;-9.9E37"])

    assert talk.numbers("MEAS?") == [3.7, -0.5, 12.0]
    assert np.isnan(talk.numbers("MEAS?")).all()


def test_text_where_a_number_belongs_is_a_wire_error():
    with pytest.raises(WireError, match="expected numbers"):
        dialogue(MEAS=["OVLD"]).numbers("MEAS?")


@pytest.mark.parametrize(("answer", "agrees"), [("50.02", True), ("50.2", False), ("ON", False), ("", False)])
def test_a_setting_is_confirmed_within_its_resolution(answer: str, agrees: bool):
    talk = dialogue(VOLT=[answer])

    if agrees:
        talk.confirm("VOLT?", 50.0, tolerance=0.05)
        return
    with pytest.raises(InstrumentRefused, match=r"expected 50.0 as the answer to 'VOLT\?'"):
        talk.confirm("VOLT?", 50.0, tolerance=0.05)


def test_silence_names_role_question_and_time():
    with pytest.raises(WireError, match=r'charger: no answer to "MEAS\?" at 2.000 s'):
        dialogue().ask("MEAS?")


def test_a_transcript_can_be_watched_as_it_grows():
    seen: list[Entry] = []
    transcript = Transcript(seen.append)

    transcript.add(1.5, "load", ">", bytearray(b"LOAD 0\n"))

    assert seen == [(1.5, "load", ">", b"LOAD 0\n")]
    assert str(seen[0]) == "1.500000 load > b'LOAD 0\\n'"
    assert len(transcript) == 1


def test_numbers_may_carry_their_units():
    talk = dialogue(MEAS_ARR=["48.12 V, -1.50 A, 72.2 W"], VOLT=["48.12 V"])

    assert talk.numbers("MEAS:ARR?", units=("V", "A", "W")) == [48.12, -1.5, 72.2]
    talk.confirm("VOLT?", 48.1, tolerance=0.03, unit="V")


@pytest.mark.parametrize("answer", ["48.12 A, 1.00 A", "48.12 V", "48.12 V, 1.00 A, 3 W"])
def test_other_units_or_another_count_is_a_wire_error(answer: str):
    with pytest.raises(WireError, match="expected numbers"):
        dialogue(MEAS_ARR=[answer]).numbers("MEAS:ARR?", units=("V", "A"))
