"""The Allure page asks nobody for anything."""

import base64
import json
import re

import pytest

from bench.errors import EvidenceInvalid, NotReady
from reports.allure_page import ALLURE, cleaned, make_page, remote_targets

#: What Allure 3.18 writes, shortened: the head, its data, the two analytics scripts.
PAGE = """<!DOCTYPE html>
<html><head>
    <meta charset="utf-8">
    <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E">
    <script>window.allureReportOptions = {"reportName":"run"}</script>
</head><body>
    <script src="data:text/javascript;base64,YWxlcnQoMSk="></script>
    <script async src="https://www.googletagmanager.com/gtag/js?id=G-0"></script>
    <script>
        window.dataLayer = window.dataLayer || [];
        function gtag(){dataLayer.push(arguments);}
        gtag('js', new Date());
    </script>
    <script>d('widgets/tree.json', 'aHR0cHM6Ly94')</script>
</body></html>
"""

RESULT = """{"uuid": "%s", "name": "OV-01", "fullName": "t::ov_01", "status": "failed", "stage": "finished",
"statusDetails": {"message": "<script src=https://evil.example/x.js></script>"}, "start": 1, "stop": 2}"""


def test_analytics_are_cut_out_and_the_rest_is_kept():
    page = cleaned(PAGE)

    assert "gtag" not in page
    assert "googletagmanager" not in page
    assert page.count("<script") == 3
    assert '"reportName":"run"' in page
    assert "d('widgets/tree.json'" in page


def test_the_content_policy_comes_before_anything_else_in_the_head():
    page = cleaned(PAGE)

    policy = page.index("Content-Security-Policy")
    assert page.index("<head>") < policy < page.index("<meta charset")
    assert "default-src 'none'" in page
    assert "http" not in page[policy : page.index("<meta charset")].replace("http-equiv", "")


@pytest.mark.parametrize(
    "tag",
    [
        '<link rel="stylesheet" href="https://fonts.example/f.css">',
        "<img src=//cdn.example/logo.png>",
        '<iframe src="http://example.org"></iframe>',
        '<base href="https://example.org/">',
        '<form action="https://example.org/send">',
    ],
)
def test_a_page_that_would_still_fetch_something_is_refused(tag):
    with pytest.raises(EvidenceInvalid, match=r"expected nothing to fetch from elsewhere, found .*example"):
        cleaned(PAGE.replace("<body>", f"<body>{tag}"))


def test_a_link_that_a_reader_may_follow_is_not_a_fetch():
    assert remote_targets('<a href="https://example.org/clause">IEC</a>') == []


def test_something_else_than_a_page_is_refused():
    with pytest.raises(EvidenceInvalid, match="expected an HTML page with a head"):
        cleaned("Allure: no results")


def test_without_allure_the_message_says_how_to_get_it(tmp_path):
    with pytest.raises(NotReady, match="npm ci"):
        make_page(tmp_path, tmp_path / "page", title="run", allure=tmp_path / "allure")


@pytest.mark.skipif(not ALLURE.exists(), reason="Allure is not installed (npm ci)")
def test_the_installed_allure_makes_a_page_that_passes(tmp_path):
    results = tmp_path / "allure-results"
    results.mkdir()
    (results / "a-result.json").write_text(RESULT % "6f1a4d8e-0000-4000-8000-000000000001", encoding="utf-8")

    rules = [{"name": "Sound bench", "matchedStatuses": ["failed"], "messageRegex": "(?s)(?!inconclusive).*"}]
    (results / "categories.json").write_text(json.dumps(rules), encoding="utf-8")

    page = make_page(results, tmp_path / "page", title="bmsbench run").read_text(encoding="utf-8")

    data = dict(re.findall(r"""d\('([^']+)','([^']+)'\)""", page.replace('"', "'").replace(", ", ",")))
    categories = [base64.b64decode(text) for name, text in data.items() if name.endswith("/categories.json")]
    assert any(b"Sound bench" in text for text in categories)
    assert remote_targets(page) == []
    assert "googletagmanager" not in page
    assert "bmsbench run" in page


@pytest.mark.skipif(not ALLURE.exists(), reason="Allure is not installed (npm ci)")
def test_a_large_attachment_stays_beside_the_page(tmp_path):
    results = tmp_path / "allure-results"
    results.mkdir()
    result = json.loads(RESULT % "6f1a4d8e-0000-4000-8000-000000000001")
    result["attachments"] = [
        {"name": "CAN log", "source": "a-attachment.blf", "type": "application/octet-stream"},
        {"name": "plot", "source": "b-attachment.svg", "type": "image/svg+xml"},
    ]
    (results / "a-result.json").write_text(json.dumps(result), encoding="utf-8")
    (results / "a-attachment.blf").write_bytes(bytes(range(256)) * 10_000)
    (results / "b-attachment.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")

    page = make_page(results, tmp_path / "page", title="run").read_text(encoding="utf-8")

    note = base64.b64encode(b"CAN log: 2.6 MB, in allure-results/a-attachment.blf").decode()
    plot = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
    assert note in page
    assert plot in page
    assert base64.b64encode(bytes(range(256))).decode()[:100] not in page
    assert (results / "a-attachment.blf").stat().st_size == 2_560_000


@pytest.mark.skipif(not ALLURE.exists(), reason="Allure is not installed (npm ci)")
def test_no_results_make_no_page(tmp_path):
    with pytest.raises(EvidenceInvalid, match="expected Allure result files, found none"):
        make_page(tmp_path, tmp_path / "page", title="run")

    assert not (tmp_path / "page").exists()
