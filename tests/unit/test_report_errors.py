"""The chapter on error rates: what it shows, what it withholds, and which groups it flags."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import numpy as np
import pyarrow as pa
import pytest
from parsed_page import Page

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.error_coverage import Population

from facelib.audit.group_errors import error_tables
from facelib.clusters.agreement import group_agreement
from facelib.clusters.space import Space
from facelib.reports.error_rates import GroupedErrors, error_rates, error_summary
from facelib.reports.error_withholding import Withheld
from facelib.reports.html import errors
from facelib.reports.html.chapter import Chapter, ReportInput, RunFacts
from facelib.reports.html.page import report_page

pytestmark = pytest.mark.unit

NAMES = ("a", "b", "c")
TARGETS = (1e-2, 1e-3, 1e-9)
AUDIT = {"min_cell": 5, "flag_above": 1.25, "flag_below": 0.8, "categories": {}, "reference": {}}
ACCOUNT = {"listed": 500, "ok": 500, "rejected": {}, "faces": 500, "roles": {"core": 500, "attached": 0, "noise": 0}}
EQUAL = Population((40, 40, 40), (2.0, 2.0, 2.0))


def confused(
    population: Population,
    withheld: Sequence[str] = (),
    counts: Sequence[str] = (),
    seed: int = 1,
    targets: Sequence[float] = TARGETS,
    facts: dict[str, Any] | None = None,
) -> ReportInput:
    """A run whose error rates are those of a generated archive, its clusters all right."""
    unit, subject, group = population.archive(seed)
    names = NAMES[: len(population.subjects)]
    shown = [n for n in names if n not in withheld]
    code = np.array([shown.index(n) if n in shown else -1 for n in names])[group]
    tables = error_tables(Space.plain(unit), subject, np.arange(len(unit)), code, shown, targets, resamples=200)
    sizes: dict[str | None, tuple[int, int]] = {
        n: (int((group == i).sum()), population.subjects[i]) for i, n in enumerate(names)
    }
    found = [
        GroupedErrors(None, (), Withheld(), {None: (len(unit), sum(population.subjects))}, tables),
        GroupedErrors("kind", names, Withheld(frozenset(withheld), frozenset(counts)), sizes, tables),
    ]
    own = group_agreement(subject, subject, [names[g] for g in group])
    agreement = {None: group_agreement(subject, subject, [None] * len(subject)), "kind": own}
    made = {
        "error_rates": error_rates(found, targets, 5),
        "error_summary": error_summary(found, targets, agreement, "corrected", 5),
    }
    stages = {"balance": {"errors": facts or {}}}
    return ReportInput(made, RunFacts("r", "2026-01-04T12:00:00+00:00", {}, {}, (), AUDIT, ACCOUNT, stages))


def chapter(data: ReportInput) -> Chapter:
    made = errors.chapter(data)
    assert made is not None
    return made


def flagged(data: ReportInput) -> list[str]:
    (rule,) = chapter(data).rules
    return [finding.sentence for finding in rule.findings]


def text_of(made: Chapter) -> str:
    return Page(f"<div>{made.body}</div>").text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def crowded() -> ReportInput:
    """Group c looks alike to the model."""
    return confused(Population((60, 60, 60), (0.5, 0.5, 4.0)))


def test_a_group_that_looks_alike_is_flagged_with_its_counts(crowded: ReportInput) -> None:
    (sentence,) = flagged(crowded)
    assert sentence.startswith("kind = c: ")
    assert "of the pairs of two people of this group match with the threshold set for 1.0 %" in sentence.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    (rule,) = chapter(crowded).rules
    rows = {(r["group"], r["other_group"], r["target_fmr"]): r for r in crowded.rows("error_rates")}
    row = rows["c", "c", 1e-2]
    assert f"n = {row['n_false_matches']:,} of {row['n_non_mated']:,} pairs, 60 subjects" in rule.findings[0].evidence
    assert rule.looked_at == "12 rates of 3 groups"  # two rates, two supported thresholds


def test_a_group_whose_people_are_missed_is_flagged() -> None:
    data = confused(EQUAL)
    rows = data.rows("error_rates")
    for row in rows:
        if (row["group"], row["other_group"], row["target_fmr"]) == ("b", "b", 1e-2):
            overall = rows[0]["fnmr"]
            row |= {"fnmr": 3 * overall, "fnmr_ci_low": 1.3 * overall, "fnmr_ci_high": 4 * overall}
    table = pa.Table.from_pylist(rows, data.tables["error_rates"].schema)
    (sentence,) = flagged(ReportInput({**data.tables, "error_rates": table}, data.run))
    assert re.match(r"kind = b: .* of the pairs of one person are missed .*, 3 times as many as of all", sentence)
    for row in rows:
        if row["fnmr"] is not None and row["fnmr_ci_low"] == 1.3 * rows[0]["fnmr"]:
            row["fnmr_ci_low"] = 1.2 * rows[0]["fnmr"]
    table = pa.Table.from_pylist(rows, data.tables["error_rates"].schema)
    assert flagged(ReportInput({**data.tables, "error_rates": table}, data.run)) == []


def test_groups_that_are_all_more_alike_within_than_between_are_not_flagged() -> None:
    """Each lies 3 from the origin in a direction of its own: within any group FMR is far above that of all pairs."""
    data = confused(Population((120, 120, 120), (3.0, 3.0, 3.0)), targets=[1e-2])
    rows = {(r["group"], r["other_group"]): r for r in data.rows("error_rates") if r["group"] or not r["attribute"]}
    assert all(rows[n, n]["fmr_ci_low"] > 1.25 * rows[None, None]["fmr"] for n in NAMES)
    assert flagged(data) == []


def test_equal_groups_are_seldom_flagged() -> None:
    """Of 100 such archives about 5 have a flag, all of them of an FNMR (ERROR_RATES.md)."""
    equal = Population((30, 30, 30), (2.0, 2.0, 2.0))
    found = [flagged(confused(equal, seed=seed, targets=[1e-2])) for seed in range(15)]
    assert sum(map(len, found)) <= 2
    assert not any("two people of this group" in sentence for sentences in found for sentence in sentences)


def test_the_chapter_shows_rates_of_groups_and_between_them(crowded: ReportInput) -> None:
    made = chapter(crowded)
    text = text_of(made)
    rows = {(r["group"], r["other_group"], r["target_fmr"]): r for r in crowded.rows("error_rates")}
    assert f"{100 * rows['c', 'c', 1e-2]['fmr']:.1f} %" in text
    assert f"{rows['a', 'a', 1e-2]['n_mated']:,}" in text
    charts = [fromstring(c) for c in re.findall(r"<svg.*?</svg>", made.body, re.DOTALL)]
    titles = [chart[0].text for chart in charts]
    assert titles == [
        "False match rate within groups of kind",
        "False non-match rate within groups of kind",
        "False match rate between groups of kind",
    ]
    assert f"c {100 * rows['a', 'c', 1e-2]['fmr']:.2f}"[:6] in (charts[2][1].text or "")
    assert "too few pairs" in text  # 1e-9
    assert "a person under two names makes false matches" in text
    assert "cosine" in text


def test_differentials_stand_beside_what_chance_shows(crowded: ReportInput) -> None:
    page = Page(f"<div>{chapter(crowded).body}</div>")
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    figures = {r["measure"]: r for r in crowded.rows("error_summary") if r["target_fmr"] == 1e-2}
    ratio = figures["fmr_max_min_ratio"]
    assert ratio["value"] > ratio["by_chance"]
    assert "FMR, largest : smallest" in text
    assert text.count("beyond chance") >= 1
    equal = confused(EQUAL)
    own = [r for r in equal.rows("error_summary") if r["target_fmr"] == 1e-2 and r["by_chance"] is not None]
    within = [r for r in own if r["measure"] != "fairness_discrepancy_rate"]
    assert within
    assert sum(r["value"] <= r["by_chance"] for r in within) > len(within) / 2


def test_drawn_subjects_are_stated() -> None:
    facts = {"faces": 60, "of_faces": 400, "subjects": 20, "of_subjects": 140}
    text = text_of(chapter(confused(EQUAL, facts=facts)))
    assert "Of 140 subjects with 400 faces, 20 with 60 were drawn." in text
    assert "were drawn" not in text_of(chapter(confused(EQUAL)))


def test_withheld_groups_show_no_figure() -> None:
    data = confused(Population((60, 60, 60), (0.5, 0.5, 4.0)), withheld=["b", "c"])
    made = chapter(data)
    assert flagged(data) == []
    assert "withheld" in text_of(made)
    for row in data.rows("error_rates"):
        if {row["group"], row["other_group"]} & {"b", "c"}:
            assert row["fmr"] is None
    chart = fromstring(re.findall(r"<svg.*?</svg>", made.body, re.DOTALL)[2])
    assert (chart[1].text or "").count("withheld") == 8


def test_a_group_without_counts_shows_its_rates_and_can_be_flagged() -> None:
    data = confused(Population((60, 60, 60), (0.5, 0.5, 4.0)), counts=["c"])
    made = chapter(data)
    (sentence,) = flagged(data)
    assert sentence.startswith("kind = c: ")
    assert "n = withheld" in made.rules[0].findings[0].evidence
    row = next(r for r in data.rows("error_rates") if r["group"] == r["other_group"] == "c" and r["target_fmr"] == 1e-2)
    assert f"{100 * row['fmr']:.1f} %" in text_of(made)


def test_without_subjects_the_estimates_stand_and_nothing_is_flagged() -> None:
    data = confused(EQUAL)
    rows = [
        {**dict.fromkeys(data.tables["error_rates"].column_names), "estimator": "tail", "similarity": "corrected",
         "threshold": 0.9, "is_suppressed": False, "attribute": a, "group": g, "other_group": g, "n_faces": n,
         "fmr": fmr, "fmr_ci_low": low, "fmr_ci_high": high}
        for a, g, n, fmr, low, high in ((None, None, 900, 1e-5, None, None), ("kind", "a", 300, 4e-5, 3e-5, 6e-5))
    ]  # fmt: skip
    tables = {**data.tables, "error_rates": pa.Table.from_pylist(rows, data.tables["error_rates"].schema)}
    tables["error_summary"] = data.tables["error_summary"].slice(0, 0)
    made = chapter(ReportInput(tables, data.run))
    assert made.rules == ()
    assert "no verified subjects" in text_of(made)
    assert "0.0040 %" in text_of(made)
    tables["error_rates"] = tables["error_rates"].slice(0, 1)
    assert errors.chapter(ReportInput(tables, data.run)) is None


def test_too_few_pairs_for_any_threshold_are_told() -> None:
    text = text_of(chapter(confused(EQUAL, targets=[1e-9])))
    assert "too few pairs of two people to set a threshold" in text


def test_the_whole_page_holds_the_chapter(crowded: ReportInput) -> None:
    page = report_page(crowded)
    assert '<h2 id="errors">Who is confused with whom</h2>' in page
    ids = [attributes["id"] for _, attributes in Page(page).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
