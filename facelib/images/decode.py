"""Decoding object bytes into upright RGB pixels; every failure becomes a reason, never an exception."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from facelib.reasons import ImageReason

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TRANSPOSED = frozenset({5, 6, 7, 8})
_BACKGROUND = (255, 255, 255)

Pixels = npt.NDArray[np.uint8]

Image.init()
ImageFile.LOAD_TRUNCATED_IMAGES = False


@dataclass(frozen=True)
class DecodeSettings:
    """Limits of one image. `max_pixels` is compared with the header before anything is allocated.

    `timeout_s`: wall-clock seconds that decoding, measuring and searching one image may take.
    """

    max_pixels: int = 100_000_000
    max_object_bytes: int = 64 * 1024 * 1024
    timeout_s: float = 60.0


@dataclass(frozen=True)
class Decoded:
    """Outcome of decoding one object.

    `pixels` is uint8 (height, width, 3), RGB, upright (EXIF orientation applied), or None when
    `reason` says why not. Width and height are those of the upright image, known from the header
    even where the pixels could not be read (of such a PNG, whose EXIF may follow them, as stored).
    """

    pixels: Pixels | None = None
    reason: ImageReason | None = None
    detail: str | None = None
    format: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    n_frames: int | None = None
    exif_orientation: int | None = None


def decode(data: bytes, settings: DecodeSettings = DecodeSettings()) -> Decoded:
    """Decode one object's bytes. Formats are told by content, never by name."""
    if not data:
        return Decoded(reason=ImageReason.EMPTY)
    header = Decoded()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _open(data) as image:
                is_png = image.format == "PNG"  # Pillow decodes a PNG to find its EXIF: asked only after the check
                header = _header(image, None if is_png else _orientation(image))
                if image.width * image.height > settings.max_pixels:
                    return replace(header, reason=ImageReason.TOO_MANY_PIXELS)
                image.load()
                if is_png:
                    header = _header(image, _orientation(image))
                return replace(header, pixels=_upright_rgb(image, header.exif_orientation))
    except UnidentifiedImageError:
        return _unidentified(data)
    except Image.DecompressionBombError:
        return replace(header, reason=ImageReason.TOO_MANY_PIXELS)
    except MemoryError:
        return replace(header, reason=ImageReason.DECODE_ERROR, detail="MemoryError")
    except Exception as error:  # hostile files raise almost anything from inside the decoders
        return replace(header, reason=_reason(error, data), detail=type(error).__name__)


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _orientation(image: Image.Image) -> int | None:
    """EXIF orientation; None where the tag is absent, out of range, or in EXIF that cannot be parsed."""
    try:
        found = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # broken EXIF raises almost anything, and the pixels are none the worse for it
        return None
    return found if isinstance(found, int) and 1 <= found <= 8 else None


def _header(image: Image.Image, orientation: int | None) -> Decoded:
    width, height = image.size
    if orientation in _TRANSPOSED and image.format != "TIFF":  # whose size Pillow has swapped already
        width, height = height, width
    return Decoded(
        format=(image.format or "").lower() or None,
        width_px=width,
        height_px=height,
        n_frames=int(getattr(image, "n_frames", 1)),
        exif_orientation=orientation,
    )


def _upright_rgb(image: Image.Image, orientation: int | None) -> Pixels:
    """Upright RGB pixels of a loaded image; Pillow turns TIFF by itself."""
    upright = image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT and image.format != "TIFF" else image
    return np.ascontiguousarray(np.asarray(_to_rgb(upright), dtype=np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        scaled = np.asarray(image).astype(np.float64) * (255.0 / 65535.0)
        return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGB", rgba.size, _BACKGROUND)
        canvas.paste(rgba, mask=rgba.getchannel("A"))
        return canvas
    return image.convert("RGB")


def _unidentified(data: bytes) -> Decoded:
    """Tell a format outside the allow-list, or one whose header is broken, from bytes that are no image."""
    for name in FORMATS:
        accept = Image.OPEN[name][1]
        if accept is not None and accept(data[:16]):
            return Decoded(reason=ImageReason.TRUNCATED, format=name.lower(), detail="UnidentifiedImageError")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return Decoded(reason=ImageReason.UNSUPPORTED_FORMAT, format=(image.format or "").lower() or None)
    except Exception:  # any failure here means that nothing recognises the bytes
        return Decoded(reason=ImageReason.NOT_AN_IMAGE)


def _reason(error: Exception, data: bytes) -> ImageReason:
    text = str(error).lower()
    short = isinstance(error, EOFError | struct.error | IndexError) or _is_short_riff(data)
    if short or any(word in text for word in ("truncated", "unexpected end", "not enough")):
        return ImageReason.TRUNCATED
    return ImageReason.DECODE_ERROR


def _is_short_riff(data: bytes) -> bool:
    """Whether a WebP file announces more bytes than there are; libwebp gives no reason of its own."""
    return data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
