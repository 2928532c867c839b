"""Embedding rows from extracted rows, with a model whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from facelib.embeddings.embed import CHIP_COLUMNS, embed, vectors_of
from facelib.embeddings.model import Mirrored, load_model, model_id
from facelib.errors import ConfigError
from facelib.faces.chip import encode_chip
from schemas.arrow import arrow_schema, conform
from schemas.tables import EMBEDDINGS, EXTRACTED

pytestmark = pytest.mark.unit


class MeanColour:
    """Embeds a chip as its mean colour; remembers the sizes of its batches."""

    model_id = "mean-1"
    dim = 3
    input_px = 150

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, chips: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        assert chips.dtype == np.uint8
        assert chips.shape[1:] == (150, 150, 3)
        self.batches.append(len(chips))
        return np.asarray(chips.mean(axis=(1, 2)), np.float32)


def flat(level: int) -> bytes:
    return encode_chip(np.full((150, 150, 3), level, np.uint8))


def rows(*faces: tuple[str, int | None, int]) -> pa.Table:
    """Rows of `extracted` (image_id, face_index, grey level), narrowed to what embedding reads."""
    data: list[dict[str, Any]] = [
        {"image_id": i, "face_index": n, "chip": None if n is None else flat(level)} for i, n, level in faces
    ]
    return pa.Table.from_pylist(data, schema=pa.schema([arrow_schema(EXTRACTED).field(c) for c in CHIP_COLUMNS]))


def test_rows_follow_the_faces_in_order() -> None:
    found = embed(rows(("b", 1, 10), ("x", None, 0), ("b", 0, 200), ("a", 0, 30)), MeanColour())
    assert found.schema.equals(arrow_schema(EMBEDDINGS), check_metadata=True)
    conform(found, EMBEDDINGS)
    assert found["face_id"].to_pylist() == ["b-1", "b-0", "a-0"]
    assert found["model_id"].to_pylist() == ["mean-1"] * 3
    vectors = vectors_of(found["embedding"])
    np.testing.assert_allclose(vectors, np.repeat([[10], [200], [30]], 3, axis=1), atol=1)
    np.testing.assert_allclose(found["norm"].to_numpy(), np.sqrt((vectors**2).sum(axis=1)), rtol=1e-6)


def test_many_faces_go_through_in_bounded_batches() -> None:
    model = MeanColour()
    levels = [i % 250 for i in range(300)]
    found = embed(rows(*((f"i{i}", 0, level) for i, level in enumerate(levels))), model)
    assert sum(model.batches) == 300
    assert max(model.batches) <= 256
    np.testing.assert_allclose(vectors_of(found["embedding"])[:, 0], levels, atol=1)


def test_no_faces_give_no_rows_and_no_call() -> None:
    model = MeanColour()
    for table in (rows(), rows(("x", None, 0))):
        found = embed(table, model)
        assert found.num_rows == 0
        assert found.schema.equals(arrow_schema(EMBEDDINGS))
    assert model.batches == []


def test_a_damaged_chip_is_named() -> None:
    broken = rows(("a", 0, 1)).set_column(2, "chip", pa.array([b"no jpeg"]))
    with pytest.raises(ConfigError, match="chip is not a whole JPEG"):
        embed(broken, MeanColour())


def test_vectors_of_chunked_and_sliced_columns() -> None:
    values = np.random.default_rng(17).normal(size=(40, 5)).astype(np.float32)
    column = pa.array(values.tolist(), pa.list_(pa.float32()))
    chunked = pa.chunked_array([column[:7], column[7:7], column[7:]])
    np.testing.assert_array_equal(vectors_of(chunked), values)
    np.testing.assert_array_equal(vectors_of(chunked.slice(5, 20)), values[5:25])
    np.testing.assert_array_equal(vectors_of(pa.chunked_array([column[30:]])), values[30:])
    assert vectors_of(pa.chunked_array([], pa.list_(pa.float32()))).shape == (0, 0)
    assert vectors_of(chunked).dtype == np.float32


def test_vectors_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        vectors_of(pa.chunked_array([pa.array([[1.0, 2.0], [3.0]], pa.list_(pa.float32()))]))


def test_model_names() -> None:
    assert model_id("dlib_resnet_v1") == "dlib_resnet_v1-55533b28"
    for call in (model_id, load_model):
        with pytest.raises(ConfigError, match="'arcface' is not known: choose one of dlib_resnet_v1"):
            call("arcface")


def test_a_mirrored_model_averages_the_chip_and_its_mirror_image() -> None:
    class Corner:
        model_id, dim, input_px = "corner", 2, 150

        def embed(self, chips: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            return np.stack([chips[:, 0, 0, 0], chips[:, 0, -1, 0]], axis=1).astype(np.float32)

    chips = np.zeros((3, 150, 150, 3), np.uint8)
    chips[:, 0, 0, 0], chips[:, 0, -1, 0] = (10, 20, 30), (40, 0, 31)
    model = Mirrored(Corner())
    assert model.embed(chips).tolist() == [[25, 25], [10, 10], [30.5, 30.5]]
    assert (model.model_id, model.dim) == ("corner-mirrored", 2)
    assert model_id("dlib_resnet_v1", mirror=True) == model_id("dlib_resnet_v1") + "-mirrored"
