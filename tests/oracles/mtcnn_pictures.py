"""Pictures on which MTCNN was recorded. NumPy integers only, so any machine draws the same pixels.

The portrait is scikit-image's `astronaut` (NASA, public domain), read from the installed scikit-image. The
other pictures are drawn here.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import skimage.data

Picture = npt.NDArray[np.uint8]

SUPERSAMPLING = 4


def sha256(picture: Picture) -> str:
    """Digest of a picture's shape and pixels."""
    return hashlib.sha256(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()


def shrink(picture: npt.NDArray[np.integer], factor: int) -> Picture:
    """Mean of blocks of `factor` × `factor` px, rounded; incomplete blocks are cut off."""
    height, width = (n // factor for n in picture.shape[:2])
    blocks = picture[: height * factor, : width * factor].astype(np.int64)
    sums = blocks.reshape(height, factor, width, factor, 3).sum(axis=(1, 3))
    return ((sums + factor**2 // 2) // factor**2).astype(np.uint8)


def collage(picture: Picture) -> Picture:
    """Four copies of a square picture: as it is, mirrored, turned a quarter, upside down."""
    return np.vstack((np.hstack((picture, picture[:, ::-1])), np.hstack((np.rot90(picture), picture[::-1]))))


def noise(height: int, width: int, seed: int, grain: int = 1) -> Picture:
    """Uniform noise in squares of `grain` px."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // grain), -(-width // grain), 3), dtype=np.uint8)
    return coarse.repeat(grain, axis=0).repeat(grain, axis=1)[:height, :width]


def cartoon_crowd(height: int, width: int, sizes: tuple[int, ...], seed: int) -> Picture:
    """Cartoon heads of the given heights (px), side by side on a plain background with fine noise."""
    rng = np.random.default_rng(seed)
    s = SUPERSAMPLING
    canvas = np.empty((height * s, width * s, 3), np.int64)
    canvas[:] = rng.integers(90, 190, 3)
    for i, size in enumerate(sizes):
        x = (2 * i + 1) * width * s // (2 * len(sizes)) + int(rng.integers(-4, 5))
        y = height * s // 2 + int(rng.integers(-8, 9))
        _draw_head(canvas, x, y, size * s, rng)
    picture = shrink(canvas, s).astype(np.int64)
    return np.clip(picture + rng.integers(-6, 7, picture.shape), 0, 255).astype(np.uint8)


def _draw_head(canvas: npt.NDArray[np.int64], x: int, y: int, size: int, rng: np.random.Generator) -> None:
    """A head of height `size` px at (x, y); all lengths are in thousandths of its height."""
    skin = np.array([224, 172, 140]) - rng.integers(0, 60)
    dark = np.array([50, 34, 28]) + rng.integers(0, 40, 3)

    def ellipse(cx: int, cy: int, rx: int, ry: int, colour: npt.NDArray[np.int64], shade: int = 0) -> None:
        place = [length * size // 1000 for length in (cx, cy, rx, ry)]
        _fill(canvas, x + place[0], y + place[1], place[2], place[3], colour, shade)

    ellipse(0, -60, 420, 520, dark)
    ellipse(0, 560, 190, 260, skin - 40)
    ellipse(0, 20, 350, 480, skin, shade=45)
    for side in (-1, 1):
        ellipse(side * 150, -60, 95, 55, skin - 50)
        ellipse(side * 150, -50, 72, 34, np.array([235, 232, 228]))
        ellipse(side * 150, -50, 32, 34, dark)
        ellipse(side * 150, -135, 100, 20, dark)
        ellipse(side * 45, 150, 26, 16, skin - 90)
    ellipse(0, 90, 38, 120, skin + 18)
    ellipse(0, 168, 60, 26, skin - 30)
    ellipse(0, 275, 125, 42, np.array([165, 70, 72]))
    ellipse(0, 272, 120, 9, np.array([90, 30, 34]))


def _fill(
    canvas: npt.NDArray[np.int64],
    cx: int,
    cy: int,
    rx: int,
    ry: int,
    colour: npt.NDArray[np.int64],
    shade: int,
) -> None:
    """A filled ellipse, darker by up to `shade` levels towards its rim."""
    height, width = canvas.shape[:2]
    top, bottom = max(cy - ry, 0), min(cy + ry + 1, height)
    left, right = max(cx - rx, 0), min(cx + rx + 1, width)
    dy = np.arange(top, bottom)[:, None] - cy
    dx = np.arange(left, right)[None, :] - cx
    distance = 1000 * dx**2 // max(rx, 1) ** 2 + 1000 * dy**2 // max(ry, 1) ** 2
    inside = distance <= 1000
    region = canvas[top:bottom, left:right]
    region[inside] = colour - (shade * distance[inside] // 1000)[:, None]


def pictures() -> dict[str, Picture]:
    """All reference pictures, RGB (h, w, 3) uint8, by name."""
    portrait: Picture = skimage.data.astronaut()
    half = shrink(portrait, 2)
    return {
        "astronaut": portrait,
        "astronaut_half": half,
        "astronaut_third": shrink(portrait, 3),
        "astronaut_odd": portrait[11:312, 31:468],
        "astronaut_tight": portrait[40:190, 150:300],
        "astronaut_cut": portrait[90:340, 205:455],
        "astronaut_enlarged": portrait[30:210, 130:310].repeat(3, axis=0).repeat(3, axis=1),
        "collage": collage(half),
        "collage_small": collage(shrink(portrait, 4)),
        "cartoon_one": cartoon_crowd(250, 250, (150,), seed=1),
        "cartoon_two": cartoon_crowd(240, 420, (110, 160), seed=2),
        "cartoon_five": cartoon_crowd(180, 640, (50, 80, 110, 70, 60), seed=3),
        "noise_fine": noise(200, 260, seed=4),
        "noise_coarse": noise(300, 300, seed=5, grain=9),
        "flat": np.full((128, 96, 3), 127, np.uint8),
    }
