"""The command line as a newcomer meets it: help, JSON that parses, errors that say what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bench.cli
from bench.errors import BenchError
from bench.evidence import load
from bench.score import Row
from reports import summary as summary_report
from tests import sample_evidence as sample
from tests.tiny_suites import HEAD, PASSES, clean_environment, runs_in, scenario

ROOT = Path(__file__).parents[1]
VERBS = ("run", "report", "verify", "check", "decode", "score", "estimate", "judge", "discover", "panel")


class Said:
    """What one call of `bmsbench` left."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[str]:
        """What standard error says, without empty lines."""
        return [line for line in self.err.splitlines() if line.strip()]


@pytest.fixture
def bmsbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    """Call `bmsbench` in this process, in an empty folder."""
    clean_environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    modules = set(sys.modules)

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["bmsbench", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            bench.cli.main()
        for name in set(sys.modules) - modules:
            if name.startswith("test_tiny"):
                del sys.modules[name]
        captured = capfd.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else int(bool(code)), captured.out, captured.err)

    return call


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder with one scenario that passes."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_tiny.py").write_text(HEAD + scenario(PASSES), encoding="utf-8")
    (folder / "requirements.toml").write_text('["X 1"]\ntitle = "t"\nsource = "unverified"\n')
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A run folder with sealed evidence."""
    return sample.build(tmp_path / "results" / "run")


def assert_told(said: Said, *texts: str, code: int = 4) -> None:
    """One line on standard error, no stack trace, nothing on standard output."""
    assert said.code == code, said.err
    assert len(said.lines) == 1, said.err
    assert said.out == ""
    for text in texts:
        assert text in said.err
    assert "Traceback" not in said.err


# -- help ---------------------------------------------------------------------------------------------


def test_without_arguments_the_verbs_are_shown(bmsbench) -> None:
    said = bmsbench()

    assert said.code in (0, 2)  # typer says 2 where nothing was asked for
    for verb in VERBS:
        assert verb in said.out + said.err


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_says_what_it_does(bmsbench, verb: str) -> None:
    said = bmsbench(verb, "--help")

    assert said.code == 0
    assert f"bmsbench {verb}" in said.out
    assert "--help" in said.out


def test_an_unknown_verb_is_told(bmsbench) -> None:
    said = bmsbench("brew")

    assert said.code == 2
    assert "No such command 'brew'" in said.err


def test_python_m_bench_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "decode", "--protocol", "nope", "--hex", "00"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 4
    assert done.stderr.startswith("InvalidInput: --protocol: expected one of daly_uart_a5, hd_can")


# -- run ----------------------------------------------------------------------------------------------


def test_run_prints_the_summary_as_json_and_nothing_else(bmsbench, tiny: Path) -> None:
    said = bmsbench("run", "--suite", str(tiny), "--json")
    shown = json.loads(said.out)

    assert said.code == 0
    assert (shown["verdict"], [row["id"] for row in shown["scenarios"]]) == ("pass", ["XX-01"])
    assert "1 passed" in said.err


def test_run_leaves_every_report_and_says_where(bmsbench, tiny: Path, tmp_path: Path) -> None:
    said = bmsbench("run", "--suite", str(tiny))
    (folder,) = runs_in(tmp_path / "results")

    assert said.code == 0
    for name in ("summary.json", "junit.xml", "allure-results", "certificate.pdf", "evidence"):
        assert (folder / name).exists()
        assert name in said.out
    assert "Artefacts in results/latest/" in said.out.replace("\n", "")


def test_run_hands_the_exit_code_of_the_verdicts_on(bmsbench, tiny: Path) -> None:
    (tiny / "test_tiny.py").write_text(HEAD + scenario("raise Inconclusive('who knows')"))
    said = bmsbench("run", "--suite", str(tiny), "--json")

    assert said.code == 20
    assert json.loads(said.out)["verdict"] == "inconclusive"


def test_run_takes_from_the_environment_what_is_not_given(
    bmsbench, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_SEED", "41")
    bmsbench("run", "--suite", str(tiny), "--results", str(tmp_path / "one"))
    bmsbench("run", "--suite", str(tiny), "--results", str(tmp_path / "two"), "--seed", "42")

    seeds = [load(runs_in(tmp_path / name)[0]).run.seed for name in ("one", "two")]
    assert seeds == [41, 42]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--station", "StationInvalid: station: expected a TOML file or one of: emulated"),
        ("--dut", "ProfileInvalid: DUT profile: expected a TOML file or one of: hd_lfp_24s"),
        ("--defect", "DefectInvalid: --bench-defect: expected one of D01"),
        ("--rule", "InvalidInput: --bench-rule: expected simple or guarded, found 'nope'."),
    ],
)
def test_run_with_what_cannot_be_used_says_so_and_leaves_nothing(
    bmsbench, tiny: Path, tmp_path: Path, option: str, told: str
) -> None:
    said = bmsbench("run", "--suite", str(tiny), option, "nope")

    assert said.code == 4
    assert told in said.err
    assert "Traceback" not in said.err + said.out
    assert runs_in(tmp_path / "results") == []


# -- report and verify --------------------------------------------------------------------------------


def test_report_writes_again_what_run_wrote(bmsbench, sealed: Path, tmp_path: Path) -> None:
    said = bmsbench("report", str(sealed), "--out", str(tmp_path / "out"), "--json")
    paths = json.loads(said.out)

    assert said.code == 0
    assert list(paths) == ["summary", "allure", "certificate", "junit"]
    assert all(Path(path).exists() for path in paths.values())


def test_report_can_write_one(bmsbench, sealed: Path, tmp_path: Path) -> None:
    said = bmsbench("report", str(sealed), "--out", str(tmp_path / "out"), "--only", "junit")

    assert said.code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["junit.xml"]


def test_one_more_file_is_one_more_report(
    bmsbench, sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import reports

    page = (ROOT / "docs/how-to/add-report.md").read_text(encoding="utf-8")
    more = tmp_path / "more"
    more.mkdir()
    (more / "margins.py").write_text(page.split("```python\n")[1].split("```")[0], encoding="utf-8")
    monkeypatch.setattr(reports, "__path__", [*reports.__path__, str(more)])
    said = bmsbench("report", str(sealed), "--json")
    sys.modules.pop("reports.margins")

    assert list(json.loads(said.out)) == ["summary", "allure", "certificate", "junit", "margins"]
    assert (sealed / "margins.csv").is_file()


@pytest.mark.parametrize("only", ["rows", "plots", "nope", "../x"])
def test_what_is_no_report_is_told_with_those_there_are(bmsbench, sealed: Path, only: str) -> None:
    said = bmsbench("report", str(sealed), "--only", only)

    assert_told(said, f"--only: expected one of summary, allure, certificate, junit, found {only!r}.")


@pytest.mark.parametrize("verb", ["report", "verify"])
def test_without_a_run_it_is_told_how_to_get_one(bmsbench, verb: str) -> None:
    said = bmsbench(verb)

    assert_told(
        said,
        f"results{os.sep}latest: expected the folder of a run, as `bmsbench run` leaves it, found no such",
    )


@pytest.mark.parametrize("verb", ["report", "verify"])
def test_a_folder_without_evidence_is_told(bmsbench, verb: str, tmp_path: Path) -> None:
    assert_told(bmsbench(verb, str(tmp_path)), "EvidenceInvalid", "expected evidence with a chain")


def test_report_into_what_is_no_folder_is_one_line(bmsbench, sealed: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    assert_told(bmsbench("report", str(sealed), "--out", str(tmp_path / "taken")), "taken")


def test_verify_says_intact_and_shows_the_seal(bmsbench, sealed: Path) -> None:
    head = load(sealed).seal.head
    said = bmsbench("verify", str(sealed), "--json")

    assert said.code == 0
    files = load(sealed).seal.entries
    assert json.loads(said.out) == {"intact": True, "files": files, "seal": head, "interrupted": None}
    assert bmsbench("verify", str(sealed), "--seal", head).out == (
        f"intact: {load(sealed).seal.entries} files, seal {head}\n"
    )


def test_verify_finds_an_altered_byte_and_names_the_file(bmsbench, sealed: Path) -> None:
    path = next((sealed / "evidence/scenarios").iterdir())
    path.write_bytes(path.read_bytes().replace(b"fail", b"pass", 1) + b" ")

    assert_told(
        bmsbench("verify", str(sealed)), "EvidenceInvalid", path.name, "expected SHA-256 ", ", found "
    )
    assert_told(bmsbench("report", str(sealed)), "EvidenceInvalid", path.name)


def test_verify_finds_another_seal_than_the_noted_one(bmsbench, sealed: Path) -> None:
    assert_told(bmsbench("verify", str(sealed), "--seal", "0" * 64), "expected the noted seal 000")


# -- decode -------------------------------------------------------------------------------------------


def test_decode_prints_si_units(bmsbench) -> None:
    # Total voltage 0x0215 = 53.3 V, current 0x7530 is 30000, the zero of the dialect: 0 A; SOC 0x0384 = 90 %.
    body = bytes.fromhex("A5 01 90 08 02 15 00 00 75 30 03 84")
    said = bmsbench(
        "decode", "--protocol", "daly_uart_a5", "--hex", (body + bytes([sum(body) & 255])).hex(" ")
    )

    assert said.code == 0
    assert 53.3 in [pytest.approx(v) for v in _numbers(json.loads(said.out))]


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in _numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in _numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


BAD_CHECKSUM = "A5 01 90 08 00 00 00 00 00 00 00 00 00"
NOT_DECODED = [
    ("nope", "00", "", "--protocol: expected one of daly_uart_a5, hd_can, found 'nope'"),
    ("daly_uart_a5", "xyz", "", "--hex: expected pairs of hexadecimal digits, found 'xyz'"),
    ("daly_uart_a5", BAD_CHECKSUM, "", "FrameInvalid: daly_uart_a5: expected "),
    ("hd_can", "00", "x", "--id: expected a number such as 0x301, found 'x'"),
    ("hd_can", "00 00", "", "expected the identifier of the frame (--id 0x301)"),
]


@pytest.mark.parametrize(("protocol", "frame", "can_id", "told"), NOT_DECODED)
def test_what_cannot_be_decoded_is_told(bmsbench, protocol: str, frame: str, can_id: str, told: str) -> None:
    assert_told(bmsbench("decode", "--protocol", protocol, "--hex", frame, "--id", can_id), told)


# -- score --------------------------------------------------------------------------------------------


def test_score_prints_json_and_is_red_for_a_missed_defect(bmsbench, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row("sound, seed 1", "sound", ()), Row("D1", "caught", ("OV-01",)), Row("D2", "missed", ())]
    monkeypatch.setattr("bench.score.Scorer.run", lambda self, *, only, seeds: iter(rows))
    said = bmsbench("score", "--json")
    shown = json.loads(said.out)

    assert said.code == 1
    assert (shown["caught"], shown["defects"], shown["missed"], shown["green"]) == (1, 2, ["D2"], False)
    assert "caught   D1" in said.err


def test_score_of_an_unknown_defect_is_told(bmsbench) -> None:
    assert_told(
        bmsbench("score", "--only", "nope"), "DefectInvalid: --only: expected one of D01_", "found nope."
    )


# -- the way out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", BenchError.__subclasses__())
def test_every_error_of_the_bench_has_an_exit_code_that_is_not_pytests_own(error: type[BenchError]) -> None:
    assert error.exit_code in (3, 4, 40, 41, 50)


def test_a_summary_of_a_run_that_judged_nothing_is_an_error(tmp_path: Path) -> None:
    from bench.evidence import EvidenceWriter

    EvidenceWriter(tmp_path, sample.run_info(), sample.PROFILE, sample.STATION).seal()
    summary_report.render(load(tmp_path), tmp_path)

    assert json.loads((tmp_path / "summary.json").read_text())["verdict"] == "error"
    shutil.rmtree(tmp_path / "evidence")
