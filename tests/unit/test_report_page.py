"""The page: nothing of the archive becomes markup, nothing is fetched, every chart has its words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from xml.etree.ElementTree import fromstring

import pytest
from parsed_page import Page
from report_specimen import Specimen, report_input, with_group_curves

from facelib.reports.html.chapter import ReportInput
from facelib.reports.html.markup import (
    count,
    element,
    estimate_text,
    html,
    number,
    percent,
    percents,
    rate,
    table,
)
from facelib.reports.html.page import chapters, report_page

pytestmark = pytest.mark.unit

HOSTILE = "</td><script>alert(1)</script><img src=http://evil.example/x onerror='x'>&amp;\"\x00\u202e]]>"
PLAIN = HOSTILE.replace("\x00", "\ufffd").replace("\u202e", "\ufffd")
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "section", "nav", "footer", "h1", "h2", "h3", "p", "ul",
    "ol", "li", "a", "strong", "small", "span", "div", "br", "table", "caption", "thead", "tbody", "tr", "th", "td",
    "svg", "desc", "line", "text", "circle", "rect", "path", "polyline", "polygon",
}  # fmt: skip


def hostile_input() -> ReportInput:
    groups = {HOSTILE: (HOSTILE, "b"), "other": ("x", "y", HOSTILE)}
    data = report_input(Specimen(people=60, images=3, groups=groups, losses={("quality", HOSTILE, HOSTILE): 0.4}))
    data = with_group_curves(data, {("other", HOSTILE): 3.0})
    run = replace(data.run, models={HOSTILE: HOSTILE}, settings=((HOSTILE, HOSTILE, HOSTILE),), run_id=HOSTILE)
    return ReportInput(data.tables, run)


@pytest.fixture(scope="module")
def page() -> str:
    return report_page(hostile_input())


def test_what_comes_from_the_archive_is_never_markup(page: str) -> None:
    found = Page(page)
    assert {tag for tag, _ in found.tags} <= TAGS
    assert not [a for _, attributes in found.tags for a in attributes if a.startswith("on")]
    assert PLAIN in found.text
    assert "\x00" not in page
    assert "\u202e" not in page


def test_a_page_asks_for_nothing_from_anywhere(page: str) -> None:
    found = Page(page)
    given = Counter(name for _, attributes in found.tags for name in attributes)
    assert not {"src", "srcset", "action", "data", "poster", "background"} & set(given)
    assert {a["href"] for a in found.all("a")} == {f"#{c.anchor}" for c in chapters(hostile_input())}
    assert not re.search(r"url\(|@import|javascript:", re.sub(r"&lt;.*?&gt;", "", page))
    harmless = report_page(report_input(Specimen(people=40, images=2)))
    assert not re.search(r"https?:|//", harmless)
    policies = [m["content"] for m in found.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_ids_are_unique_and_links_lead_to_chapters(page: str) -> None:
    found = Page(page)
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for chart in found.all("svg"):
        assert chart["role"] == "img"
        assert set((chart["aria-labelledby"] or "").split()) <= set(ids)
    assert {(a["href"] or "")[1:] for a in found.all("a")} <= set(ids)


def test_headings_go_down_step_by_step_and_each_table_has_a_caption(page: str) -> None:
    found = Page(page)
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(found.all("table")) == len(found.all("caption")) > 5
    assert all("scope" in attributes for attributes in found.all("th"))


def test_equal_input_gives_equal_bytes() -> None:
    specimen = Specimen(people=40, images=3)
    assert report_page(report_input(specimen)) == report_page(report_input(specimen))


def test_charts_are_well_formed_and_stand_beside_a_table() -> None:
    page = report_page(report_input(Specimen(people=60, images=3, reference={"gender": {"F": 0.5, "M": 0.5}})))
    pairs = re.findall(r'<div class="pair[^"]*"><div class="chart">(<svg.*?</svg>)</div><div><table', page, re.DOTALL)
    assert len(pairs) == page.count("<svg") > 20
    for chart in pairs:
        root = fromstring(chart)
        assert [child.tag for child in root[:2]] == ["title", "desc"]
        assert root[0].text
        assert root[1].text


def test_a_run_without_faces_in_clusters_has_a_page() -> None:
    data = report_input(Specimen(people=20, images=2, losses={("cluster", "gender", g): 1.0 for g in ("F", "M")}))
    assert data.tables["cluster_sizes"].num_rows == 0
    assert "Whom the pipeline loses" in report_page(data)


def test_a_run_without_images_has_a_page() -> None:
    data = report_input(Specimen(people=0, images=0))
    assert "0 images were listed" in report_page(data)


def test_tables_that_are_not_there_are_left_out() -> None:
    data = report_input(Specimen(people=20, images=2))
    anchors = [c.anchor for c in chapters(ReportInput({}, data.run))]
    assert anchors == ["findings", "unknown", "provenance"]


def test_a_threshold_curve_of_the_first_version_is_shown() -> None:
    data = report_input(Specimen(people=40, images=3))
    new = {"attributes", "groups", "n_faces", "is_suppressed", "estimator", "fmr_ci_low", "fmr_ci_high"}
    curve = data.tables["threshold_curve"]
    old = curve.select([name for name in curve.column_names if name not in new])
    page = report_page(ReportInput({**data.tables, "threshold_curve": old}, data.run))
    assert "False match rate by threshold" in page
    assert "0.9450 floor" in page


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (percent(0.3071), "30.7 %"),
        (percent(0.0071), "0.71 %"),
        (percent(0.000123), "0.012 %"),
        (percent(0.0), "0 %"),
        (percent(1.0), "100 %"),
        (percent(None), "–"),
        (percents(0.0, 0.00085), "0–0.085 %"),
        (percents(0.294, 0.321), "29.4–32.1 %"),
        (estimate_text(0.0082, 0.0056, 0.0112), "0.82 % <small>(0.56–1.12)</small>"),
        (estimate_text(None, None, None), "–"),
        (number(0.00661), "0.00661"),
        (number(12.34), "12.3"),
        (number(1080.0), "1,080"),
        (number(-3.456), "-3.46"),
        (number(None), "–"),
        (rate(3.14e-4), "3.1e−4"),
        (rate(0.42), "0.42"),
        (rate(1.0), "1"),
        (rate(0.0), "0"),
        (count(1234567), "1,234,567"),
        (html("a < b 95 %"), "a &lt; b 95 %"),
        (element("p", "x", class_="a", data_label="<"), '<p class="a" data-label="&lt;">x</p>'),
    ],
)
def test_how_figures_are_written(made: str, text: str) -> None:
    assert made.replace("\N{NO-BREAK SPACE}", " ") == text


def test_a_heading_may_span_several_rows() -> None:
    made = table(
        "c", ["group", "unit", "n"], [("a", [["x", "1"], ["y", "2"]]), ("b", [["x", "3"]])], "llr", stacked=True
    )
    found = Page(made)
    spans = [th.get("rowspan") for th in found.all("th") if th.get("scope") != "col"]
    assert spans == ["2", None]
    assert [td["data-label"] for td in found.all("td")] == ["unit", "n"] * 3
