"""Pose from synthetic heads of known rotation; skin tone against scikit-image; light, cover, exposure against NumPy."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation
from skimage.color import rgb2lab

from facelib.faces.measures import ChipMeasures, measure_chip, measure_geometry
from schemas.tables import FACE_MEASURES

pytestmark = pytest.mark.unit

Points = npt.NDArray[np.float64]
Chip = npt.NDArray[np.uint8]

# Eye distance 1, x to the right of the picture, y down, z towards the camera: the head the estimate assumes ...
HEAD = np.array([(0.7, 0, 0), (0.3, 0, 0), (-0.7, 0, 0), (-0.3, 0, 0), (0, 0.757, 0.386)], dtype=np.float64)
# ... and that of MediaPipe's canonical face model (vertices 263, 362, 33, 133, 2), which it does not.
CANONICAL = np.array(
    [(4.446, 2.664, 3.173), (1.856, 2.585, 3.758), (-4.446, 2.664, 3.173), (-1.856, 2.585, 3.758), (0, -2.089, 6.058)]
)
CANONICAL = (CANONICAL - (0, 2.6245, 3.4655)) * (1, -1, 1) / 6.302


def project(
    yaw: float, pitch: float, roll: float, head: Points = HEAD, scale: float = 80.0, distance: float = math.inf
) -> Points:
    """Points (5, 2) in px of a head nodded, then turned, then rolled; positive as in the data dictionary.

    Turn: the nose moves right. Nod: the nose moves down. Roll: the eye line turns clockwise as seen.
    """
    nod = Rotation.from_euler("x", -pitch, degrees=True)  # z turns towards +y
    turn = Rotation.from_euler("y", yaw, degrees=True)  # z turns towards +x
    tilt = Rotation.from_euler("z", roll, degrees=True)  # x turns towards +y, clockwise with y down
    p = (tilt * turn * nod).apply(head)
    perspective = 1.0 if math.isinf(distance) else distance / (distance - p[:, 2:])
    return np.asarray(scale * p[:, :2] * perspective + (300, 200))


def test_frontal_face() -> None:
    found = measure_geometry(project(0, 0, 0))
    assert found.eye_distance_px == pytest.approx(80)
    assert found.yaw_deg == pytest.approx(0, abs=1e-6)
    assert found.roll_deg == pytest.approx(0, abs=1e-9)
    assert found.pitch_deg == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("roll", [-170, -90, -30, -5, 5, 45, 120, 179])
def test_roll_of_the_picture_is_found_and_changes_nothing_else(roll: float) -> None:
    found, upright = measure_geometry(project(20, 10, roll)), measure_geometry(project(20, 10, 0))
    assert found.roll_deg == pytest.approx(roll + upright.roll_deg, abs=1e-6)
    assert found.eye_distance_px == pytest.approx(upright.eye_distance_px)
    assert found.yaw_deg == pytest.approx(upright.yaw_deg)
    assert found.pitch_deg == pytest.approx(upright.pitch_deg)


@pytest.mark.parametrize("yaw", [-75, -50, -20, -5, 5, 20, 50, 75])
@pytest.mark.parametrize("pitch", [-60, -30, -10, 0, 10])
def test_turn_and_nod_together_are_exact_under_the_model(yaw: float, pitch: float) -> None:
    found = measure_geometry(project(yaw, pitch, 12))
    assert found.yaw_deg == pytest.approx(yaw, abs=1e-4)
    assert found.pitch_deg == pytest.approx(pitch, abs=1e-4)
    assert found.roll_deg == pytest.approx(12, abs=1e-6)


@pytest.mark.parametrize("pitch", [-60, -30, -10, 10, 20, 26])
def test_nod_alone_is_exact_under_the_model(pitch: float) -> None:
    found = measure_geometry(project(0, pitch, 0))
    assert found.pitch_deg == pytest.approx(pitch, abs=0.01)
    assert found.yaw_deg == pytest.approx(0, abs=1e-5)


def test_a_deep_nod_is_mistaken_for_its_mirror_image() -> None:
    """The stated limit: three points have two poses, mirrored at the nod that puts the nose into the eye plane."""
    limit = math.degrees(math.atan2(0.386, 0.757))
    found = measure_geometry(project(0, limit + 15, 0))
    assert found.pitch_deg == pytest.approx(limit - 15, abs=0.01)


def test_another_head_under_perspective_keeps_sign_and_rough_size() -> None:
    for yaw, pitch, roll in itertools.product((-45, -15, 15, 45), (-20, 10), (-25, 0, 25)):
        found = measure_geometry(project(yaw, pitch, roll, CANONICAL, distance=12))
        assert found.yaw_deg is not None
        assert found.pitch_deg is not None
        assert np.sign([found.yaw_deg, found.pitch_deg]).tolist() == np.sign([yaw, pitch]).tolist()
        assert found.yaw_deg == pytest.approx(yaw, abs=7)
        assert found.pitch_deg == pytest.approx(pitch, abs=7)
        assert found.roll_deg == pytest.approx(roll, abs=1.5)


def test_root_mean_square_error_with_varied_heads_and_noise() -> None:
    """Bounds just above the figures of QUALITY.md for |angle| ≤ 30, on other draws."""
    rng = np.random.default_rng(77)
    errors = []
    for _ in range(1500):
        head = CANONICAL.copy()
        head[4] = (0, rng.normal(0.757, 0.05), rng.normal(0.386, 0.06))
        yaw, pitch, roll = rng.uniform(-30, 30, 3)
        points = project(yaw, pitch, roll, head, scale=40, distance=rng.uniform(8, 25)) + rng.normal(0, 1, (5, 2))
        found = measure_geometry(points)
        assert found.yaw_deg is not None
        assert found.pitch_deg is not None
        errors.append((found.yaw_deg - yaw, found.pitch_deg - pitch, found.roll_deg - roll))
    yaw_error, pitch_error, roll_error = np.sqrt(np.mean(np.square(errors), axis=0))
    assert yaw_error < 10.5
    assert pitch_error < 9.5
    assert roll_error < 2


def test_estimates_grow_with_the_rotation() -> None:
    yaws = [measure_geometry(project(a, 0, 0)).yaw_deg for a in range(-70, 71, 5)]
    pitches = [measure_geometry(project(0, a, 0)).pitch_deg for a in range(-60, 26, 5)]
    for estimates in (yaws, pitches):
        assert all(b > a for a, b in itertools.pairwise(v for v in estimates if v is not None))
        assert None not in estimates


def test_coinciding_eyes_have_no_pose() -> None:
    found = measure_geometry(np.full((5, 2), 7.0))
    assert (found.yaw_deg, found.pitch_deg, found.eye_distance_px) == (None, None, 0.0)


def test_any_points_stay_within_the_contract() -> None:
    rng = np.random.default_rng(8)
    for _ in range(2000):
        found = measure_geometry(rng.normal(0, 10.0 ** rng.uniform(-1, 3), (5, 2)))
        assert -180 <= found.roll_deg <= 180
        assert found.eye_distance_px >= 0
        for angle in (found.yaw_deg, found.pitch_deg):
            assert angle is None or -90 <= angle <= 90


def test_measures_carry_the_names_of_the_contract_and_stay_in_its_ranges() -> None:
    columns = {c.name: c for c in FACE_MEASURES}
    assert {f.name for f in fields(ChipMeasures)} <= columns.keys()
    rng = np.random.default_rng(12)
    chips = [rng.integers(0, 256, (150, 150, 3)).astype(np.uint8)]
    chips += [np.full((150, 150, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(50)]
    chips += [cv2.GaussianBlur(chips[0], (0, 0), s) for s in (1, 5, 20)]
    for chip in chips:
        for field in fields(ChipMeasures):
            column, value = columns[field.name], getattr(measure_chip(chip), field.name)
            assert value is not None or column.nullable
            assert value is None or column.minimum is None or column.minimum <= value
            assert value is None or column.maximum is None or value <= column.maximum


SKIN = [(241, 210, 190), (224, 172, 140), (198, 134, 98), (141, 85, 52), (92, 56, 38), (60, 40, 30), (200, 190, 120)]


def flat(colour: tuple[int, int, int]) -> Chip:
    return np.full((150, 150, 3), colour, np.uint8)


@pytest.mark.parametrize("colour", SKIN)
def test_typology_angle_of_flat_chips(colour: tuple[int, int, int]) -> None:
    lightness, _, b = rgb2lab(np.array([[colour]], np.uint8))[0, 0]
    assert measure_chip(flat(colour)).ita_deg == pytest.approx(math.degrees(math.atan((lightness - 50) / b)), abs=0.5)


def test_typology_angle_falls_from_light_to_dark_skin() -> None:
    angles = [measure_chip(flat(c)).ita_deg for c in SKIN[:6]]
    assert angles == sorted(angles, key=lambda a: -(a or 0))


@pytest.mark.parametrize("colour", [(0, 0, 0), (20, 12, 10), (255, 200, 150), (255, 255, 255), (80, 90, 160)])
def test_no_typology_angle_in_the_dark_when_burnt_out_or_in_blue_light(colour: tuple[int, int, int]) -> None:
    found = measure_chip(flat(colour))
    assert (found.ita_deg, found.ita_is_reliable) == (None, None)


def test_typology_angle_is_that_of_the_cheeks_median() -> None:
    """Hair, background and a few blemishes must not move it."""
    chip = np.random.default_rng(6).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    chip[65:100, 30:120] = SKIN[2]
    expected = measure_chip(flat(SKIN[2])).ita_deg
    chip[72:92:3, 38:58:3] = (255, 0, 0)
    assert measure_chip(chip).ita_deg == expected


@pytest.mark.parametrize("colour", SKIN[:6])
def test_typology_angle_is_reliable_in_even_neutral_light(colour: tuple[int, int, int]) -> None:
    assert measure_chip(flat(colour)).ita_is_reliable is True


def test_what_makes_a_typology_angle_unreliable() -> None:
    hard = flat(SKIN[1])
    hard[:, :75] = hard[:, :75] * 0.7  # light from one side: (1 - 0.7) / 1.7 = 0.18
    cheek = flat(SKIN[1])
    cheek[70:95, 35:60] = SKIN[3]  # one cheek in shadow only
    clipped = flat(SKIN[1])
    clipped[100:130, 50:100] = 255
    for chip in (hard, cheek, clipped, flat((150, 150, 90)), flat((190, 110, 120))):  # last two: green and red light
        found = measure_chip(chip)
        assert found.ita_deg is not None
        assert found.ita_is_reliable is False


def face_pixels() -> npt.NDArray[np.bool_]:
    """The face of the chip as QUALITY.md defines it: an ellipse around (75, 82) of half-axes 42 and 56 px."""
    return np.array(
        [[((x + 0.5 - 75) / 42) ** 2 + ((y + 0.5 - 82) / 56) ** 2 < 1 for x in range(150)] for y in range(150)]
    )


def test_clipped_share_counts_black_and_burnt_out_pixels_of_the_face() -> None:
    rng = np.random.default_rng(13)
    chip = rng.choice(np.array([0, 5, 10, 11, 128, 249, 250, 255], np.uint8), (150, 150, 3))
    brightest = chip.max(axis=2)[face_pixels()]
    expected = ((brightest <= 10) | (brightest >= 250)).mean()
    assert measure_chip(chip).clipped_share == pytest.approx(expected)
    outside = flat(SKIN[2])
    outside[~face_pixels()] = 255
    assert measure_chip(outside).clipped_share == 0
    assert measure_chip(flat((0, 0, 0))).clipped_share == 1


def test_lighting_difference_compares_the_halves_of_the_face() -> None:
    chip = np.random.default_rng(14).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    chip[:, :75] //= 3
    luma, inside, right = chip @ [0.299, 0.587, 0.114], face_pixels(), np.arange(150) >= 75
    bright, dark = luma[inside & right].mean(), luma[inside & ~right].mean()
    found = measure_chip(chip).lighting_difference
    assert found == pytest.approx((bright - dark) / (bright + dark), abs=2e-3)
    assert found > 0
    assert measure_chip(np.ascontiguousarray(chip[:, ::-1])).lighting_difference == pytest.approx(-found)
    assert measure_chip(flat((0, 0, 0))).lighting_difference == 0


def portrait(skin: tuple[int, int, int] = SKIN[1]) -> Chip:
    """A drawn face where dlib's template has it: eyes and brows, nostrils, mouth; hair and backdrop around."""
    chip = flat((90, 110, 130))
    cv2.ellipse(chip, (75, 80), (48, 66), 0, 0, 360, skin, -1)
    dark = tuple(int(v * 0.35) for v in skin)
    for x in (50, 100):
        cv2.ellipse(chip, (x, 48), (11, 5), 0, 0, 360, dark, -1)
        cv2.line(chip, (x - 13, 36), (x + 13, 36), dark, 3)
    cv2.ellipse(chip, (75, 86), (12, 3), 0, 0, 360, dark, -1)
    cv2.ellipse(chip, (75, 107), (19, 5), 0, 0, 360, dark, -1)
    return np.asarray(cv2.GaussianBlur(chip, (0, 0), 1.5))


def covered(kind: str) -> Chip:
    chip: Any = portrait()
    if kind == "dark bar over the eyes":
        chip[36:60, 25:125] = 15
    elif kind == "mask":
        chip[78:, 25:125] = (215, 225, 230)
    elif kind == "skin over the mouth":
        chip[92:125, 40:110] = SKIN[1]
    elif kind == "noise":
        chip[60:120, 50:110] = np.random.default_rng(3).integers(0, 256, (60, 60, 3))
    return np.asarray(chip)


@pytest.mark.parametrize("kind", ["dark bar over the eyes", "mask", "skin over the mouth", "noise"])
def test_a_covered_face_scores_above_the_open_one(kind: str) -> None:
    clear = measure_chip(portrait()).occlusion
    assert clear < 0.1
    assert measure_chip(covered(kind)).occlusion > clear + 0.1


def test_occlusion_grows_with_the_share_that_is_covered() -> None:
    """Up to half of the face; beyond, the cover is taken for the skin, and only the missing features tell."""
    found = []
    for below in (150, 130, 115, 100, 85):
        chip = portrait()
        chip[below:] = (60, 120, 200)
        found.append(measure_chip(chip).occlusion)
    assert all(b > a for a, b in itertools.pairwise(found))
    assert found[-1] > 0.6
    chip[25:] = (60, 120, 200)
    assert measure_chip(chip).occlusion > 0.6


@pytest.mark.parametrize("skin", SKIN[:5])
def test_an_open_face_of_any_skin_tone_is_not_occluded(skin: tuple[int, int, int]) -> None:
    assert measure_chip(portrait(skin)).occlusion < 0.1


def test_nothing_to_see_is_wholly_occluded() -> None:
    for colour in ((0, 0, 0), (128, 128, 128), SKIN[1]):
        assert measure_chip(flat(colour)).occlusion == 1


def test_exposure_and_sharpness_of_a_chip() -> None:
    grey = np.random.default_rng(7).integers(0, 256, (150, 150), dtype=np.uint8)
    found = measure_chip(np.repeat(grey[:, :, None], 3, axis=2))
    unit = grey / 255
    assert found.brightness == pytest.approx(unit.mean(), abs=1e-6)
    assert found.contrast == pytest.approx(unit.std(), abs=1e-6)
    assert found.sharpness == pytest.approx(ndimage.laplace(grey.astype(float), mode="mirror").var(), rel=1e-6)
