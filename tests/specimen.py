"""What a generated image file must decode to, and the pixels to expect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from facelib.images.decode import DecodeSettings
from facelib.reasons import ImageReason

Pixels = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 40, 48
UNSUPPORTED, BROKEN, CUT = ImageReason.UNSUPPORTED_FORMAT, ImageReason.DECODE_ERROR, ImageReason.TRUNCATED


@dataclass(frozen=True)
class Specimen:
    """One file. `pixels`: what it must decode to, give or take `tolerance`, where it must decode."""

    name: str
    data: bytes = field(repr=False)
    format: str | None
    reason: ImageReason | None = None
    pixels: Pixels | None = field(default=None, repr=False)
    tolerance: int = 0
    n_frames: int | None = None
    settings: DecodeSettings = field(default_factory=DecodeSettings)


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """A smooth picture of all hues, (height, width, 3), that survives JPEG."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in rng.uniform(0.3, 1.2, (3, 3))]
    return np.rint(127.5 + 110 * np.stack(waves, axis=2)).astype(np.uint8)


def grey(rgb: Pixels) -> Pixels:
    """Luma (h, w)."""
    return np.asarray(Image.fromarray(rgb).convert("L"))


def on_white(rgba: npt.NDArray[Any], white: int = 255) -> Pixels:
    """Composition on white of samples (h, w, 4) up to `white`, in floats, rounded to 8 bits."""
    alpha = rgba[:, :, 3:] / white
    return np.rint(255 * (rgba[:, :, :3] / white * alpha + 1 - alpha)).astype(np.uint8)


def as_rgb(samples: npt.NDArray[Any]) -> Pixels:
    return np.repeat(samples.astype(np.uint8)[:, :, None], 3, axis=2)


def of_plates(plates: Pixels) -> Pixels:
    """RGB of inks (h, w, 4), 255 full: what each plate and black leave of the light."""
    light = 1 - plates.astype(float) / 255
    return np.rint(255 * light[:, :, :3] * light[:, :, 3:]).astype(np.uint8)


def turned(rgb: Pixels, orientation: int) -> Pixels:
    """Upright pixels by the meaning of the tag (EXIF 2.3, tag 274), with NumPy's turns."""
    turn = {1: 0, 2: 0, 3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}[orientation]
    flipped = orientation in (2, 4, 5, 7)
    found = np.rot90(rgb, turn)
    return np.ascontiguousarray(found[:, ::-1] if flipped else found)


def with_hole(rgb: Pixels, hole: npt.NDArray[np.bool_]) -> Pixels:
    return np.where(hole[:, :, None], np.uint8(255), rgb)


def in_png(data: bytes, chunk: bytes, at: int = 33) -> bytes:
    """Inserted after the header, or where told."""
    return data[:at] + chunk + data[at:]


def overwritten(data: bytes, at: int, junk: bytes) -> bytes:
    return data[:at] + junk + data[at + len(junk) :]
