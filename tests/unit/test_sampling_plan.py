"""The plan of what to collect: by hand, against the modules it is made of, and what it must not give away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from facelib.audit.prescription import collect_for_evenness, collect_for_shares
from facelib.audit.sampling_weights import sampling_weights
from facelib.audit.settings import AuditSettings
from facelib.audit.trials import trials_for_width
from facelib.errors import ConfigError
from facelib.reports.plan_counts import planned_sets
from facelib.reports.plan_goals import GOALS
from facelib.reports.sampling_plan import sampling_plan
from facelib.spark.context import StageContext
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.plan_stage import plan_audit
from schemas.arrow import arrow_schema, conform
from schemas.plan_tables import SAMPLING_PLAN, SAMPLING_PLAN_SUMMARY

pytestmark = pytest.mark.unit

Tables = dict[tuple[str, ...], np.ndarray]
CATEGORIES = {"gender": ("F", "M"), "age": ("young", "middle", "old")}


def tables_of(joint: np.ndarray, names: Sequence[str]) -> Tables:
    """Single attributes, then pairs, of a joint table with one axis per attribute, the missing value last."""
    axes = range(joint.ndim)
    sets = [*combinations(axes, 1), *combinations(axes, 2)]
    return {tuple(names[a] for a in s): joint.sum(axis=tuple(a for a in axes if a not in s)) for s in sets}


def published(
    unit: str, tables: Tables, categories: Mapping[str, Sequence[str]], masks: Tables | None = None
) -> list[dict[str, Any]]:
    """Rows as `balance` has them, without the counts under a mask."""
    rows = []
    for names, table in tables.items():
        words = product(*([*categories[a], None] for a in names))
        hidden = masks[names].ravel() if masks else np.zeros(table.size, bool)
        for groups, n, hide in zip(words, table.ravel().tolist(), hidden.tolist(), strict=True):
            rows.append({"unit": unit, "attributes": list(names), "groups": list(groups), "n": None if hide else n})
    return rows


def plan(
    images: Sequence[int],
    people: Sequence[int] | None = None,
    missing: int = 0,
    cap: float = 10,
    hidden: Sequence[int] = (),
    **audit: Any,
) -> tuple[dict[str, list[dict[str, Any]]], dict[tuple[str, str], dict[str, Any]]]:
    """Plan of one attribute with categories 0, 1, …: rows by goal, summary by goal and unit."""
    people = people or images
    categories = {"a": [str(i) for i in range(len(images))]}
    rows = []
    for unit, n in (("image", images), ("cluster", people)):
        masks = {("a",): np.isin(np.arange(len(n) + 1), hidden)}
        rows += published(unit, {("a",): np.array([*n, missing])}, categories, masks)
    totals = {"image": sum(images) + missing, "cluster": sum(people) + missing}
    cells, summary = sampling_plan(planned_sets(rows, totals), AuditSettings(**audit), cap)
    by_goal = {goal: [row for row in cells.to_pylist() if row["goal"] == goal] for goal in GOALS}
    return by_goal, {(row["goal"], row["unit"]): row for row in summary.to_pylist()}


def column(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


def test_shares_by_hand() -> None:
    """θ = 0.8 / 3, so 100, 50, 10 images need 58 each of 216, and 20, 20, 1 identities 15 each of 55."""
    cells, summary = plan([100, 50, 10], [20, 20, 1])
    rows = cells["shares"]
    assert column(rows, "images_to_add") == [0, 8, 48]
    assert column(rows, "images_wanted") == [100, 58, 58]
    assert column(rows, "identities_to_add") == [0, 0, 14]
    assert column(rows, "status") == ["enough", "collect", "collect"]
    assert column(rows, "target_share") == pytest.approx([1 / 3] * 3)
    assert column(rows, "share_now") == pytest.approx([100 / 160, 50 / 160, 10 / 160])
    assert column(rows, "share_collected") == pytest.approx([100 / 216, 58 / 216, 58 / 216])
    assert column(rows, "weight") == pytest.approx([160 / 300, 160 / 150, 160 / 30])
    assert column(rows, "share_weighted") == pytest.approx([1 / 3] * 3)
    of_images, of_people = summary["shares", "image"], summary["shares", "cluster"]
    assert (of_images["status"], of_images["to_add"], of_people["to_add"]) == ("collect", 56, 14)
    assert (of_images["imbalance_now"], of_images["imbalance_weighted"]) == (10, pytest.approx(1))
    assert of_images["imbalance_collected"] == pytest.approx(100 / 58)
    assert of_images["effective_sample_size"] == pytest.approx(3 / (1 / 300 + 1 / 150 + 1 / 30) * 3 / 3)
    assert (of_images["weighting"], of_images["weighting_reason"]) == ("reached", None)
    assert of_people["weighting"] is None


def test_new_identities_bring_their_images() -> None:
    """Nobody is in cell 1 although it has images enough: 24 people bring 24 images, and that makes cell 0 short."""
    rows, _ = plan([10, 100], [30, 0])
    people = collect_for_shares([30, 0], [0.5, 0.5]).images.add
    images = collect_for_shares(np.array([10, 100]) + people, [0.5, 0.5]).images.after.counts - [10, 100]
    assert column(rows["shares"], "identities_to_add") == people.tolist() == [0, 20]
    assert column(rows["shares"], "images_to_add") == images.tolist() == [70, 20]


def test_evenness_and_interval() -> None:
    images, people = [100, 50, 10], [90, 40, 5]
    rows, summary = plan(images, people, plan_evenness=0.97, plan_rate=0.1, plan_width=0.2)
    collected = collect_for_evenness(people, 0.97).images
    assert column(rows["evenness"], "identities_to_add") == collected.add.tolist()
    assert summary["evenness", "cluster"]["evenness_collected"] == pytest.approx(collected.after.evenness)
    assert summary["evenness", "cluster"]["evenness_collected"] >= 0.97
    assert summary["evenness", "image"]["evenness_collected"] >= 0.97
    trials = int(trials_for_width(0.1, 0.2))
    assert 30 < trials < 40
    added = [0, 0, trials - 5]
    assert column(rows["interval"], "identities_to_add") == added
    assert column(rows["interval"], "images_to_add") == [2 * n for n in added]
    assert column(rows["interval"], "images_wanted") == [None] * 3
    assert f"{trials} identities with two images" in summary["interval", "cluster"]["aim"]


def test_a_cell_without_images_is_collected_for_but_not_weighted() -> None:
    rows, summary = plan([60, 40, 0])
    empty = rows["shares"][2]
    assert empty["images_to_add"] > 0
    assert (empty["weight"], empty["share_weighted"]) == (None, 0)
    assert empty["reason"] == "no image is there, and no weight makes one"
    assert column(rows["shares"], "share_weighted") == pytest.approx([0.5, 0.5, 0])
    found = summary["shares", "image"]
    assert found["weighting"] == "empty"
    assert found["weighting_reason"] == "1 of 3 cells is empty, and no weight makes an image: collect there"
    assert found["imbalance_weighted"] is None
    assert found["status"] == "collect"


def test_what_the_cap_prevents_is_said() -> None:
    """One of 100 images may have five times its share; without a cap it would have 50 times."""
    rows, summary = plan([99, 1], cap=5)
    assert column(rows["shares"], "share_weighted") == pytest.approx([0.95, 0.05])
    assert column(rows["shares"], "weight") == pytest.approx([95 / 99, 5])
    assert "weights above 5" in rows["shares"][1]["reason"]
    assert summary["shares", "image"]["weighting"] == "capped"
    assert summary["shares", "image"]["weighting_reason"].startswith("1 of 2 cells is below the target share")


def test_a_closed_cell_stays_short_with_its_reason() -> None:
    rows, summary = plan([100, 50, 1], plan_closed={"a": ("2",)})
    short = rows["shares"][2]
    assert (short["status"], short["images_to_add"]) == ("short", 0)
    assert "nothing can be added here" in short["reason"]
    assert "audit.plan_closed" in short["reason"]
    assert summary["shares", "image"]["status"] == "short"
    assert summary["shares", "image"]["reason"].startswith("1 of 3 cells is short of it")
    assert "the largest evenness is" in summary["evenness", "image"]["reason"]
    assert rows["interval"][2]["status"] == "short"
    with pytest.raises(ConfigError, match="plan_closed names x, which is no category of a"):
        plan([1, 2], plan_closed={"a": ("x",)})


def test_without_labelled_images_nothing_is_planned() -> None:
    rows, summary = plan([0, 0], missing=5)
    assert column(rows["shares"], "status") == ["undefined"] * 2
    assert summary["shares", "image"]["reason"] == "none has a label"
    assert summary["shares", "image"]["weighting"] == "undefined"
    assert summary["interval", "cluster"]["to_add"] == 2 * int(trials_for_width(0.02, 0.02))
    assert [len(t) for t in sampling_plan([], AuditSettings(), 10)] == [0, 0]


def test_images_without_a_cluster_are_planned_without_identities() -> None:
    rows, summary = plan([30, 5], [0, 0])
    assert column(rows["shares"], "images_to_add") == [0, collect_for_shares([30, 5], [0.5, 0.5]).images.add[1]]
    assert column(rows["shares"], "identities_to_add") == [None, None]
    assert summary["shares", "cluster"]["status"] == "undefined"


def test_reference_shares_of_one_attribute() -> None:
    rows, _ = plan([50, 50], plan_target="reference", reference={"a": {"1": 0.9, "0": 0.1}})
    assert column(rows["shares"], "target_share") == pytest.approx([0.1, 0.9])
    assert column(rows["shares"], "images_to_add") == collect_for_shares([50, 50], [0.1, 0.9]).images.add.tolist()
    rows, summary = plan([50, 50], plan_target="reference")
    assert column(rows["shares"], "status") == ["undefined"] * 2
    assert column(rows["evenness"], "status") == ["enough"] * 2
    assert summary["shares", "image"]["reason"] == "audit.reference does not give the shares of a"


def pair_plan(joint: Sequence[Sequence[int]], **audit: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows and summary of goal shares, images of gender × age."""
    counts = np.pad(np.array(joint), ((0, 1), (0, 1)))
    tables = tables_of(counts, list(CATEGORIES))
    rows = published("image", tables, CATEGORIES) + published("cluster", tables, CATEGORIES)
    totals = dict.fromkeys(("image", "cluster"), int(counts.sum()))
    cells, summary = sampling_plan(planned_sets(rows, totals), AuditSettings(**audit), 10)
    is_pair = {"attributes": ["gender", "age"], "goal": "shares"}
    found = [r for r in cells.to_pylist() if all(r[k] == v for k, v in is_pair.items())]
    totals_of = [r for r in summary.to_pylist() if all(r[k] == v for k, v in is_pair.items()) and r["unit"] == "image"]
    return found, totals_of[0]


REFERENCE = {"gender": {"F": 0.5, "M": 0.5}, "age": {"young": 0.2, "middle": 0.4, "old": 0.4}}


def test_reference_shares_of_a_pair_are_margins() -> None:
    rows, summary = pair_plan([[50, 30, 20], [10, 20, 30]], plan_target="reference", reference=REFERENCE)
    for attribute, position in (("gender", 0), ("age", 1)):
        for name in ("target_share", "share_weighted"):
            for category, share in REFERENCE[attribute].items():
                assert sum(r[name] for r in rows if r["groups"][position] == category) == pytest.approx(share)
    targets = np.array(column(rows, "target_share")).reshape(2, 3)
    ratio = targets[0, 0] * targets[1, 2] / targets[0, 2] / targets[1, 0]
    assert ratio == pytest.approx(50 * 30 / 20 / 10), "the odds ratio of the counts is kept"
    assert summary["weighting"] == "reached"


def test_margins_that_no_combination_allows_are_infeasible() -> None:
    rows, summary = pair_plan([[50, 0, 0], [0, 20, 30]], plan_target="reference", reference=REFERENCE)
    assert column(rows, "status") == ["undefined"] * 6
    assert summary["status"] == "undefined"
    assert summary["weighting"] == "infeasible"
    assert "no shares of the combinations have the reference shares" in summary["weighting_reason"]


@pytest.mark.parametrize("seed", range(12))
def test_the_plan_does_what_it_says(seed: int) -> None:
    """Targets are met by what is wanted, weights are those of the audit, and both tables fit their contracts."""
    rng = np.random.default_rng(seed)
    joint = rng.poisson(rng.choice([0.5, 5, 200, 1e7]), (4, 3, 3)) * rng.integers(0, 2, (4, 3, 3))
    categories = {"a": "123", "b": "45", "c": "67"}
    people = np.ceil(joint * rng.random((4, 3, 3))).astype(int)
    rows = published("image", tables_of(joint, "abc"), categories)
    rows += published("cluster", tables_of(people, "abc"), categories)
    sets = planned_sets(rows, {"image": int(joint.sum()), "cluster": int(people.sum())})
    tolerance = float(rng.uniform(0.05, 0.6))
    cells, summary = sampling_plan(sets, AuditSettings(plan_tolerance=tolerance), 3)
    for table, contract in ((cells, SAMPLING_PLAN), (summary, SAMPLING_PLAN_SUMMARY)):
        written = conform(table.append_column("run_id", pa.array(["r"] * len(table))), contract)
        for c in contract:
            values = [v for v in written.column(c.name).to_pylist() if v is not None]
            assert not c.values or set(values) <= set(c.values)
            assert c.minimum is None or min(values, default=c.minimum) >= c.minimum
            assert c.maximum is None or max(values, default=c.maximum) <= c.maximum
        keys = [tuple(map(str, (row[k] for k in contract.key))) for row in table.to_pylist()]
        assert len(set(keys)) == len(keys)
    for s in sets:
        own = [r for r in cells.to_pylist() if tuple(r["attributes"]) == s.attributes and r["goal"] == "shares"]
        if own[0]["status"] == "undefined":
            assert not s.images.n.any()
            continue
        for unit in ("images", "identities"):
            wanted = np.array([r[f"{unit}_wanted"] for r in own], float)
            if np.isnan(wanted).any():
                continue
            assert (wanted >= (1 - tolerance) / len(own) * wanted.sum() - 1e-6 * wanted.sum()).all()
            assert (wanted - column(own, unit) == column(own, f"{unit}_to_add")).all()
        if own[0]["identities_to_add"] is not None:
            assert all(r["images_to_add"] >= r["identities_to_add"] for r in own)
        if s.images.n.sum() < 1e5:
            codes = np.repeat(np.arange(s.images.n.size), s.images.n)
            expected = sampling_weights(codes, np.full(len(own), 1 / len(own)), cap=3)
            np.testing.assert_allclose(column(own, "share_weighted"), expected.expected, atol=1e-12)
            shown = [r["weight"] for r in own if r["images"]]
            np.testing.assert_allclose(shown, [expected.weights[codes == c][0] for c in np.unique(codes)])
            total = next(r for r in summary.to_pylist() if tuple(r["attributes"]) == s.attributes)
            assert total["effective_sample_size"] == pytest.approx(expected.effective_sample_size)


# What must not be given away


def test_withheld_cells_have_no_figure_of_their_own() -> None:
    rows, summary = plan([300, 4, 200, 12], [30, 2, 20, 3], hidden=[1, 3])
    for goal in GOALS:
        for c in (1, 3):
            row = rows[goal][c]
            assert row["status"] == "withheld"
            told = {"images", "identities", "images_to_add", "identities_to_add", "share_now", "weight"}
            assert all(row[name] is None for name in told | {"share_weighted"})
            assert "withheld" in row["reason"]
    assert rows["shares"][1]["images_wanted"] == rows["shares"][3]["images_wanted"] > 60
    found = summary["shares", "image"]
    assert (found["units"], found["imbalance_now"], found["is_approximate"]) == (None, None, True)
    wanted = rows["shares"][1]["images_wanted"]
    assert found["to_add"] == 2 * wanted + sum(rows["shares"][c]["images_to_add"] for c in (0, 2))


def test_where_too_much_is_withheld_nothing_is_planned() -> None:
    """The withheld cells hold 304 together: filled up they need 167 each, but one of them may hold all."""
    rows, summary = plan([300, 4, 200, 300], hidden=[1, 3])
    assert column(rows["shares"], "status") == ["undefined", "withheld", "undefined", "withheld"]
    assert all(row["images_wanted"] is None and row["share_now"] is None for row in rows["shares"][1::2])
    assert "no plan is sure" in summary["shares", "image"]["reason"]
    assert "more than 5 %" in summary["evenness", "image"]["reason"]
    assert summary["shares", "image"]["evenness_now"] is None
    assert rows["interval"][1]["identities_wanted"] == int(trials_for_width(0.02, 0.02))


def test_with_more_withheld_than_figures_allow_the_shares_are_still_planned() -> None:
    """64 of 564 are withheld: too many for a share, but no withheld cell can hold the 167 that each must."""
    rows, summary = plan([300, 4, 200, 60], [60, 2, 40, 12], hidden=[1, 3])
    assert column(rows["shares"], "images_wanted") == [300, 167, 200, 167]
    assert column(rows["shares"], "images_to_add") == [0, None, 0, None]
    assert column(rows["shares"], "share_collected") == [None] * 4
    assert summary["shares", "image"]["to_add"] == 334
    assert summary["shares", "image"]["evenness_collected"] is None


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_suffices_whatever_the_withheld_cells_hold(seed: int) -> None:
    """Cells are brought to what is wanted, those that hold more stay; no total is larger than it may be."""
    rng = np.random.default_rng(seed)
    joint = rng.poisson(rng.choice([15, 300]), (4, 4)) * rng.integers(1, 4, (4, 4))
    tables = tables_of(joint, "ab")
    few, one = rng.choice(3, 2, replace=False), int(rng.integers(3))
    masks = {names: np.zeros(table.shape, bool) for names, table in tables.items()}
    masks["a",][few] = True
    masks["a", "b"][few, one] = True
    share = 0.8 / np.array([3, 9])
    for row in [r for r in plans_of(tables, masks)[1] if (r["goal"], r["unit"]) == ("shares", "image")]:
        names = tuple(row["attributes"])
        own = [r for r in plans_of(tables, masks)[0] if r["attributes"] == list(names) and r["goal"] == "shares"]
        wanted = np.array([r["images_wanted"] for r in own], float)
        if row["status"] == "undefined":
            assert np.isnan(wanted[masks[names][(slice(3),) * len(names)].ravel()]).all()
            continue
        true = tables[names][(slice(3),) * len(names)].ravel()
        after = np.maximum(true, wanted)
        assert (after >= share[len(names) - 1] * after.sum() - 1e-9).all()
        best = collect_for_shares(true, np.full(true.size, 1 / true.size)).images.after.counts.sum()
        assert after.sum() <= 1.35 * best


def archives(seed: int) -> tuple[Tables, Tables, Tables]:
    """Tables of an archive, what of them is withheld, and tables of another archive that publishes the same.

    Units of two small groups of `a` with one category of `b` are dealt out otherwise: both groups are withheld, and
    these two cells of the pair.
    """
    rng = np.random.default_rng(seed)
    joint = rng.poisson(600, (4, 4))
    few = rng.choice(3, 2, replace=False)
    joint[few] = rng.integers(1, 9, (2, 4))
    column = int(rng.integers(3))
    other = joint.copy()
    both = int(joint[few, column].sum())
    other[few[0], column] = rng.choice([n for n in range(1, both) if n != joint[few[0], column]] or [1])
    other[few[1], column] = both - other[few[0], column]
    tables = tables_of(joint, "ab")
    masks = {names: np.zeros(table.shape, bool) for names, table in tables.items()}
    masks["a",][few] = True
    masks["a", "b"][few, column] = True
    return tables, masks, tables_of(other, "ab")


def plans_of(tables: Tables, masks: Tables | None, **audit: Any) -> list[list[dict[str, Any]]]:
    categories = {"a": "xyz", "b": "uvw"}
    rows = published("image", tables, categories, masks) + published("cluster", tables, categories, masks)
    n = int(tables["a",].sum())
    made = sampling_plan(planned_sets(rows, {"image": n, "cluster": n}), AuditSettings(**audit), 4)
    return [table.to_pylist() for table in made]


def test_archives_that_publish_the_same_counts_get_the_same_plan() -> None:
    """Whoever has the plan knows no more of a withheld count than whoever has `balance`. Made from the counts
    themselves, plans do tell them apart."""
    told_apart = compared = 0
    for seed in range(20):
        tables, masks, other = archives(seed)
        if all((tables[s] == other[s]).all() for s in tables):
            continue
        compared += 1
        for target in ("cells", "reference"):
            reference = {"a": dict.fromkeys("xyz", 1 / 3), "b": dict.fromkeys("uvw", 1 / 3)}
            audit = {"plan_target": target, "reference": reference}
            assert plans_of(tables, masks, **audit) == plans_of(other, masks, **audit)
        told_apart += plans_of(tables, None) != plans_of(other, None)
    assert compared > 15
    assert told_apart == compared


def test_no_withheld_count_follows_from_the_figures_of_its_set() -> None:
    """By what an attacker would try: differences, sums less the told ones, shares times totals."""
    tried = 0
    for seed in range(40):
        tables, masks, _ = archives(seed)
        cells, summary = plans_of(tables, masks)
        for row in summary:
            names = tuple(row["attributes"])
            inner = (slice(None, -1),) * len(names)
            hidden = masks[names][inner].ravel()
            if not hidden.any() or row["unit"] == "cluster":
                continue
            own = [r for r in cells if tuple(r["attributes"]) == names and r["goal"] == row["goal"]]
            assert row["units"] is None
            assert all(own[c]["weight"] is None and own[c]["images_to_add"] is None for c in np.flatnonzero(hidden))
            if row["to_add"] is not None and row["goal"] != "interval":
                told = sum(r["images_to_add"] or 0 for r in own)
                wanted = sum(own[c]["images_wanted"] or 0 for c in np.flatnonzero(hidden))
                assert row["to_add"] - told == wanted, "the sum tells what is wanted, not what is there"
                tried += 1
    assert tried > 100


class FakeContext:
    """Hands out two tables only, and keeps what is written."""

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self.tables, self.written, self.config = tables, dict[str, pa.Table](), PipelineConfig()

    def read_arrow(self, table: Any, columns: list[str]) -> pa.Table:
        return self.tables[table.name].select(columns)

    def write_arrow(self, data: pa.Table, table: Any) -> int:
        self.written[table.name] = conform(data.append_column("run_id", pa.array(["r"] * len(data))), table)
        return len(data)


def test_the_stage_reads_only_what_is_published() -> None:
    tables = tables_of(np.array([[9, 4, 3, 0], [5, 6, 7, 1], [0, 0, 1, 2]]), list(CATEGORIES))
    rows = published("image", tables, CATEGORIES) + published("cluster", tables, CATEGORIES)
    rows = [row | {"estimator": "count"} for row in rows]
    rows.append({"unit": "image", "attributes": ["gender"], "groups": ["X"], "n": 3, "estimator": "undeclared"})
    rows.append(
        {"unit": "image", "attributes": ["a", "b", "c"], "groups": ["x", "y", "z"], "n": 3, "estimator": "count"}
    )
    totals = [{"unit": unit, "n": 38} for unit in ("image", "face", "cluster")]
    context = FakeContext({"balance": pa.Table.from_pylist(rows), "balance_summary": pa.Table.from_pylist(totals)})
    facts = plan_audit(cast("StageContext", context), {a: tuple(c) for a, c in CATEGORIES.items()})
    assert facts == {"sampling_plan": 3 * (2 + 3 + 6), "sampling_plan_summary": 3 * 3 * 2, "not_planned": 0}
    found = context.written["sampling_plan"]
    assert found.schema.equals(arrow_schema(SAMPLING_PLAN))
    assert {g for groups in found.column("groups").to_pylist() for g in groups} == {
        *CATEGORIES["gender"],
        *CATEGORIES["age"],
    }


def test_the_stage_without_labels_writes_empty_tables() -> None:
    columns = {"unit": pa.string(), "attributes": pa.list_(pa.string()), "groups": pa.list_(pa.string())}
    schema = pa.schema([*columns.items(), ("n", pa.int64()), ("estimator", pa.string())])
    totals = pa.schema([("unit", pa.string()), ("n", pa.int64())])
    context = FakeContext({"balance": schema.empty_table(), "balance_summary": totals.empty_table()})
    facts = plan_audit(cast("StageContext", context), {})
    assert facts == {"sampling_plan": 0, "sampling_plan_summary": 0, "not_planned": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plan_evenness": 1.1}, "plan_evenness"),
        ({"plan_width": 0.0}, "plan_width"),
        ({"plan_tolerance": 0.0}, "plan_tolerance"),
        ({"nuisances": ("sharpness", "lens")}, "names lens: choose among eye_distance_px, .*, camera"),
        ({"plan_target": "even"}, "give one of cells, identities, reference"),
        ({"categories": {"a": ("x", "y")}, "plan_closed": {"a": ("z",)}}, "z, which is no category of a"),
    ],
)
def test_settings_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AuditSettings(**change)
