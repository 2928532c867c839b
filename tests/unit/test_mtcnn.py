"""MTCNN against records of the original, and its parts against independent computations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch
from oracles import mtcnn_pictures
from oracles.plain_mtcnn import overlap

from facelib.errors import ConfigError
from facelib.faces import mtcnn_cascade, mtcnn_weights
from facelib.faces.detector import Detections, DetectSettings
from facelib.faces.mtcnn import Mtcnn
from facelib.faces.mtcnn_boxes import by_score, keep_by_nms, to_square
from facelib.faces.mtcnn_crops import GREY, cut
from facelib.faces.mtcnn_networks import load_proposer, propose
from facelib.faces.mtcnn_pyramid import fill_level, pyramid_scales, summed_areas
from facelib.faces.mtcnn_retry import equalised, halved, undo_halving

pytestmark = pytest.mark.unit

ORACLES = Path(__file__).parent.parent / "oracles"
REFERENCE = json.loads((ORACLES / "mtcnn_reference.json").read_text())["records"]


PICTURES = mtcnn_pictures.pictures()


def _label(record: dict[str, Any]) -> str:
    third = record["thresholds"][2]
    return f"{record['picture']}-{record['min_face_px']}-{record['scale_factor']}-{third}"


@pytest.fixture(scope="module")
def plain() -> Mtcnn:
    return Mtcnn(DetectSettings(retry=False))


@pytest.mark.parametrize("record", REFERENCE, ids=_label)
def test_equals_the_original(record: dict[str, Any]) -> None:
    picture = PICTURES[record["picture"]]
    assert mtcnn_pictures.sha256(picture) == record["pixels_sha256"], (
        "the reference picture came out different here (NumPy's generator or scikit-image's astronaut "
        "changed): record again, see tests/oracles/README.md"
    )
    settings = DetectSettings(
        min_face_px=record["min_face_px"],
        min_face_share=0,
        scale_factor=record["scale_factor"],
        thresholds=tuple(record["thresholds"]),
        retry=False,
    )
    found = Mtcnn(settings).detect(picture)
    assert len(found) == len(record["scores"])
    np.testing.assert_allclose(found.boxes, np.reshape(record["boxes"], (-1, 4)), rtol=0, atol=0.01)
    np.testing.assert_allclose(found.scores, record["scores"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.points, np.reshape(record["points"], (-1, 5, 2)), rtol=0, atol=0.01)


def test_reference_covers_crowds_small_faces_and_faceless_pictures() -> None:
    counts = [len(r["scores"]) for r in REFERENCE]
    assert len({r["picture"] for r in REFERENCE}) >= 10
    assert max(counts) >= 5
    assert counts.count(0) >= 4
    assert sum(r["levels_left_out"] == 0 and len(r["scores"]) > 0 for r in REFERENCE) >= 10
    assert min(box[2] for r in REFERENCE for box in r["boxes"]) < 24


@pytest.mark.parametrize(("height", "width"), [(250, 250), (123, 311), (97, 64)])
def test_pyramid_equals_area_resize(height: int, width: int) -> None:
    image = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    scales = pyramid_scales(height, width, 20, 0.709)
    assert len(scales) >= 4
    table = summed_areas(image)
    for scale in scales:
        level = np.empty((int(height * scale), int(width * scale), 3), np.float32)
        fill_level(table, level)
        expected = cv2.resize(image.astype(np.float32), level.shape[1::-1], interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(level, (expected - 127.5) / 128, rtol=0, atol=2e-6)


def test_pyramid_of_a_picture_beyond_int32_sums() -> None:
    image = np.full((2910, 2910, 3), 255, np.uint8)
    level = np.empty((29, 29, 3), np.float32)
    fill_level(summed_areas(image), level)
    np.testing.assert_allclose(level, 127.5 / 128, rtol=0, atol=1e-6)


def test_scales_start_at_the_smallest_face_and_stop_above_ten_px() -> None:
    scales = pyramid_scales(300, 400, 40, 0.709)
    assert scales[0] == pytest.approx(0.3)
    np.testing.assert_allclose(np.divide(scales[1:], scales[:-1]), 0.709)
    assert int(300 * scales[-1]) >= 11 > int(300 * scales[-1] * 0.709)
    assert pyramid_scales(10, 400, 12, 0.709) == []


def test_scores_descend_in_each_group_and_of_equal_ones_the_later_comes_first() -> None:
    scores = np.array([0.5, 0.9, 0.9, 0.7, 0.1, 0.8], np.float32)
    assert by_score(scores, np.array([1, 1, 1, 1, 0, 0])).tolist() == [5, 4, 2, 1, 3, 0]


def test_saturated_scores_are_equal() -> None:
    """An image scored by an empty network with a large bias: no score reaches 1."""
    layers = {key: torch.zeros_like(value) for key, value in load_proposer().items()}
    for bias in (17.0, 40.0):
        layers["face.bias"][:] = bias
        scores, _ = propose(layers, torch.zeros(1, 3, 12, 12), ())
        assert scores.item() == np.nextafter(np.float32(1), np.float32(0))


def test_nms_lets_suppressed_boxes_suppress() -> None:
    """In a chain a–b–c only neighbours overlap by more than 0.5: greedy NMS would keep c."""
    chain = np.array([[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10], [40, 0, 50, 10]], np.float64)
    assert keep_by_nms(chain, np.zeros(4, np.intp), 0.5).tolist() == [True, False, False, True]


@pytest.mark.parametrize("over", ["union", "min"])
def test_nms_equals_its_definition(over: Literal["union", "min"]) -> None:
    """Pair by pair in Python, on groups of very different sizes, one with more boxes than are compared at a time."""
    rng = np.random.default_rng(11)
    corner = rng.uniform(0, 300, (700, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(10, 40, (700, 2))), axis=1)
    groups = np.repeat([0, 2, 3, 4, 9], [40, 1, 600, 2, 57])
    members = list(zip(groups.tolist(), boxes.tolist(), strict=True))
    expected = [
        all(overlap(box, earlier, over == "min") <= 0.3 for other, earlier in members[:i] if other == group)
        for i, (group, box) in enumerate(members)
    ]
    assert 50 < sum(expected[41:641]) < 300
    assert keep_by_nms(boxes, groups, 0.3, over).tolist() == expected


def test_nms_over_the_smaller_box_drops_a_box_inside_another() -> None:
    nested = np.array([[0, 0, 100, 100], [40, 40, 50, 50]], np.float64)
    assert keep_by_nms(nested, np.zeros(2, np.intp), 0.7).tolist() == [True, True]
    assert keep_by_nms(nested, np.zeros(2, np.intp), 0.7, over="min").tolist() == [True, False]
    assert keep_by_nms(nested, np.array([0, 1]), 0.7, over="min").tolist() == [True, True]


def test_squares_keep_centre_and_longer_side() -> None:
    np.testing.assert_allclose(to_square(np.array([[10.0, 0, 20, 40]])), [[-5, 0, 35, 40]])


def _ramp(height: int, width: int, down: int) -> Any:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([2 * columns + down * rows] * 3, axis=2).astype(np.uint8)


def test_cut_is_bilinear_and_zero_outside() -> None:
    """Ramps of two images, of which bilinear interpolation is exact; batches that end inside an image."""
    side = 24
    sizes = [(40, 60, 3), (50, 30, 1)]
    images = [_ramp(*size) for size in sizes]
    owners = np.array([0, 0, 0, 1, 1])
    boxes = np.array([[5.0, 4, 29, 28], [-10, 10, 14, 34], [3, 3, 12, 12], [2, 30, 28.5, 56.5], [1, 2, 9, 10]])
    batches = list(cut(images, owners, boxes, side, 2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    for crop, owner, (left, top, right, bottom) in zip(torch.cat(batches).numpy(), owners, boxes, strict=True):
        height, width, down = sizes[owner]
        x = np.linspace(left, right, side) * (width - 1) / width
        y = (np.linspace(top, bottom, side) * (height - 1) / height)[:, None]
        shown = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        expected = np.where(shown, 2 * x + down * y - GREY, 0)
        np.testing.assert_allclose(crop, np.stack([expected] * 3), rtol=0, atol=2e-3)


def test_boxes_lie_inside_a_picture_that_cuts_the_face(plain: Mtcnn) -> None:
    picture = PICTURES["astronaut_cut"]
    found = plain.detect(picture)
    assert len(found) == 1
    assert found.boxes[0, :2].min() == 0
    assert (found.boxes[:, :2] + found.boxes[:, 2:] <= np.array(picture.shape[1::-1]) - 1).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (11, 400, 3), (40, 1, 3), (16, 16, 3)])
def test_tiny_pictures_have_no_face(shape: tuple[int, int, int]) -> None:
    found = Mtcnn(DetectSettings(min_face_px=12)).detect(np.zeros(shape, np.uint8))
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)
    assert found.points.shape == (0, 5, 2)


@pytest.mark.parametrize("image", [np.zeros((50, 50), np.uint8), np.zeros((50, 50, 3), np.float32)])
def test_wrong_images_are_refused(plain: Mtcnn, image: Any) -> None:
    with pytest.raises(ValueError, match="RGB uint8"):
        plain.detect(image)


def test_views_and_read_only_images_are_taken(plain: Mtcnn) -> None:
    mirrored = PICTURES["astronaut_half"][:, ::-1]
    frozen = mirrored.copy()
    frozen.setflags(write=False)
    _assert_equal(plain.detect(mirrored), plain.detect(frozen))


def test_many_equals_one_by_one(plain: Mtcnn) -> None:
    """Bit for bit, though levels of several images share a canvas and their crops a batch."""
    images = [picture for _, picture in sorted(PICTURES.items()) if max(picture.shape) < 600]
    assert len(images) >= 10
    for one, found in zip(images, plain.detect_many(images), strict=True):
        _assert_equal(plain.detect(one), found)
    for one, found in zip(images[::-1], plain.detect_many(images[::-1]), strict=True):
        _assert_equal(plain.detect(one), found)


def test_a_large_image_is_scanned_in_strips(plain: Mtcnn, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = PICTURES["astronaut"]
    whole = plain.detect(picture)
    monkeypatch.setattr(mtcnn_cascade, "_STRIP_PX", 3000)
    strips = plain.detect(picture)
    assert len(whole) > 0
    np.testing.assert_allclose(strips.boxes, whole.boxes, rtol=0, atol=1e-3)
    np.testing.assert_allclose(strips.scores, whole.scores, rtol=0, atol=1e-5)


def test_retry_changes_nothing_where_a_face_was_found(plain: Mtcnn) -> None:
    picture = PICTURES["astronaut_tight"]
    _assert_equal(plain.detect(picture), Mtcnn(DetectSettings()).detect(picture))


@pytest.mark.parametrize(("top", "left", "side"), [(55, 160, 90), (60, 170, 70), (85, 160, 70)])
def test_retry_finds_the_face_in_tight_crops(plain: Mtcnn, top: int, left: int, side: int) -> None:
    """The crop fills up with a face whose box the original gave in the whole picture."""
    whole = next(r for r in REFERENCE if r["picture"] == "astronaut")["boxes"][0]
    x, y, width, height = np.array(whole) - [left, top, 0, 0]
    expected = np.clip([x, y, x + width, y + height], 0, side) * 2
    crop = PICTURES["astronaut"][top : top + side, left : left + side].repeat(2, axis=0).repeat(2, axis=1)
    assert len(plain.detect(crop)) == 0
    found = Mtcnn(DetectSettings()).detect(crop)
    assert len(found) == 1
    corners = np.concatenate((found.boxes[0, :2], found.boxes[0, :2] + found.boxes[0, 2:]))
    assert overlap(corners, expected, over_smaller=False) > 0.6
    assert found.boxes.dtype == found.scores.dtype == found.points.dtype == np.float32


@pytest.mark.parametrize("name", ["noise_fine", "noise_coarse", "flat"])
def test_retry_invents_no_face(name: str) -> None:
    assert len(Mtcnn(DetectSettings()).detect(PICTURES[name])) == 0


@pytest.mark.parametrize("shape", [(101, 64), (64, 101), (40, 40)])
def test_halving_is_undone(shape: tuple[int, int]) -> None:
    """A white square, found in the halved picture by its pixels, comes back to its place."""
    picture = np.zeros((*shape, 3), np.uint8)
    picture[10:30, 6:32] = 255
    small = halved(picture)
    assert small.shape == picture.shape
    rows, columns = np.nonzero(small[..., 0] > 200)
    box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    found = Detections(
        np.array([box, [0, 0, 4, 4]], np.float32), np.ones(2, np.float32), np.zeros((2, 5, 2), np.float32)
    )
    found.points[:] = found.boxes[:, None, :2]
    back = undo_halving(found, *shape)
    np.testing.assert_allclose(back.boxes, [[6, 10, 26, 20]], atol=1.1)
    np.testing.assert_allclose(back.points, np.broadcast_to([6, 10], (1, 5, 2)), atol=1.1)


def test_equalised_spreads_brightness() -> None:
    dull = np.random.default_rng(8).integers(100, 120, (60, 60, 3), dtype=np.uint8)
    assert equalised(dull).mean(axis=2).std() > 4 * dull.mean(axis=2).std()


def test_detector_id_names_package_version_and_weights(plain: Mtcnn) -> None:
    assert plain.detector_id == f"mtcnn-1.0.0-{mtcnn_weights.weights_digest()}"


def test_changed_weights_are_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACELIB_CACHE", str(tmp_path))
    monkeypatch.setitem(mtcnn_weights.SHA256, "pnet", "0" * 64)
    monkeypatch.setattr(mtcnn_weights.joblib, "load", lambda path: pytest.fail("unpickled"))
    with pytest.raises(ConfigError, match="reinstall"):
        mtcnn_weights.load_weights("pnet")


@pytest.mark.parametrize(
    ("field", "value"),
    [("min_face_px", 11), ("scale_factor", 1.0), ("scale_factor", 0.0), ("thresholds", (0.6, 0.7, 1.0))],
)
def test_settings_out_of_range_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        DetectSettings(**{field: value})


def _assert_equal(one: Detections, other: Detections) -> None:
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.points, other.points)
