"""Evidence without labels, the curve it is held against, and the floor from verified subjects."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest

from facelib.audit.group_tails import GroupRates
from facelib.clusters.calibration import calibrated_floor
from facelib.clusters.evidence import Evidence
from facelib.clusters.floor import FloorEstimate, fixed_floor
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space
from facelib.demo.planted_embeddings import KINDS, planted_embeddings
from facelib.reports.threshold_curve import GroupCurve, face_groups, similarities, threshold_curve
from schemas.arrow import arrow_schema, conform
from schemas.tables import THRESHOLD_CURVE

pytestmark = pytest.mark.unit


def test_pairs_of_one_photograph_and_copies_are_found() -> None:
    unit = normalise(np.random.default_rng(1).normal(size=(8, 5)))
    image, same_face = np.array([3, 1, 1, 2, 2, 2, 1, 9]), np.array([0, 1, 2, 3, 4, 4, 5, 6])
    copy_of = np.array([-1, -1, -1, -1, -1, -1, -1, 3])
    found = Evidence.of(Space.plain(unit), image, same_face, copy_of, np.array([[0, 1]]))
    cosine = unit @ unit.T
    apart = [(1, 2), (1, 6), (2, 6), (3, 4), (3, 5)]  # 4 and 5 are one face
    np.testing.assert_allclose(np.sort(found.non_mated), np.sort([cosine[p] for p in apart]), atol=1e-6)
    np.testing.assert_allclose(np.sort(found.mated), np.sort([cosine[7, 3], cosine[0, 1]]), atol=1e-6)


def test_copies_do_not_make_strangers() -> None:
    unit = normalise(np.random.default_rng(2).normal(size=(3, 5)))
    found = Evidence.of(
        Space.plain(unit), np.zeros(3, np.int64), None, np.array([-1, -1, 0]), np.zeros((0, 2), np.int64)
    )
    assert (len(found.non_mated), len(found.mated)) == (1, 1)


def test_the_curve_counts_what_exceeds_each_similarity() -> None:
    rng = np.random.default_rng(3)
    evidence = Evidence(rng.uniform(0, 0.8, 400).astype(np.float32), rng.uniform(0.5, 1, 60).astype(np.float32))
    floor = FloorEstimate(0.6, 1e-4, 0.1, "tail", 1000, dimension=10.0)
    rows = threshold_curve(floor, evidence).to_pylist()
    whole = {"attributes": [], "groups": [], "n_faces": 1000, "is_suppressed": False, "estimator": "tail"}
    assert all(whole.items() <= r.items() for r in rows)
    assert [r["similarity"] for r in rows] == sorted(r["similarity"] for r in rows)
    at_floor = [r for r in rows if r["is_floor"]]
    assert len(at_floor) == 1
    assert at_floor[0]["similarity"] == pytest.approx(0.6)
    assert at_floor[0]["false_edges_per_face"] == pytest.approx(0.1)
    for row in rows:
        k = int((evidence.non_mated > row["similarity"]).sum())
        assert row["same_photograph_rate"] == pytest.approx(k / 400)
        interval = binomtest(k, 400).proportion_ci(method="wilson")
        ends = (row["same_photograph_ci_low"], row["same_photograph_ci_high"])
        assert ends == pytest.approx((interval.low, interval.high), abs=1e-9)
        assert row["copies_rate"] == pytest.approx((evidence.mated > row["similarity"]).mean())
        # the law of the tail: a tenth of the false edges at a distance smaller by 10^(2/D)
        assert row["fmr_estimated"] == pytest.approx(min(1, 1e-4 * ((1 - row["similarity"]) / 0.4) ** 5), rel=1e-6)


def test_without_evidence_or_estimate_the_curve_says_nothing() -> None:
    nothing = np.zeros(0, np.float32)
    rows = threshold_curve(fixed_floor(0.5, 10), Evidence(nothing, nothing))
    assert set(rows.column_names) | {"run_id"} == set(arrow_schema(THRESHOLD_CURVE).names)
    for name in ("fmr_estimated", "false_edges_per_face", "same_photograph_rate", "copies_rate", "copies_ci_low"):
        assert rows.column(name).null_count == len(rows)
    assert rows.column("n_copies").to_pylist() == [0] * len(rows)
    assert rows.column("estimator").null_count == len(rows)


NO_EVIDENCE = Evidence(np.zeros(0, np.float32), np.zeros(0, np.float32))
FLOOR = FloorEstimate(0.6, 1e-4, 0.1, "tail", 1000, dimension=10.0)


def group_curve(name: str, n_faces: int, known: int) -> GroupCurve:
    """Rates at the first `known` points, the first two counted."""
    fmr = np.where(np.arange(17) < known, 0.1 / np.arange(1, 18), np.nan)
    return GroupCurve(("g",), (name,), n_faces, GroupRates(fmr, fmr / 2, fmr * 2, np.arange(17) < 2))


def test_groups_stand_behind_the_archive_with_their_own_rates() -> None:
    groups = [group_curve("a", 200, 5), GroupCurve(("g",), ("b",), 12, None), GroupCurve(("g",), ("c",), 0, None)]
    table = threshold_curve(FLOOR, NO_EVIDENCE, groups)
    rows = table.to_pylist()
    assert [(r["attributes"], r["groups"]) for r in rows[::17]] == [([], []), *((["g"], [n]) for n in "abc")]
    assert [r["similarity"] for r in rows] == similarities(FLOOR).tolist() * 4
    assert [r["n_faces"] for r in rows[::17]] == [1000, 200, 12, 0]
    a = rows[17:34]
    assert [r["estimator"] for r in a] == ["counted"] * 2 + ["tail"] * 3 + [None] * 12
    assert [r["fmr_estimated"] for r in a[:5]] == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025, 0.02])
    assert [r["false_edges_per_face"] for r in a[:2]] == pytest.approx([20, 10])
    assert [r["fmr_ci_high"] / r["fmr_ci_low"] for r in a[:5]] == pytest.approx([4] * 5)
    for name in ("estimator", "fmr_estimated", "fmr_ci_low", "fmr_ci_high", "false_edges_per_face"):
        assert [r[name] for r in (*a[5:], *rows[34:])] == [None] * 46
    assert {(r["n_copies"], r["copies_rate"], r["n_same_photograph"], r["same_photograph_rate"]) for r in rows} == {
        (0, None, 0, None)
    }
    written = conform(table.append_column("run_id", pa.array(["r"] * len(table))), THRESHOLD_CURVE)
    assert written.column("groups").to_pylist() == table.column("groups").to_pylist()


def test_small_groups_are_withheld() -> None:
    groups = [group_curve("small", 9, 5), group_curve("large", 10, 5), GroupCurve(("g",), ("empty",), 0, None)]
    _, small, large, empty = threshold_curve(FLOOR, NO_EVIDENCE, groups, min_cell=10).to_pylist()[::17]
    assert [r["is_suppressed"] for r in (small, large, empty)] == [True, False, False]
    assert [r["n_faces"] for r in (small, large, empty)] == [None] * 3  # the others would tell it by subtraction
    for name in ("estimator", "fmr_estimated", "fmr_ci_low", "fmr_ci_high"):
        assert small[name] is None
        assert large[name] is not None
    assert large["false_edges_per_face"] is None
    whole = threshold_curve(FLOOR, NO_EVIDENCE, groups[1:], min_cell=10).to_pylist()[17::17]
    assert [r["n_faces"] for r in whole] == [10, 0]
    assert whole[0]["false_edges_per_face"] is not None


def test_pairs_do_not_tell_the_faces_of_a_small_group() -> None:
    """Cells of g and h add up to the groups of g, of which one is small."""
    rates = group_curve("large", 50, 5).rates
    groups = [group_curve("small", 3, 5), group_curve("large", 50, 5), GroupCurve(("h",), ("a",), 53, rates)]
    groups += [GroupCurve(("g", "h"), (g, "a"), n, None) for g, n in (("small", 3), ("large", 50))]
    rows = threshold_curve(FLOOR, NO_EVIDENCE, groups, min_cell=10).to_pylist()[17::17]
    assert [r["n_faces"] for r in rows] == [None, None, 53, None, None]


def test_face_groups_are_categories_and_cells_of_pairs_that_have_few() -> None:
    faces = pa.table({"g": ["m", None, "f", "m"], "age": ["old", "old", None, "young"], "code": ["0"] * 4})
    categories = {"g": ("f", "m", "x"), "age": ("young", "old"), "code": tuple(map(str, range(30)))}
    found = {group[:2]: group.rows.tolist() for group in face_groups(faces, categories)}
    assert {k: v for k, v in found.items() if k[0] in {("g",), ("age",)}} == {
        (("g",), ("f",)): [2],
        (("g",), ("m",)): [0, 3],
        (("g",), ("x",)): [],
        (("age",), ("young",)): [3],
        (("age",), ("old",)): [0, 1],
    }
    pairs = {k[1]: v for k, v in found.items() if k[0] == ("g", "age")}
    assert pairs == {(g, a): [] for g in ("f", "m", "x") for a in ("young", "old")} | {
        ("m", "young"): [3],
        ("m", "old"): [0],
    }
    sizes = {attributes: sum(k[0] == attributes for k in found) for attributes in {k[0] for k in found}}
    # 3 × 30 cells are too many, 2 × 30 are not
    assert sizes == {("g",): 3, ("age",): 2, ("code",): 30, ("g", "age"): 6, ("age", "code"): 60}
    undeclared = {k[1]: k.rows.tolist() for k in face_groups(faces.select(["g"]), {"g": ("m", "x")})}
    assert undeclared == {("m",): [0, 3], ("x",): []}


def test_a_calibrated_floor_gives_the_wanted_false_edges() -> None:
    planted = planted_embeddings(3000, KINDS["dlib"], 31, junk_share=0)
    space = Space.plain(planted.embeddings)
    settings = ClusterSettings(false_edges_per_face=0.2)
    found = calibrated_floor(space, planted.identities, settings, 3000)
    assert found is not None
    similarity = planted.embeddings @ planted.embeddings.T
    apart = planted.identities[:, None] != planted.identities
    assert (similarity[apart] > found.floor).mean() * 3000 == pytest.approx(0.2, rel=0.15)
    assert (found.method, found.n_faces) == ("subjects", 3000)
    half = np.where(np.arange(3000) % 2, planted.identities, -1)
    partly = calibrated_floor(space, half, settings, 3000)
    assert partly is not None
    assert partly.floor == pytest.approx(found.floor, abs=0.01)


def test_too_few_known_subjects_calibrate_nothing() -> None:
    unit = planted_embeddings(300, KINDS["dlib"], 31).embeddings
    few = np.full(300, -1)
    few[:10] = np.arange(10)
    assert calibrated_floor(Space.plain(unit), few, ClusterSettings(), 300) is None
