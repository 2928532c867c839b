"""Decoded samples of any kind into 8-bit RGB."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from facelib.images.formats import UnreadableError
from facelib.reasons import ImageReason

Pixels = npt.NDArray[np.uint8]

_BACKGROUND = (255, 255, 255)
_CONVERTIBLE = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
_OTHER_ORDER = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
_EIGHT_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)
"""v · 255 / 65535, rounded."""
_PHOTOMETRIC = 262


def load_rgb(open_image: Callable[[], ImageFile.ImageFile], image: ImageFile.ImageFile) -> Image.Image:
    """RGB image of an opened one; `open_image` opens it anew.

    16-bit samples are scaled, not clipped. Transparency is composed on white. One float sample per pixel
    is taken as 0 to 1 if none exceeds 1, as 0 to 255 otherwise. Plates (CMYK) become RGB without a
    colour profile; those of a JPEG count as stored inverted, with or without Adobe's marker.
    UnreadableError for kinds of samples that have no such meaning.
    """
    rawmode = _rawmode(image)
    if image.mode in ("RGB", "RGBA", "CMYK") and rawmode in _SIXTEEN_BITS:
        return _to_rgb(_sixteen_bit_colours(open_image, image))
    image.load()
    if image.mode.startswith("I;16"):
        return _to_rgb(_sixteen_bit_grey(image, rawmode))
    if image.mode == "F":
        return _float_grey(image).convert("RGB")
    if image.mode not in _CONVERTIBLE:
        raise UnreadableError(ImageReason.UNSUPPORTED_FORMAT, f"samples of kind {image.mode}")
    return _to_rgb(image)


_SIXTEEN_BITS = {f"{mode};{order}" for mode in ("RGB", "RGBX", "RGBA", "CMYK") for order in _OTHER_ORDER}


def _rawmode(image: ImageFile.ImageFile) -> str:
    """How the file holds its samples, in the decoder's words."""
    arguments = image.tile[0].args if image.tile else None
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _sixteen_bit_colours(open_image: Callable[[], ImageFile.ImageFile], image: ImageFile.ImageFile) -> Image.Image:
    """The decoder keeps the high byte of each sample, which in the other byte order is the low one.

    (256 high + low) / 257, rounded, is `high`, or its neighbour where the two differ by more than 128.
    """
    other = open_image()
    other.tile = [tile._replace(args=_in_other_order(tile.args)) for tile in other.tile]
    high, low = _samples(image), _samples(other)
    eight = Image.fromarray(high + (cv2.subtract(low, high) > 128) - (cv2.subtract(high, low) > 128), image.mode)
    transparent = image.info.get("transparency")
    if transparent is not None:
        opaque = (high != np.array(transparent) >> 8) | (low != np.array(transparent) & 255)
        eight.putalpha(Image.fromarray(opaque.any(axis=2)))
    return eight


def _samples(image: ImageFile.ImageFile) -> Pixels:
    """Pixels of an image whose memory is released."""
    image.load()
    samples = np.asarray(image)
    image.close()
    return samples


def _in_other_order(arguments: Any) -> Any:
    if isinstance(arguments, tuple):
        return (_in_other_order(arguments[0]), *arguments[1:])
    mode, order = arguments.split(";")
    return f"{mode};{_OTHER_ORDER[order]}"


def _sixteen_bit_grey(image: ImageFile.ImageFile, rawmode: str) -> Image.Image:
    samples: npt.NDArray[Any] = np.asarray(image).astype(np.uint16)
    if rawmode == "I;12":
        samples = samples << 4 | samples >> 8
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        samples = 65535 - samples
    eight = Image.fromarray(_EIGHT_BITS[samples])
    transparent = image.info.get("transparency")
    if transparent is not None:
        eight.putalpha(Image.fromarray(samples != transparent))
    return eight


def _float_grey(image: ImageFile.ImageFile) -> Image.Image:
    samples = np.nan_to_num(np.asarray(image))
    white = 1.0 if samples.max() <= 1 else 255.0
    return Image.fromarray(np.rint(np.clip(samples / white, 0, 1) * 255).astype(np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        canvas = Image.new("RGB", rgba.size, _BACKGROUND)
        canvas.paste(rgba, mask=rgba.getchannel("A"))
        return canvas
    return image if image.mode == "RGB" else image.convert("RGB")
