"""Copies of a picture as they occur in archives: resized, recompressed, cropped, mirrored, marked, turned."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

Picture = Image.Image
_CROPPED = 0.05


def copies(picture: Picture, rng: np.random.Generator) -> dict[str, Picture]:
    """One copy of each kind, by name; all are encoded as JPEG once more, at quality 90 unless named otherwise."""
    changed: dict[str, Callable[[], Picture]] = {
        "resized to 0.5": lambda: _resized(picture, 0.5),
        "resized to 0.85": lambda: _resized(picture, 0.85),
        "mirrored": lambda: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "15 % brighter": lambda: ImageEnhance.Brightness(picture).enhance(1.15),
        "15 % darker": lambda: ImageEnhance.Brightness(picture).enhance(0.85),
        "grey": lambda: picture.convert("L").convert("RGB"),
        "text across": lambda: _with_text(picture),
        "logo in a corner": lambda: _with_logo(picture),
        "5 % cropped off one side": lambda: _one_side(picture, rng),
        "5 % of each axis cropped off, centred": lambda: _trimmed(picture, 0.5, 0.5),
        "5 % of each axis cropped off, anywhere": lambda: _trimmed(picture, *rng.random(2)),
        "turned by 2°": lambda: picture.rotate(2, Image.Resampling.BICUBIC),
    }
    recompressed = {f"JPEG quality {q}": _encoded(picture, q) for q in (30, 50, 70)}
    return recompressed | {name: _encoded(change(), 90) for name, change in changed.items()}


def _encoded(picture: Picture, quality: int) -> Picture:
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=quality)
    return Image.open(sink).convert("RGB")


def _resized(picture: Picture, scale: float) -> Picture:
    return picture.resize(
        (round(picture.width * scale), round(picture.height * scale)), resample=Image.Resampling.LANCZOS
    )


def _one_side(picture: Picture, rng: np.random.Generator) -> Picture:
    w, h = picture.size
    dx, dy = round(_CROPPED * w), round(_CROPPED * h)
    boxes = [(dx, 0, w, h), (0, 0, w - dx, h), (0, dy, w, h), (0, 0, w, h - dy)]
    return picture.crop(boxes[rng.integers(4)])


def _trimmed(picture: Picture, left: float, top: float) -> Picture:
    """`left` and `top`: shares of what is cut off that are cut off there."""
    w, h = picture.size
    dx, dy = round(_CROPPED * w), round(_CROPPED * h)
    x, y = round(left * dx), round(top * dy)
    return picture.crop((x, y, x + w - dx, y + h - dy))


def _with_text(picture: Picture) -> Picture:
    """White half-transparent letters, a tenth of the height, in the lower part."""
    layer = Image.new("RGBA", picture.size)
    font = ImageFont.load_default(max(8, picture.height // 10))
    place = (picture.width / 2, picture.height * 0.85)
    ImageDraw.Draw(layer).text(place, "SAMPLE PHOTO", font=font, fill=(255, 255, 255, 128), anchor="mm")
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def _with_logo(picture: Picture) -> Picture:
    """An opaque red disc with a white bar, a seventh of the height, in the lower right corner."""
    marked = picture.copy()
    w, h = picture.size
    size, gap = h // 7, h // 25
    left, top = w - gap - size, h - gap - size
    draw = ImageDraw.Draw(marked)
    draw.ellipse((left, top, left + size, top + size), fill=(200, 30, 30))
    draw.rectangle((left + size // 4, top + size * 3 // 8, left + size * 3 // 4, top + size * 5 // 8), fill="white")
    return marked
