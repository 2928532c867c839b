"""Retraining sets: weights worked by hand, splits by identity, and the contract that readers rely on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from facelib.audit.sampling_weights import sampling_weights
from facelib.audit.settings import AuditSettings
from facelib.errors import ConfigError
from facelib.training.export import (
    ExportSettings,
    select_faces,
    side_of,
    training_table,
)
from facelib.training.weights import FaceWeights, face_weights
from schemas.arrow import conform

pytestmark = pytest.mark.unit

AUDIT = AuditSettings()


def faces(*face_ids: str) -> pa.Table:
    return pa.table({"face_id": list(face_ids), "image_id": [f.rpartition("-")[0] for f in face_ids]})


def weigh(values: str, identities: Sequence[str] = (), cap: float = 10, **audit: Any) -> FaceWeights:
    """Faces of one attribute, a character each, "." for a missing label."""
    labels = {"gender": [None if v == "." else v for v in values]}
    return face_weights(labels, identities or [str(i) for i in range(len(values))], AuditSettings(**audit), cap)


def test_weights_by_hand() -> None:
    """Ten known faces in three cells: 6, 3 and 1, so shares 0.6, 0.3, 0.1 against 1/3 each."""
    expected = [1 / 3 / 0.6] * 6 + [1 / 3 / 0.3] * 3 + [1 / 3 / 0.1] + [1.0, 1.0]
    found = weigh("FFFFFFMMMX..")
    np.testing.assert_allclose(found.given.weights, expected)
    assert found.given.effective_sample_size == pytest.approx(12**2 / (6 / 3.24 + 3 / 0.81 + 1 / 0.09 + 2))
    assert found.shortfall is None


def test_what_the_cap_takes_goes_to_the_other_cell() -> None:
    """One of 100 may have ten times its share, 0.1; the others share 0.9 instead of 0.99."""
    found = weigh("F" * 99 + "M")
    np.testing.assert_allclose(found.given.weights, [0.9 / 0.99] * 99 + [10.0])
    assert found.shortfall == "the cap keeps 1 of 2 below their target"
    assert weigh("F" * 99 + "M", cap=50).given.weights[-1] == pytest.approx(50)


def test_cells_are_joint_and_a_missing_part_makes_a_cell_unknown() -> None:
    labels = {"gender": ["F", "F", "M", "M", "M", None], "age": ["old", "young", "young", "young", None, None]}
    found = face_weights(labels, list("abcdef"), AuditSettings(), 10)
    np.testing.assert_allclose(found.given.weights, [4 / 3, 4 / 3, 2 / 3, 2 / 3, 1, 1])
    assert found.shortfall == "1 of 4 combinations have no face, and no weight makes one"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("target", ["cells", "identities"])
def test_weights_are_those_of_the_audit(seed: int, target: str) -> None:
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(-1, 3, 400), rng.integers(-1, 2, 400)])
    people = rng.integers(0, 40, 400)
    labels = {a: [None if c < 0 else str(c) for c in row] for a, row in zip("ab", codes, strict=True)}
    found = face_weights(labels, [f"p{i}" for i in people], AuditSettings(plan_target=target), 2.5)
    joint = np.where((codes >= 0).all(axis=0), codes[0] * 2 + codes[1], -1)
    expected = sampling_weights(joint, np.full(6, 1 / 6), people if target == "identities" else None, 2.5)
    np.testing.assert_allclose(found.given.weights, expected.weights)
    assert found.given.effective_sample_size == pytest.approx(expected.effective_sample_size)


def test_identities_share_their_cell_equally() -> None:
    """p has three of the four faces of F, q one: each gets half of the half that F gets."""
    found = weigh("FFFFMM", list("pppqrs"), plan_target="identities")
    np.testing.assert_allclose(found.given.weights, [0.5, 0.5, 0.5, 1.5, 1.5, 1.5])


def test_reference_shares_are_met() -> None:
    reference = {"gender": {"M": 0.7, "F": 0.2, "X": 0.1}}
    found = weigh("FFFFFFMMMX.", plan_target="reference", reference=reference)
    np.testing.assert_allclose(found.given.weights, [0.2 / 0.6] * 6 + [0.7 / 0.3] * 3 + [1.0, 1.0])


def test_margins_are_met_where_only_they_are_declared() -> None:
    rng = np.random.default_rng(1)
    labels = {"a": rng.choice(["x", "y"], 500, p=[0.8, 0.2]).tolist(), "b": rng.choice(["u", "v", "w"], 500).tolist()}
    reference = {"a": {"x": 0.5, "y": 0.5}, "b": {"u": 0.5, "v": 0.25, "w": 0.25}}
    settings = AuditSettings(plan_target="reference", reference=reference)
    found = face_weights(labels, [str(i) for i in range(500)], settings, 10)
    for attribute, shares in reference.items():
        for category, share in shares.items():
            of_category = np.array([v == category for v in labels[attribute]])
            assert found.given.weights[of_category].sum() / 500 == pytest.approx(share, abs=1e-6)
    assert found.shortfall is None


def test_margins_that_cannot_be_met_are_said_to_be_so() -> None:
    labels = {"a": ["x"] * 6 + ["y"] * 2, "b": ["u"] * 6 + ["v"] * 2}
    reference = {"a": {"x": 0.5, "y": 0.5}, "b": {"u": 0.2, "v": 0.8}}
    settings = AuditSettings(plan_target="reference", reference=reference)
    found = face_weights(labels, list("abcdefgh"), settings, 10)
    assert found.shortfall is not None
    assert "cannot meet all reference shares" in found.shortfall


def test_a_target_without_reference_shares_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"does not give a share for each category of gender"):
        weigh("FM", plan_target="reference")


def test_bins_and_undeclared_values() -> None:
    """Ages below 30 and above; a value that is no number is no category and weighs 1."""
    labels = {"age": ["20", "29", "25", "40", "n/a"]}
    found = face_weights(labels, list("abcde"), AuditSettings(edges={"age": (30.0,)}), 10)
    np.testing.assert_allclose(found.given.weights, [2 / 3, 2 / 3, 2 / 3, 2, 1])


def test_nobody_is_labelled() -> None:
    for target in ("cells", "identities"):
        np.testing.assert_array_equal(weigh("..", plan_target=target).given.weights, [1, 1])
    everyone = face_weights({}, ["p", "p", "p", "q"], AuditSettings(), 10)
    np.testing.assert_array_equal(everyone.given.weights, np.ones(4))
    assert everyone.shortfall is None
    by_person = face_weights({}, ["p", "p", "p", "q"], AuditSettings(plan_target="identities"), 10)
    np.testing.assert_allclose(by_person.given.weights, [2 / 3, 2 / 3, 2 / 3, 2])


def test_sides_have_the_asked_shares() -> None:
    """5,000 identities; three standard deviations of a binomial share of 0.2 are 0.017."""
    settings = ExportSettings(validation_share=0.2, test_share=0.1)
    sides = Counter(side_of(f"c{i}", settings) for i in range(5000))
    assert sides["validation"] / 5000 == pytest.approx(0.2, abs=0.017)
    assert sides["test"] / 5000 == pytest.approx(0.1, abs=0.013)
    assert set(sides) == {"train", "validation", "test"}


def test_a_side_depends_on_the_identity_alone() -> None:
    """Recorded sides: they must not move between versions, or a test face would enter a training set."""
    settings = ExportSettings()
    recorded = {f"c{i}": side_of(f"c{i}", settings) for i in range(40)}
    assert [i for i, side in recorded.items() if side == "test"] == ["c1", "c4", "c5", "c12", "c23", "c24", "c26"]
    assert [i for i, side in recorded.items() if side == "validation"] == ["c6", "c25", "c35"]


def test_growing_the_validation_share_leaves_the_test_side_alone() -> None:
    small, large = ExportSettings(validation_share=0.1), ExportSettings(validation_share=0.4)
    names = [f"c{i}" for i in range(1000)]
    assert [n for n in names if side_of(n, small) == "test"] == [n for n in names if side_of(n, large) == "test"]


def test_shares_of_zero_leave_everything_for_training() -> None:
    settings = ExportSettings(validation_share=0, test_share=0)
    assert {side_of(f"c{i}", settings) for i in range(500)} == {"train"}


def test_selected_faces_by_hand() -> None:
    identity = {"a-0": "p", "b-0": "q", "c-0": "p", "d-0": "r"}
    labels = {"gender": {"a-0": "F", "c-0": "F", "b-0": "M"}}
    found = select_faces(faces("d-0", "c-0", "b-0", "a-0", "e-0"), identity, labels, ExportSettings(), AUDIT).faces
    assert found.column_names == ["face_id", "identity", "identity_index", "split", "weight", "label_gender"]
    assert found["face_id"].to_pylist() == ["a-0", "b-0", "c-0", "d-0"]
    assert found["identity"].to_pylist() == ["p", "q", "p", "r"]
    assert found["identity_index"].to_pylist() == [0, 1, 0, 2]
    assert found["label_gender"].to_pylist() == ["F", "M", "F", "unknown"]
    np.testing.assert_allclose(found["weight"].to_numpy(), [0.75, 1.5, 0.75, 1.0])


def test_small_identities_are_left_out_and_classes_stay_dense() -> None:
    identity = {"a-0": "p", "b-0": "q", "c-0": "r", "d-0": "r", "e-0": "p"}
    found = select_faces(faces(*identity), identity, {}, ExportSettings(min_faces=2), AUDIT).faces
    assert found["identity"].to_pylist() == ["p", "r", "r", "p"]
    assert found["identity_index"].to_pylist() == [0, 1, 1, 0]
    assert found["weight"].to_pylist() == [1.0] * 4


def test_identities_count_only_faces_that_are_there() -> None:
    identity = {"a-0": "p", "gone-0": "p"}
    with pytest.raises(ConfigError, match=r"at least 2 faces: lower export\.min_faces"):
        select_faces(faces("a-0"), identity, {}, ExportSettings(min_faces=2), AUDIT)


def random_set(seed: int) -> tuple[pa.Table, dict[str, str], dict[str, dict[str, str]]]:
    rng = np.random.default_rng(seed)
    ids = [f"i{i}-0" for i in range(800)]
    identity = {f: f"p{rng.integers(150)}" for f in ids}
    labels = {"gender": {f: "FM"[rng.integers(2)] for f in ids if rng.random() < 0.9}}
    return faces(*[ids[i] for i in rng.permutation(800)]), identity, labels


def test_no_identity_is_on_two_sides_and_order_does_not_matter() -> None:
    table, identity, labels = random_set(14)
    settings = ExportSettings(validation_share=0.3, test_share=0.3)
    found = select_faces(table, identity, labels, settings, AUDIT).faces
    sides: dict[str, set[str]] = {}
    for row in found.to_pylist():
        sides.setdefault(row["identity"], set()).add(row["split"])
        assert row["split"] == side_of(row["identity"], settings)
    assert all(len(s) == 1 for s in sides.values())
    assert len({next(iter(s)) for s in sides.values()}) == 3
    assert select_faces(table.take(list(range(799, -1, -1))), identity, labels, settings, AUDIT).faces.equals(found)


def test_selected_faces_and_chips_fit_the_contract() -> None:
    table, identity, labels = random_set(15)
    found = select_faces(table, identity, labels, ExportSettings(), AUDIT).faces
    contract = training_table(["gender"])
    written = conform(found.append_column("chip", pa.array([b"x"] * len(found))), contract)
    assert written.column_names == contract.names
    assert not any(c.nullable for c in contract)
    assert all(column.null_count == 0 for column in written.columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_cap": 0.9}, "weight_cap"),
        ({"min_faces": 0}, "min_faces"),
        ({"validation_share": -0.1}, "validation_share"),
        ({"validation_share": 0.5, "test_share": 0.5}, "leave a share to train on"),
    ],
)
def test_settings_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportSettings(**change)
