"""What has to stay true of the repository as a whole, whoever adds the next file."""

import ast
import json
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "instruments", "dut_profiles", "reports", "test_suites")
LEFT_OUT = {"node_modules", "results", "build", "__pycache__"}
TEXT = {".py", ".md", ".toml", ".json", ".csv", ".dbc", ".typ", ".j2", ".lock", ""}
BUILD_FILES = ("Makefile", ".ci/run", ".npmrc", "pyproject.toml", "requirements.lock", "package.json",
               "package-lock.json")  # fmt: skip

#: Longer than this, a module has a second subject. Tables may be long; so far none has to be.
MOST_LINES = 600


def files(*folders: str, suffixes: set[str]) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    hidden = [path for path in found if LEFT_OUT & set(path.relative_to(ROOT).parts)]
    return [path for path in found if path.suffix in suffixes and path not in hidden]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


MODULES = files(*PACKAGES, suffixes={".py"})
PYTHON = [*MODULES, *files("tests", "benchmarks", suffixes={".py"})]
MARKDOWN = [*sorted(ROOT.glob("*.md")), *files("docs", suffixes={".md"})]


def requirement_of(function: ast.FunctionDef) -> tuple[str, list[str]] | None:
    """Scenario id and clauses of a function decorated with `@requirement(...)`."""
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "requirement":
            (scenario,) = [word.value for word in mark.keywords if word.arg == "scenario"]
            return ast.literal_eval(scenario), [ast.literal_eval(clause) for clause in mark.args]
    return None


SCENARIOS = [
    (path, node, *found)
    for path in files("test_suites", suffixes={".py"})
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and (found := requirement_of(node))
]


def test_every_module_says_what_it_is_for():
    silent = [
        name(path)
        for path in PYTHON
        if (text := path.read_text(encoding="utf-8")).strip() and not ast.get_docstring(ast.parse(text))
    ]

    assert silent == []


def test_no_module_has_grown_too_long():
    long = {name(path): n for path in PYTHON if (n := len(path.read_text("utf-8").splitlines())) > MOST_LINES}

    assert long == {}


def test_nobody_sleeps_but_the_clock():
    sleepers = [
        f"{name(path)}:{node.lineno}"
        for path in MODULES
        if name(path) != "bench/clock.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "sleep"
        if isinstance(node.value, ast.Name) and node.value.id in {"time", "asyncio"}
    ]

    assert sleepers == []


def test_the_oracle_and_what_it_judges_share_no_source_text():
    """Contracts of imports see no copies: no longer piece of code may stand in two of the three."""
    pieces: dict[str, set[str]] = {}
    for part in ("reference", "emulated_bms", "plant"):
        for path in files(f"bench/{part}", suffixes={".py"}):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and len(list(ast.walk(node))) > 60:
                    body = ast.dump(ast.Module(node.body, []))
                    pieces.setdefault(body, set()).add(part)

    assert all(len(parts) == 1 for parts in pieces.values())


def test_no_file_knows_a_machine():
    machine = re.compile(r"(?<![\w.<])/(?:home|root|Users|work|opt)/\w+")
    everything = [*files(*PACKAGES, "tests", "docs", "benchmarks", suffixes=TEXT), *MARKDOWN]
    everything += [ROOT / file for file in BUILD_FILES]

    found = {
        name(path): hits
        for path in everything
        if path != Path(__file__) and (hits := machine.findall(path.read_text(encoding="utf-8")))
    }

    assert found == {}


@pytest.mark.parametrize("file", BUILD_FILES)
def test_build_files_name_no_address(file):
    """Where packages come from is for whoever installs them to say: mirror, cache or public index."""
    text = (ROOT / file).read_text(encoding="utf-8")

    assert "://" not in text
    assert '"resolved"' not in text
    assert not re.search(r"^\s*--?(i|f|(extra-|default-)?index(-url)?|find-links)\b", text, re.MULTILINE)


def test_the_lock_pins_and_hashes_everything_that_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    wanted = {re.split(r"[<>=!~\[ ]", requirement)[0].lower() for requirement in declared}
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8").strip())

    pinned = {block.partition("==")[0] for block in blocks}

    assert wanted <= pinned
    assert all(re.match(r"[\w.-]+==[\w.]+", block) and "--hash=sha256:" in block for block in blocks)


def test_the_report_tool_is_pinned_with_its_hash():
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]

    assert wanted == {"allure": locked["node_modules/allure"]["version"]}
    assert all(entry["integrity"] for path, entry in locked.items() if path)


def test_scenario_ids_are_well_formed_and_their_parts_have_names_of_their_own():
    # One scenario may have several parts, each a function; reports show them as one row.
    ids = [scenario for _, _, scenario, _ in SCENARIOS]
    names = Counter(function.name for _, function, _, _ in SCENARIOS)

    assert [name for name, count in names.items() if count > 1] == []
    assert [scenario for scenario in ids if not re.fullmatch(r"[A-Z]{1,4}-\d\d", scenario)] == []


def test_every_scenario_has_a_title_and_its_id_in_its_name():
    unnamed = [
        f"{path.name}::{function.name}"
        for path, function, scenario, _ in SCENARIOS
        if not ast.get_docstring(function)
        or not function.name.startswith(f"test_{scenario.lower().replace('-', '_')}_")
    ]

    assert unnamed == []


def test_every_scenario_traces_to_a_known_clause():
    file = ROOT / "test_suites" / "requirements.toml"
    if not SCENARIOS:
        pytest.skip("there is no scenario yet")
    known = tomllib.loads(file.read_text(encoding="utf-8"))

    unknown = {scenario: sorted({*clauses} - {*known}) for *_, scenario, clauses in SCENARIOS}

    assert {scenario: refs for scenario, refs in unknown.items() if refs} == {}
    assert [scenario for *_, scenario, clauses in SCENARIOS if not clauses] == []
    assert [ref for ref, row in known.items() if not row.get("title") or not row.get("source")] == []


@pytest.mark.parametrize("page", MARKDOWN, ids=name)
def test_links_between_pages_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text)

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_changelog_knows_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
