"""Allure's page of a run as one file that asks nobody for anything.

Allure 3 (pinned in `package-lock.json`) makes the page from the result files of a run. Version 3.18 puts a
call to an analytics service into it, with no option to leave it out. An evidence page must not tell a third
party that it is being read, and must open on a bench without internet: the call is cut out, and a content
policy forbids the browser any other. What cannot be made so is not kept.

    python -m reports.allure_page results/latest
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.errors import BenchError, EvidenceInvalid, NotReady

ALLURE = Path(__file__).parents[1] / "node_modules" / ".bin" / "allure"

#: Everything the page needs is inside it, as text or data: URLs.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "style-src 'unsafe-inline' data:; img-src data: blob:; font-src data:; connect-src data: blob:; "
    "media-src data: blob:; worker-src data: blob:; frame-src data: blob:"
)

#: A page that holds every CAN log would be too much for a browser; larger files stay beside it [bytes].
LARGEST_ATTACHMENT = 256 * 1024

_SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>\s*", re.DOTALL | re.IGNORECASE)
_REMOTE = re.compile(
    r"""\b(?:src|href|action|srcset)\s*=\s*["']?\s*((?:https?:)?//[^\s"'>]+)""", re.IGNORECASE
)
_TAG = re.compile(
    r"<(?:script|link|img|iframe|source|video|audio|object|embed|form|base)\b[^>]*>", re.IGNORECASE
)


def cleaned(page: str) -> str:
    """Return `page` without scripts from elsewhere, without analytics calls, and with the content policy.

    Raises
    ------
    EvidenceInvalid
        If something that a browser would fetch is still there, or `page` has no head for the policy.
    """

    def keep(script: re.Match[str]) -> str:
        attributes, body = script.groups()
        return "" if _REMOTE.search(attributes) or "gtag(" in body[:400] else script.group()

    page = _SCRIPT.sub(keep, page)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    page, heads = re.subn(r"(<head\b[^>]*>)", rf"\1\n    {policy}", page, count=1, flags=re.IGNORECASE)
    if not heads:
        raise EvidenceInvalid("Allure page", expected="an HTML page with a head", found=repr(page[:60]))
    if left := remote_targets(page):
        raise EvidenceInvalid(
            "Allure page", expected="nothing to fetch from elsewhere", found=", ".join(left)
        )
    return page


def remote_targets(page: str) -> list[str]:
    """Return the addresses that a browser would fetch when it opens `page`, in order."""
    return [found.group(1) for tag in _TAG.finditer(page) for found in _REMOTE.finditer(tag.group())]


def make_page(results: Path, out: Path, *, title: str, allure: Path = ALLURE) -> Path:
    """Turn the Allure result files in `results` into `out`/index.html.

    Raises
    ------
    NotReady
        If Allure is not installed.
    EvidenceInvalid
        If there are no result files, or the page cannot be cut off from the network.
    BenchError
        If Allure fails.
    """
    if not allure.exists():
        raise NotReady(f"Allure is not installed: expected {allure}. Run `npm ci` (Node.js 20 or newer).")
    if not any(results.glob("*-result.json")):
        raise EvidenceInvalid(str(results), expected="Allure result files", found="none")
    options = {"reportName": title, "singleFile": True, "reportLanguage": "en"}
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "allurerc.json"
        made = Path(scratch) / "page"
        settings = {
            "name": title,
            "categories": _categories(results / "categories.json"),
            "plugins": {"awesome": {"options": options}},
        }
        config.write_text(json.dumps(settings), encoding="utf-8")
        ran = subprocess.run(  # noqa: S603  (our own pinned tool, no shell, paths from the caller)
            [allure, "generate", "--config", config, "--output", made, _slim(results, Path(scratch))],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode or not (made / "index.html").is_file():
            raise BenchError(
                f"allure generate ended with {ran.returncode}: {(ran.stderr or ran.stdout).strip()}"
            )
        page = cleaned((made / "index.html").read_text(encoding="utf-8"))
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    index = out / "index.html"
    index.write_text(page, encoding="utf-8")
    return index


def _slim(results: Path, scratch: Path) -> Path:
    """A copy of `results` in which a note stands in the place of each large attachment."""
    slim = scratch / "results"
    shutil.copytree(results, slim)
    for file in slim.glob("*-result.json"):
        result = json.loads(file.read_text(encoding="utf-8"))
        for attachment in result.get("attachments", []):
            path = slim / attachment["source"]
            if path.is_file() and (size := path.stat().st_size) > LARGEST_ATTACHMENT:
                note = f"{attachment['name']}: {size / 1e6:.1f} MB, in allure-results/{path.name}"
                path.write_text(note, encoding="utf-8")
                attachment |= {"name": f"{attachment['name']} (beside this page)", "type": "text/plain"}
        file.write_text(json.dumps(result), encoding="utf-8")
    return slim


def _categories(file: Path) -> list[dict[str, object]]:
    """The rules of `categories.json` as Allure 3 takes them: from its settings, not from the results.

    The file's patterns are Java's, for Allure 2, and match a whole message; Allure 3 searches with those of
    JavaScript, which have no inline flags.
    """
    if not file.is_file():
        return []
    rules: list[dict[str, object]] = json.loads(file.read_text(encoding="utf-8"))
    for rule in rules:
        if "messageRegex" in rule:
            rule["messageRegex"] = "^" + str(rule["messageRegex"]).removeprefix("(?s)")
    return rules


def main(arguments: list[str]) -> int:
    """Make `<run>/allure-report/index.html` from `<run>/allure-results`; return the exit code."""
    run = Path(arguments[0] if arguments else "results/latest")
    try:
        page = make_page(
            run / "allure-results", run / "allure-report", title=f"bmsbench {run.resolve().name}"
        )
    except BenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"Allure page: {page}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
