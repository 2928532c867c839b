"""Pose from synthetic heads of known rotation, skin tone against scikit-image, exposure against NumPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation
from skimage.color import rgb2lab

from facelib.faces.measures import measure_chip, measure_geometry

pytestmark = pytest.mark.unit

Points = npt.NDArray[np.float64]

# A head of eye distance 1: x to the right of the picture, y down, z towards the camera.
HEAD = np.array(
    [(0.7, 0, -0.05), (0.3, 0, 0.05), (-0.7, 0, -0.05), (-0.3, 0, 0.05), (0, 0.7736, 0.4)], dtype=np.float64
)


def project(yaw: float, pitch: float, roll: float, scale: float = 80.0, distance: float = math.inf) -> Points:
    """Points (5, 2) in px of HEAD nodded, then turned, then rolled; positive as in the data dictionary.

    Turn: the nose moves right. Nod: the nose moves down. Roll: the eye line turns clockwise as seen.
    """
    nod = Rotation.from_euler("x", -pitch, degrees=True)  # z turns towards +y
    turn = Rotation.from_euler("y", yaw, degrees=True)  # z turns towards +x
    tilt = Rotation.from_euler("z", roll, degrees=True)  # x turns towards +y, clockwise with y down
    p = (tilt * turn * nod).apply(HEAD)
    perspective = 1.0 if math.isinf(distance) else distance / (distance - p[:, 2:])
    return np.asarray(scale * p[:, :2] * perspective + (300, 200))


def test_frontal_face() -> None:
    found = measure_geometry(project(0, 0, 0))
    assert found.eye_distance_px == pytest.approx(80)
    assert found.yaw_deg == pytest.approx(0, abs=1e-9)
    assert found.roll_deg == pytest.approx(0, abs=1e-9)
    assert found.pitch_deg == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("roll", [-170, -90, -30, -5, 5, 45, 120, 179])
def test_roll_of_the_picture_is_found_and_changes_nothing_else(roll: float) -> None:
    found, upright = measure_geometry(project(20, 10, roll)), measure_geometry(project(20, 10, 0))
    assert found.roll_deg == pytest.approx(roll + upright.roll_deg, abs=1e-6)
    assert found.eye_distance_px == pytest.approx(upright.eye_distance_px)
    assert found.yaw_deg == pytest.approx(upright.yaw_deg)
    assert found.pitch_deg == pytest.approx(upright.pitch_deg)


@pytest.mark.parametrize("yaw", [-60, -40, -20, -5, 5, 20, 40, 60])
def test_yaw_alone_is_exact_under_the_model(yaw: float) -> None:
    found = measure_geometry(project(yaw, 0, 0))
    assert found.yaw_deg == pytest.approx(yaw, abs=0.1)
    assert found.pitch_deg == pytest.approx(0, abs=0.2)
    assert found.eye_distance_px == pytest.approx(80 * math.cos(math.radians(yaw)))


@pytest.mark.parametrize("pitch", [-50, -30, -10, 10, 20])
def test_pitch_alone_is_exact_under_the_model(pitch: float) -> None:
    found = measure_geometry(project(0, pitch, 0))
    assert found.pitch_deg == pytest.approx(pitch, abs=0.1)
    assert found.yaw_deg == pytest.approx(0, abs=0.1)


def test_mixed_rotations_under_perspective_keep_sign_and_rough_size() -> None:
    """A nod changes how far the nose stands out, so yaw and pitch are not independent: hence the tolerances."""
    for yaw, pitch, roll in itertools.product((-35, -15, 15, 35), (-10, 10), (-25, 0, 25)):
        found = measure_geometry(project(yaw, pitch, roll, distance=20))
        assert found.yaw_deg is not None
        assert found.pitch_deg is not None
        assert np.sign([found.yaw_deg, found.pitch_deg]).tolist() == np.sign([yaw, pitch]).tolist()
        assert found.yaw_deg == pytest.approx(yaw, abs=12)
        assert found.pitch_deg == pytest.approx(pitch, abs=18)
        assert found.roll_deg == pytest.approx(roll, abs=1)


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


SKIN = [(241, 210, 190), (224, 172, 140), (198, 134, 98), (141, 85, 52), (92, 56, 38), (60, 40, 30), (200, 190, 120)]


@pytest.mark.parametrize("colour", SKIN)
def test_typology_angle_of_flat_chips(colour: tuple[int, int, int]) -> None:
    chip = np.full((150, 150, 3), colour, np.uint8)
    lightness, _, b = rgb2lab(np.array([[colour]], np.uint8))[0, 0]
    assert measure_chip(chip).ita_deg == pytest.approx(math.degrees(math.atan((lightness - 50) / b)), abs=0.5)


def test_typology_angle_falls_from_light_to_dark_skin() -> None:
    angles = [measure_chip(np.full((150, 150, 3), c, np.uint8)).ita_deg for c in SKIN[:6]]
    assert angles == sorted(angles, key=lambda a: -(a or 0))


@pytest.mark.parametrize("colour", [(0, 0, 0), (20, 12, 10), (255, 200, 150), (255, 255, 255), (80, 90, 160)])
def test_no_typology_angle_in_the_dark_when_burnt_out_or_in_blue_light(colour: tuple[int, int, int]) -> None:
    assert measure_chip(np.full((150, 150, 3), colour, np.uint8)).ita_deg is None


def test_typology_angle_is_that_of_the_cheeks_median() -> None:
    """Hair, background and a few blemishes must not move it."""
    chip = np.random.default_rng(6).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    chip[65:100, 30:120] = SKIN[2]
    expected = measure_chip(np.full((150, 150, 3), SKIN[2], np.uint8)).ita_deg
    chip[72:92:3, 38:58:3] = (255, 0, 0)
    assert measure_chip(chip).ita_deg == expected


def test_exposure_and_sharpness_of_a_chip() -> None:
    grey = np.random.default_rng(7).integers(0, 256, (150, 150), dtype=np.uint8)
    found = measure_chip(np.repeat(grey[:, :, None], 3, axis=2))
    unit = grey / 255
    assert found.brightness == pytest.approx(unit.mean(), abs=1e-6)
    assert found.contrast == pytest.approx(unit.std(), abs=1e-6)
    assert found.sharpness == pytest.approx(ndimage.laplace(grey.astype(float), mode="mirror").var(), rel=1e-6)
