"""Chips against dlib's own, and against the template they align to."""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from skimage.data import astronaut

from facelib.errors import ConfigError
from facelib.faces.chip import CHIP_PX, chip_transform, cut_chip, decode_chip, encode_chip

dlib = pytest.importorskip("dlib", reason="dlib-bin is the oracle of these tests")

pytestmark = pytest.mark.unit

Points = npt.NDArray[np.float64]

FACE_POINTS = np.array([(255, 104), (238, 105), (195, 101), (212, 103), (224, 135)], np.float64)
TEMPLATE = np.array([(0.8596, 0.2135), (0.6461, 0.229), (0.1206, 0.2137), (0.3341, 0.2291), (0.4901, 0.6278)])


def dlib_chip(image: npt.NDArray[np.uint8], points: Points) -> npt.NDArray[np.uint8]:
    parts = [dlib.point(int(x), int(y)) for x, y in points]
    shape = dlib.full_object_detection(dlib.rectangle(0, 0, 9, 9), parts)
    return dlib.get_face_chip(image, shape, size=CHIP_PX, padding=0.25)


def placed(scale: float, angle: float, centre: npt.ArrayLike, rng: np.random.Generator) -> Points:
    """The face's points scaled, turned, moved, disturbed and rounded, as a predictor would give them."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = scale * (FACE_POINTS - FACE_POINTS.mean(axis=0)) @ turn.T + np.asarray(centre)
    return np.round(points + rng.normal(0, scale, (5, 2)))


def pictures() -> dict[str, npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(30)
    photograph = astronaut()
    return {
        "photograph": photograph,
        "enlarged": cv2.resize(photograph, (1500, 1500), interpolation=cv2.INTER_CUBIC),
        "noise": rng.integers(0, 256, (500, 640, 3), dtype=np.uint8),
        "flat": np.full((300, 400, 3), 201, np.uint8),
        "extremes": rng.choice(np.array([0, 255], np.uint8), (900, 1000, 3)),
        "small": np.ascontiguousarray(photograph[60:160, 170:270]),
    }


@pytest.mark.parametrize("name", pictures())
def test_chips_equal_dlib(name):
    image = pictures()[name]
    rng = np.random.default_rng(31)
    for _ in range(24):
        scale = np.exp(rng.uniform(np.log(0.2), np.log(12)))
        centre = rng.uniform(0, 1, 2) * image.shape[1::-1]
        points = placed(scale, rng.uniform(-np.pi, np.pi), centre, rng)
        np.testing.assert_array_equal(cut_chip(image, points), dlib_chip(image, points), str(points.tolist()))


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 2.6, 5.0, 9.0])
def test_upright_faces_of_all_sizes_equal_dlib(scale):
    image = pictures()["enlarged"]
    rng = np.random.default_rng(32)
    for angle in (-0.3, -0.05, 0.0, 0.2):
        points = placed(scale, angle, (700, 500), rng)
        np.testing.assert_array_equal(cut_chip(image, points), dlib_chip(image, points))


def test_non_contiguous_image_gives_the_same_chip():
    mirrored = astronaut()[:, ::-1]
    np.testing.assert_array_equal(
        cut_chip(mirrored, FACE_POINTS), cut_chip(np.ascontiguousarray(mirrored), FACE_POINTS)
    )


def test_chip_is_black_beyond_the_border():
    white = np.full((200, 200, 3), 255, np.uint8)
    chip = cut_chip(white, FACE_POINTS - (FACE_POINTS.mean(axis=0) - (0, 100)))
    assert not chip[:, :20].any()
    assert (chip[:, -20:] == 255).all()


@pytest.mark.parametrize("centre", [(-3000, 100), (100, 9000)])
def test_face_wholly_off_the_image_is_black(centre):
    points = FACE_POINTS - FACE_POINTS.mean(axis=0) + centre
    for scale in (1.0, 4.0):
        assert not cut_chip(astronaut(), points * scale).any()


def test_transform_maps_template_to_landmarks():
    """On landmarks that are a similarity of the template, up to the pixel that dlib's square is short of."""
    for scale, angle in ((60.0, 0.0), (150.0, 0.5), (400.0, -2.0)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = scale * TEMPLATE @ turn.T + (300, 200)
        in_chip = (CHIP_PX - 1) * (0.25 + TEMPLATE) / 1.5
        mapped = np.column_stack((in_chip, np.ones(5))) @ chip_transform(points).T
        np.testing.assert_allclose(mapped, points, atol=0.5 + 0.001 * scale)


def test_transform_is_the_least_squares_similarity():
    """Against the normal equations of the four parameters, solved by NumPy."""
    rng = np.random.default_rng(33)
    points = FACE_POINTS + rng.normal(0, 4, (5, 2))
    source = CHIP_PX * (0.25 + TEMPLATE) / 1.5
    x, y = source.T
    one, nil = np.ones(5), np.zeros(5)
    design = np.concatenate((np.column_stack((x, -y, one, nil)), np.column_stack((y, x, nil, one))))
    a, b, _, _ = np.linalg.lstsq(design, points.T.ravel(), rcond=None)[0]
    transform = chip_transform(points)
    assert np.arctan2(transform[1, 0], transform[0, 0]) == pytest.approx(np.arctan2(b, a), abs=1e-4)
    side = np.hypot(*transform[:, 0]) * (CHIP_PX - 1) + 1
    assert side == pytest.approx(CHIP_PX * np.hypot(a, b), rel=1e-4)


def test_coinciding_landmarks_are_refused():
    with pytest.raises(ConfigError, match="landmarks"):
        chip_transform(np.ones((5, 2)))


def test_integer_landmarks_and_image_stay_unchanged():
    image, points = astronaut(), FACE_POINTS.astype(np.int64)
    before = image.copy()
    np.testing.assert_array_equal(cut_chip(image, points), cut_chip(image, FACE_POINTS))
    np.testing.assert_array_equal(image, before)


def test_stored_chip_is_close_and_unsubsampled():
    chip = cut_chip(astronaut(), FACE_POINTS)
    data = encode_chip(chip)
    stored = decode_chip(data)
    assert stored.dtype == np.uint8
    assert stored.shape == (CHIP_PX, CHIP_PX, 3)
    assert np.abs(stored.astype(int) - chip).mean() < 1.5
    with Image.open(io.BytesIO(data)) as picture:
        assert [component[1:3] for component in picture.layer] == [(1, 1)] * 3


def test_colour_survives_storage():
    """Red beside blue: with halved chroma the columns at the seam would mix."""
    chip = np.zeros((CHIP_PX, CHIP_PX, 3), np.uint8)
    chip[:, :75, 0] = chip[:, 75:, 2] = 200
    assert np.abs(decode_chip(encode_chip(chip)).astype(int) - chip).max() < 30


def test_chip_of_another_size_is_refused():
    with pytest.raises(ConfigError, match="chip is of shape"):
        decode_chip(encode_chip(np.zeros((80, 80, 3), np.uint8)))


@pytest.mark.parametrize("keep", [0, 10, 700])
def test_damaged_chip_is_refused(keep):
    with pytest.raises(ConfigError, match="whole JPEG"):
        decode_chip(encode_chip(cut_chip(astronaut(), FACE_POINTS))[:keep])
