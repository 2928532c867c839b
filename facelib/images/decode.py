"""Decoding object bytes into upright RGB pixels; every failure becomes a reason, never an exception."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from facelib.images.containers import Container, read_container
from facelib.images.formats import FORMATS, UnreadableError, format_of
from facelib.images.pixels import Pixels, load_rgb
from facelib.reasons import ImageReason

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
_JPEG_REDUCTIONS = (8, 4, 2)
_DECODERS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImageFile,
    "png": PngImageFile,
    "webp": WebPImageFile,
    "gif": GifImageFile,
    "bmp": BmpImageFile,
    "tiff": TiffImageFile,
}

WantedScale = Callable[[int, int], float]

Image.MAX_IMAGE_PIXELS = None  # DecodeSettings.max_pixels is compared before Pillow sees a picture
ImageFile.LOAD_TRUNCATED_IMAGES = False
warnings.filterwarnings("ignore", module=r"PIL\.")  # catch_warnings would not be thread-safe


@dataclass(frozen=True)
class DecodeSettings:
    """Limits of one image. `max_pixels` is compared with the header before anything is allocated.

    `max_object_bytes`: larger objects are not looked at.
    `timeout_s`: wall-clock seconds that decoding, measuring and searching one image may take.
    """

    max_pixels: int = 100_000_000
    max_object_bytes: int = 64 * 1024 * 1024
    timeout_s: float = 60.0


@dataclass(frozen=True)
class Decoded:
    """Outcome of decoding one object.

    `pixels` is uint8 (height, width, 3), RGB, upright (EXIF orientation applied), transparency composed on
    white, or None when `reason` says why not; `detail` then names the decoder's error or what is amiss.
    `width_px` and `height_px` are those of the upright image at full size, known from the header even where the
    pixels could not be read. `scale` is 1, 1/2, 1/4 or 1/8: pixels are ⌈size · scale⌉, and None goes with no
    pixels. `n_frames` counts frames or pages (GIF and TIFF up to 65,535); the pixels are the first's.
    `exif_orientation` is 1 to 8 or None; `camera` is EXIF's make and model; `jpeg_quality` 1 to 100 (see
    `estimate_quality`), None if not JPEG.
    """

    pixels: Pixels | None = None
    reason: ImageReason | None = None
    detail: str | None = None
    format: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    n_frames: int | None = None
    exif_orientation: int | None = None
    camera: str | None = None
    scale: float | None = None
    jpeg_quality: int | None = None


def decode(
    data: bytes, settings: DecodeSettings = DecodeSettings(), wanted_scale: WantedScale | None = None
) -> Decoded:
    """Decode one object's bytes. Formats are told by content, never by name.

    `wanted_scale(height, width)` of the upright full-size image is the smallest scale in (0, 1] that serves. A
    JPEG is then decoded at the smallest of 1, 1/2, 1/4 and 1/8 that is not below it, everything else at 1.
    """
    if not data:
        return Decoded(reason=ImageReason.EMPTY)
    if len(data) > settings.max_object_bytes:
        return Decoded(reason=ImageReason.TOO_LARGE)
    name = format_of(data)
    if name is None:
        return Decoded(reason=ImageReason.NOT_AN_IMAGE)
    if name not in FORMATS:
        return Decoded(reason=ImageReason.UNSUPPORTED_FORMAT, format=name)
    found = Decoded(format=name)
    container = None
    try:
        container = read_container(name, data)
        found = _facts(name, container)
        if container.width_px * container.height_px > settings.max_pixels:
            return replace(found, reason=ImageReason.TOO_MANY_PIXELS)
        return _with_pixels(found, container, settings, wanted_scale)
    except UnreadableError as error:
        return replace(found, reason=error.reason, detail=error.detail)
    except Exception as error:  # hostile files raise almost anything from inside the decoders
        is_cut_off = container is not None and container.is_cut_off
        reason = ImageReason.TRUNCATED if is_cut_off else ImageReason.DECODE_ERROR
        return replace(found, reason=reason, detail=type(error).__name__)


def _facts(name: str, container: Container) -> Decoded:
    width, height = container.width_px, container.height_px
    if container.exif.orientation in _TRANSPOSED:
        width, height = height, width
    return Decoded(
        format=name,
        width_px=width,
        height_px=height,
        n_frames=container.n_frames,
        exif_orientation=container.exif.orientation,
        camera=container.exif.camera,
        jpeg_quality=container.jpeg_quality,
    )


def _with_pixels(
    found: Decoded, container: Container, settings: DecodeSettings, wanted_scale: WantedScale | None
) -> Decoded:
    assert found.format is not None
    assert found.height_px is not None
    assert found.width_px is not None
    if found.format == "jpeg" and container.is_cut_off:
        return replace(found, reason=ImageReason.TRUNCATED, detail="no end of image")
    decoder = _DECODERS[found.format]

    def open_image() -> ImageFile.ImageFile:
        return decoder(io.BytesIO(container.stream))

    image = _open(open_image)
    if image.width * image.height > settings.max_pixels:
        return replace(found, reason=ImageReason.TOO_MANY_PIXELS)
    reduction = 1
    if found.format == "jpeg" and wanted_scale is not None:
        reduction = _reduce(image, wanted_scale(found.height_px, found.width_px))
    rgb = load_rgb(open_image, image)
    if container.exif.orientation in _UPRIGHT and found.format != "tiff":  # which Pillow turns by itself
        rgb = rgb.transpose(_UPRIGHT[container.exif.orientation])
    return replace(found, pixels=np.ascontiguousarray(np.asarray(rgb, dtype=np.uint8)), scale=1 / reduction)


def _open(open_image: Callable[[], ImageFile.ImageFile]) -> ImageFile.ImageFile:
    """The decoder, ready; UnreadableError where it does not know the kind of samples or their coding."""
    try:
        return open_image()
    except (SyntaxError, OSError) as error:
        text = str(error)
        if text.startswith("Unsupported BMP") or text == "unknown pixel mode":
            raise UnreadableError(ImageReason.UNSUPPORTED_FORMAT, text) from error
        raise


def _reduce(image: ImageFile.ImageFile, wanted: float) -> int:
    """Have a JPEG decoded at a fraction of its size, and return its denominator."""
    for reduction in _JPEG_REDUCTIONS:
        if reduction * wanted <= 1 and reduction <= min(image.size):
            image.draft(None, (image.width // reduction, image.height // reduction))
            return reduction
    return 1
