"""Rendered portraits: determinism, declared traits, and the camera and light against geometry."""

from __future__ import annotations

import numpy as np
import pytest

from facelib.demo.head import BACK, GEOMETRY, NOTHING, GroupTraits, Surface, grid, sample_identity
from facelib.demo.portrait import MAX_SIZE, MIN_SIZE, render_background, render_portrait
from facelib.demo.shading import PIVOT, Camera, Light, encode, shade, view

pytestmark = pytest.mark.unit

SIZE = 128
STRAIGHT = Camera(yaw=0.0, pitch=0.0, roll=0.0, distance=100.0, span=30.0, centre=(0.0, 0.0))


def identity(seed=11, **traits):
    return sample_identity(np.random.default_rng(seed), GroupTraits(**traits))


def plate(radius, z=BACK - 1.5):
    """A white, matt disc of the given radius at height `z`, in front of nothing."""
    x, y = grid()
    height = np.where(np.hypot(x, y) < radius, z, NOTHING).astype(np.float32)
    zeros = np.zeros_like(height)
    return Surface(height, np.ones((*height.shape, 3), np.float32), zeros, zeros.copy(), zeros.copy())


def test_same_identity_and_seed_give_the_same_pixels():
    first = render_portrait(identity(), np.random.default_rng(5), SIZE)
    again = render_portrait(identity(), np.random.default_rng(5), SIZE)
    other = render_portrait(identity(), np.random.default_rng(6), SIZE)
    assert first.shape == (SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


def test_a_picture_chooses_its_own_size_in_the_range():
    picture = render_portrait(identity(), np.random.default_rng(0))
    assert picture.shape[0] == picture.shape[1]
    assert MIN_SIZE <= picture.shape[0] <= MAX_SIZE


def test_rendering_does_not_change_the_identity_surface():
    person = identity(3)
    before = render_portrait(person, np.random.default_rng(1), SIZE)
    render_portrait(person, np.random.default_rng(2), SIZE)
    assert np.array_equal(before, render_portrait(person, np.random.default_rng(1), SIZE))


@pytest.mark.parametrize("seed", range(20))
def test_geometry_lies_in_its_ranges(seed):
    person = identity(seed)
    for name, (low, high) in GEOMETRY.items():
        assert low <= getattr(person, name) <= high, name
    assert person.mouth_y < person.chin_y


def test_traits_are_honoured():
    brightness = {
        tone: [sum(identity(seed, skin_tone=tone).skin) for seed in range(30)] for tone in ("light", "medium", "dark")
    }
    assert min(brightness["light"]) > max(brightness["medium"])
    assert min(brightness["medium"]) > max(brightness["dark"])
    assert {identity(s, glasses=False).glasses for s in range(20)} == {"none"}
    assert "none" not in {identity(s, glasses=True).glasses for s in range(20)}
    young = max(identity(s, age_band="18-34").wrinkles for s in range(20))
    assert young < min(identity(s, age_band="55+").wrinkles for s in range(20))


def test_skin_tone_shows_in_the_pixels():
    def cheeks(tone):
        values = []
        for seed in range(4):
            picture = render_portrait(identity(seed, skin_tone=tone), np.random.default_rng(seed), SIZE)
            values.append(picture[SIZE // 2 : SIZE // 2 + 12, SIZE // 2 - 10 : SIZE // 2 + 10].mean())
        return np.mean(values)

    assert cheeks("light") > cheeks("medium") + 15 > cheeks("dark") + 30


def test_projection_is_a_pinhole():
    point = np.array([[3.0, -2.0, 10.0]])
    u, v = STRAIGHT.project(point, 300)[0]
    assert u == pytest.approx(150 - 0.5 + 300 / 30 * 3.0 * 100 / 90)
    assert v == pytest.approx(150 - 0.5 - 300 / 30 * 2.0 * 100 / 90)


def test_rotation_is_proper_and_positive_angles_turn_right_down_and_clockwise():
    turned = Camera(yaw=0.2, pitch=0.1, roll=-0.15, distance=100.0, span=30.0, centre=(0.0, 0.0)).rotation()
    assert np.allclose(turned @ turned.T, np.eye(3))
    assert np.linalg.det(turned) == pytest.approx(1.0)
    nose, ear = np.array([[0.0, 5.0, 5.0]]), np.array([[7.0, 5.0, BACK]])
    right, down, roll = (Camera(*angles, 100.0, 30.0, (0.0, 0.0)) for angles in np.eye(3) * 0.2)
    assert right.project(nose, 300)[0, 0] > STRAIGHT.project(nose, 300)[0, 0] + 10
    assert down.project(nose, 300)[0, 1] > STRAIGHT.project(nose, 300)[0, 1] + 10
    assert roll.project(ear, 300)[0, 1] > STRAIGHT.project(ear, 300)[0, 1] + 10
    assert np.allclose(right.project(np.array([PIVOT]), 300), STRAIGHT.project(np.array([PIVOT]), 300))


@pytest.mark.parametrize("yaw", [0.0, 0.25])
def test_ray_march_shows_a_disc_where_projection_puts_it(yaw):
    surface, camera = plate(4.0), Camera(yaw, 0.1, 0.05, 100.0, 30.0, (0.0, 0.0))
    angle = np.linspace(0, 2 * np.pi, 721)
    rim = camera.project(np.column_stack([4 * np.cos(angle), 4 * np.sin(angle), 0 * angle + BACK - 1.5]), 300)
    _, alpha = view(surface, surface.albedo, camera, 300)
    rows, columns = np.nonzero(alpha > 0.5)
    assert columns.mean() == pytest.approx(rim[:, 0].mean(), abs=2.5)
    assert rows.mean() == pytest.approx(rim[:, 1].mean(), abs=2.5)
    x, y = rim[:, 0], rim[:, 1]
    area = 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
    assert (alpha > 0.5).sum() == pytest.approx(area, rel=0.08)


def test_a_lit_ball_is_brightest_towards_the_lamp_and_dark_behind():
    x, y = grid()
    radius = 6.0
    z = np.sqrt(np.clip(radius**2 - x**2 - y**2, 0, None)).astype(np.float32)
    surface = plate(20.0)
    surface.height = z
    light = Light((-1.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    shown = shade(surface, light, STRAIGHT)[..., 1]
    row = shown[int(np.argmin(np.abs(y)))]
    inside = np.abs(x[0]) < 0.95 * radius
    brightest = x[0][inside][np.argmax(row[inside])]
    assert brightest == pytest.approx(-radius / np.sqrt(2), abs=1.0)
    assert row[int(np.argmin(np.abs(x[0] - 5.4)))] < 0.35 * row[inside].max()


def test_encode_is_a_power_law_below_the_shoulder():
    linear = np.array([0.0, 0.1, 0.3, 0.6], np.float32)
    assert np.allclose(encode(linear), linear ** (1 / 2.2), atol=0.03)
    assert encode(np.array([50.0], np.float32))[0] <= 1.0


def test_backgrounds_are_display_values():
    for seed in range(8):
        scene = render_background(np.random.default_rng(seed), 64)
        assert scene.shape == (64, 64, 3)
        assert scene.min() >= 0
        assert scene.max() <= 1
