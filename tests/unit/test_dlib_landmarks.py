"""Landmarks against dlib itself, and against the geometry they must obey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from skimage.data import astronaut

from facelib.assets import package_file
from facelib.errors import ConfigError
from facelib.faces.detector import BoxFit
from facelib.faces.dlib_format import DlibReader, read_face_resnet, read_shape_predictor
from facelib.faces.landmarks import FivePointPredictor, box_from_detection

dlib = pytest.importorskip("dlib", reason="dlib-bin is the oracle of these tests")

pytestmark = pytest.mark.unit

SHAPE_FILE = package_file("face_recognition_models", "models/shape_predictor_5_face_landmarks.dat")
FACE_BOX = (180, 70, 270, 160)


@pytest.fixture(scope="module")
def predictor() -> FivePointPredictor:
    return FivePointPredictor.load()


@pytest.fixture(scope="module")
def oracle() -> object:
    return dlib.shape_predictor(str(SHAPE_FILE))


def dlib_points(oracle, image, box) -> npt.NDArray[np.int64]:
    return np.array([(p.x, p.y) for p in oracle(image, dlib.rectangle(*box)).parts()])


def images() -> dict[str, npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(20)
    photograph = astronaut()
    noise = rng.integers(0, 256, (200, 240, 3), dtype=np.uint8)
    return {
        "photograph": photograph,
        "small": np.ascontiguousarray(photograph[::3, ::3]),
        "mirrored": np.ascontiguousarray(photograph[:, ::-1]),
        "noise": noise,
        "grey photograph": photograph[..., 1].copy(),
        "grey noise": noise[..., 0].copy(),
        "black": np.zeros((60, 50, 3), np.uint8),
    }


@pytest.mark.parametrize("name", images())
def test_points_equal_dlib(name, predictor, oracle):
    image = images()[name]
    height, width = image.shape[:2]
    rng = np.random.default_rng(21)
    for _ in range(60):
        side = int(rng.integers(15, 320))
        left, top = (int(rng.integers(-side // 2, size - side // 2)) for size in (width, height))
        box = (left, top, left + side - 1, top + side - 1 + int(rng.integers(-5, 6)))
        points = predictor.predict(image, box)
        np.testing.assert_array_equal(points, dlib_points(oracle, image, box), str(box))


@pytest.mark.parametrize("count", [2, 3, 16, 17, 41])
def test_many_faces_equal_dlib_one_by_one(count, predictor, oracle):
    """Images of several sizes, in grey and colour, in any order; boxes over the border."""
    rng = np.random.default_rng(22)
    pool = list(images().values())
    chosen = [pool[i] for i in rng.integers(0, len(pool), count)]
    boxes = []
    for image in chosen:
        side = int(rng.integers(15, 320))
        left, top = (int(rng.integers(-side // 2, size - side // 2)) for size in image.shape[1::-1])
        boxes.append((left, top, left + side - 1, top + side - 1))
    points = predictor.predict_many(chosen, boxes)
    np.testing.assert_array_equal(points, [dlib_points(oracle, i, b) for i, b in zip(chosen, boxes, strict=True)])


def test_no_faces_give_no_points(predictor):
    assert predictor.predict_many([], []).shape == (0, 5, 2)


def test_images_and_boxes_must_go_in_pairs(predictor):
    with pytest.raises(ValueError, match="2 images but 1 boxes"):
        predictor.predict_many([astronaut(), astronaut()], [FACE_BOX])


def test_points_equal_dlib_on_shifted_and_scaled_face(predictor, oracle):
    image = astronaut()
    for shift in range(-12, 13, 4):
        for grow in range(-16, 33, 8):
            left, top, right, bottom = FACE_BOX
            box = (left + shift - grow, top - shift - grow, right + shift + grow, bottom - shift + grow)
            np.testing.assert_array_equal(predictor.predict(image, box), dlib_points(oracle, image, box))


def test_box_off_the_image_reads_black(predictor):
    black = np.zeros((10, 10, 3), np.uint8)
    away = predictor.predict(np.full((10, 10, 3), 255, np.uint8), (500, 500, 599, 599))
    np.testing.assert_array_equal(away, predictor.predict(black, (500, 500, 599, 599)))


def test_point_order_is_that_of_an_upright_face(predictor):
    right_outer, right_inner, left_outer, left_inner, nose = predictor.predict(astronaut(), FACE_BOX)
    assert left_outer[0] < left_inner[0] < nose[0] < right_inner[0] < right_outer[0]
    assert nose[1] > max(p[1] for p in (right_outer, right_inner, left_outer, left_inner))


def test_grey_of_rgb_is_the_truncated_mean(predictor):
    image = astronaut()
    grey = (image.astype(int).sum(axis=2) // 3).astype(np.uint8)
    np.testing.assert_array_equal(predictor.predict(image, FACE_BOX), predictor.predict(grey, FACE_BOX))


def test_non_contiguous_image_gives_the_same_points(predictor):
    image = astronaut()[:, ::-1]
    box = (240, 70, 330, 160)
    points = predictor.predict(np.ascontiguousarray(image), box)
    np.testing.assert_array_equal(predictor.predict(image, box), points)


def test_predictor_id_names_the_weights(predictor):
    assert predictor.predictor_id == "dlib_5_points-c4b1e980"


def test_box_from_detection_is_square_and_follows_its_input():
    left, top, right, bottom = box_from_detection(100.0, 50.0, 80.0, 100.0)
    assert right - left == bottom - top == 89
    assert (left + right + 1) / 2 == 140
    assert (top + bottom + 1) / 2 == pytest.approx(100 + 0.06 * 90, abs=0.5)
    moved = box_from_detection(107.0, 53.0, 80.0, 100.0)
    assert moved == (left + 7, top + 3, right + 7, bottom + 3)


def test_box_from_detection_applies_the_fit():
    assert box_from_detection(100.0, 50.0, 80.0, 120.0, BoxFit(1.2, -0.1)) == (80, 38, 199, 157)


@pytest.mark.parametrize("width", [41.0, 60.5, 113.3])
def test_box_from_detection_of_a_mirrored_box_is_mirrored(width):
    image_width, x = 400, 31.25
    left, top, right, bottom = box_from_detection(x, 20.0, width, 80.0)
    mirrored = box_from_detection(image_width - x - width, 20.0, width, 80.0)
    assert mirrored[1::2] == (top, bottom)
    np.testing.assert_allclose(mirrored[::2], (image_width - 1 - right, image_width - 1 - left), atol=1)


def test_box_from_detection_is_close_to_dlibs_detector(predictor, oracle):
    image = astronaut()
    found = max(dlib.get_frontal_face_detector()(image, 0), key=lambda r: r.area())
    mtcnn_box = (180.39, 64.50, 84.60, 107.50)
    points = predictor.predict(image, box_from_detection(*mtcnn_box))
    expected = np.array([(p.x, p.y) for p in oracle(image, found).parts()])
    assert np.abs(points - expected).max() <= 3


def encoded(value: int) -> bytes:
    raw = abs(value).to_bytes((abs(value).bit_length() + 7) // 8 or 1, "little")
    return bytes([len(raw) | (128 if value < 0 else 0)]) + raw


@pytest.mark.parametrize("value", [0, 1, -1, 255, 256, -70000, 2**40])
def test_reader_decodes_integers(tmp_path: Path, value):
    path = tmp_path / "integer.dat"
    path.write_bytes(encoded(value))
    reader = DlibReader(path)
    assert reader.integer() == value
    assert reader.at_end


def test_reader_decodes_reals(tmp_path: Path):
    path = tmp_path / "real.dat"
    path.write_bytes(encoded(-5) + encoded(-2))
    assert DlibReader(path).real() == -1.25


@pytest.mark.parametrize("read", [read_shape_predictor, read_face_resnet])
@pytest.mark.parametrize("data", [b"", b"\x01\x07", b"\x01\x01", b"\x01\x01\x81\x05", b"GIF89a" * 9])
def test_reader_refuses_other_files(tmp_path: Path, read, data):
    path = tmp_path / "other.dat"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"other\.dat"):
        read(path)


def test_truncated_model_is_refused(tmp_path: Path):
    path = tmp_path / "cut.dat"
    path.write_bytes(SHAPE_FILE.read_bytes()[:20000])
    with pytest.raises(ConfigError, match=r"cut\.dat"):
        read_shape_predictor(path)
