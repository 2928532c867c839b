"""The chapter on what to collect: in plain words, nothing that is withheld, and a finding only where a goal fails."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from parsed_page import Page
from report_specimen import Specimen, report_input

from facelib.audit.settings import AuditSettings
from facelib.reports.html.chapter import Chapter, ReportInput
from facelib.reports.html.plan import chapter
from facelib.reports.plan_counts import planned_sets
from facelib.reports.sampling_plan import sampling_plan

pytestmark = pytest.mark.unit

GROUPS = {"gender": ("F", "M"), "age_band": ("young", "middle", "old")}
UNEVEN = Specimen(people=200, images=3, groups=GROUPS, shares={("gender", "F"): 0.1}, loss=0.0)


def planned(data: ReportInput, **audit: Any) -> ReportInput:
    """The run with its plan."""
    totals = {row["unit"]: row["n"] for row in data.rows("balance_summary")}
    plan, summary = sampling_plan(planned_sets(data.rows("balance"), totals), AuditSettings(**audit), 10)
    return replace(data, tables={**data.tables, "sampling_plan": plan, "sampling_plan_summary": summary})


def made(specimen: Specimen, **audit: Any) -> Chapter:
    found = chapter(planned(report_input(specimen), **audit))
    assert found is not None
    return found


def text_of(found: Chapter) -> str:
    return Page(found.body).text.replace("\N{NO-BREAK SPACE}", " ")


def test_there_is_no_chapter_without_the_tables() -> None:
    assert chapter(report_input(Specimen(people=20, images=2))) is None


def test_what_to_add_is_told_in_words_and_numbers() -> None:
    """60 images of 20 women, 540 of 180 men: women need 0.4 of the total, which is 540 / 0.6 = 900, so 300 more, and
    120 − 20 people of 180 / 0.6 = 300."""
    found = made(UNEVEN)
    text = text_of(found)
    for words in (
        "every cell has at least 80 % of its equal share",
        "New identities must be new people",
        "0.469 → 0.971",
        "9 → 1.5",
        "600 images count like 216 equally weighted ones",
    ):
        assert words in text, words
    row = re.search(r"<tr><th[^>]*>F</th>(.*?)</tr>", found.body)
    assert row
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[1])
    assert cells == ["60", "20", "300", "100", "772", "5"]
    assert found.rules[0].findings == ()


def test_charts_are_well_formed_and_say_in_words_what_they_show() -> None:
    charts = re.findall(r"<svg.*?</svg>", made(UNEVEN).body, re.DOTALL)
    assert len(charts) == len(GROUPS)
    description = (fromstring(charts[0])[1].text or "").replace("\N{NO-BREAK SPACE}", " ")
    assert "F: now 10.0 %, collected 40.0 %, weighted 50.0 %, target 50.0 %." in description


def test_a_group_without_images_is_collected_for_and_cannot_be_weighted() -> None:
    groups = {"gender": ("F", "M", "X"), "age_band": GROUPS["age_band"]}
    found = made(replace(UNEVEN, groups=groups, shares={("gender", "X"): 0.0}))
    assert "1 of 3 cells is empty, and no weight makes an image: collect there" in text_of(found)


def test_withheld_groups_are_not_shown() -> None:
    specimen = replace(UNEVEN, groups={"g": ("a", "b", "c", "d")}, shares={}, exact={("g", "d"): 1}, min_cell=5)
    data = planned(report_input(specimen))
    (row,) = [r for r in data.rows("sampling_plan") if r["groups"] == ["d"] and r["goal"] == "shares"]
    assert row["status"] == "withheld"
    found = chapter(data)
    assert found is not None
    line = re.search(r"<tr><th[^>]*>d</th>(.*?)</tr>", found.body)
    assert line
    cells = re.findall(r"<td[^>]*>(.*?)</td>", line[1])
    assert cells[:2] == ["withheld"] * 2
    assert cells[5] == "withheld"
    assert not re.search(r">3<", line[1])


def test_goals_that_cannot_be_reached_are_findings() -> None:
    found = made(UNEVEN, plan_closed={"gender": ("F",)})
    (finding,) = found.rules[0].findings
    assert finding.sentence.startswith(
        "gender: collecting cannot bring it about that every cell has at least 80 % of its equal share; or that ev"
    )
    assert finding.evidence.startswith("1 of 2 cells is short of it: nothing can be added here")
    assert {f.chapter for f in found.rules[0].findings} == {found.anchor}


def test_a_target_without_reference_is_said_to_be_missing_but_is_no_finding() -> None:
    found = made(UNEVEN, plan_target="reference")
    assert "shares, images; shares, identities: audit.reference does not give the shares of gender." in text_of(found)
    assert found.rules[0].findings == ()


def test_names_of_groups_are_never_markup() -> None:
    found = made(replace(UNEVEN, groups={"<b>": ("<i>", "&"), "x": ("y", "<script>")}, shares={}))
    assert "<b>" not in found.body
    assert "<i>" not in found.body
    assert "<script>" not in found.body
