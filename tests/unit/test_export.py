"""Retraining sets: weights worked by hand, splits by identity, and the contract that readers rely on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from facelib.errors import ConfigError
from facelib.training.export import (
    ExportSettings,
    cell_weights,
    effective_sample_size,
    select_faces,
    side_of,
    training_table,
)
from schemas.arrow import conform

pytestmark = pytest.mark.unit

Cell = tuple[str | None, ...]


def faces(*face_ids: str) -> pa.Table:
    return pa.table({"face_id": list(face_ids), "image_id": [f.rpartition("-")[0] for f in face_ids]})


def test_weights_by_hand() -> None:
    """Ten known faces in three cells: 6, 3 and 1, so shares 0.6, 0.3, 0.1 against 1/3 each."""
    cells: list[Cell] = [(v,) for v in ["F"] * 6 + ["M"] * 3 + ["X"] + [None] * 2]
    expected = [1 / 3 / 0.6] * 6 + [1 / 3 / 0.3] * 3 + [1 / 3 / 0.1] + [1.0, 1.0]
    np.testing.assert_allclose(cell_weights(cells, cap=10), expected)


def test_weights_are_capped() -> None:
    cells: list[Cell] = [(v,) for v in "F" * 99 + "M"]
    found = cell_weights(cells, cap=10)
    np.testing.assert_allclose(found, [50 / 99] * 99 + [10.0])
    assert cell_weights(cells, cap=50)[-1] == pytest.approx(50)


def test_cells_are_joint_and_a_missing_part_makes_a_cell_unknown() -> None:
    cells: list[Cell] = [("F", "old"), ("F", "young"), ("M", "young"), ("M", "young"), ("M", None), (None, None)]
    np.testing.assert_allclose(cell_weights(cells, cap=10), [4 / 3, 4 / 3, 2 / 3, 2 / 3, 1, 1])


@pytest.mark.parametrize("seed", range(5))
def test_uncapped_weights_make_all_cells_equal_and_keep_the_total(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells: list[Cell] = [("abcde"[rng.integers(5) % (1 + rng.integers(5))],) for _ in range(400)]
    weights = cell_weights(cells, cap=1e9)
    sums = Counter[Cell]()
    for cell, weight in zip(cells, weights, strict=True):
        sums[cell] += weight
    np.testing.assert_allclose(list(sums.values()), 400 / len(sums))
    assert weights.sum() == pytest.approx(400)


def test_nobody_is_labelled() -> None:
    np.testing.assert_array_equal(cell_weights([(None,), (None,)], cap=10), [1, 1])
    assert cell_weights([], cap=10).shape == (0,)


def test_effective_sample_size_by_hand() -> None:
    assert effective_sample_size(np.ones(7)) == pytest.approx(7)
    assert effective_sample_size(np.array([1.0, 1, 4])) == pytest.approx(36 / 18)
    assert effective_sample_size(np.array([5.0])) == pytest.approx(1)
    assert effective_sample_size(np.empty(0)) == 0


def test_effective_sample_size_is_between_one_and_n_whatever_the_scale() -> None:
    rng = np.random.default_rng(13)
    for n in (2, 10, 100):
        weights = rng.exponential(size=n)
        found = effective_sample_size(weights)
        assert 1 <= found <= n
        assert effective_sample_size(1000 * weights) == pytest.approx(found)


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
    found = select_faces(faces("d-0", "c-0", "b-0", "a-0", "e-0"), identity, labels, ExportSettings())
    assert found.column_names == ["face_id", "identity", "identity_index", "split", "weight", "label_gender"]
    assert found["face_id"].to_pylist() == ["a-0", "b-0", "c-0", "d-0"]
    assert found["identity"].to_pylist() == ["p", "q", "p", "r"]
    assert found["identity_index"].to_pylist() == [0, 1, 0, 2]
    assert found["label_gender"].to_pylist() == ["F", "M", "F", "unknown"]
    np.testing.assert_allclose(found["weight"].to_numpy(), [0.75, 1.5, 0.75, 1.0])


def test_small_identities_are_left_out_and_classes_stay_dense() -> None:
    identity = {"a-0": "p", "b-0": "q", "c-0": "r", "d-0": "r", "e-0": "p"}
    found = select_faces(faces(*identity), identity, {}, ExportSettings(min_faces=2))
    assert found["identity"].to_pylist() == ["p", "r", "r", "p"]
    assert found["identity_index"].to_pylist() == [0, 1, 1, 0]
    assert found["weight"].to_pylist() == [1.0] * 4


def test_identities_count_only_faces_that_are_there() -> None:
    identity = {"a-0": "p", "gone-0": "p"}
    with pytest.raises(ConfigError, match=r"at least 2 faces: lower export\.min_faces"):
        select_faces(faces("a-0"), identity, {}, ExportSettings(min_faces=2))


def random_set(seed: int) -> tuple[pa.Table, dict[str, str], dict[str, dict[str, str]]]:
    rng = np.random.default_rng(seed)
    ids = [f"i{i}-0" for i in range(800)]
    identity = {f: f"p{rng.integers(150)}" for f in ids}
    labels = {"gender": {f: "FM"[rng.integers(2)] for f in ids if rng.random() < 0.9}}
    return faces(*[ids[i] for i in rng.permutation(800)]), identity, labels


def test_no_identity_is_on_two_sides_and_order_does_not_matter() -> None:
    table, identity, labels = random_set(14)
    settings = ExportSettings(validation_share=0.3, test_share=0.3)
    found = select_faces(table, identity, labels, settings)
    sides: dict[str, set[str]] = {}
    for row in found.to_pylist():
        sides.setdefault(row["identity"], set()).add(row["split"])
        assert row["split"] == side_of(row["identity"], settings)
    assert all(len(s) == 1 for s in sides.values())
    assert len({next(iter(s)) for s in sides.values()}) == 3
    assert select_faces(table.take(list(range(799, -1, -1))), identity, labels, settings).equals(found)


def test_selected_faces_and_chips_fit_the_contract() -> None:
    table, identity, labels = random_set(15)
    found = select_faces(table, identity, labels, ExportSettings())
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
