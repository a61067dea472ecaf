"""What a killed run leaves: a journal that grows line by line, and evidence that somebody else seals."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.errors import EvidenceInvalid
from bench.evidence import EvidenceWriter, Journal, interruption, load, seal_interrupted, verify
from bench.evidence.journal import Story
from bench.record import Event
from bench.verdict import Verdict, Window
from reports.rows import run_verdict
from tests import sample_evidence as sample
from tests.cli_calls import caller

HEADER = {
    "id": "OV-02",
    "nodeid": "test_overvoltage.py::test_ov_02",
    "title": "A cell above its limit opens the path",
    "clauses": ("IEC 62619:2022 8.2.2",),
    "parameters": {"soc": 0.5},
}
EVENT = Event(1.5, "stimulus", "charger 20 A", {"current_a": 20.0, "cell_v": np.array([3.3, np.nan])})
JUDGED = Window(0.0, 1.0, "s", what="charge path opens").judge(0.5)
REASON = "killed: no sign of life for 5.0 s"


def half_a_run(folder: Path) -> EvidenceWriter:
    """One scenario is stored, the next is under way."""
    writer = EvidenceWriter(folder, sample.run_info(), sample.PROFILE, sample.STATION)
    writer.scenario(sample.error_result())
    return writer


def journal_of(writer: EvidenceWriter, name: str = "OV-02") -> Journal:
    journal = Journal(writer.folder / f"journal/{name}.jsonl", HEADER)
    journal.event(EVENT)
    journal.exchange(2.0, "charger", ">", b"OUTP:STAT 1\n")
    journal.judgement(JUDGED)
    return journal


def test_each_line_is_with_the_operating_system_before_the_call_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal/XX-01.jsonl", HEADER)
    sizes = [journal.path.stat().st_size]

    for write in (
        lambda: journal.event(EVENT),
        lambda: journal.exchange(2.0, "charger", ">", b"\x00\xff"),
        lambda: journal.judgement(JUDGED),
    ):
        write()
        sizes.append(journal.path.stat().st_size)

    assert sizes == sorted(set(sizes))
    assert journal.path.read_bytes().count(b"\n") == 4


def test_a_journal_tells_what_it_was_told(tmp_path: Path) -> None:
    story = Story.read(journal_of(half_a_run(tmp_path)).path)

    assert story.header["clauses"] == ["IEC 62619:2022 8.2.2"]
    assert [(e.t_s, e.kind, e.text) for e in story.events] == [(1.5, "stimulus", "charger 20 A")]
    assert story.events[0].data == {"current_a": 20.0, "cell_v": [3.3, "nan"]}
    assert story.judgements == [JUDGED]
    assert story.exchanges == [
        {"t_s": 2.0, "role": "charger", "direction": ">", "data": b"OUTP:STAT 1\n".hex()}
    ]
    assert story.torn == 0


def test_a_journal_survives_the_kill_of_its_process(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from bench.evidence import Journal\n"
        "journal = Journal(Path(sys.argv[1]), {'id': 'XX-01'})\n"
        "for k in range(50): journal.exchange(k, 'charger', '>', b'MEAS:CURR?')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "journal/XX-01.jsonl"
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=60, check=False)

    assert done.returncode == -9
    assert [row["t_s"] for row in Story.read(path).exchanges] == list(range(50))


def test_a_scenario_that_ended_leaves_no_journal(tmp_path: Path) -> None:
    writer = half_a_run(tmp_path)
    journal = journal_of(writer)
    journal.remove()
    journal.event(EVENT)  # a straggler is no error
    writer.seal()

    verify(tmp_path)
    assert list(writer.folder.rglob("*.jsonl")) == [writer.folder / "chain.jsonl"]


def test_a_full_disk_stops_the_journal_at_a_whole_line_and_nobody_who_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_of(half_a_run(tmp_path))
    before = journal.path.read_bytes()
    plain = os.write

    def full(file: int, data: bytes) -> int:
        return plain(file, data[:7])  # the last few bytes that fitted

    monkeypatch.setattr(os, "write", full)
    journal.event(EVENT)
    monkeypatch.undo()
    journal.event(EVENT)  # room again: still, nothing is written after a gap

    assert "OV-02.jsonl: the disk took a part of a line" in journal.problem
    assert journal.path.read_bytes() == before


# -- sealing ------------------------------------------------------------------------------------------


def test_the_scenario_under_way_becomes_an_error_with_all_that_its_journal_tells(tmp_path: Path) -> None:
    journal_of(half_a_run(tmp_path))

    seal_interrupted(tmp_path, REASON, {"guard.json": b'{"confirmed": true}\n'})

    evidence = load(tmp_path)
    first, broken = (scenario.result for scenario in evidence.scenarios)
    assert first == sample.error_result()
    assert (broken.id, broken.title, broken.hazard) == ("OV-02", HEADER["title"], "OV")
    assert (broken.verdict, broken.message, broken.duration_s) == (Verdict.ERROR, REASON, 2.0)
    assert [event.text for event in broken.events] == ["charger 20 A"]
    assert broken.judgements == (JUDGED,)
    assert next(evidence.scenarios[1].exchanges())["data"] == b"OUTP:STAT 1\n".hex()
    assert evidence.run.interrupted == REASON == interruption(tmp_path)
    assert (evidence.folder / "guard.json").is_file()
    assert (evidence.folder / "journal/OV-02.jsonl").is_file()


def test_a_run_killed_between_two_scenarios_is_an_error_all_the_same(tmp_path: Path) -> None:
    writer = EvidenceWriter(tmp_path, sample.run_info(), sample.PROFILE, sample.STATION)
    writer.scenario(sample.overvoltage_result(opened_s=7.3))

    seal_interrupted(tmp_path, REASON)

    evidence = load(tmp_path)
    assert [scenario.result.verdict for scenario in evidence.scenarios] == [Verdict.PASS]
    assert run_verdict(evidence) is Verdict.ERROR


def test_sealing_twice_changes_nothing(tmp_path: Path) -> None:
    journal_of(half_a_run(tmp_path))
    seal = seal_interrupted(tmp_path, REASON)

    assert seal_interrupted(tmp_path, "another reason") == seal
    assert interruption(tmp_path) == REASON


def test_a_seal_that_was_there_stays(tmp_path: Path) -> None:
    seal = half_a_run(tmp_path).seal()

    assert seal_interrupted(tmp_path, REASON) == seal
    assert interruption(tmp_path) == ""


def test_what_was_half_written_is_kept_aside(tmp_path: Path) -> None:
    writer = half_a_run(tmp_path)
    journal_of(writer)
    (writer.folder / "traces").mkdir()
    (writer.folder / "traces/OV-02.npz").write_bytes(b"PK\x03")
    (writer.folder / "scenarios/OV-02.json").write_bytes(b'{"id": "OV')
    (writer.folder / "run.json.part").write_bytes(b"{")
    with (writer.folder / "chain.jsonl").open("ab") as chain:
        chain.write(b'{"seq": 4, "file": "traces/OV')

    seal_interrupted(tmp_path, REASON)

    evidence = load(tmp_path)
    assert [s.result.id for s in evidence.scenarios] == [sample.error_result().id, "OV-02"]
    assert (evidence.folder / "leftover/traces_OV-02.npz").read_bytes() == b"PK\x03"
    assert (evidence.folder / "leftover/scenarios_OV-02.json").read_bytes() == b'{"id": "OV'
    assert not (evidence.folder / "run.json.part").exists()


def test_a_scenario_that_was_stored_is_not_replaced_by_its_journal(tmp_path: Path) -> None:
    writer = half_a_run(tmp_path)
    journal_of(writer)
    writer.scenario(sample.overvoltage_result(opened_s=7.3))

    seal_interrupted(tmp_path, REASON)

    assert [s.result.verdict for s in load(tmp_path).scenarios] == [Verdict.ERROR, Verdict.PASS]


def test_an_altered_chain_is_not_sealed(tmp_path: Path) -> None:
    writer = half_a_run(tmp_path)
    chain = writer.folder / "chain.jsonl"
    chain.write_text(chain.read_text().replace("profile.toml", "profle.toml"))

    with pytest.raises(EvidenceInvalid, match="an unbroken chain"):
        seal_interrupted(tmp_path, REASON)


def test_torn_lines_are_counted_and_cost_nothing_else(tmp_path: Path) -> None:
    journal = journal_of(half_a_run(tmp_path))
    with journal.path.open("ab") as target:
        target.write(b'{"entry": "event", "t_s": 9')

    seal_interrupted(tmp_path, REASON)

    broken = load(tmp_path).scenarios[1].result
    assert broken.message == f"{REASON} (1 torn lines in its journal)"
    assert len(broken.events) == 1


# -- writing on a disk that is full -------------------------------------------------------------------


def test_half_a_file_is_taken_back_and_the_evidence_stays_valid(tmp_path: Path) -> None:
    writer = half_a_run(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            writer.attach("large.bin", bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer.attach("small.bin", b"after")
    writer.seal()

    assert caught.value.errno == errno.EFBIG
    assert not (writer.folder / "attachments/large.bin").exists()
    verify(tmp_path)


def test_half_a_line_of_the_chain_is_taken_back(tmp_path: Path) -> None:
    writer = half_a_run(tmp_path)
    size = (writer.folder / "chain.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
    try:
        with pytest.raises(OSError):
            writer.attach("tiny.bin", b"1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert (writer.folder / "chain.jsonl").stat().st_size == size
    assert seal_interrupted(tmp_path, REASON).entries == verify(tmp_path).entries
    assert (writer.folder / "leftover/attachments_tiny.bin").read_bytes() == b"1"


def test_a_run_says_later_who_answered(tmp_path: Path) -> None:
    writer = EvidenceWriter(tmp_path, sample.run_info(seed=1), sample.PROFILE, sample.STATION)
    writer.describe(sample.run_info(seed=8))
    writer.seal()

    assert load(tmp_path).run.seed == 8


def test_verify_says_that_a_run_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    journal_of(half_a_run(tmp_path / "run"))
    seal = seal_interrupted(tmp_path / "run", REASON)
    bmsbench = caller(monkeypatch, capfd, tmp_path)

    said, shown = bmsbench("verify", "run"), bmsbench("verify", "run", "--json").shown

    assert said.out.splitlines() == [
        f"intact: {seal.entries} files, seal {seal.head}",
        f"INTERRUPTED, the run did not end by itself: {REASON}",
    ]
    assert (said.code, shown["interrupted"]) == (0, REASON)


def test_every_report_can_be_made_of_an_interrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    journal_of(half_a_run(tmp_path / "run"))
    seal_interrupted(tmp_path / "run", REASON)

    said = caller(monkeypatch, capfd, tmp_path)("report", "run")

    assert said.code == 0, said.err
    assert json.loads((tmp_path / "run/summary.json").read_text())["verdict"] == "error"
