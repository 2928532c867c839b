"""Losses against a loop over random images, and against a table worked by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from oracles.suppression_attack import Attack, published
from scipy.stats import chi2_contingency, fisher_exact
from statsmodels.stats.proportion import proportion_confint

from facelib.audit.joint_counts import attribute_sets
from facelib.audit.loss_counts import LossCounts, count_losses
from facelib.errors import ConfigError
from facelib.reports.losses import LOSSES_SCHEMA, STAGES, loss_counts, losses, withheld_losses
from facelib.reports.units_counted import unit_counts
from facelib.reports.withheld import withhold
from schemas.audit_tables import LOSSES

pytestmark = pytest.mark.unit

COLUMNS = ("status", "reason", "n_faces", "n_usable", "n_clustered", "g")
TYPES = (pa.string(), pa.string(), pa.int64(), pa.int64(), pa.int64(), pa.string())
HAND = [
    ("ok", None, 2, 1, 1, "F"),  # passes all
    ("ok", None, 2, 1, 0, "F"),  # all noise
    ("ok", None, 1, 0, 1, "F"),  # unusable face attached to a cluster: lost at quality already
    ("rejected", "no_face", 0, None, None, "M"),
    ("rejected", "truncated", None, None, None, "M"),
    ("rejected", "empty", None, None, None, None),
]
CATEGORIES = {"g": ("M", "F", "X"), "h": ("a", "b")}
MIN_CELL = 10


def images(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    return pa.table([pa.array(c, t) for c, t in zip(columns, TYPES, strict=True)], names=COLUMNS)


def test_hand_worked() -> None:
    table = losses(images(HAND), ["g"], CATEGORIES)
    counts = {(r["stage"], r["attribute"], r["group"]): (r["n_in"], r["n_out"]) for r in table.to_pylist()}
    expected = {
        (None, None): (6, 4, 3, 2, 1),
        ("g", "M"): (2, 1, 0, 0, 0),
        ("g", "F"): (3, 3, 3, 2, 1),
        ("g", "X"): (0, 0, 0, 0, 0),
        ("g", None): (1, 0, 0, 0, 0),
    }
    assert counts == {
        (stage, *group): (reached[i], reached[i + 1])
        for i, stage in enumerate(STAGES)
        for group, reached in expected.items()
    }
    assert table.column("rate").to_pylist()[:5] == [pytest.approx(2 / 6), 0.5, 0.0, None, 1.0]


def random_images(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for _ in range(n):
        faces, usable, clustered = (int(v) for v in rng.integers(0, 3, 3))
        g = [None, "M", "F"][rng.integers(3)]
        if rng.random() < 0.3:
            rows.append(("rejected", ["no_face", "empty", "changed"][rng.integers(3)], None, None, None, g))
        else:
            rows.append(("ok", None, faces + 1, usable, clustered, g))
    h = pa.array([[None, "a", "b"][i] for i in rng.integers(0, 3, n)], pa.string())
    return images(rows).append_column("h", h)


def stages_passed(row: dict[str, object]) -> int:
    if row["status"] != "ok" and row["reason"] != "no_face":
        return 0
    passed = 1
    for column in ("n_faces", "n_usable", "n_clustered"):
        if not row[column]:
            break
        passed += 1
    return passed


def test_random_tables_agree_with_a_loop() -> None:
    for seed in range(5):
        table = random_images(400, seed)
        rows = table.to_pylist()
        for r in losses(table, ["g", "h"], CATEGORIES, confidence=0.9).to_pylist():
            at = STAGES.index(r["stage"])
            named = list(zip(r["attributes"], r["groups"], strict=True))
            members = [row for row in rows if all(row[a] == g for a, g in named)]
            assert r["attribute"] == (" × ".join(r["attributes"]) or None)
            assert r["group"] == (None if None in r["groups"] or not named else " × ".join(r["groups"]))
            n_in = sum(stages_passed(row) >= at for row in members)
            n_out = sum(stages_passed(row) > at for row in members)
            assert (r["n_in"], r["n_out"]) == (n_in, n_out)
            if n_in == 0:
                assert r["rate"] is r["ci_low"] is r["ci_high"] is None
                continue
            assert r["rate"] == pytest.approx((n_in - n_out) / n_in)
            interval = proportion_confint(n_in - n_out, n_in, alpha=0.1, method="wilson")
            assert (r["ci_low"], r["ci_high"]) == pytest.approx(interval, abs=1e-12)


def test_groups_add_up_to_the_overall_row() -> None:
    table = losses(random_images(1000, 99), ["g", "h"], CATEGORIES).to_pylist()
    for stage in STAGES:
        for column in ("n_in", "n_out"):
            total: Counter[str | None] = Counter()
            for r in table:
                total[r["attribute"]] += r[column] if r["stage"] == stage else 0
            assert total["g"] == total["h"] == total[None] > 0


def test_columns_and_ranges_are_those_of_the_contract() -> None:
    table = losses(random_images(300, 1), ["g"], CATEGORIES)
    assert table.schema == LOSSES_SCHEMA
    assert ["run_id", *table.column_names] == LOSSES.names
    for field in table.schema:
        column = LOSSES.column(field.name)
        written = str(field.type).replace("double", "float64").replace("element: ", "")
        assert (written, field.nullable) == (column.type.value, column.nullable)
    assert LOSSES.column("stage").values == STAGES
    rates = table.select(["rate", "ci_low", "ci_high"]).to_pandas().dropna().to_numpy()
    assert ((rates >= 0) & (rates <= 1)).all()
    assert ((rates[:, 1] <= rates[:, 0] + 1e-12) & (rates[:, 0] <= rates[:, 2] + 1e-12)).all()


def test_no_images() -> None:
    table = losses(images([]), ["g"], CATEGORIES)
    assert table.num_rows == len(STAGES) * 5
    assert set(table.column("n_in").to_pylist()) == {0}
    assert table.column("rate").null_count == table.num_rows


def test_without_attributes_only_the_overall_rows() -> None:
    table = losses(images(HAND), [], {})
    assert table.column("n_in").to_pylist() == [6, 4, 3, 2]
    assert table.column("attribute").null_count == 4


def test_all_labels_missing() -> None:
    table = losses(images([(*row[:-1], None) for row in HAND]), ["g"], {"g": ()}).to_pylist()
    overall = [r for r in table if r["attribute"] is None]
    missing = [r for r in table if r["attribute"] == "g"]
    assert [r["n_out"] for r in missing] == [r["n_out"] for r in overall]


def test_columns_that_are_null_throughout_may_have_the_null_type() -> None:
    table = images([("ok", None, 1, 1, None, None)] * 3)
    for column in ("reason", "n_clustered", "g"):
        table = table.drop_columns([column]).append_column(column, pa.nulls(3))
    overall = losses(table, ["g"], CATEGORIES).to_pylist()[::5]
    assert [r["n_out"] for r in overall] == [3, 3, 3, 0]


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match="no column n_usable"):
        losses(images(HAND).drop_columns(["n_usable"]), ["g"], CATEGORIES)
    with pytest.raises(ConfigError, match="no column h"):
        losses(images(HAND), ["h"], CATEGORIES)
    with pytest.raises(ConfigError, match="g has no categories"):
        losses(images(HAND), ["g"], {})


def test_a_value_outside_the_categories_counts_as_missing() -> None:
    rows = losses(images(HAND), ["g"], {"g": ("M",)}).to_pylist()
    assert [(r["group"], r["n_in"]) for r in rows[:3]] == [(None, 6), ("M", 2), (None, 4)]


def counted(lost: Sequence[tuple[int, int]], copies: int = 1) -> LossCounts:
    """Of each group, how many people and how many of them lost at the first stage; each has so many copies."""
    group = np.repeat(np.arange(len(lost)), [n for n, _ in lost])
    is_lost = np.concatenate([np.arange(n) < k for n, k in lost])
    people = np.repeat(np.arange(len(group)), copies)
    codes = np.repeat(group, copies)[:, None]
    passed = np.where(np.repeat(is_lost, copies), 0, 4)
    return count_losses({"g": ("M", "F")}, codes, passed, people, len(STAGES), [("g",)])


def test_the_test_counts_people_and_not_their_copies() -> None:
    """60 of 200 against 30 of 200 people: the two-sided score test of the 2 × 2 table, whatever the copies."""
    expected = chi2_contingency([[60, 140], [30, 170]], correction=False).pvalue
    for copies in (1, 7):
        rows = losses(counted([(200, 60), (200, 30)], copies), ["g"], {"g": ("M", "F")}).to_pylist()
        groups = [r for r in rows if r["stage"] == "decode" and r["group"]]
        assert [r["p_value"] for r in groups] == [pytest.approx(expected)] * 2
        assert [r["design_effect"] for r in groups] == [pytest.approx(copies)] * 2
        assert [r["p_adjusted"] for r in groups] == [pytest.approx(2 * expected)] * 2
        interval = proportion_confint(60, 200, method="wilson")
        assert (groups[0]["ci_low"], groups[0]["ci_high"]) == pytest.approx(interval)
        assert {r["p_value"] for r in rows if r["stage"] != "decode"} == {None}


def test_few_losses_are_tested_exactly() -> None:
    rows = losses(counted([(40, 4), (60, 0)]), ["g"], {"g": ("M", "F")}).to_pylist()
    expected = fisher_exact([[4, 36], [0, 60]]).pvalue
    assert [r["p_value"] for r in rows[1:3]] == [pytest.approx(expected)] * 2


def test_a_group_that_is_withheld_is_withheld_at_every_stage() -> None:
    table = random_images(400, 4)
    table = table.set_column(5, "g", pa.array(["F"] * 6 + ["M"] * 6 + ["X"] * 388))
    found = loss_counts(table, ["g"], CATEGORIES)
    listed = {("g",): np.array([True, True, False, False])}
    hidden = withheld_losses(found, listed, 10)
    assert hidden[("g",)][:2].all()
    rows = losses(found, ["g"], CATEGORIES, hidden=hidden).to_pylist()
    for r in rows:
        if r["attribute"] and r["group"] in ("M", "F"):
            assert r["n_in"] is r["n_out"] is r["rate"] is r["p_value"] is None
            assert r["is_suppressed"]
        elif r["attribute"] is None:
            assert r["n_in"] is not None


def test_no_small_count_of_a_group_follows_from_two_levels() -> None:
    """The attacker is even told the cells without a label, which the table leaves out of pairs."""
    rng, small, names_of = np.random.default_rng(8), 0, list(CATEGORIES)
    sets = attribute_sets(names_of)
    for seed in range(12):
        table = random_images(int(rng.choice([60, 200, 600])), seed)
        passed = np.array([stages_passed(row) for row in table.to_pylist()])
        levels = [
            unit_counts(table.filter(pa.array(passed >= k)), names_of, CATEGORIES) for k in range(len(STAGES) + 1)
        ]
        listed = withhold({"image": levels[0]}, sets, MIN_CELL).masks["image"]
        counts = loss_counts(table, names_of, CATEGORIES)
        hidden = withheld_losses(counts, listed, MIN_CELL)
        for row in losses(counts, names_of, CATEGORIES, hidden=hidden).to_pylist():
            names, level = tuple(row["attributes"]), STAGES.index(row["stage"])
            place = (None if g is None else CATEGORIES[a].index(g) for a, g in zip(names, row["groups"], strict=True))
            at = tuple(-1 if p is None else p for p in place)
            for k, n in ((level, row["n_in"]), (level + 1, row["n_out"])):
                is_hidden = bool(names) and hidden[names][at][k]
                assert n == (None if is_hidden else levels[k].table(names)[at] if names else (passed >= k).sum())
        for k in range(1, len(levels)):
            runs = [
                (
                    published({n: levels[j].table(n) for n in sets}, {n: hidden[n][..., j] for n in sets}),
                    levels[j].joint.units,
                )
                for j in (k - 1, k)
            ]
            attack = Attack(runs, [-1], labelled_only=True)
            for names in sets:
                known = levels[k].table(names)[(slice(None, -1),) * len(names)]
                for place in zip(*np.nonzero((known > 0) & (known < MIN_CELL)), strict=True):
                    low, high = (attack.extreme(1, names, place, sign) for sign in (-1, 1))
                    assert high - low >= MIN_CELL - 1 - 1e-6, (seed, k, names, place, low, high)
                    small += 1
    assert small > 60
