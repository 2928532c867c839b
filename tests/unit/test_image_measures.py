"""Measures against NumPy and SciPy; the perceptual hash against its definition and its purpose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter
from scipy import fft, ndimage, stats

from facelib.images.measures import (
    SHARPNESS_PX,
    colourfulness,
    entropy_bits,
    exposure,
    luma,
    measure_image,
    phashes,
    sharpness,
)

pytestmark = pytest.mark.unit

Pixels = npt.NDArray[np.uint8]
SHAPES = [(1, 1), (2, 3), (31, 64), (150, 150), (301, 200)]


def random_grey(shape: tuple[int, int], seed: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def scene(seed: int, size: int = 240) -> Image.Image:
    """A smooth random picture with edges: blurred noise and a few discs."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(size, size, 3)), (18, 18, 0))
    field = 128 + 90 * noise / np.abs(noise).max()
    y, x = np.mgrid[:size, :size]
    for _ in range(4):
        cy, cx, r = [*rng.uniform(0, size, 2), rng.uniform(15, 60)]
        field[(y - cy) ** 2 + (x - cx) ** 2 < r * r] += rng.uniform(-80, 80, 3)
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))


def distance(a: int, b: int) -> int:
    return ((a ^ b) & (2**64 - 1)).bit_count()


def phash(grey: Pixels) -> int:
    return phashes(grey)[0]


def hash_of(image: Image.Image) -> int:
    return phash(luma(np.asarray(image.convert("RGB"))))


def test_luma_is_bt601() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    expected = rgb @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma(rgb) - expected).max() <= 0.51


@pytest.mark.parametrize("shape", SHAPES)
def test_exposure_is_mean_and_deviation(shape: tuple[int, int]) -> None:
    grey = random_grey(shape)
    unit = grey.astype(np.float64) / 255
    assert exposure(grey) == pytest.approx((unit.mean(), unit.std()), abs=1e-9)


def test_exposure_reaches_its_limits() -> None:
    half = np.array([[0, 255]], np.uint8)
    assert exposure(half) == (0.5, 0.5)
    assert exposure(np.full((4, 4), 255, np.uint8)) == (1.0, 0.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_sharpness_is_the_variance_of_the_laplacian(shape: tuple[int, int]) -> None:
    grey = random_grey(shape)
    padded = ndimage.laplace(grey.astype(np.float64), mode="mirror")
    assert sharpness(grey) == pytest.approx(padded.var(), rel=1e-9)


def test_sharpness_falls_with_blur_and_hardly_with_size() -> None:
    image = scene(3, 700)
    values = [measure_image(np.asarray(image.filter(ImageFilter.GaussianBlur(r)))).sharpness for r in (0, 2, 4, 8, 16)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 3 * values[-1]
    full, half = (measure_image(np.asarray(image.resize((n, n), Image.Resampling.BOX))).sharpness for n in (700, 350))
    assert half == pytest.approx(full, rel=0.35)


def test_large_images_are_measured_at_a_fixed_size() -> None:
    """Blocks of equal pixels shrink to exactly one pixel each, so the oracle needs no resampling."""
    small = np.random.default_rng(4).integers(0, 256, (SHARPNESS_PX // 2, SHARPNESS_PX), dtype=np.uint8)
    large = np.repeat(np.kron(small, np.ones((3, 3), np.uint8))[:, :, None], 3, axis=2)
    expected = ndimage.laplace(small.astype(np.float64), mode="mirror").var()
    assert measure_image(large).sharpness == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_entropy_is_that_of_the_histogram(shape: tuple[int, int]) -> None:
    grey = random_grey(shape) & np.uint8(0xF0)
    _, counts = np.unique(grey, return_counts=True)
    assert entropy_bits(grey) == pytest.approx(stats.entropy(counts, base=2), abs=1e-9)


def test_entropy_limits() -> None:
    assert entropy_bits(np.full((9, 9), 7, np.uint8)) == 0.0
    assert entropy_bits(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(8.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_colourfulness_is_that_of_the_paper(shape: tuple[int, int]) -> None:
    """Hasler and Süsstrunk 2003, equations 2 to 8, in floats over all pixels."""
    rgb = np.random.default_rng(6).integers(0, 256, (*shape, 3), dtype=np.uint8)
    red, green, blue = (rgb[:, :, i].astype(float) for i in range(3))
    rg, yb = red - green, (red + green) / 2 - blue
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert colourfulness(rgb) == pytest.approx(expected, rel=1e-9)


def test_colourfulness_by_hand() -> None:
    """Red alone: rg = 255 and yb = 127.5 everywhere. Red beside cyan: rg = ±255, yb = ±127.5 about 0."""
    red, cyan = (255, 0, 0), (0, 255, 255)
    assert colourfulness(np.full((4, 4, 3), 77, np.uint8)) == 0
    assert colourfulness(np.array([[red]], np.uint8)) == pytest.approx(0.3 * np.hypot(255, 127.5))
    assert colourfulness(np.array([[red, cyan]], np.uint8)) == pytest.approx(np.hypot(255, 127.5))


def test_phash_mirror_is_the_phash_of_the_mirror_image() -> None:
    for seed in range(50):
        grey = random_grey((32, 32), seed)
        assert phashes(grey) == phashes(grey[:, ::-1])[::-1]
    for seed in range(12):
        image = scene(seed)
        mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        found = measure_image(np.asarray(image))
        assert (found.phash, found.phash_mirror) == (hash_of(image), hash_of(mirrored))
        assert found.phash != found.phash_mirror


def test_phash_follows_its_definition() -> None:
    """32 × 32 pictures need no resampling: SciPy's orthonormal DCT, bit by bit."""
    for seed in range(50):
        grey = random_grey((32, 32), seed)
        low = fft.dctn(grey.astype(np.float64), norm="ortho")[:8, :8].ravel()
        bits = "".join("1" if v > np.median(low[1:]) else "0" for v in low)
        assert phash(grey) & (2**64 - 1) == int(bits, 2)


def test_phash_is_a_signed_64_bit_integer_of_both_signs() -> None:
    hashes = [phash(random_grey((40, 40), seed)) for seed in range(40)]
    hashes += [phash(random_grey((40, 40), seed) >> np.uint8(1)) for seed in range(40)]
    hashes += [phash(np.full((8, 8), v, np.uint8)) for v in (0, 1, 128, 255)]
    assert all(isinstance(h, int) and -(2**63) <= h < 2**63 for h in hashes)
    assert min(hashes) < 0 <= max(hashes)


def test_phash_survives_resizing_and_recompression_and_tells_pictures_apart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("jpeg")
    originals = [scene(seed) for seed in range(12)]
    hashes = [hash_of(image) for image in originals]
    for i, (image, original) in enumerate(zip(originals, hashes, strict=True)):
        for n in (120, 180, 480):
            assert distance(hash_of(image.resize((n, n), Image.Resampling.LANCZOS)), original) <= 4
        for quality in (90, 50, 25):
            path = folder / f"{i}-{quality}.jpg"
            image.save(path, quality=quality)
            with Image.open(path) as jpeg:
                assert distance(hash_of(jpeg), original) <= 4
        brighter = Image.fromarray(np.clip(np.asarray(image).astype(int) + 6, 0, 255).astype(np.uint8))
        assert distance(hash_of(brighter), original) <= 6
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 12
    assert 24 <= np.mean(apart) <= 40


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3), (700, 3)])
def test_extreme_shapes_are_measured(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = measure_image(rgb)
    assert 0 <= found.brightness <= 1
    assert 0 <= found.contrast <= 0.5
    assert found.sharpness >= 0
    assert 0 <= found.entropy_bits <= 8
    assert 0 <= found.colourfulness <= 450
