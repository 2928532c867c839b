"""The chapter on missing labels: what it shows, what it withholds, and that it flags dependence and not chance."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree.ElementTree import fromstring

import numpy as np
import pyarrow as pa
import pytest
from parsed_page import Page

from facelib.reports.html.chapter import Chapter, ReportInput, RunFacts
from facelib.reports.html.partial import chapter
from facelib.reports.label_missingness import label_missingness
from facelib.reports.measures_by_group import FACE_MEASURES
from facelib.reports.partial_labels import PartialLabels, predicted_shares, withheld_categories

pytestmark = pytest.mark.unit
RUN = RunFacts("r", "", {}, {}, (), {"min_cell": 10}, {})


def made(depends: bool, min_cell: int = 10, rare: int = 60, probe: bool = True, seed: int = 3) -> Chapter:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([rng.integers(0, 2, 1200), np.full(rare, 2)])
    measured = {name: rng.normal(size=truth.size) for name in FACE_MEASURES}
    chance = 0.2 + 0.6 * (measured["sharpness"] > 0.3) if depends else 0.5
    codes = np.where((rng.random(truth.size) < chance) | (truth == 2), truth, -1)
    labels = PartialLabels(
        "gender", ("F", "M", "X"), np.bincount(codes[codes >= 0]), int((codes < 0).sum()), codes, np.arange(codes.size)
    )
    guess = np.full((codes.size, 3), 0.1)
    guess[np.arange(codes.size), np.where(rng.random(codes.size) < 0.8, truth, 0)] = 0.8
    hidden = withheld_categories(labels, [], min_cell)
    tables = {
        "predicted_shares": predicted_shares(labels, guess if probe else None, hidden),
        "label_missingness": label_missingness([(labels, bool(hidden.all()))], pa.table(measured), min_cell),
    }
    found = chapter(ReportInput(tables, RUN))
    assert found is not None
    return found


def test_there_is_no_chapter_without_partial_labels() -> None:
    assert chapter(ReportInput({}, RUN)) is None
    assert chapter(ReportInput({"predicted_shares": predicted_shares_of_nothing()}, RUN)) is None


def predicted_shares_of_nothing() -> pa.Table:
    from facelib.reports.partial_labels import SHARES_SCHEMA

    return SHARES_SCHEMA.empty_table()


def test_shares_stand_side_by_side_and_predictions_are_marked() -> None:
    page = Page(made(depends=False).body)
    assert "Predicted only is no census" in page.text
    heads = [head for head in re.findall(r"predicted only[^<]*", made(depends=False).body) if "census" in head]
    assert heads
    chart = fromstring(re.findall(r"<svg.*?</svg>", made(depends=False).body, re.DOTALL)[0])
    described = chart[1].text or ""
    for word in ("F (n ", "labels alone ", "corrected ", "predicted only "):
        assert word in described
    assert len(page.all("table")) == len(page.all("caption")) == 2


def test_dependence_on_a_measure_is_flagged_and_chance_is_not() -> None:
    (rule,) = made(depends=True).rules
    (finding,) = rule.findings
    assert finding.sentence.startswith("gender: whether a face has a label depends on sharpness of the face (")
    assert "lowest fifth" in finding.sentence or "second fifth" in finding.sentence
    assert finding.evidence.count("V = ") == 1
    assert rule.looked_at == "7 measures of 1 attributes labelled in part and not by a plan"
    flagged = [len(made(depends=False, seed=s).rules[0].findings) for s in range(8)]
    assert flagged == [0] * 8


def test_an_association_that_is_significant_but_small_is_not_flagged() -> None:
    found = made(depends=True)
    assert found.rules[0].findings
    rng = np.random.default_rng(0)
    measured = {name: rng.normal(size=20_000) for name in FACE_MEASURES}
    codes = np.where(rng.random(20_000) < 0.5 + 0.04 * (measured["sharpness"] > 0), 0, -1)
    counts = np.array([(codes == 0).sum(), 0])
    labels = PartialLabels("a", ("x", "y"), counts, int((codes < 0).sum()), codes, np.arange(codes.size))
    table = label_missingness([(labels, False)], pa.table(measured), 0)
    (row,) = [r for r in table.to_pylist() if r["bin"] is None and r["measure"] == "sharpness"]
    assert row["p_holm"] < 0.01
    shares = predicted_shares(labels, None, np.zeros(2, np.bool_))
    small = chapter(ReportInput({"predicted_shares": shares, "label_missingness": table}, RUN))
    assert small is not None
    assert small.rules[0].findings == ()


def test_small_categories_are_withheld() -> None:
    body = made(depends=False, rare=4).body
    assert body.count("withheld") >= 4
    assert re.search(r">4<", body) is None
    assert "withheld" not in made(depends=False, rare=60).body


def test_without_the_library_the_chapter_says_so() -> None:
    body = made(depends=False, probe=False).body
    assert "no library" in body
    assert "labels alone" in body


def test_a_sample_of_identities_is_told() -> None:
    data = ReportInput(
        {"predicted_shares": sampled_shares()},
        replace(RUN, stages={"balance": {"partial_labels": {"main_faces": 5000, "main_faces_used": 40}}}),
    )
    found = chapter(data)
    assert found is not None
    assert "shares are from 40 faces of identities drawn at random, bounds from all" in found.body


def sampled_shares() -> pa.Table:
    codes = np.arange(40) % 3 - 1
    labels = PartialLabels("g", ("x", "y"), np.array([1600, 1700]), 1700, codes, np.arange(40))
    return predicted_shares(labels, None, np.zeros(2, np.bool_))
