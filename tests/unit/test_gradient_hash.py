"""The gradient hash: its definition by hand, its mirror image, and how far copies and other pictures are apart."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from facelib.demo.portrait import GroupTraits, render_portrait, sample_identity
from facelib.images.gradient_hash import dhashes
from facelib.images.measures import luma

pytestmark = pytest.mark.unit


def bits(value: int) -> np.ndarray:
    return np.array([int(b) for b in f"{value & (2**64 - 1):064b}"], bool)


def portrait(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(render_portrait(sample_identity(rng, GroupTraits()), rng, 300))


def hash_of(image: Image.Image) -> np.ndarray:
    return bits(dhashes(luma(np.asarray(image.convert("RGB"))))[0])


def test_follows_its_definition() -> None:
    """36 × 36 is shrunk to 9 × 4 and 4 × 9 by averaging whole blocks."""
    grey = np.random.default_rng(1).integers(0, 256, (36, 36), dtype=np.uint8)
    wide = np.rint(grey.reshape(4, 9, 9, 4).mean(axis=(1, 3)))
    tall = np.rint(grey.reshape(9, 4, 4, 9).mean(axis=(1, 3)))
    expected = [wide[r, c + 1] > wide[r, c] for r in range(4) for c in range(8)]
    expected += [tall[r + 1, c] > tall[r, c] for r in range(8) for c in range(4)]
    np.testing.assert_array_equal(bits(dhashes(grey)[0]), expected)


def test_ramps() -> None:
    ramp = np.tile(np.arange(0, 180, dtype=np.uint8), (180, 1))
    falling = ramp[:, ::-1].copy()
    high = 0xFFFFFFFF00000000 - 2**64
    assert dhashes(ramp) == (high, 0)
    assert dhashes(falling) == (0, high)
    assert dhashes(ramp.T.copy()) == (2**32 - 1, 2**32 - 1)
    assert dhashes(np.full((50, 60), 77, np.uint8)) == (0, 0)


@pytest.mark.parametrize("shape", [(9, 9), (12, 700), (251, 190), (36, 9)])
def test_the_mirror_hash_is_the_hash_of_the_mirror_image(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    own, mirror = dhashes(grey)
    flipped = dhashes(np.ascontiguousarray(grey[:, ::-1]))
    assert (bits(own) ^ bits(flipped[1])).sum() <= 2  # sums in another order round differently
    assert (bits(mirror) ^ bits(flipped[0])).sum() <= 2


def test_copies_are_near_and_other_portraits_far() -> None:
    originals = [portrait(seed) for seed in range(6)]
    hashes = [hash_of(p) for p in originals]
    for original, own in zip(originals, hashes, strict=True):
        sink = io.BytesIO()
        original.resize((170, 170)).save(sink, "JPEG", quality=50)
        assert (hash_of(Image.open(sink)) ^ own).sum() <= 4
        assert (hash_of(original.convert("L")) ^ own).sum() <= 2
    assert min((a ^ b).sum() for i, a in enumerate(hashes) for b in hashes[:i]) > 8


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_extreme_shapes_have_hashes(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    assert all(-(2**63) <= h < 2**63 for h in dhashes(grey))
